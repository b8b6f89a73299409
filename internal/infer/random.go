package infer

import (
	"fmt"
	"hash/fnv"
	"math"

	"bq/onnxio"
)

// Random numbers are those of ONNX Runtime on Linux, so that a model with seeds gives its numbers: the engine and the
// distributions of libstdc++ (std::default_random_engine, bits/random.tcc). Every Run starts every node anew. A node
// without a seed is seeded by the name of its output, which keeps runs, and a model and its quantized form, alike.

// The minimal standard generator minstd_rand0 (Park and Miller, "Random number generators: good ones are hard to
// find", CACM 31(10), 1988): x' = 16807 x mod (2^31 - 1).
const (
	minstdFactor  = 16807
	minstdModulus = 1<<31 - 1
)

// generator is minstd_rand0 with the second value of a normal pair kept for the next call.
type generator struct {
	state  uint64
	spare  float64
	spared bool
}

func newGenerator(seed uint32) *generator {
	return &generator{state: max(1, uint64(seed)%minstdModulus)}
}

// next returns an integer in 0..2^31-3.
func (g *generator) next() uint64 {
	g.state = g.state * minstdFactor % minstdModulus
	return g.state - 1
}

// float32 returns a number in [0, 1) from one draw, in the arithmetic of float.
func (g *generator) float32() float32 {
	const span = float32(minstdModulus - 1)
	return min(float32(g.next())/span, math.Nextafter32(1, 0))
}

// float64 returns a number in [0, 1) from two draws.
func (g *generator) float64() float64 {
	const span = float64(minstdModulus - 1)
	low := float64(g.next())
	sum := low + float64(float64(g.next())*span)
	return min(sum/(span*span), math.Nextafter(1, 0))
}

// normal32 returns a standard normal number by Marsaglia's polar method, in the arithmetic of float.
func (g *generator) normal32() float32 {
	if g.spared {
		g.spared = false
		return float32(g.spare)
	}
	for {
		x, y := float32(2*g.float32())-1, float32(2*g.float32())-1
		r := float32(x*x) + float32(y*y)
		if r > 1 || r == 0 {
			continue
		}
		m := float32(math.Sqrt(float64(-2 * float32(math.Log(float64(r))) / r)))
		g.spare, g.spared = float64(x*m), true
		return y * m
	}
}

// normal64 is normal32 in the arithmetic of double.
func (g *generator) normal64() float64 {
	if g.spared {
		g.spared = false
		return g.spare
	}
	for {
		x, y := float64(2*g.float64())-1, float64(2*g.float64())-1
		r := float64(x*x) + float64(y*y)
		if r > 1 || r == 0 {
			continue
		}
		m := math.Sqrt(-2 * math.Log(r) / r)
		g.spare, g.spared = x*m, true
		return y * m
	}
}

// generator returns the generator of a node in this run.
func (r *run) generator(n *node, seed uint32) *generator {
	g := r.generators[n]
	if g == nil {
		if r.generators == nil {
			r.generators = map[*node]*generator{}
		}
		g = newGenerator(seed)
		r.generators[n] = g
	}
	return g
}

// seed returns the attribute seed, without its fraction, or a hash of the name of the node's first output.
func (b *binding) seed() uint32 {
	if a := b.attr("seed", onnxio.AttrFloat); a != nil {
		if s := float64(a.F); s > -1 && s <= math.MaxUint32 {
			return uint32(s)
		}
		b.malformed("attribute \"seed\": %v", a.F)
		return 0
	}
	return b.nameSeed()
}

func (b *binding) nameSeed() uint32 {
	h := fnv.New32a()
	if len(b.node.Outputs) > 0 {
		h.Write([]byte(b.node.Outputs[0]))
	}
	return h.Sum32()
}

// drawing fills values of a type from a generator.
type drawing struct {
	node    *node
	seed    uint32
	elem    onnxio.DataType // Undefined: that of the input
	float32 func(g *generator) float32
	float64 func(g *generator) float64
}

// drawn returns the attribute dtype, the type of the result.
func (b *binding) drawn() onnxio.DataType {
	t := onnxio.DataType(b.int("dtype", 0))
	switch t {
	case onnxio.Undefined, onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16:
	default:
		b.refuse("element type %v", t)
	}
	return t
}

// fill returns a value of a shape in type t; 16-bit types are drawn as float32 and rounded.
func (d *drawing) fill(r *run, t onnxio.DataType, shape []int) (*onnxio.Array, error) {
	v, err := r.new(t, shape...)
	if err != nil {
		return nil, err
	}
	g := r.generator(d.node, d.seed)
	switch data := v.Data.(type) {
	case []float32:
		for i := range data {
			data[i] = d.float32(g)
		}
	case []float64:
		for i := range data {
			data[i] = d.float64(g)
		}
	default:
		return nil, typeError(v)
	}
	return v, nil
}

