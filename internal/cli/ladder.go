package cli

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"bq/convert"
	"bq/packing"
)

// ladder holds conversions of a model to several widths, without data, by the method of a container that is there
// already, and as it was told else: what a remedy or another size would cost. Each is made when it is first asked for.
type ladder struct {
	*session
	in     *input
	method convert.Method
	group  convert.Group
	base   convert.Options // what else the container was told, as far as it says
	rungs  map[int]*rung
}

// rung is the conversion to one width.
type rung struct {
	bits    int
	bytes   int64
	file    *packing.File
	tensors map[string]convert.Coverage // the quantized ones
}

// newLadder makes a ladder for model A by the container of B: its method where all tensors have one, its group likewise.
// It is nil where A cannot be converted; b is nil where B is no container.
func (s *session) newLadder(in *input, b *convert.Contents) *ladder {
	if in == nil {
		return nil
	}
	l := &ladder{session: s, in: in, method: convert.Auto, rungs: map[int]*rung{}}
	methods, groups := map[string]bool{}, map[string]bool{}
	var list []convert.Coverage
	if b != nil {
		list = b.Tensors
		if f := b.About.Flags; f != nil {
			l.base.MinElements, l.base.KeepBiases = f.MinElements, f.KeepBiases
			if codec, err := convert.ParseCodec(f.Codec); err == nil {
				l.base.Codec = codec
			}
		}
	}
	for _, c := range list {
		if c.Quantized() {
			methods[memberName(c)], groups[c.Group] = true, true
		}
	}
	if len(methods) == 1 {
		for name := range methods {
			if m, err := convert.ParseMethod(name); err == nil {
				l.method = m
			}
		}
	}
	if len(groups) == 1 {
		for name := range groups {
			if g, err := group(strings.TrimPrefix(name, "block of ")); err == nil {
				l.group = g
			}
		}
	}
	return l
}

// memberName writes the family member of a tensor as --method takes it.
func memberName(c convert.Coverage) string {
	if c.Method != "balanced" {
		return c.Method
	}
	if math.Abs(c.P-1.0/3) < 1e-6 {
		return "balanced:1/3"
	}
	return "balanced:" + strconv.FormatFloat(c.P, 'g', -1, 64)
}

// at returns the conversion to a width; nil where there is none, as it would be larger than the model.
func (l *ladder) at(bits int) (*rung, error) {
	if r, ok := l.rungs[bits]; ok {
		return r, nil
	}
	r, err := l.convert(convert.Options{Bits: bits})
	var nothing *convert.NothingError
	if err != nil && !errors.Is(err, convert.ErrLarger) && !errors.As(err, &nothing) {
		return nil, fmt.Errorf("coding %s at %d bits: %w", l.in.name, bits, err)
	}
	l.rungs[bits] = r
	return r, nil
}

// convert converts the model, with the method and group of the ladder.
func (l *ladder) convert(o convert.Options) (*rung, error) {
	var b bytes.Buffer
	o.Codec, o.MinElements, o.KeepBiases = l.base.Codec, l.base.MinElements, l.base.KeepBiases
	o.Method, o.Group, o.Threads, o.MadeBy, o.Progress = l.method, l.group, l.threads, "bq "+Version, func(string, int, int) {}
	result, err := convert.Convert(l.ctx, l.in.file, &b, o)
	if err != nil {
		return nil, err
	}
	r := &rung{bits: o.Bits, bytes: int64(b.Len()), tensors: map[string]convert.Coverage{}}
	if r.file, err = packing.Open(bytes.NewReader(b.Bytes()), r.bytes); err != nil {
		return nil, err
	}
	for _, c := range result.Tensors {
		if c.Quantized() {
			r.tensors[c.Name] = c
		}
	}
	return r, nil
}

// like converts the model as a container was, with its widths and what it was asked to keep, but for the tensors of
// changes, which get other bits, 0 to stay float. o holds what else it is told.
func (l *ladder) like(list []convert.Coverage, changes map[string]int, o convert.Options) (*rung, error) {
	o.Bits = maxBits
	for _, c := range list {
		bits, changed := changes[c.Name]
		switch {
		case c.Quantized() && !changed:
			o.BitsOf = append(o.BitsOf, convert.BitsOf{Glob: c.Name, Bits: c.Bits})
		case changed && bits > 0:
			o.BitsOf = append(o.BitsOf, convert.BitsOf{Glob: c.Name, Bits: bits})
		case changed || c.Reason == convert.Asked:
			o.Keep = append(o.Keep, c.Name)
		}
	}
	return l.convert(o)
}

// values returns a quantized tensor's values at a width; nil where it has none there. r may be nil.
func (r *rung) values(name string) ([]float32, error) {
	if r == nil {
		return nil, nil
	}
	i, ok := r.file.Lookup(name)
	if !ok {
		return nil, nil
	}
	t, err := r.file.Tensor(i)
	if err != nil || t.Quant == nil {
		return nil, err
	}
	dst := make([]float32, r.tensors[name].Elements)
	t.Quant.Dequantize(dst)
	return dst, nil
}

// curveBits are the widths of the curve of size and drift.
var curveBits = []int{2, 3, 4, 6, 8}

// rungsOf returns the conversions to the given widths that there are, the smallest file first.
func (l *ladder) rungsOf(bits []int) ([]*rung, error) {
	var list []*rung
	for _, b := range bits {
		r, err := l.at(b)
		if err != nil {
			return nil, err
		}
		if r != nil {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *rung) int { return int(a.bytes - b.bytes) })
	return list, nil
}
