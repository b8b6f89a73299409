package balance

import (
	"fmt"
	"math"
	"slices"
)

// The uniform step of an entropy coder is the member p = 0 of the family without a bound on the number of levels: the
// value of integer n is n times the step, zero is a level, and frequent integers cost few bits. At every rate above about
// one bit it lies within 0.25 bit of the rate-distortion bound whatever the density (Gish and Pierce, IEEE Trans. Inf.
// Theory 14(5), 1968), which no code of fixed length does.

// MaxInteger is the largest magnitude of an integer code: what 16 bits hold on both sides of zero.
const MaxInteger = 1<<15 - 1

// RoundStep returns the short scale nearest to x, 0 for 0; x is finite and >= 0. A container keeps the short scales of many
// groups in a byte each.
func RoundStep(x float64) float32 { return scaleNearest(x) }

// RoundSoleStep returns the float32 of 8 significant bits (bfloat16) nearest to x, ties to even, 0 for 0; x is finite and
// >= 0. It is for the step of a whole tensor, which a container keeps in two bytes.
func RoundSoleStep(x float64) float32 {
	b := math.Float32bits(float32(min(x, math.MaxFloat32)))
	b = min((b+1<<15-1+b>>16&1)>>16<<16, 0x7f7f0000)
	return math.Float32frombits(b)
}

// Nearest returns the integer whose multiple of step is nearest to x, ties to even, saturating at MaxInteger; 0 for a
// step of 0 and for NaN. step is >= 0.
func Nearest(x, step float64) int16 {
	n := x / step
	if step == 0 || n != n {
		return 0
	}
	return int16(math.RoundToEven(max(-MaxInteger, min(MaxInteger, n))))
}

// FromIntegers returns the tensor of integers n, in tensor order, times the step of their group: the smallest width of 1 to
// 16 bits whose codes n + 1<<(Bits-1) hold them all. Integers lie within +-MaxInteger. Signal and Noise are left 0.
func FromIntegers(n []int16, l Layout, steps []float32) (*Quantized, error) {
	if err := l.check(len(n)); err != nil {
		return nil, err
	}
	if len(steps) != l.Groups() {
		return nil, fmt.Errorf("checking scales: want %d, got %d", l.Groups(), len(steps))
	}
	low, high := int16(0), int16(0)
	if len(n) > 0 {
		low, high = min(0, slices.Min(n)), max(0, slices.Max(n))
	}
	bits := 1
	for int(low) < -(1<<(bits-1)) || int(high) > 1<<(bits-1)-1 {
		bits++
	}
	q := &Quantized{Layout: l, Bits: bits, Scales: steps}
	zero := int32(1) << (bits - 1)
	if bits > MaxBits {
		q.Wide = make([]uint16, len(n))
		for i, v := range n {
			q.Wide[i] = uint16(int32(v) + zero)
		}
		return q, nil
	}
	q.Codes = make([]uint8, len(n))
	for i, v := range n {
		q.Codes[i] = uint8(int32(v) + zero)
	}
	return q, nil
}

// Tally is a histogram of integer codes: Count[n+Offset] is how often n comes.
type Tally struct {
	Count  []int
	Offset int
	Total  int
}

// TallyOf counts the integers of list.
func TallyOf(list []int16) *Tally {
	if len(list) == 0 {
		return &Tally{}
	}
	low, high := slices.Min(list), slices.Max(list)
	t := &Tally{Count: make([]int, int(high)-int(low)+1), Offset: -int(low), Total: len(list)}
	for _, v := range list {
		t.Count[int(v)+t.Offset]++
	}
	return t
}

// Bits returns what an adaptive coder without contexts needs for the integers, in bits: their order-0 entropy, and half a
// logarithm of their number for each one that occurs, which the coder must learn (Rissanen, Ann. Stat. 11(2), 1983).
func (t *Tally) Bits() float64 {
	bits, used := 0.0, 0
	for _, c := range t.Count {
		if c > 0 {
			bits += float64(float64(c) * Log2(float64(t.Total)/float64(c)))
			used++
		}
	}
	if used > 1 {
		bits += float64(float64(used-1) * 0.5 * Log2(float64(t.Total)))
	}
	return bits
}

// Prices are what each integer costs a coder, in bits.
type Prices struct {
	bits []float64 // by magnitude
}

// NewPrices returns the prices that the tally shows: -log2 of its frequencies, those of n and -n taken together, where zero
// has one count more than it came and every pair n and -n too, up to one pair beyond the largest that came: an integer that has
// not come yet has a price, and those further out cost the same.
func NewPrices(t *Tally) *Prices {
	reach := 1
	if len(t.Count) > 0 {
		reach = max(t.Offset, len(t.Count)-1-t.Offset, 1)
	}
	p := &Prices{bits: make([]float64, reach+2)}
	total := float64(t.Total) + float64(len(p.bits))
	for m := range p.bits {
		count := 1.0
		for _, n := range []int{m, -m} {
			if i := n + t.Offset; i >= 0 && i < len(t.Count) {
				count += float64(t.Count[i])
			}
		}
		if m == 0 {
			count = (count + 1) / 2 // counted twice
		} else {
			count /= 2 // one sign of two
		}
		p.bits[m] = -Log2(count / total)
	}
	return p
}

// Of returns the price of n in bits.
func (p *Prices) Of(n int16) float64 { return p.bits[min(max(int(n), -int(n)), len(p.bits)-1)] }

// Choose returns the integer, of the nearest to x/step, the next one toward zero, and zero, that has the least
// loss*(x - n*step)^2 + lambda*bits(n); of equals the nearest.
func (p *Prices) Choose(x, step, loss, lambda float64) int16 {
	n := Nearest(x, step)
	if n == 0 || lambda == 0 {
		return n
	}
	cost := func(n int16) float64 {
		d := x - float64(float64(n)*step)
		return float64(float64(loss*d)*d) + float64(lambda*p.Of(n))
	}
	best, least := n, cost(n)
	toward := n - 1
	if n < 0 {
		toward = n + 1
	}
	for _, v := range []int16{toward, 0} {
		if c := cost(v); c < least {
			best, least = v, c
		}
	}
	return best
}
