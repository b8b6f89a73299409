package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindTranspose: dimension i of the result is dimension perm[i] of the input; reversed without perm.
func bindTranspose(b *binding) runFunc {
	perm := b.ints("perm")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		p := perm
		if p == nil {
			for i := len(in[0].Shape) - 1; i >= 0; i-- {
				p = append(p, i)
			}
		}
		return one(r.transpose(in[0], p))
	}
}

func (r *run) transpose(x *onnxio.Array, perm []int) (*onnxio.Array, error) {
	rank := len(x.Shape)
	strides := rowStrides(x.Shape)
	shape, steps, seen := make([]int, rank), make([]int, rank), make([]bool, rank)
	if len(perm) != rank {
		return nil, fmt.Errorf("permutation %v of a value of rank %d", perm, rank)
	}
	for i, p := range perm {
		if p < 0 || p >= rank || seen[p] {
			return nil, fmt.Errorf("permutation %v of a value of rank %d", perm, rank)
		}
		seen[p] = true
		shape[i], steps[i] = x.Shape[p], strides[p]
	}
	return r.strided(x, shape, steps, 0)
}

// rowStrides returns the strides of a row-major array.
func rowStrides(shape []int) []int {
	strides := make([]int, len(shape))
	s := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = s
		s *= shape[i]
	}
	return strides
}

// bindConcat: the inputs one after another along an axis.
func bindConcat(b *binding) runFunc {
	axis := b.int("axis", 1)
	if !b.has("axis") {
		b.malformed("attribute \"axis\" is missing")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return one(r.concat(in, axis)) }
}

func (r *run) concat(in []*onnxio.Array, axis int64) (*onnxio.Array, error) {
	a, err := axisOf(axis, len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	shape := append([]int{}, in[0].Shape...)
	shape[a] = 0
	for _, x := range in {
		if x.Type != in[0].Type || len(x.Shape) != len(shape) {
			return nil, fmt.Errorf("joining %v %v and %v %v", in[0].Type, in[0].Shape, x.Type, x.Shape)
		}
		for i, d := range x.Shape {
			if i != a && d != shape[i] {
				return nil, fmt.Errorf("joining shapes %v and %v along dimension %d", in[0].Shape, x.Shape, a)
			}
		}
		shape[a] += x.Shape[a]
	}
	out, err := r.new(in[0].Type, shape...)
	if err != nil {
		return nil, err
	}
	outer, inner := product(shape[:a]), product(shape[a+1:])
	at := 0
	for _, x := range in {
		n := x.Shape[a] * inner
		r.copyRuns(out, x, runs{n: n, count: outer, fromStep: n, to: at, toStep: shape[a] * inner})
		at += n
	}
	return out, nil
}

// bindSplit: the input cut along an axis, into parts of the given sizes or into equal parts (the last one smaller
// from version 18 on).
func bindSplit(b *binding) runFunc {
	axis, sizes, parts := b.int("axis", 0), b.ints("split"), len(b.node.Outputs)
	if b.version >= 18 && b.has("num_outputs") && b.int("num_outputs", 0) != int64(parts) {
		b.malformed("attribute \"num_outputs\" is %d with %d outputs", b.int("num_outputs", 0), parts)
	}
	uneven := b.version >= 18
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		sizes := sizes
		if in[1] != nil {
			sizes = intsOf(in[1])
		}
		if sizes == nil {
			if x.Shape[a]%parts != 0 && !uneven {
				return nil, fmt.Errorf("splitting %d into %d equal parts", x.Shape[a], parts)
			}
			each := (x.Shape[a] + parts - 1) / parts
			for i := range parts {
				sizes = append(sizes, max(0, min(each, x.Shape[a]-i*each)))
			}
		}
		return r.split(x, a, sizes, parts)
	}
}

func (r *run) split(x *onnxio.Array, a int, sizes []int, parts int) ([]*onnxio.Array, error) {
	sum := 0
	for _, s := range sizes {
		if s < 0 || s > x.Shape[a] {
			return nil, fmt.Errorf("splitting %d into parts of %v", x.Shape[a], sizes)
		}
		sum += s
	}
	if sum != x.Shape[a] || len(sizes) != parts {
		return nil, fmt.Errorf("splitting %d into %d parts of %v", x.Shape[a], parts, sizes)
	}
	outs := make([]*onnxio.Array, parts)
	strides, at := rowStrides(x.Shape), 0
	for i, s := range sizes {
		shape := append([]int{}, x.Shape...)
		shape[a] = s
		var err error
		if outs[i], err = r.strided(x, shape, strides, at*strides[a]); err != nil {
			return nil, err
		}
		at += s
	}
	return outs, nil
}

// bindTile: the input repeated along every dimension.
func bindTile(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		reps, err := shapeFrom(in[1])
		if err != nil {
			return nil, err
		}
		if len(reps) != len(x.Shape) {
			return nil, fmt.Errorf("repeating shape %v by %v", x.Shape, reps)
		}
		var wide, strides, shape []int
		for i, s := range rowStrides(x.Shape) {
			wide = append(wide, reps[i], x.Shape[i])
			strides = append(strides, 0, s)
			if x.Shape[i] > 0 && reps[i] > maxValueElements/x.Shape[i] {
				return nil, fmt.Errorf("repeating shape %v by %v", x.Shape, reps)
			}
			shape = append(shape, reps[i]*x.Shape[i])
		}
		out, err := r.strided(x, wide, strides, 0)
		if err != nil {
			return nil, err
		}
		return []*onnxio.Array{out.Reshaped(shape...)}, nil
	}
}

