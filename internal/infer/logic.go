package infer

import (
	endian "encoding/binary"
	"math"
	"unsafe"

	"bq/internal/kernel"
	"bq/onnxio"
)

// relation is a comparison of two elements; anything compared with NaN is false.
type relation int

const (
	relEqual relation = iota
	relLess
	relLessEqual
	relGreater
	relGreaterEqual
)

func bindEqual(*binding) runFunc          { return comparison(relEqual) }
func bindLess(*binding) runFunc           { return comparison(relLess) }
func bindLessOrEqual(*binding) runFunc    { return comparison(relLessEqual) }
func bindGreater(*binding) runFunc        { return comparison(relGreater) }
func bindGreaterOrEqual(*binding) runFunc { return comparison(relGreaterEqual) }

// comparison compares broadcast operands of one type; anything compared with NaN is false.
func comparison(rel relation) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, y := in[0], in[1]
		switch x.Data.(type) {
		case []float32:
			return binary(r, onnxio.Bool, x, y, compare[float32](rel))
		case []float64:
			return binary(r, onnxio.Bool, x, y, compare[float64](rel))
		case []int8:
			return binary(r, onnxio.Bool, x, y, compare[int8](rel))
		case []int16:
			return binary(r, onnxio.Bool, x, y, compare[int16](rel))
		case []int32:
			return binary(r, onnxio.Bool, x, y, compare[int32](rel))
		case []int64:
			return binary(r, onnxio.Bool, x, y, compare[int64](rel))
		case []uint8:
			return binary(r, onnxio.Bool, x, y, compare[uint8](rel))
		case []uint16:
			return binary(r, onnxio.Bool, x, y, compare[uint16](rel))
		case []uint32:
			return binary(r, onnxio.Bool, x, y, compare[uint32](rel))
		case []uint64:
			return binary(r, onnxio.Bool, x, y, compare[uint64](rel))
		case []string:
			if rel == relEqual {
				return binary(r, onnxio.Bool, x, y, compare[string](rel))
			}
		case []bool:
			if rel == relEqual {
				return binary(r, onnxio.Bool, x, y, kernel.Equal[bool])
			}
		}
		return nil, typeError(x)
	}
}

// compare returns the loop of a relation.
func compare[T number | string](rel relation) spanFunc[T, bool] {
	switch rel {
	case relEqual:
		return kernel.Equal[T]
	case relLess:
		return kernel.Less[T]
	case relLessEqual:
		return kernel.LessEqual[T]
	case relGreater:
		return func(dst []bool, a, b []T, sa, sb int) { kernel.Less(dst, b, a, sb, sa) }
	}
	return func(dst []bool, a, b []T, sa, sb int) { kernel.LessEqual(dst, b, a, sb, sa) }
}

func bindAnd(*binding) runFunc { return boolean(boolAnd) }
func bindOr(*binding) runFunc  { return boolean(boolOr) }
func bindXor(*binding) runFunc { return boolean(boolXor) }

// boolOp is an operation on booleans.
type boolOp int

const (
	boolAnd boolOp = iota
	boolOr
	boolXor
)

func boolean(op boolOp) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return binary(r, onnxio.Bool, in[0], in[1], op.span)
	}
}

// bindNot: true where the input is false, which is the input Xor true.
func bindNot(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, ok := in[0].Data.([]bool)
		if !ok {
			return nil, typeError(in[0])
		}
		out, err := r.new(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		boolXor.span(out.Data.([]bool), x, []bool{true}, 1, 0)
		return []*onnxio.Array{out}, nil
	}
}

// span is a spanFunc that takes eight booleans at a time.
func (op boolOp) span(dst, a, b []bool, sa, sb int) {
	d, x, y := boolBytes(dst), boolBytes(a), boolBytes(b)
	n := len(d) &^ 7
	var p, q [8]uint8 // an operand that stands still, eight times
	if sa == 0 {
		fillWith(p[:], x[0])
		x = p[:]
	}
	if sb == 0 {
		fillWith(q[:], y[0])
		y = q[:]
	}
	for i := 0; i < n; i += 8 {
		v := op.of(endian.LittleEndian.Uint64(x[i*sa:]), endian.LittleEndian.Uint64(y[i*sb:]))
		endian.LittleEndian.PutUint64(d[i:], v)
	}
	for i := n; i < len(d); i++ {
		d[i] = uint8(op.of(uint64(x[i*sa]), uint64(y[i*sb])))
	}
}

func (op boolOp) of(x, y uint64) uint64 {
	switch op {
	case boolAnd:
		return x & y
	case boolOr:
		return x | y
	}
	return x ^ y
}

// boolBytes returns the memory of booleans, in which Go keeps false as 0 and true as 1.
func boolBytes(b []bool) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// bindIsNaN and bindIsInf test floats; IsInf's attributes choose which infinity counts.
func bindIsNaN(b *binding) runFunc { return floatTest(math.IsNaN) }

func bindIsInf(b *binding) runFunc {
	neg, pos := b.bool("detect_negative", true), b.bool("detect_positive", true)
	return floatTest(func(v float64) bool { return pos && math.IsInf(v, 1) || neg && math.IsInf(v, -1) })
}

func floatTest(f func(float64) bool) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		out, err := r.new(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		dst := out.Data.([]bool)
		switch d := in[0].Data.(type) {
		case []float32:
			for i, v := range d {
				dst[i] = f(float64(v))
			}
		case []float64:
			for i, v := range d {
				dst[i] = f(v)
			}
		default:
			return nil, typeError(in[0])
		}
		return []*onnxio.Array{out}, nil
	}
}

// bindWhere: X where the condition holds, Y elsewhere; all three broadcast.
func bindWhere(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		cond, x, y := in[0], in[1], in[2]
		if cond.Type != onnxio.Bool {
			return nil, typeError(cond)
		}
		if x.Type != y.Type {
			return nil, typeError(y)
		}
		shape, err := broadcastShape(cond.Shape, x.Shape, y.Shape)
		if err != nil {
			return nil, err
		}
		out, err := r.new(x.Type, shape...)
		if err != nil {
			return nil, err
		}
		selectArrays(out, cond, x, y, newWalk(shape, cond.Shape, x.Shape, y.Shape), r.threads)
		return []*onnxio.Array{out}, nil
	}
}
