package infer

import (
	"fmt"
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// bindAdd: C = A + B, numpy broadcasting; integers wrap.
func bindAdd(b *binding) runFunc { return arithmetic(b, opAdd) }

// bindSub: C = A - B.
func bindSub(b *binding) runFunc { return arithmetic(b, opSub) }

// bindMul: C = A * B.
func bindMul(b *binding) runFunc { return arithmetic(b, opMul) }

// bindDiv: C = A / B; integers truncate toward zero, a zero divisor of integers is an error.
func bindDiv(b *binding) runFunc { return arithmetic(b, opDiv) }

// arith is one of the four operations that have a fast path.
type arith int

const (
	opAdd arith = iota
	opSub
	opMul
	opDiv
)

func arithmetic(b *binding, op arith) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, y := in[0], in[1]
		switch x.Data.(type) {
		case []float32:
			return binary(r, x.Type, x, y, floatSpan[float32](op))
		case []float64:
			return binary(r, x.Type, x, y, floatSpan[float64](op))
		}
		if op == opDiv && hasZero(y) {
			return nil, fmt.Errorf("dividing integers by zero")
		}
		return integers(r, x, y, int(op))
	}
}

// floatSpan returns the loop of an operation on floats.
func floatSpan[T float](op arith) spanFunc[T, T] {
	switch op {
	case opAdd:
		return kernel.Add[T]
	case opSub:
		return kernel.Sub[T]
	case opMul:
		return kernel.Mul[T]
	}
	return kernel.Div[T]
}

// The further integer operations, numbered after arith.
const (
	opIntPow = iota + 4
	opIntMod
	opIntFmod
	opIntMin
	opIntMax
	opIntAnd
	opIntOr
	opIntXor
	opIntShiftLeft
	opIntShiftRight
)

// integers applies operation op to two integer arrays.
func integers(r *run, x, y *onnxio.Array, op int) ([]*onnxio.Array, error) {
	switch x.Data.(type) {
	case []int8:
		return binary(r, x.Type, x, y, spanOf(integerFunc[int8](op)))
	case []int16:
		return binary(r, x.Type, x, y, spanOf(integerFunc[int16](op)))
	case []int32:
		return binary(r, x.Type, x, y, spanOf(integerFunc[int32](op)))
	case []int64:
		return binary(r, x.Type, x, y, spanOf(integerFunc[int64](op)))
	case []uint8:
		return binary(r, x.Type, x, y, spanOf(integerFunc[uint8](op)))
	case []uint16:
		return binary(r, x.Type, x, y, spanOf(integerFunc[uint16](op)))
	case []uint32:
		return binary(r, x.Type, x, y, spanOf(integerFunc[uint32](op)))
	case []uint64:
		return binary(r, x.Type, x, y, spanOf(integerFunc[uint64](op)))
	}
	return nil, typeError(x)
}

func typeError(a *onnxio.Array) error {
	return fmt.Errorf("element type %v is not supported here", a.Type)
}

// integerFunc returns the operation on two elements. Divisors are checked by the caller.
func integerFunc[T integer](op int) func(x, y T) T {
	switch op {
	case int(opAdd):
		return func(x, y T) T { return x + y }
	case int(opSub):
		return func(x, y T) T { return x - y }
	case int(opMul):
		return func(x, y T) T { return x * y }
	case int(opDiv):
		return func(x, y T) T { return x / y }
	case opIntPow:
		return intPow[T]
	case opIntMod: // the result has the divisor's sign
		return func(x, y T) T {
			m := x % y
			if m != 0 && (m < 0) != (y < 0) {
				m += y
			}
			return m
		}
	case opIntFmod: // the result has the dividend's sign
		return func(x, y T) T { return x % y }
	case opIntMin:
		return func(x, y T) T { return min(x, y) }
	case opIntMax:
		return func(x, y T) T { return max(x, y) }
	case opIntAnd:
		return func(x, y T) T { return x & y }
	case opIntOr:
		return func(x, y T) T { return x | y }
	case opIntXor:
		return func(x, y T) T { return x ^ y }
	case opIntShiftLeft:
		return func(x, y T) T { return x << uint64(y) }
	}
	return func(x, y T) T { return x >> uint64(y) }
}

// intPow returns x^y by squaring, wrapping; a negative exponent gives the truncated reciprocal.
func intPow[T integer](x, y T) T {
	if y < 0 {
		switch {
		case x == 1:
			return 1
		case x+1 == 0:
			if y&1 != 0 {
				return x
			}
			return 1
		}
		return 0
	}
	z := T(1)
	for ; y > 0; y >>= 1 {
		if y&1 != 0 {
			z *= x
		}
		x *= x
	}
	return z
}

func hasZero(a *onnxio.Array) bool {
	for _, v := range a.Ints() {
		if v == 0 {
			return true
		}
	}
	return false
}

