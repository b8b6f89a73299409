package balance

import (
	"fmt"
	"math"
)

// Quantized is a tensor of codes. With g = Layout.Group(e), the value of element e is
//
//	Levels == nil: float32(int(Codes[e]) - int(Zeros[g])) * Scales[g]
//	otherwise:     Levels[Codes[e]] * Scales[g]
//
// with one float32 rounding. Where Stretch is not 0, affine scales are multiplied by it first, rounded to float32.
// Every scale but that of Paper is a short scale: a float32 whose low 18 mantissa bits are
// zero (32 steps an octave); 0 marks a group of zeros. Levels do not descend and are float16 values.
type Quantized struct {
	Layout Layout
	Bits   int
	Codes  []uint8   // one per element in tensor order, each < 1<<Bits
	Scales []float32 // one per group, finite, >= 0
	Zeros  []uint8   // affine: one per group; nil means 1<<(Bits-1) everywhere
	Levels []float32 // codebook: 1<<Bits values; nil for affine

	Stretch float32 // affine: common factor of all scales, see Unbias; 0 means none
}

// Check reports the first reason why q, perhaps read from a file, cannot be decoded: sizes that do not fit each other,
// or a code or a zero point that needs more than Bits bits.
func (q *Quantized) Check() error {
	if err := checkBits(q.Bits); err != nil {
		return err
	}
	if err := q.Layout.check(len(q.Codes)); err != nil {
		return err
	}
	groups := q.Layout.Groups()
	switch {
	case len(q.Scales) != groups:
		return fmt.Errorf("checking scales: want %d, got %d", groups, len(q.Scales))
	case q.Zeros != nil && len(q.Zeros) != groups:
		return fmt.Errorf("checking zero points: want %d, got %d", groups, len(q.Zeros))
	case q.Zeros != nil && q.Levels != nil:
		return fmt.Errorf("checking zero points: want none beside a codebook, got %d", len(q.Zeros))
	case q.Stretch != 0 && (q.Levels != nil || !(q.Stretch > 0 && q.Stretch <= math.MaxFloat32)):
		return fmt.Errorf("checking stretch: want 0 beside a codebook, else a finite number above 0, got %v", q.Stretch)
	case q.Levels != nil && len(q.Levels) != 1<<q.Bits:
		return fmt.Errorf("checking levels: want %d, got %d", 1<<q.Bits, len(q.Levels))
	}
	if i := tooWide(q.Codes, q.Bits); i >= 0 {
		return fmt.Errorf("checking code %d: want less than %d, got %d", i, 1<<q.Bits, q.Codes[i])
	}
	if i := tooWide(q.Zeros, q.Bits); i >= 0 {
		return fmt.Errorf("checking zero point %d: want less than %d, got %d", i, 1<<q.Bits, q.Zeros[i])
	}
	return nil
}

func tooWide(codes []uint8, bits int) int {
	if bits == 8 {
		return -1
	}
	for i, c := range codes {
		if c>>bits != 0 {
			return i
		}
	}
	return -1
}

// Dequantize writes the value of every element to dst, in tensor order. q must pass Check and dst hold
// q.Layout.Len() elements.
func (q *Quantized) Dequantize(dst []float32) {
	l := q.Layout
	if len(dst) != l.Len() {
		panic(fmt.Sprintf("balance: dequantizing %d elements into %d", l.Len(), len(dst)))
	}
	per, blocks, size := l.Outer*l.Inner, l.Blocks(), l.Block
	if size == 0 {
		size = per
	}
	for o := range l.Outer {
		for c := range l.Channels {
			e, pos, end := (o*l.Channels+c)*l.Inner, o*l.Inner, (o+1)*l.Inner
			for pos < end { // the stretches of row (o, c) that lie in one block
				b := pos / size
				n := min(end, (b+1)*size) - pos
				q.decode(dst[e:e+n], q.Codes[e:e+n], c*blocks+b)
				e, pos = e+n, pos+n
			}
		}
	}
}

// decode writes the values of codes of group g.
func (q *Quantized) decode(dst []float32, codes []uint8, g int) {
	scale := q.Scales[g]
	if q.Stretch != 0 {
		scale *= q.Stretch
	}
	if q.Levels != nil {
		for i, c := range codes {
			dst[i] = q.Levels[c] * scale
		}
		return
	}
	zero := 1 << (q.Bits - 1)
	if q.Zeros != nil {
		zero = int(q.Zeros[g])
	}
	for i, c := range codes {
		dst[i] = float32(int(c)-zero) * scale
	}
}

// SquaredError returns sum(importance*x^2) and sum(importance*(x-y)^2) in float64, in the order of the elements;
// importance nil means 1. The three slices have one length. A NaN or Inf spreads to the sums.
func SquaredError(x, y, importance []float32) (signal, noise float64) {
	if len(x) != len(y) || importance != nil && len(importance) != len(x) {
		panic(fmt.Sprintf("balance: comparing %d, %d and %d elements", len(x), len(y), len(importance)))
	}
	weight := 1.0
	for i, v := range x {
		if importance != nil {
			weight = float64(importance[i])
		}
		d := float64(v) - float64(y[i])
		signal += float64(weight * float64(float64(v)*float64(v)))
		noise += float64(weight * float64(d*d))
	}
	return signal, noise
}

// SQNR returns 10*log10(sum(x^2)/sum((x-y)^2)) in dB: +Inf where y equals x, -Inf where x is all zero and y is not.
func SQNR(x, y []float32) float64 {
	signal, noise := SquaredError(x, y, nil)
	if noise == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(signal/noise)
}
