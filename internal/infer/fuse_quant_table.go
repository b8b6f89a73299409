package infer

import (
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Whatever happens to one value, element by element, between codes and codes is a table of 256 bytes: the operators of
// the graph are run once, when it is fused, on what the 256 codes stand for.

// function is a value as a function of codes: what it is for each byte that base's codes may be.
type function struct {
	base *quantized
	y    []float32
}

// maxSpans bounds the codes of which a value is followed as a function: the nearest ones, and those that they come from.
const maxSpans = 4

// spanOperators are element by element, beside those of inPlace.
var spanOperators = map[string]bool{"Min": true, "Max": true, "Pow": true, "PRelu": true, "Celu": true, "ThresholdedRelu": true, "Sign": true, "Identity": true}

// after returns f, codes, as what v makes of them.
func (f function) after(v *quantized) function {
	y, values := make([]float32, 256), v.decoded()
	for i, c := range f.y {
		y[i] = values[uint8(int32(c))]
	}
	return function{f.base, y}
}

// span notes of which codes the result of node i is a function, and reports whether it is one.
func (q *quantization) span(i int) bool {
	nd := q.nodes[i]
	if !inPlace[nd.OpType] && !spanOperators[nd.OpType] || len(nd.out) != 1 || nd.out[0] < 0 {
		return false
	}
	first := -1
	for _, slot := range nd.in {
		switch {
		case slot < 0:
		case q.g.consts[slot] != nil:
			if q.g.consts[slot].Len() != 1 || q.g.consts[slot].Type != onnxio.Float {
				return false
			}
		case first < 0:
			first = slot
		}
	}
	if first < 0 {
		return false
	}
	var list []function
	for _, f := range q.spans[first] {
		if y := q.apply(nd, f.base); y != nil && len(list) < maxSpans {
			list = append(list, function{f.base, y})
		}
	}
	if list == nil {
		return false
	}
	q.spans[nd.out[0]] = list
	return true
}

// apply runs a node on what base's codes stand for; nil where not all that it reads is a function of them.
func (q *quantization) apply(nd *node, base *quantized) []float32 {
	in := make([]*onnxio.Array, len(nd.in))
	for k, slot := range nd.in {
		if slot < 0 {
			continue
		}
		if in[k] = q.g.consts[slot]; in[k] != nil {
			continue
		}
		for _, f := range q.spans[slot] {
			if f.base.codes == base.codes && f.base.typ == base.typ {
				in[k] = onnxio.Floats(f.y, 256)
			}
		}
		if in[k] == nil {
			return nil
		}
	}
	r := &run{threads: 1, limit: foldBytes}
	outs, err := r.call(nd, in)
	if err != nil || outs[0].Type != onnxio.Float || outs[0].Len() != 256 {
		return nil
	}
	return outs[0].F32()
}

// codeTable makes codes of other codes, one by one.
type codeTable struct {
	table *[256]uint8 // nil where the codes stay what they are
	to    onnxio.DataType
}

// quantizer puts a table in the place of the QuantizeLinear at place k, where what it quantizes is a function of codes.
func (q *quantization) quantizer(k int) {
	spans := q.spans[max(q.nodes[k].in[0], 0)]
	places, t, ok := q.quantizing(k)
	if !ok || q.nodes[k].in[0] < 0 {
		return
	}
	if spans == nil {
		q.encoder(places, t)
		return
	}
	f := spans[0]
	for _, y := range f.y {
		if y != y { // what QuantizeLinear makes of a NaN is for it to say
			return
		}
	}
	z := &codeTable{table: &[256]uint8{}, to: t.typ}
	kernel.QuantizeWithin(z.table[:], f.y, t.scale, t.zero, t.low, t.high)
	codes := make([]float32, 256)
	for i, c := range z.table {
		codes[i] = float32(c)
	}
	q.tables[t.slot] = function{f.base, codes}
	q.limit(t.slot, t.typ, int32(slices.Max(z.table[:])))
	if most, ok := q.most[f.base.codes]; ok {
		q.limit(t.slot, t.typ, int32(slices.Max(z.table[:most+1])))
	}
	if z.same() && f.base.typ == t.typ {
		z.table = nil
	}
	q.reads(f.base)
	q.count++
	q.place(places, q.nodes[places[len(places)-1]], []int{f.base.codes}, []int{t.slot}, f.base.typ, z.run).state = z
}

// encoder puts one node in the place of a QuantizeLinear and a Clip of its codes.
func (q *quantization) encoder(places []int, t target) {
	if len(places) == 1 {
		return
	}
	v := &quantized{scale: t.scale, zero: t.zero, low: t.low, high: t.high, typ: t.typ}
	q.limit(t.slot, t.typ, t.high)
	in := q.nodes[places[0]].in[:1]
	q.place(places, q.nodes[places[1]], in, []int{t.slot}, onnxio.Float, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) { return v.quantize(r, in[0]) }).state = v
}

// reads has the codes of v made, for one who reads them and who did not read the value.
func (q *quantization) reads(v *quantized) {
	q.uses[v.value]++
	q.read(v)
}

// same reports whether no code changes.
func (z *codeTable) same() bool {
	for i, c := range z.table {
		if int(c) != i {
			return false
		}
	}
	return true
}

func (z *codeTable) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	if z.table == nil {
		return in[0], nil
	}
	out, err := r.blank(z.to, in[0].Shape...)
	if err != nil {
		return nil, nil
	}
	kernel.LookUp(byteData(out), byteData(in[0]), z.table, r.threads)
	return out, nil
}
