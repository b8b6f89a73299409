package dataset

import (
	"fmt"
	"sort"
	"strings"

	"bq/onnxio"
)

// part cuts the array of one file into samples of chunk rows each.
type part struct {
	*rows
	chunk   int
	count   int   // samples
	dropped int   // rows at the end that fill no chunk
	shape   []int // of one sample
}

// arraySource feeds one input from arrays, one part per file.
type arraySource struct {
	input Input
	parts []part
	ends  []int // number of samples up to and including each part
}

func (s *arraySource) add(p part) {
	s.parts = append(s.parts, p)
	s.ends = append(s.ends, s.len()+p.count)
}

func (s *arraySource) len() int {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// locate returns the part that holds sample i, and the sample's place in it.
func (s *arraySource) locate(i int) (*part, int) {
	k := sort.SearchInts(s.ends, i+1)
	return &s.parts[k], i - (s.ends[k] - s.parts[k].count)
}

func (s *arraySource) read(i int) (*onnxio.Array, error) {
	p, at := s.locate(i)
	raw, err := p.slice(at*p.chunk, p.chunk)
	if err != nil {
		return nil, err
	}
	a, err := decode(p.npyHeader, raw, s.input.Type, p.shape)
	if err != nil {
		return nil, fmt.Errorf("feeding %s from %s: sample %d: %w", onnxio.Quote(s.input.Name), p.label(), at, err)
	}
	return a, nil
}

func (s *arraySource) first(i int) bool {
	_, at := s.locate(i)
	return at == 0
}

func (s *arraySource) name(i int) string {
	p, at := s.locate(i)
	return fmt.Sprintf("%s[%d]", p.show, at)
}

// cutRows says how r feeds in: an array of in's rank is cut along its batch axis, into batches of one where that
// dimension is free, else of its fixed size; one of one axis more holds a whole input per row.
func cutRows(in Input, r *rows) (part, error) {
	if err := checkConversion(r.npyHeader, in.Type); err != nil {
		return part{}, fmt.Errorf("feeding %s from %s: %w", onnxio.Quote(in.Name), r.label(), err)
	}
	rank := len(in.Shape)
	p := part{rows: r, chunk: 1, count: 1}
	switch {
	case in.HasShape && len(r.shape) == 0 && rank == 0:
		return p, nil
	case len(r.shape) > 0 && (!in.HasShape || len(r.shape) == rank):
		if in.HasShape && in.Shape[0].Known {
			p.chunk = int(min(max(in.Shape[0].Value, 0), 1<<40))
		}
		p.shape = append([]int{p.chunk}, r.shape[1:]...)
	case in.HasShape && len(r.shape) == rank+1:
		p.shape = r.shape[1:]
	}
	if p.shape == nil || !in.accepts(p.shape) || p.chunk == 0 {
		return part{}, fmt.Errorf("feeding %s from %s: array %v, want %s, or one axis more in front for a whole input per sample",
			onnxio.Quote(in.Name), r.label(), r.shape, in.dims())
	}
	p.count, p.dropped = r.shape[0]/p.chunk, r.shape[0]%p.chunk
	return p, nil
}

// cutLabels says how labels in r, [n] or [n, rows...], belong to the samples of like, whose array has as many rows,
// or as many samples.
func cutLabels(r *rows, like part) (part, error) {
	chunk := like.chunk
	if len(r.shape) > 0 && len(like.rows.shape) > 0 && r.shape[0] != like.rows.shape[0] {
		chunk = 1
	}
	return cutLabelRows(r, like.count, chunk, like.rows.shape)
}

// cutLabelRows cuts labels into count chunks.
func cutLabelRows(r *rows, count, chunk int, data []int) (part, error) {
	if r.kind == 'f' {
		return part{}, fmt.Errorf("reading labels from %s: a %s array, want integers", r.label(), r.dtype())
	}
	if len(r.shape) == 0 || r.shape[0]/chunk != count {
		return part{}, fmt.Errorf("reading labels from %s: array %v does not fit data %v: want a label, or a row of labels, per sample",
			r.label(), r.shape, data)
	}
	p := part{rows: r, chunk: chunk, count: count}
	if r.shape[0] > 0 {
		p.shape = []int{chunk * (r.npyHeader.count / r.shape[0])}
	}
	return p, nil
}

// accepts reports whether shape fits the input's fixed dimensions.
func (in *Input) accepts(shape []int) bool {
	if !in.HasShape {
		return true
	}
	if len(shape) != len(in.Shape) {
		return false
	}
	for i, d := range in.Shape {
		if d.Known && d.Value != int64(shape[i]) {
			return false
		}
	}
	return true
}

// dims returns the input's shape for messages: [N 1 28 28], a free dimension without name as ?.
func (in *Input) dims() string {
	if !in.HasShape {
		return "[any]"
	}
	words := make([]string, len(in.Shape))
	for i, d := range in.Shape {
		switch {
		case d.Known:
			words[i] = fmt.Sprint(d.Value)
		case d.Param != "":
			words[i] = d.Param
		default:
			words[i] = "?"
		}
	}
	return "[" + strings.Join(words, " ") + "]"
}