// bindDepthToSpace: blocks of channels become blocks of positions, depth-column-row or column-row-depth.
func bindDepthToSpace(b *binding) runFunc {
	n, mode := int(b.int("blocksize", 0)), b.str("mode", "DCR", "DCR", "CRD")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) != 4 || n < 1 || n > maxValueElements || s[1]%n != 0 || s[1]/n%n != 0 {
			return nil, fmt.Errorf("shape %v in blocks of %d", s, n)
		}
		c := s[1] / (n * n)
		wide, perm := []int{s[0], n, n, c, s[2], s[3]}, []int{0, 3, 4, 1, 5, 2}
		if mode == "CRD" {
			wide, perm = []int{s[0], c, n, n, s[2], s[3]}, []int{0, 1, 4, 2, 5, 3}
		}
		out, err := r.transpose(in[0].Reshaped(wide...), perm)
		if err != nil {
			return nil, err
		}
		return []*onnxio.Array{out.Reshaped(s[0], c, s[2]*n, s[3]*n)}, nil
	}
}

// bindSpaceToDepth: blocks of positions become blocks of channels.
func bindSpaceToDepth(b *binding) runFunc {
	n := int(b.int("blocksize", 0))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s := in[0].Shape
		if len(s) != 4 || n < 1 || n > maxValueElements || s[2]%n != 0 || s[3]%n != 0 {
			return nil, fmt.Errorf("shape %v in blocks of %d", s, n)
		}
		wide := in[0].Reshaped(s[0], s[1], s[2]/n, n, s[3]/n, n)
		out, err := r.transpose(wide, []int{0, 3, 5, 1, 2, 4})
		if err != nil {
			return nil, err
		}
		return []*onnxio.Array{out.Reshaped(s[0], s[1]*n*n, s[2]/n, s[3]/n)}, nil
	}
}

// bindRange: start, start+delta, ... before limit.
func bindRange(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		var v [3]float64
		for i, a := range in {
			if a.Type != in[0].Type {
				return nil, typeError(a)
			}
			var err error
			if v[i], err = scalarOr(a, 0); err != nil {
				return nil, err
			}
		}
		steps := (v[1] - v[0]) / v[2]
		if v[2] == 0 || !(steps < maxValueElements) {
			return nil, fmt.Errorf("counting from %v to %v by %v", v[0], v[1], v[2])
		}
		n := ceil(max(0, steps))
		if isInteger(in[0].Type) {
			out, err := r.new(onnxio.Int64, n)
			if err != nil {
				return nil, err
			}
			start, delta := in[0].Ints()[0], in[2].Ints()[0]
			for i := range out.Data.([]int64) {
				out.Data.([]int64)[i] = start + int64(i)*delta
			}
			return one(r.cast(out, in[0].Type))
		}
		out, err := r.new(onnxio.Double, n)
		if err != nil {
			return nil, err
		}
		for i := range out.Data.([]float64) {
			out.Data.([]float64)[i] = v[0] + float64(i)*v[2]
		}
		return one(r.cast(out, in[0].Type))
	}
}

func ceil(v float64) int {
	n := int(v)
	if float64(n) < v {
		n++
	}
	return n
}

// bindTrilu: the upper or lower triangle of the last two dimensions, shifted by k; the rest is zero.
func bindTrilu(b *binding) runFunc {
	upper := b.bool("upper", true)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, rank := in[0], len(in[0].Shape)
		if rank < 2 {
			return nil, fmt.Errorf("triangle of a value of rank %d", rank)
		}
		k := 0
		if in[1] != nil {
			if in[1].Len() != 1 || !isInteger(in[1].Type) {
				return nil, typeError(in[1])
			}
			k = intsOf(in[1])[0]
		}
		rows, cols := x.Shape[rank-2], x.Shape[rank-1]
		out, err := r.new(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		for i := range x.Len() / max(1, cols) {
			lo, hi := min(max(i%rows+k, 0), cols), cols
			if !upper {
				lo, hi = 0, min(max(i%rows+k+1, 0), cols)
			}
			copyRange(out, i*cols+lo, x, i*cols+lo, hi-lo)
		}
		return []*onnxio.Array{out}, nil
	}
}

// bindEyeLike: ones on diagonal k of a matrix of the input's shape.
func bindEyeLike(b *binding) runFunc {
	k, t := int(min(max(b.int("k", 0), -maxValueElements), maxValueElements)), onnxio.DataType(b.int("dtype", 0))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if len(in[0].Shape) != 2 {
			return nil, fmt.Errorf("shape %v, want a matrix", in[0].Shape)
		}
		to := t
		if to == onnxio.Undefined {
			to = in[0].Type
		}
		rows, cols := in[0].Shape[0], in[0].Shape[1]
		out, err := r.new(onnxio.Uint8, rows, cols)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if j := i + k; j >= 0 && j < cols {
				out.Data.([]uint8)[i*cols+j] = 1
			}
		}
		return one(r.cast(out, to))
	}
}
