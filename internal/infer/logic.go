package infer

import (
	"math"

	"bq/onnxio"
)

// relation is a comparison of two elements.
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
			return binary(r, onnxio.Bool, x, y, spanOf(compare[float32](rel)))
		case []float64:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[float64](rel)))
		case []int8:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[int8](rel)))
		case []int16:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[int16](rel)))
		case []int32:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[int32](rel)))
		case []int64:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[int64](rel)))
		case []uint8:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[uint8](rel)))
		case []uint16:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[uint16](rel)))
		case []uint32:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[uint32](rel)))
		case []uint64:
			return binary(r, onnxio.Bool, x, y, spanOf(compare[uint64](rel)))
		case []string:
			if rel == relEqual {
				return binary(r, onnxio.Bool, x, y, spanOf(compare[string](rel)))
			}
		case []bool:
			if rel == relEqual {
				return binary(r, onnxio.Bool, x, y, spanOf(func(x, y bool) bool { return x == y }))
			}
		}
		return nil, typeError(x)
	}
}

func compare[T number | string](rel relation) func(x, y T) bool {
	switch rel {
	case relEqual:
		return func(x, y T) bool { return x == y }
	case relLess:
		return func(x, y T) bool { return x < y }
	case relLessEqual:
		return func(x, y T) bool { return x <= y }
	case relGreater:
		return func(x, y T) bool { return x > y }
	}
	return func(x, y T) bool { return x >= y }
}

func bindAnd(*binding) runFunc { return boolean(func(x, y bool) bool { return x && y }) }
func bindOr(*binding) runFunc  { return boolean(func(x, y bool) bool { return x || y }) }
func bindXor(*binding) runFunc { return boolean(func(x, y bool) bool { return x != y }) }

func boolean(f func(x, y bool) bool) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		return binary(r, onnxio.Bool, in[0], in[1], spanOf(f))
	}
}

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
		for i, v := range x {
			out.Data.([]bool)[i] = !v
		}
		return []*onnxio.Array{out}, nil
	}
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
		selectArrays(out, cond, x, y, newWalk(shape, cond.Shape, x.Shape, y.Shape))
		return []*onnxio.Array{out}, nil
	}
}
