package infer

import (
	"fmt"
	"math"
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// reduction is a plan to reduce some dimensions of a row-major array.
type reduction struct {
	shape   []int // of the result
	in      []int // of the operand
	moves   []int // per dimension of the operand: what the result position advances
	results int
	count   int // elements that go into one result
}

// planReduce plans the reduction of the given axes; with keep they stay in the result with size 1.
func planReduce(shape, axes []int, keep bool) (*reduction, error) {
	drop := make([]bool, len(shape))
	for _, a := range axes {
		i, err := axisOf(int64(a), len(shape))
		if err != nil {
			return nil, err
		}
		drop[i] = true
	}
	p := &reduction{in: shape, moves: make([]int, len(shape)), results: 1, count: 1, shape: []int{}}
	for i := len(shape) - 1; i >= 0; i-- {
		if drop[i] {
			p.count *= shape[i]
			continue
		}
		p.moves[i] = p.results
		p.results *= shape[i]
	}
	for i, d := range shape {
		if !drop[i] {
			p.shape = append(p.shape, d)
		} else if keep {
			p.shape = append(p.shape, 1)
		}
	}
	return p, nil
}

// each calls f for every element of the operand, in row-major order, with the position of its result.
func (p *reduction) each(f func(i, o int)) {
	total := product(p.in)
	index := make([]int, len(p.in))
	o := 0
	for i := range total {
		f(i, o)
		for d := len(p.in) - 1; d >= 0; d-- {
			index[d]++
			o += p.moves[d]
			if index[d] < p.in[d] {
				break
			}
			o -= p.moves[d] * p.in[d]
			index[d] = 0
		}
	}
}

// blocks describes the reduction of an array [outer, count, inner] along its middle dimension; false where the reduced
// dimensions are not neighbours.
func (p *reduction) blocks() (outer, inner int, ok bool) {
	outer, inner = 1, 1
	state := 0 // dimensions before, among and after those that are reduced
	for i, d := range p.in {
		if d == 1 {
			continue
		}
		switch reduced := p.moves[i] == 0; {
		case reduced && state == 2:
			return 0, 0, false
		case reduced:
			state = 1
		case state == 0:
			outer *= d
		default:
			state, inner = 2, inner*d
		}
	}
	return outer, inner, true
}

// fastReduce is reduce for float32 along neighbouring dimensions, where the operator has loops over rows; nil elsewhere.
// Sums along the last dimensions are taken in kernel.Total's order, others in the order of the elements; all in float64.
func (r *run) fastReduce(name string, d []float32, p *reduction) []float64 {
	outer, inner, ok := p.blocks()
	if !ok || d == nil || p.count == 0 || p.results == 0 {
		return nil
	}
	row := rowReducers[name]
	if inner == 1 && row == nil || inner > 1 && name != "ReduceSum" && name != "ReduceMean" {
		return nil
	}
	sums := make([]float64, p.results)
	if inner == 1 {
		r.rows(outer, p.count, func(o int) { sums[o] = row(d[o*p.count : (o+1)*p.count]) })
		return sums
	}
	r.rows(outer, p.count*inner, func(o int) {
		dst := sums[o*inner : (o+1)*inner]
		for i := range p.count {
			for j, v := range d[(o*p.count+i)*inner:][:inner] {
				dst[j] += float64(v)
			}
		}
	})
	return sums
}

// rowReducers reduce a row, up to what reducer.finish does.
var rowReducers = map[string]func(x []float32) float64{
	"ReduceSum": kernel.Total, "ReduceMean": kernel.Total, "ReduceLogSum": kernel.Total,
	"ReduceMax":       func(x []float32) float64 { return float64(kernel.Largest(x)) },
	"ReduceL2":        func(x []float32) float64 { return kernel.Squares(x, 0) },
	"ReduceSumSquare": func(x []float32) float64 { return kernel.Squares(x, 0) },
}

// reducer is one of the Reduce operators: elements are mapped, summed in float64, and the sum is finished.
type reducer struct {
	start  float64
	add    func(acc, v float64) float64
	finish func(acc, n float64) float64
}

var reducers = map[string]reducer{
	"ReduceSum":       {0, func(a, v float64) float64 { return a + v }, nil},
	"ReduceMean":      {0, func(a, v float64) float64 { return a + v }, func(a, n float64) float64 { return a / n }},
	"ReduceProd":      {1, func(a, v float64) float64 { return a * v }, nil},
	"ReduceMax":       {math.Inf(-1), func(a, v float64) float64 { return max(a, v) }, nil},
	"ReduceMin":       {math.Inf(1), func(a, v float64) float64 { return min(a, v) }, nil},
	"ReduceL1":        {0, func(a, v float64) float64 { return a + math.Abs(v) }, nil},
	"ReduceL2":        {0, func(a, v float64) float64 { return a + v*v }, func(a, _ float64) float64 { return math.Sqrt(a) }},
	"ReduceSumSquare": {0, func(a, v float64) float64 { return a + v*v }, nil},
	"ReduceLogSum":    {0, func(a, v float64) float64 { return a + v }, func(a, _ float64) float64 { return math.Log(a) }},
}

// bindReduce: the Reduce operators. Axes are an attribute, or an input from version 18 on (13 for ReduceSum).
func bindReduce(b *binding) runFunc {
	keep, noop := b.bool("keepdims", true), b.bool("noop_with_empty_axes", false)
	axes, name := b.ints("axes"), b.node.OpType
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, axes := in[0], axes
		if in[1] != nil {
			axes = intsOf(in[1])
		}
		if len(axes) == 0 && noop {
			return r.reduceNothing(name, x)
		}
		if len(axes) == 0 {
			for i := range x.Shape {
				axes = append(axes, i)
			}
		}
		p, err := planReduce(x.Shape, axes, keep)
		if err != nil {
			return nil, err
		}
		return one(r.reduce(name, x, p))
	}
}

