package balance

import (
	"fmt"
	"math"

	"bq/internal/kernel"
)

// Quantized is a tensor of codes. With g = Layout.Group(e), the value of element e is
//
//	Levels == nil: float32(int(Codes[e]) - int(Zeros[g])) * Scales[g]
//	otherwise:     Levels[Codes[e]] * Scales[g]
//
// with one float32 rounding, and Wide[e] in the place of Codes[e] where codes have more than 8 bits. Where Stretch is not 0,
// affine scales are multiplied by it first, rounded to float32. Every scale but that of Paper is a short scale: a float32
// whose low 18 mantissa bits are zero (32 steps an octave); 0 marks a group of zeros. Levels do not descend and are float16
// values.
type Quantized struct {
	Layout Layout
	Bits   int
	Codes  []uint8   // one per element in tensor order, each < 1<<Bits; nil for more than MaxBits bits
	Wide   []uint16  // the same for 9 to 16 bits, affine without Zeros; nil for fewer
	Scales []float32 // one per group, finite, >= 0
	Zeros  []uint8   // affine: one per group; nil means 1<<(Bits-1) everywhere
	Levels []float32 // codebook: 1<<Bits values; nil for affine

	Stretch float32 // affine: common factor of all scales, see Unbias; 0 means none

	// Signal and Noise are the sums of the squares of the values and of their errors, as Quantize found them, to within
	// 1e-6 of themselves; Unbias and ZeroSum afterwards leave them as they are.
	Signal, Noise float64
}

// Check reports the first reason why q, perhaps read from a file, cannot be decoded: sizes that do not fit each other,
// or a code or a zero point that needs more than Bits bits.
func (q *Quantized) Check() error {
	if q.Wide != nil {
		return q.checkWide()
	}
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

// checkWide is Check of codes of more than 8 bits.
func (q *Quantized) checkWide() error {
	switch {
	case q.Bits <= MaxBits || q.Bits > 2*MaxBits:
		return fmt.Errorf("checking wide codes: want %d to %d bits, got %d", MaxBits+1, 2*MaxBits, q.Bits)
	case q.Codes != nil || q.Levels != nil || q.Zeros != nil || q.Stretch != 0:
		return fmt.Errorf("checking wide codes: want neither narrow codes nor levels, zero points or a stretch")
	}
	if err := q.Layout.check(len(q.Wide)); err != nil {
		return err
	}
	if groups := q.Layout.Groups(); len(q.Scales) != groups {
		return fmt.Errorf("checking scales: want %d, got %d", groups, len(q.Scales))
	}
	for i, c := range q.Wide {
		if int(c)>>q.Bits != 0 {
			return fmt.Errorf("checking code %d: want less than %d, got %d", i, 1<<q.Bits, c)
		}
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
	if q.Wide != nil {
		q.dequantizeWide(dst)
		return
	}
	d := q.decoder()
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
				d.decode(dst[e:e+n], q.Codes[e:e+n], c*blocks+b)
				e, pos = e+n, pos+n
			}
		}
	}
}

// dequantizeWide is Dequantize of codes of more than 8 bits.
func (q *Quantized) dequantizeWide(dst []float32) {
	zero := int32(1) << (q.Bits - 1)
	if len(q.Scales) == 1 {
		for e, c := range q.Wide {
			dst[e] = float32(int32(c)-zero) * q.Scales[0]
		}
		return
	}
	for e, c := range q.Wide {
		dst[e] = float32(int32(c)-zero) * q.Scales[q.Layout.Group(e)]
	}
}

// decode writes the values of codes of group g.
func (d *decoder) decode(dst []float32, codes []uint8, g int) {
	kernel.Decode(dst, codes, d.values(g), d.Bits, d.scale(g))
}

// scale returns the scale of group g as values are decoded with.
func (q *Quantized) scale(g int) float32 {
	if q.Stretch != 0 {
		return q.Scales[g] * q.Stretch
	}
	return q.Scales[g]
}

// ramp holds -255 to 255: from 255-z on stand the values of affine codes of zero point z.
var ramp = func() (r [511]float32) {
	for i := range r {
		r[i] = float32(i - 255)
	}
	return r
}()

// decoder knows what codes stand for.
type decoder struct {
	*Quantized
	levels   *kernel.Values // nil for affine codes
	up, down *moveTable     // for moves alone
	best     []move         // used again from channel to channel
	limit    float64        // of the cost of moves, in units, for the first try
}

func (q *Quantized) decoder() *decoder {
	d := &decoder{Quantized: q, limit: math.MaxFloat32}
	if q.Levels != nil {
		d.levels = new(kernel.Values)
		copy(d.levels[:], q.Levels)
	}
	return d
}

// values returns what the codes of group g stand for before they are scaled.
func (d *decoder) values(g int) *kernel.Values {
	if d.levels != nil {
		return d.levels
	}
	zero := 1 << (d.Bits - 1)
	if d.Zeros != nil {
		zero = int(d.Zeros[g])
	}
	return (*kernel.Values)(ramp[255-zero:])
}

// group returns the elements and the codes of group g, where both are in group order.
func (q *Quantized) group(x []float32, g int) ([]float32, []uint8) {
	lo, hi := q.Layout.Span(g)
	return x[lo:hi], q.Codes[lo:hi]
}

// inGroupOrder calls f with w and the codes of q in group order, and puts the codes back in tensor order.
func (q *Quantized) inGroupOrder(w []float32, f func(x []float32)) {
	if q.Layout.contiguous() {
		f(w)
		return
	}
	x, done := grouped(q.Layout, w)
	defer done()
	buf, codes := borrow[uint8](&codePool, len(w)), q.Codes
	defer codePool.Put(buf)
	q.Codes = *buf
	Gather(q.Layout, q.Codes, codes)
	f(x)
	Scatter(q.Layout, codes, q.Codes)
	q.Codes = codes
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
func SQNR(x, y []float32) float64 { return decibels(SquaredError(x, y, nil)) }

// SQNR returns 10*log10(Signal/Noise) in dB: +Inf where there is no noise.
func (q *Quantized) SQNR() float64 { return decibels(q.Signal, q.Noise) }

func decibels(signal, noise float64) float64 {
	if noise <= 0 { // a sum of updates may end below 0
		return math.Inf(1)
	}
	return 10 * math.Log10(signal/noise)
}