// like returns the operator that fills the shape of its input, in the input's type where no other is named.
func (d *drawing) like(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	t := d.elem
	if t == onnxio.Undefined {
		t = in[0].Type
	}
	return one(d.fill(r, t, in[0].Shape))
}

// shaped returns the operator that fills the shape of its attribute.
func (d *drawing) shaped(b *binding) runFunc {
	t, shape := d.elem, b.ints("shape")
	if t == onnxio.Undefined {
		t = onnxio.Float
	}
	if !b.has("shape") {
		b.malformed("attribute \"shape\" is missing")
	}
	return func(r *run, _ []*onnxio.Array) ([]*onnxio.Array, error) { return one(d.fill(r, t, shape)) }
}

// uniform: low + (high - low) * u, with u in [0, 1).
func (b *binding) uniform() *drawing {
	low, high := b.float("low", 0), b.float("high", 1)
	d := &drawing{node: b.node, seed: b.seed(), elem: b.drawn()}
	d.float32 = func(g *generator) float32 { return float32(g.float32()*(high-low)) + low }
	d.float64 = func(g *generator) float64 {
		return float64(g.float64()*(float64(high)-float64(low))) + float64(low)
	}
	return d
}

// normal: mean + scale * z, with z of the standard normal distribution.
func (b *binding) normal() *drawing {
	mean, scale := b.float("mean", 0), b.float("scale", 1)
	d := &drawing{node: b.node, seed: b.seed(), elem: b.drawn()}
	d.float32 = func(g *generator) float32 { return float32(g.normal32()*scale) + mean }
	d.float64 = func(g *generator) float64 { return float64(g.normal64()*float64(scale)) + float64(mean) }
	return d
}

func bindRandomUniform(b *binding) runFunc     { return b.uniform().shaped(b) }
func bindRandomUniformLike(b *binding) runFunc { return b.uniform().like }
func bindRandomNormal(b *binding) runFunc      { return b.normal().shaped(b) }
func bindRandomNormalLike(b *binding) runFunc  { return b.normal().like }

// bindBernoulli: 1 where a uniform number is above the element, else 0. That is the body which the specification gives
// the operator and ONNX Runtime runs, although its text calls the element the probability of 1.
func bindBernoulli(b *binding) runFunc {
	d, to := &drawing{node: b.node, seed: b.seed()}, onnxio.DataType(b.int("dtype", 0))
	d.float32, d.float64 = (*generator).float32, (*generator).float64
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		u, err := d.fill(r, in[0].Type, in[0].Shape)
		if err != nil {
			return nil, err
		}
		var above []bool
		switch x := in[0].Data.(type) {
		case []float32:
			above = aboveOf(u.F32(), x)
		case []float64:
			above = aboveOf(u.Data.([]float64), x)
		}
		t := to
		if t == onnxio.Undefined {
			t = in[0].Type
		}
		return one(r.cast(&onnxio.Array{Type: onnxio.Bool, Shape: in[0].Shape, Data: above}, t))
	}
}

func aboveOf[T float](u, x []T) []bool {
	above := make([]bool, len(x))
	for i := range x {
		above[i] = u[i] > x[i]
	}
	return above
}

// bindMultinomial: sample_size draws of a class for each row of logarithms of weights [N, C]. A draw is the number of
// classes whose cumulated weight is at most a uniform number times the sum, in float64.
func bindMultinomial(b *binding) runFunc {
	seed, count, t := b.seed(), int(b.int("sample_size", 1)), onnxio.DataType(b.int("dtype", int64(onnxio.Int32)))
	if t != onnxio.Int32 && t != onnxio.Int64 {
		b.malformed("attribute \"dtype\" is %v, want int32 or int64", t)
	}
	nd := b.node
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if len(in[0].Shape) != 2 || in[0].Shape[1] == 0 {
			return nil, fmt.Errorf("weights of shape %v, want rows of classes", in[0].Shape)
		}
		x, err := r.float32s(in[0])
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Int64, in[0].Shape[0], count)
		if err != nil {
			return nil, err
		}
		g, c := r.generator(nd, seed), in[0].Shape[1]
		for row := range in[0].Shape[0] {
			drawClasses(out.Data.([]int64)[row*count:(row+1)*count], x[row*c:(row+1)*c], g)
		}
		return one(r.cast(out, t))
	}
}

// drawClasses fills dst with classes drawn by the logarithms of their weights. Weights that are not finite count 0.
func drawClasses(dst []int64, logits []float32, g *generator) {
	top := math.Inf(-1)
	for _, v := range logits {
		if w := float64(v); w > top && !math.IsInf(w, 1) {
			top = w
		}
	}
	total, sums := 0.0, make([]float64, len(logits))
	for i, v := range logits {
		if w := float64(v); !math.IsInf(w, 0) && !math.IsNaN(w) {
			total += math.Exp(w - top)
		}
		sums[i] = total
	}
	for i := range dst {
		u, k := g.float64()*total, 0
		for k < len(sums)-1 && sums[k] <= u {
			k++
		}
		dst[i] = int64(k)
	}
}