// reduceNothing reduces each element by itself (empty axes with noop_with_empty_axes).
func (r *run) reduceNothing(name string, x *onnxio.Array) ([]*onnxio.Array, error) {
	p, err := planReduce(x.Shape, nil, true)
	if err != nil {
		return nil, err
	}
	return one(r.reduce(name, x, p))
}

func (r *run) reduce(name string, x *onnxio.Array, p *reduction) (*onnxio.Array, error) {
	if name == "ReduceLogSumExp" {
		return r.logSumExp(x, p)
	}
	red := reducers[name]
	if !x.Type.IsFloat() {
		return r.reduceIntegers(name, x, p)
	}
	acc, err := r.new(onnxio.Double, p.shape...)
	if err != nil {
		return nil, err
	}
	sums := acc.Data.([]float64)
	if fast := r.fastReduce(name, x.F32(), p); fast != nil {
		copy(sums, fast)
		return r.finish(acc, x, p, red)
	}
	for i := range sums {
		sums[i] = red.start
	}
	switch d := x.Data.(type) {
	case []float32:
		if red.start == 0 && name != "ReduceL1" && name != "ReduceL2" && name != "ReduceSumSquare" {
			p.each(func(i, o int) { sums[o] += float64(d[i]) })
			break
		}
		p.each(func(i, o int) { sums[o] = red.add(sums[o], float64(d[i])) })
	case []float64:
		p.each(func(i, o int) { sums[o] = red.add(sums[o], d[i]) })
	}
	return r.finish(acc, x, p, red)
}

// finish turns sums into results in the type of x.
func (r *run) finish(acc, x *onnxio.Array, p *reduction, red reducer) (*onnxio.Array, error) {
	if sums := acc.Data.([]float64); red.finish != nil {
		for i, v := range sums {
			sums[i] = red.finish(v, float64(p.count))
		}
	}
	return r.cast(acc, x.Type)
}

// logSumExp is log(sum(exp(x))), with the largest element taken out of the exponentials.
func (r *run) logSumExp(x *onnxio.Array, p *reduction) (*onnxio.Array, error) {
	v, err := r.cast(x, onnxio.Double)
	if err != nil {
		return nil, err
	}
	d := v.Data.([]float64)
	acc, err := r.new(onnxio.Double, p.shape...)
	if err != nil {
		return nil, err
	}
	sums, top := acc.Data.([]float64), make([]float64, p.results)
	for i := range top {
		top[i] = math.Inf(-1)
	}
	p.each(func(i, o int) { top[o] = max(top[o], d[i]) })
	for i, v := range top {
		if math.IsInf(v, 0) {
			top[i] = 0
		}
	}
	p.each(func(i, o int) { sums[o] += math.Exp(d[i] - top[o]) })
	for i := range sums {
		sums[i] = top[i] + math.Log(sums[i])
	}
	return r.cast(acc, x.Type)
}

