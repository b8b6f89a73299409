package balance

import "math"

// RangeRule is a way to choose the range of an activation from the histogram of its values.
type RangeRule int

// The rules. Which of them serves a model best is a matter of measurement: none leads on all (recipe.md B3, Q2).
const (
	RangeMSE      RangeRule = iota // least squared error (MSERange)
	RangeMinMax                    // the extremes
	RangeP99999                    // 99.999 % of the values (PercentileRange)
	RangeP9999                     // 99.99 % of them
	RangeBalanced                  // a clipping error that is a fraction of the rounding error (BalancedRange)
	RangeKL                        // the least divergence of the distribution of codes (KLRange)
)

// RangeRules lists the rules.
var RangeRules = []RangeRule{RangeMSE, RangeMinMax, RangeP99999, RangeP9999, RangeBalanced, RangeKL}

// String names the rule as reports do.
func (r RangeRule) String() string {
	return [...]string{"least squared error", "extremes", "99.999 %", "99.99 %", "balanced errors", "least divergence"}[r]
}

// Range returns the range that the rule chooses for a code of 1 to 8 bits. Empty: 0, 0.
func (h *Histogram) Range(r RangeRule, bits int) (lo, hi float32) {
	switch r {
	case RangeMinMax:
		return h.PercentileRange(1)
	case RangeP99999:
		return h.PercentileRange(0.99999)
	case RangeP9999:
		return h.PercentileRange(0.9999)
	case RangeBalanced:
		return h.BalancedRange(bits)
	case RangeKL:
		return h.KLRange(bits)
	}
	return h.MSERange(bits)
}

// clipShare is the part of the rounding error that the clipping error of a balanced range may be (recipe.md B1).
const clipShare = 0.25

// BalancedRange returns the narrowest of MSERange's ranges with one clip for both signs whose clipping error, the squared distances
// of the values outside, is at most a quarter of the squared error of rounding those inside; the extremes where no other has so
// little. Empty: 0, 0.
func (h *Histogram) BalancedRange(bits int) (lo, hi float32) {
	bars := h.bars()
	return h.factorRange(func(lo, hi float64) float64 {
		clip := bars.clipError(lo, hi)
		if rest := bars.rangeError(lo, hi, bits) - clip; clip > float64(clipShare*rest) {
			return math.Inf(1)
		}
		return hi - lo
	})
}

// KLRange returns the one of MSERange's ranges with one clip for both signs whose codes lose least of the distribution of values: the
// Kullback-Leibler divergence from the clipped histogram, what lies outside counted at its ends, to the same with every code's count
// spread evenly over its bins (Migacz, "8-bit Inference with TensorRT", GTC 2017). Empty: 0, 0.
func (h *Histogram) KLRange(bits int) (lo, hi float32) {
	bars := h.bars()
	return h.factorRange(func(lo, hi float64) float64 { return bars.divergence(lo, hi, bits) })
}

// factorRange returns the range of least cost, of equals the widest, among the extremes times bestFactor's factors, with one clip for
// both signs.
func (h *Histogram) factorRange(cost func(lo, hi float64) float64) (lo, hi float32) {
	low, high := float64(min(h.min, 0)), float64(max(h.max, 0))
	if h.count == 0 || low == high {
		return 0, 0
	}
	most := max(-low, high)
	f := bestFactor(func(f float64) float64 { return cost(max(low, -most*f), min(high, most*f)) })
	return float32(max(low, -most*f)), float32(min(high, most*f))
}

// clipError returns the squared distances of what lies outside of [lo, hi].
func (all bars) clipError(lo, hi float64) float64 {
	total := 0.0
	for _, b := range all {
		if d := b.middle - min(max(b.middle, lo), hi); d != 0 {
			total += float64(float64(d*d) * b.count)
		}
	}
	return total
}

// divergence returns the divergence, in nats, of a value's distribution from that of its codes.
func (all bars) divergence(lo, hi float64, bits int) float64 {
	s, _ := ActivationParams(float32(lo), float32(hi), bits)
	var inside []float64 // counts of the bars inside
	var codes []float64
	total := 0.0
	below, above := 0.0, 0.0
	for _, b := range all {
		total += b.count
		switch {
		case b.middle < lo:
			below += b.count
		case b.middle > hi:
			above += b.count
		default:
			inside = append(inside, b.count)
			codes = append(codes, math.RoundToEven(b.middle/float64(s)))
		}
	}
	if len(inside) == 0 {
		return math.Inf(1)
	}
	spread := append([]float64(nil), inside...)
	inside[0] += below
	inside[len(inside)-1] += above
	kl, kept := 0.0, total-below-above
	for i := 0; i < len(spread); {
		j, sum := i, 0.0
		for ; j < len(spread) && codes[j] == codes[i]; j++ {
			sum += spread[j]
		}
		q := sum / float64(j-i) / kept
		for ; i < j; i++ {
			p := inside[i] / total
			kl += float64(p * math.Log(p/q))
		}
	}
	return kl
}
