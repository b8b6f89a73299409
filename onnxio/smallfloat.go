package onnxio

import "math"

// smallFormat describes a float of 8 or 4 bits: a sign, exp bits of exponent and man bits of fraction. The value of
// exponent field e and fraction m is m * 2^(1-bias-man) for e = 0 and (2^man + m) * 2^(e-bias-man) above.
//
// E4M3FN and E5M2: "FP8 Formats for Deep Learning", arXiv 2209.05433, section 3; the FNUZ kinds, which have no
// negative zero and one NaN in its place: arXiv 2206.02915; E2M1: OCP Microscaling Formats 1.0, section 5.3.
type smallFormat struct {
	man, bias int
	top       uint8   // code of the largest finite value
	sign      uint8   // the sign bit
	nan       uint8   // code of the positive NaN, 0 where there is none
	inf       uint8   // code of infinity, 0 where there is none
	max       float64 // the value of top
}

var smallFormats = map[DataType]smallFormat{
	Float8E4M3FN:   {man: 3, bias: 7, top: 0x7e, sign: 0x80, nan: 0x7f, max: 448},
	Float8E4M3FNUZ: {man: 3, bias: 8, top: 0x7f, sign: 0x80, nan: 0x80, max: 240},
	Float8E5M2:     {man: 2, bias: 15, top: 0x7b, sign: 0x80, nan: 0x7e, inf: 0x7c, max: 57344},
	Float8E5M2FNUZ: {man: 2, bias: 16, top: 0x7f, sign: 0x80, nan: 0x80, max: 57344},
	Float4E2M1:     {man: 1, bias: 1, top: 0x7, sign: 0x8, max: 6},
}

// IsSmallFloat reports whether t is a float of 8 or 4 bits. Its arrays hold the decoded values as float32.
func (t DataType) IsSmallFloat() bool {
	switch t {
	case Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1, Float8E8M0:
		return true
	}
	return false
}

// E8M0Mode says how EncodeSmallFloat rounds to the powers of two of Float8E8M0 (ONNX Cast, round_mode).
type E8M0Mode int

const (
	RoundUp      E8M0Mode = iota // to the next power of two, away from zero
	RoundDown                    // to the power of two below
	RoundNearest                 // to the nearer one, halves up
)

// DecodeSmallFloat returns the value of a code of type t, which must satisfy IsSmallFloat. Bits beyond the type's own
// are not looked at.
func DecodeSmallFloat(t DataType, code uint8) float32 {
	if t == Float8E8M0 {
		if code == 0xff {
			return float32(math.NaN())
		}
		return float32(math.Ldexp(1, int(code)-127))
	}
	f := smallFormats[t]
	code &= f.sign | (f.sign - 1)
	m := code &^ f.sign
	var v float64
	switch {
	case f.nan == f.sign && code == f.nan, f.nan != 0 && f.nan != f.sign && m > max(f.top, f.inf):
		return float32(math.NaN())
	case f.inf != 0 && m == f.inf:
		v = math.Inf(1)
	case m>>f.man == 0:
		v = math.Ldexp(float64(m), 1-f.bias-f.man)
	default:
		v = math.Ldexp(float64(m&(1<<f.man-1)|1<<f.man), int(m>>f.man)-f.bias-f.man)
	}
	if code&f.sign != 0 {
		v = -v
	}
	return float32(v)
}

// EncodeSmallFloat returns the code of type t, which must satisfy IsSmallFloat, nearest to v, ties to even; for
// Float8E8M0 mode says how to round. Beyond the largest finite value the result is that value where saturate is set,
// else the type's infinity or NaN (the two tables of ONNX Cast). Float4E2M1, which has no NaN, gives negative zero for
// one as the package ml_dtypes does; a type without negative zero gives zero for it.
func EncodeSmallFloat(t DataType, v float32, saturate bool, mode E8M0Mode) uint8 {
	if t == Float8E8M0 {
		return encodeE8M0(v, saturate, mode)
	}
	f := smallFormats[t]
	sign := uint8(0)
	if math.Signbit(float64(v)) {
		sign = f.sign
	}
	a := math.Abs(float64(v))
	switch {
	case a != a && f.nan == f.sign:
		return f.nan
	case a != a && f.nan != 0:
		return sign | f.nan
	case a != a:
		return f.sign
	}
	code := f.overflow(saturate)
	if a <= 2*f.max { // anything larger is out of range however it is rounded
		if n := f.nearest(a); n <= f.top {
			code = n
		}
	}
	if f.nan == f.sign && (code == 0 || code == f.nan) { // neither zero nor NaN has a sign
		return code
	}
	return sign | code
}

// nearest returns the code of the value nearest to a >= 0 as if exponents went on without end.
func (f smallFormat) nearest(a float64) uint8 {
	if a == 0 {
		return 0
	}
	_, e := math.Frexp(a) // a = fraction in [0.5, 1) * 2^e
	e = max(e-1, 1-f.bias)
	n := math.RoundToEven(math.Ldexp(a, f.man-e))
	return uint8(int(n) + (e+f.bias-1)<<f.man)
}

// overflow returns the code of what is beyond the largest value.
func (f smallFormat) overflow(saturate bool) uint8 {
	switch {
	case saturate:
		return f.top
	case f.inf != 0:
		return f.inf
	case f.nan != 0:
		return f.nan
	}
	return f.top
}

// encodeE8M0 returns the biased exponent of the power of two beside v > 0. Zero and negative values, which the type
// lacks, become its smallest value where saturate is set, else NaN.
func encodeE8M0(v float32, saturate bool, mode E8M0Mode) uint8 {
	const smallest, largest, nan = 0, 0xfe, 0xff
	switch {
	case v != v:
		return nan
	case v <= 0 && saturate:
		return smallest
	case v <= 0:
		return nan
	case math.IsInf(float64(v), 1):
		if saturate {
			return largest
		}
		return nan
	}
	fraction, e := math.Frexp(float64(v))
	fraction, e = 2*fraction, e-1 // fraction in [1, 2)
	if mode == RoundUp && fraction > 1 || mode == RoundNearest && fraction >= 1.5 {
		e++
	}
	code := e + 127
	switch {
	case code >= 0 && code <= largest:
		return uint8(code)
	case !saturate:
		return nan
	}
	return uint8(min(max(code, smallest), largest))
}