// reduceIntegers reduces integers and booleans in int64, which wraps; means and roots truncate.
func (r *run) reduceIntegers(name string, x *onnxio.Array, p *reduction) (*onnxio.Array, error) {
	d := x.Ints()
	if d == nil && x.Len() > 0 || x.Type == onnxio.String {
		return nil, typeError(x)
	}
	acc, err := r.new(onnxio.Int64, p.shape...)
	if err != nil {
		return nil, err
	}
	a := acc.Data.([]int64)
	switch name {
	case "ReduceProd":
		fillWith(a, 1)
		p.each(func(i, o int) { a[o] *= d[i] })
	case "ReduceMax", "ReduceMin":
		if p.count == 0 && p.results > 0 {
			lo, hi := integerRange(x.Type)
			fillWith(a, map[bool]int64{true: lo, false: hi}[name == "ReduceMax"])
			break
		}
		seen := make([]bool, p.results)
		p.each(func(i, o int) {
			if !seen[o] || name == "ReduceMax" && d[i] > a[o] || name == "ReduceMin" && d[i] < a[o] {
				a[o], seen[o] = d[i], true
			}
		})
	case "ReduceL1":
		p.each(func(i, o int) { a[o] += max(d[i], -d[i]) })
	case "ReduceSumSquare", "ReduceL2":
		p.each(func(i, o int) { a[o] += d[i] * d[i] })
	default:
		p.each(func(i, o int) { a[o] += d[i] })
	}
	red := reducers[name]
	if red.finish != nil {
		for i, v := range a {
			a[i] = truncate(red.finish(float64(v), float64(p.count)))
		}
	}
	return r.cast(acc, x.Type)
}

// integerRange returns the smallest and largest value of an integer type (of bool: 0 and 1).
func integerRange(t onnxio.DataType) (lo, hi int64) {
	bits := t.Bits()
	switch {
	case t == onnxio.Bool:
		return 0, 1
	case t == onnxio.Uint64:
		return 0, -1 // all bits set
	case isUnsigned(t):
		return 0, 1<<bits - 1
	}
	return -1 << (bits - 1), 1<<(bits-1) - 1
}

// intsOf returns the elements of an integer array as int, limited to +-maxValueElements (open ends of Slice and
// the like are written as the largest integers).
func intsOf(a *onnxio.Array) []int {
	src := a.Ints()
	list := make([]int, len(src))
	for i, v := range src {
		list[i] = int(min(max(v, -maxValueElements), maxValueElements))
	}
	return list
}

// bindArgMax and bindArgMin: the position of the largest or smallest element along an axis, the first or, with
// select_last_index, the last of equals.
func bindArgMax(b *binding) runFunc { return argument(b, 1) }
func bindArgMin(b *binding) runFunc { return argument(b, -1) }

func argument(b *binding, sign float64) runFunc {
	axis, keep, last := b.int("axis", 0), b.bool("keepdims", true), b.bool("select_last_index", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		if x.Shape[a] == 0 {
			return nil, fmt.Errorf("no elements along axis %d of %v", a, x.Shape)
		}
		d, err := r.cast(x, onnxio.Double)
		if err != nil {
			return nil, err
		}
		p, err := planReduce(x.Shape, []int{a}, keep)
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Int64, p.shape...)
		if err != nil {
			return nil, err
		}
		best := slices.Repeat([]float64{math.NaN()}, p.results)
		values, stride := d.Data.([]float64), product(x.Shape[a+1:])
		p.each(func(i, o int) {
			v, at := sign*values[i], i/stride%x.Shape[a]
			if at == 0 || v > best[o] || last && v == best[o] {
				best[o], out.Data.([]int64)[o] = v, int64(at)
			}
		})
		return []*onnxio.Array{out}, nil
	}
}
