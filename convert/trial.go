package convert

import (
	"bytes"

	"bq/packing"
)

// sizes are the parts of the file that the codes so far would make.
type sizes struct {
	codes, scales, kept, total int64
	fixed                      int64 // of codes: those that no knob turns
}

// trial writes the file to memory and returns its parts.
func (c *converter) trial() (s sizes, err error) {
	var out bytes.Buffer
	w, err := c.begin(&out)
	if err != nil {
		return s, err
	}
	for _, j := range c.jobs {
		t, err := j.tensor()
		if err != nil {
			return s, err
		}
		if t == nil {
			continue
		}
		if err := w.Tensor(t); err != nil {
			return s, err
		}
		if j.fixed && j.q != nil {
			s.fixed += w.Last().CodesBytes
		}
	}
	if err := c.close(w); err != nil {
		return s, err
	}
	f, err := packing.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		return s, err
	}
	s.codes, s.scales, s.kept, _, _ = f.Sizes()
	s.total = int64(out.Len())
	return s, nil
}
