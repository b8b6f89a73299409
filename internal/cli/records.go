package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"

	"bq/convert"
	"bq/packing"
)

// The records of JSON results (cli.md section 1). Units stand in names; undefined numbers are null with a why.

// sizeRecord says where the bytes of a container go; the five parts add up to file_bytes.
type sizeRecord struct {
	FileBytes      int64   `json:"file_bytes"`
	CodesBytes     int64   `json:"codes_bytes"`
	ScalesBytes    int64   `json:"scales_bytes"`
	KeptBytes      int64   `json:"kept_bytes"`
	GraphBytes     int64   `json:"graph_bytes"`
	ContainerBytes int64   `json:"container_bytes"`
	BPW            float64 `json:"bpw"`
}

// tensorRecord is what became of one float tensor.
type tensorRecord struct {
	Name      string   `json:"name"`
	Op        string   `json:"op"`
	Via       string   `json:"via,omitempty"`
	Shape     []int    `json:"shape"`
	Elements  int      `json:"elements"`
	State     string   `json:"state"`
	Reason    string   `json:"reason,omitempty"`
	Method    string   `json:"method,omitempty"`
	P         *float64 `json:"p,omitempty"`
	Bits      int      `json:"bits,omitempty"`
	Group     string   `json:"group,omitempty"`
	Codec     string   `json:"codec,omitempty"`
	Bytes     int64    `json:"bytes"`
	BPW       float64  `json:"bpw"`
	SQNR      *float64 `json:"sqnr_db"`
	AloneNats *float64 `json:"alone_nats"`
	Why       string   `json:"why,omitempty"`
}

func newTensorRecord(c convert.Coverage) tensorRecord {
	r := tensorRecord{
		Name: c.Name, Op: c.Op, Via: c.Via, Shape: c.Shape, Elements: c.Elements, State: "kept", Reason: string(c.Reason),
		Bytes: c.Bytes, BPW: round(c.BitsPerWeight(), 4),
	}
	if !c.Quantized() {
		r.Why = "kept as it is"
		return r
	}
	p := c.P
	r.State, r.Method, r.P, r.Bits, r.Group, r.Codec = "quantized", c.Method, &p, c.Bits, c.Group, c.Codec
	r.Why = "alone_nats is measured by verify --blame"
	switch {
	case math.IsInf(c.SQNR, 1):
		r.Why = "the values are equal; " + r.Why
	case math.IsNaN(c.SQNR):
		r.Why = "the container does not say; " + r.Why
	default:
		v := round(c.SQNR, 3)
		r.SQNR = &v
	}
	return r
}

// round cuts v to the given decimals, for figures whose further digits say nothing.
func round(v float64, decimals int) float64 {
	scale := math.Pow(10, float64(decimals))
	return math.Round(v*scale) / scale
}

// newSizeRecord gives the parts of a container of the given bytes, and its bits per float weight, kept ones counted.
func newSizeRecord(f *packing.File, bytes, weights int64) sizeRecord {
	codes, scales, kept, graph, container := f.Sizes()
	r := sizeRecord{FileBytes: bytes, CodesBytes: codes, ScalesBytes: scales, KeptBytes: kept, GraphBytes: graph, ContainerBytes: container}
	if weights > 0 {
		r.BPW = round(8*float64(codes+scales+kept)/float64(weights), 4)
	}
	return r
}

// floatWeights counts the elements of all float tensors of a coverage list.
func floatWeights(list []convert.Coverage) int64 {
	n := int64(0)
	for _, c := range list {
		if c.Reason != convert.Coded {
			n += int64(c.Elements)
		}
	}
	return n
}

// nullable is a number that JSON shows as null where it is NaN or infinite.
type nullable float64

// MarshalJSON writes the number, or null.
func (v nullable) MarshalJSON() ([]byte, error) {
	if v-v != 0 {
		return []byte("null"), nil
	}
	return json.Marshal(float64(v))
}

// printJSON writes v to stdout: fixed field order, two-space indent. `##[`, which a CI runner would take for a command,
// can only stand inside strings, where JSON has another spelling of it.
func (s *session) printJSON(v any) error {
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(b)
	return err
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("##["), []byte(`#\u0023[`)), nil
}

// tally counts values by name.
type tally map[string]int

// ordered returns the names by falling count, then by name.
func (t tally) ordered() []string {
	names := make([]string, 0, len(t))
	for n := range t {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if t[a] != t[b] {
			return t[b] - t[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
	return names
}
