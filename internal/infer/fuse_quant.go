package infer

import (
	"errors"
	"math"
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Graphs whose values are quantized and dequantized again, between operators on floats, run on codes. Products have weights
// that are codes behind DequantizeLinear as well:
//
//	sum of (x - x zero) * x scale * (w - w zero) * w scale = x scale * w scale * (exact sum of integers)
//
// What follows, maps by channel, bounds, and the next quantization, happens to the sums before they are stored: one factor,
// x scale * w scale / y scale in float32, makes codes of them, after a bias in int32 is added. Operators that move elements
// move codes, functions of one value are tables of 256 bytes, means, sums and products of values have kernels. The
// arithmetic is that of ONNX Runtime's QLinear operators. Results are those of the graph but for the rounding of its float32
// sums: a code may differ by one step where a value lies within that of the border of two. Values are quantized by
// QuantizeLinear, with a Clip of the codes behind it where they have fewer than eight bits, and dequantized by
// DequantizeLinear, or in float32: round(x / scale) + zero point, bounded by Clip, less the zero point, times the scale.

// errExact says that a value has no code: a NaN, which a graph in float32 hands on. The run starts again without codes.
var errExact = errors.New("a value without a code")

// weightCodes are the operands of a DequantizeLinear whose result is constant.
type weightCodes struct {
	codes, scale, zero *onnxio.Array
	axis               int64
}

// keepCodes notes the operands of a folded DequantizeLinear of bytes, or of a bias in int32.
func (g *graph) keepCodes(nd *node, in []*onnxio.Array) {
	if !nd.standard || nd.OpType != "DequantizeLinear" || !isByte(in[0]) && in[0].Type != onnxio.Int32 || in[1].Type != onnxio.Float || nd.intOr("block_size", 0) != 0 {
		return
	}
	if g.codes == nil {
		g.codes = map[int]weightCodes{}
	}
	g.codes[nd.out[0]] = weightCodes{in[0], in[1], in[2], nd.intOr("axis", 1)}
}

// quantized is a value of which a graph has codes.
type quantized struct {
	value, codes    int // slots
	source          int // the slot that is quantized; -1 where the graph has the codes itself
	scale           float32
	zero, low, high int32
	typ             onnxio.DataType
	places          []int  // of the nodes from source to value, or of the DequantizeLinear
	used, made      bool   // somebody reads the codes; a group computes them
	move            *moved // what moves codes to make these; nil for others
}

// chainCodes is how many of the nodes of a quantization in float32 make codes; the others make a value of them.
const chainCodes = 4

// quantization is a fusion that looks for codes.
type quantization struct {
	*fusion
	values  map[int]*quantized // by slot of the value
	sources map[int]*quantized // by the slot that is quantized, where nobody else reads it
	list    []*quantized
	tables  map[int]function   // by slot of codes: of which others they are a function
	spans   map[int][]function // by slot of a value, the nearest codes first
	most    map[int]int32      // by slot of codes of uint8: the largest there may be, where that is known
	behind  []placedNode       // nodes to be put in
	count   int                // groups
}

// quantize puts operators on codes in the place of operators on what they stand for, and reports whether it found any.
// Nodes are taken in the order in which they run: what a node reads has its codes by then.
func (z *fusion) quantize() bool {
	if !kernel.BytesPay() {
		return false
	}
	q := &quantization{fusion: z, values: map[int]*quantized{}, sources: map[int]*quantized{}, tables: map[int]function{}, spans: map[int][]function{}, most: map[int]int32{}}
	for i, nd := range z.nodes {
		if nd.standard && nd.OpType == "Div" {
			q.chain(i)
		}
	}
	for i, nd := range z.nodes {
		if nd != nil && nd.standard && nd.parts == nil && nd.fast == nil {
			q.take(i)
		}
	}
	for _, v := range q.list {
		q.settle(v)
	}
	q.insert()
	z.prune()
	return q.count > 0
}

// take puts what runs on codes in the place of the group that begins with node i, where there is such a thing.
func (q *quantization) take(i int) {
	switch q.nodes[i].OpType {
	case "DequantizeLinear":
		q.dequantizer(i)
	case "QuantizeLinear":
		q.quantizer(i)
	case "Conv":
		q.convolution(i)
	case "MatMul", "Gemm":
		q.product(i)
	case "AveragePool", "GlobalAveragePool":
		q.mean(i)
	case "Concat":
		q.concat(i)
	case "Add", "Mul":
		if !q.span(i) {
			q.pair(i)
		}
	default:
		if !q.span(i) && !q.linear(i) {
			q.mover(i)
			q.clip(i)
		}
	}
}

// point returns the number of input k of node i where that is a constant whole number of one element.
func (q *quantization) point(i, k int) (int32, bool) {
	v, ok := q.scalar(i, k)
	return int32(v), ok && v >= 0 && v <= 255 && v == float32(int32(v))
}

// step returns the scale that is input k of node i: positive and finite.
func (q *quantization) step(i, k int) (float32, bool) {
	v, ok := q.scalar(i, k)
	return v, ok && v > 0 && v <= math.MaxFloat32
}

// dequantizer notes a DequantizeLinear with one scale of bytes that a run computes.
func (q *quantization) dequantizer(i int) {
	nd := q.nodes[i]
	zero := q.g.consts[max(nd.in[2], 0)]
	scale, ok := q.step(i, 1)
	if q.absent(i, 2) || zero == nil || !isByte(zero) || zero.Len() != 1 || !ok || q.g.consts[nd.in[0]] != nil ||
		nd.intOr("block_size", 0) != 0 || nd.intOr("output_dtype", int64(onnxio.Float)) != int64(onnxio.Float) {
		return
	}
	v := &quantized{value: nd.out[0], codes: nd.in[0], source: -1, scale: scale, zero: int32(zero.Ints()[0]), typ: zero.Type, places: []int{i}}
	q.note(v)
}

func (q *quantization) note(v *quantized) {
	q.values[v.value] = v
	q.list = append(q.list, v)
	if v.source >= 0 {
		return
	}
	q.spans[v.value] = []function{{base: v, y: v.decoded()}}
	if f, ok := q.tables[v.codes]; ok {
		q.spans[v.value] = append(q.spans[v.value], f.after(v))
	}
}

// chain notes a quantization in float32 that starts with the Div at place i.
func (q *quantization) chain(i int) {
	places := []int{i}
	for _, op := range []string{"Round", "Add", "Clip", "Sub", "Mul"} {
		k := q.next(places[len(places)-1])
		if !q.is(k, op) {
			return
		}
		places = append(places, k)
	}
	add, clip, sub, mul := places[2], places[3], places[4], places[5]
	out := func(k int) int { return q.nodes[places[k]].out[0] }
	scale, ok := q.step(i, 1)
	zero, whole := q.point(sub, 1)
	shift, shifted := q.operand(add, out(1))
	again, scaled := q.operand(mul, out(4))
	low, high, bounded := q.bounds(clip)
	switch {
	case !ok || !whole || !shifted || !scaled || !bounded, shift != float32(zero), again != scale:
		return
	case q.nodes[clip].in[0] != out(2), q.nodes[sub].in[0] != out(3), q.nodes[mul].out[0] < 0:
		return
	case !(low >= 0 && low <= high && high <= 255), low != float32(int32(low)), high != float32(int32(high)):
		return
	case slices.ContainsFunc([]int{i, sub}, func(k int) bool { c := q.g.consts[q.nodes[k].in[1]]; return len(c.Shape) > 1 }):
		return
	}
	x := q.nodes[i].in[0]
	if x < 0 || q.g.consts[x] != nil {
		return
	}
	v := &quantized{value: out(5), codes: q.slot(out(3)), source: x, scale: scale, zero: zero, low: int32(low), high: int32(high), typ: onnxio.Uint8, places: places}
	q.note(v)
	if q.uses[x] == 1 {
		q.sources[x] = v
	}
}

// slot returns a new slot, for codes of what stands in slot.
func (q *quantization) slot(slot int) int {
	if len(q.names) == len(q.g.names) { // those of the graph stay as they are
		q.names, q.consts = slices.Clone(q.names), slices.Clone(q.consts)
	}
	q.names, q.consts = append(q.names, q.names[slot]), append(q.consts, nil)
	q.uses, q.reader, q.maker = append(q.uses, 0), append(q.reader, -1), append(q.maker, -1)
	return len(q.names) - 1
}

// place puts a node that reads codes, or makes them, in the place of others; nd gives it its name.
func (q *quantization) place(places []int, nd *node, in, out []int, elem onnxio.DataType, fast fastFunc) *node {
	for _, i := range places {
		q.nodes[i] = nil
	}
	made := &node{Node: nd.Node, where: nd.where, in: in, out: out, fast: fast, elem: elem}
	q.nodes[places[len(places)-1]] = made
	return made
}

// read counts a group that reads the codes of v instead of its value, and has them made.
func (q *quantization) read(v *quantized) {
	v.used = true
	q.uses[v.value]--
	if v.move != nil {
		q.move(v.move)
	}
}

// target is what a group writes.
type target struct {
	slot            int
	codes           bool
	scale           float32
	zero, low, high int32
	typ             onnxio.DataType
}

// target finds the quantization behind the node at the end of places and adds what of it a group may do.
func (q *quantization) target(places []int) ([]int, target) {
	last := places[len(places)-1]
	out := q.nodes[last].out[0]
	if v := q.sources[out]; v != nil {
		v.made = true
		q.nodes[v.places[0]], q.nodes[v.places[1]], q.nodes[v.places[2]] = nil, nil, nil
		return places, target{v.codes, true, v.scale, v.zero, v.low, v.high, v.typ}
	}
	if k := q.next(last); q.is(k, "QuantizeLinear") && q.nodes[k].in[0] == out {
		if more, t, ok := q.quantizing(k); ok {
			return append(places, more...), t
		}
	}
	return places, target{slot: out, typ: onnxio.Float}
}

// quantizing returns what the QuantizeLinear at place k writes, to one scale, with a Clip of its codes that nobody else
// reads.
func (q *quantization) quantizing(k int) (places []int, t target, ok bool) {
	nd := q.nodes[k]
	if q.absent(k, 2) || nd.intOr("block_size", 0) != 0 || nd.intOr("precision", 1) > 1 {
		return nil, t, false
	}
	zero := q.g.consts[nd.in[2]]
	scale, ok := q.step(k, 1)
	if !ok || zero == nil || !isByte(zero) || zero.Len() != 1 {
		return nil, t, false
	}
	low, high := integerRange(zero.Type)
	t = target{nd.out[0], true, scale, int32(zero.Ints()[0]), int32(low), int32(high), zero.Type}
	places = []int{k}
	if c := q.next(k); q.is(c, "Clip") && q.nodes[c].in[0] == t.slot {
		if low, high, ok := q.byteBounds(c, t.typ); ok && low <= high {
			t.slot, t.low, t.high = q.nodes[c].out[0], max(t.low, low), min(t.high, high)
			places = append(places, c)
		}
	}
	return places, t, true
}

// byteBounds returns the constant bounds of a Clip of bytes.
func (q *quantization) byteBounds(c int, t onnxio.DataType) (low, high int32, ok bool) {
	l, h := integerRange(t)
	for i, p := range []*int64{&l, &h} {
		if q.absent(c, i+1) {
			continue
		}
		v := q.g.consts[q.nodes[c].in[i+1]]
		if v == nil || v.Type != t || v.Len() != 1 {
			return 0, 0, false
		}
		*p = v.Ints()[0]
	}
	return int32(l), int32(h), true
}

// bound limits the codes to those of what lies within the bounds of an activation.
func (t *target) bound(a tail) {
	if !a.clamp {
		return
	}
	low, high := int64(t.low), int64(t.high)
	t.low = int32(saturate(math.RoundToEven(float64(a.low/t.scale)), int64(t.zero), low, high))
	t.high = int32(saturate(math.RoundToEven(float64(a.high/t.scale)), int64(t.zero), low, high))
}

// settle computes the codes of a quantization that nobody computes yet, and its value where somebody still reads that.
func (q *quantization) settle(v *quantized) {
	switch {
	case v.move != nil:
		q.settleMoved(v)
		return
	case v.source < 0:
		if q.uses[v.value] == 0 {
			q.nodes[v.places[0]] = nil
		}
		return
	}
	if !v.used && !v.made {
		return
	}
	at := v.places[chainCodes-1]
	nd, end := q.g.nodes[at], v.places[len(v.places)-1]
	if !v.made {
		q.place(v.places[:chainCodes], nd, []int{v.source}, []int{v.codes}, onnxio.Float, v.encode)
	} else {
		q.nodes[at] = nil
	}
	q.nodes[v.places[chainCodes]] = nil
	if q.uses[v.value] == 0 {
		q.nodes[end] = nil
		return
	}
	q.place([]int{end}, q.g.nodes[end], []int{v.codes}, []int{v.value}, v.typ, v.decode)
}

// decoded returns what the codes 0 to 255 stand for, in the order of their bytes.
func (v *quantized) decoded() []float32 {
	y := make([]float32, 256)
	codes := make([]uint8, 256)
	for i := range codes {
		codes[i] = uint8(i)
	}
	kernel.Dequantize(y, codes, v.scale, v.zero, v.typ == onnxio.Int8)
	return y
}

// prune takes out nodes whose results somebody read and nobody does any more, of those that do nothing else.
func (z *fusion) prune() {
	before := newFusion(z.g).uses
	z.recount()
	for i := len(z.nodes) - 1; i >= 0; i-- {
		nd := z.nodes[i]
		if nd == nil || !nd.pure && nd.fast == nil || len(nd.subs) > 0 {
			continue
		}
		read := func(slot int) bool { return slot >= 0 && z.uses[slot] > 0 }
		was := func(slot int) bool { return slot >= len(before) || slot >= 0 && before[slot] > 0 }
		if slices.ContainsFunc(nd.out, read) || !slices.ContainsFunc(nd.out, was) {
			continue
		}
		z.nodes[i] = nil
		for _, slot := range nd.in {
			if slot >= 0 {
				z.uses[slot]--
			}
		}
	}
	z.recount()
}

// encode quantizes x.
func (v *quantized) encode(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	out, err := r.blank(v.typ, in[0].Shape...)
	if err != nil {
		return nil, err
	}
	dst, x := byteData(out), in[0].F32()
	nan := make([]bool, (len(x)+encodeRun-1)/encodeRun)
	kernel.Parallel(r.threads, len(nan), func(i int) {
		lo, hi := i*encodeRun, min(len(x), (i+1)*encodeRun)
		top := kernel.Largest(x[lo:hi])
		nan[i] = top != top
		kernel.QuantizeWithin(dst[lo:hi], x[lo:hi], v.scale, v.zero, v.low, v.high)
	})
	if slices.Contains(nan, true) {
		return nil, errExact
	}
	return out, nil
}

// encodeRun is how many values encode takes at a time: they stay in the first level cache.
const encodeRun = 1 << 12

// decode dequantizes codes.
func (v *quantized) decode(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	out, err := r.blank(onnxio.Float, in[0].Shape...)
	if err != nil {
		return nil, err
	}
	dst, x := out.F32(), byteData(in[0])
	r.chunks(len(x), func(lo, hi int) { kernel.Dequantize(dst[lo:hi], x[lo:hi], v.scale, v.zero, v.typ == onnxio.Int8) })
	return out, nil
}