// bindPow: Z = X ^ Y in the type of X; Y may have another numeric type.
func bindPow(b *binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, y := in[0], in[1]
		if x.F32() == nil && x.Type != onnxio.Double && isInteger(y.Type) {
			y, err := r.cast(y, x.Type)
			if err != nil {
				return nil, err
			}
			return integers(r, x, y, opIntPow)
		}
		if g := wholePower(x, y); g != nil {
			return vectored(nil, g)(r, in[:1])
		}
		// Powers of floats, and of integers with a fractional exponent, are taken in float64.
		xd, err := r.cast(x, onnxio.Double)
		if err != nil {
			return nil, err
		}
		yd, err := r.cast(y, onnxio.Double)
		if err != nil {
			return nil, err
		}
		out, err := binary(r, onnxio.Double, xd, yd, spanOf(power))
		if err != nil {
			return nil, err
		}
		return one(r.cast(out[0], x.Type))
	}
}

// wholePower returns the loop of a power of float32 with one of the exponents that take a product or a quotient: the
// square and the reciprocal rounded once, the cube twice. Else nil.
func wholePower(x, y *onnxio.Array) func(dst, x []float32) {
	if x.F32() == nil || y.Len() != 1 || len(y.Shape) > len(x.Shape) {
		return nil
	}
	e, err := scalarOr(y, 0)
	if err != nil {
		return nil
	}
	switch e {
	case 2:
		return func(dst, x []float32) { kernel.Mul(dst, x, x, 1, 1) }
	case 3:
		return func(dst, x []float32) {
			for i, v := range x {
				dst[i] = float32(v*v) * v
			}
		}
	case -1:
		return kernel.Reciprocal
	}
	return nil
}

// power is math.Pow with the square and the square root, which are exact, taken directly.
func power(x, y float64) float64 {
	switch y {
	case 2:
		return x * x
	case 0.5:
		if !math.IsInf(x, 0) && x > 0 {
			return math.Sqrt(x)
		}
	}
	return math.Pow(x, y)
}

// bindMod: the remainder of A / B: with fmod as C's fmod (sign of A), else as Python's % (sign of B, integers only).
func bindMod(b *binding) runFunc {
	fmod := b.bool("fmod", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, y := in[0], in[1]
		switch x.Data.(type) {
		case []float32:
			return binary(r, x.Type, x, y, spanOf(func(x, y float32) float32 { return float32(modulo(float64(x), float64(y), fmod)) }))
		case []float64:
			return binary(r, x.Type, x, y, spanOf(func(x, y float64) float64 { return modulo(x, y, fmod) }))
		}
		if hasZero(y) {
			return nil, fmt.Errorf("dividing integers by zero")
		}
		if fmod {
			return integers(r, x, y, opIntFmod)
		}
		return integers(r, x, y, opIntMod)
	}
}

func modulo(x, y float64, fmod bool) float64 {
	m := math.Mod(x, y)
	if !fmod && m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	return m
}

func bindBitwiseAnd(b *binding) runFunc { return bitwise(opIntAnd) }
func bindBitwiseOr(b *binding) runFunc  { return bitwise(opIntOr) }
func bindBitwiseXor(b *binding) runFunc { return bitwise(opIntXor) }

func bitwise(op int) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) { return integers(r, in[0], in[1], op) }
}

// bindBitShift: X << Y or X >> Y of unsigned integers, attribute direction LEFT or RIGHT.
func bindBitShift(b *binding) runFunc {
	op := opIntShiftLeft
	switch b.str("direction", "", "LEFT", "RIGHT") {
	case "RIGHT":
		op = opIntShiftRight
	case "":
		b.malformed("attribute \"direction\" is missing")
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		switch in[0].Type {
		case onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64:
			return integers(r, in[0], in[1], op)
		}
		return nil, typeError(in[0])
	}
}

// bindMax and bindMin: element-wise over any number of broadcast inputs; NaN spreads.
func bindMax(b *binding) runFunc { return foldInputs(b, kernel.Larger, maxOf[float64], opIntMax) }
func bindMin(b *binding) runFunc { return foldInputs(b, kernel.Smaller, minOf[float64], opIntMin) }

func maxOf[T number](x, y T) T { return max(x, y) }
func minOf[T number](x, y T) T { return min(x, y) }

// bindSum and bindMean: the sum and mean of any number of broadcast inputs, in the order of the inputs.
func bindSum(b *binding) runFunc {
	return foldInputs(b, kernel.Add[float32], addOf[float64], int(opAdd))
}

func addOf[T number](x, y T) T { return x + y }

func bindMean(b *binding) runFunc {
	sum := bindSum(b)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		out, err := sum(r, in)
		if err != nil {
			return nil, err
		}
		return unary(r, out[0], func(v float64) float64 { return v / float64(len(in)) })
	}
}

// foldInputs folds a binary operation over all inputs from the left.
func foldInputs(b *binding, f32 spanFunc[float32, float32], f64 func(x, y float64) float64, op int) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		acc := in[0]
		for _, x := range in[1:] {
			var out []*onnxio.Array
			var err error
			switch acc.Data.(type) {
			case []float32:
				out, err = binary(r, acc.Type, acc, x, f32)
			case []float64:
				out, err = binary(r, acc.Type, acc, x, spanOf(f64))
			default:
				out, err = integers(r, acc, x, op)
			}
			if err != nil {
				return nil, err
			}
			acc = out[0]
		}
		return []*onnxio.Array{acc}, nil
	}
}
