package balance

import "math"

// ActivationParams returns the parameters of the unsigned affine code of 1 to 8 bits for values in [lo, hi]:
//
//	lo = min(lo, 0), hi = max(hi, 0), scale = (hi - lo)/(2^bits - 1), zero = clamp(RoundToEven(-lo/scale))
//
// (ONNX DynamicQuantizeLinear, for any width). The scale is a positive finite float32: 1 where lo = hi = 0, and at
// least the smallest subnormal. NaN counts as 0, an infinity as the largest float32.
func ActivationParams(lo, hi float32, bits int) (scale float32, zero uint8) {
	low, high := min(finite(lo), 0), max(finite(hi), 0)
	top := float64(int(1)<<bits - 1)
	if low == high {
		return 1, 0
	}
	s := (high - low) / top
	scale = float32(min(max(s, math.SmallestNonzeroFloat32), math.MaxFloat32))
	z := math.RoundToEven(-low / float64(scale))
	return scale, uint8(min(max(z, 0), top))
}

func finite(v float32) float64 {
	if v != v {
		return 0
	}
	return min(max(float64(v), -math.MaxFloat32), math.MaxFloat32)
}

// PercentileRange returns the range that holds the share p in (0, 1] of the values: the quantiles (1-p)/2 and (1+p)/2,
// linear inside a bin; [0, quantile p] where no value is negative and [quantile 1-p, 0] where none is positive. p = 1
// gives the exact extremes, with 0 in place of the one on the far side of it. Empty: 0, 0.
func (h *Histogram) PercentileRange(p float64) (lo, hi float32) {
	switch {
	case h.count == 0:
		return 0, 0
	case h.min >= 0:
		return 0, float32(h.quantile(p))
	case h.max <= 0:
		return float32(h.quantile(1 - p)), 0
	}
	return float32(h.quantile((1 - p) / 2)), float32(h.quantile((1 + p) / 2))
}

// quantile returns the value below which the share p of the count lies; the exact extremes at 0 and 1.
func (h *Histogram) quantile(p float64) float64 {
	if p <= 0 {
		return float64(h.min)
	}
	want, before, at := float64(p*float64(h.count)), 0.0, math.NaN()
	h.each(func(lo, hi float64, n int64) {
		if at == at {
			return
		}
		if share := (want - before) / float64(n); share <= 1 {
			at = lo + float64((hi-lo)*share)
		}
		before += float64(n)
	})
	if at != at || p >= 1 {
		return float64(h.max)
	}
	return at
}

// MSERange returns the clip range with the least squared error of a code of 1 to 8 bits by ActivationParams, over the
// bins of h. Candidates are the factors 1, 0.98, ..., 0.1, 0.1*0.87, ... of the
// extremes: one-sided values are searched along one line; others by a common clip of both signs first, then each end
// in turn, twice. Empty: 0, 0.
func (h *Histogram) MSERange(bits int) (lo, hi float32) {
	if h.count == 0 {
		return 0, 0
	}
	low, high := float64(min(h.min, 0)), float64(max(h.max, 0))
	if low == high {
		return 0, 0
	}
	bars := h.bars()
	if low == 0 || high == 0 {
		f := bestFactor(func(f float64) float64 { return bars.rangeError(low*f, high*f, bits) })
		return float32(low * f), float32(high * f)
	}
	most := max(-low, high)
	f := bestFactor(func(f float64) float64 {
		return bars.rangeError(max(low, -most*f), min(high, most*f), bits)
	})
	a, b := max(low, -most*f), min(high, most*f)
	for range 2 {
		a = low * bestFactor(func(f float64) float64 { return bars.rangeError(low*f, b, bits) })
		b = high * bestFactor(func(f float64) float64 { return bars.rangeError(a, high*f, bits) })
	}
	return float32(a), float32(b)
}

const (
	linearFactors = 46 // 1 down to 0.1 in steps of 0.02
	shrunkFactors = 32 // then times 0.87 each: down to 0.0012
)

// bestFactor returns the first factor of least cost.
func bestFactor(cost func(f float64) float64) float64 {
	best, least := 1.0, math.Inf(1)
	f := 1.0
	for i := range linearFactors + shrunkFactors {
		if i < linearFactors {
			f = float64(50-i) / 50
		} else {
			f *= 0.87
		}
		if c := cost(f); c < least {
			best, least = f, c
		}
	}
	return best
}

// bar is a bin that holds values: its middle, width and count.
type bar struct{ middle, width, count float64 }

type bars []bar

func (h *Histogram) bars() bars {
	var all bars
	h.each(func(lo, hi float64, n int64) { all = append(all, bar{(lo + hi) / 2, hi - lo, float64(n)}) })
	return all
}

// rangeError returns the squared error of coding every bar at its middle; scale^2/12 a value inside the range where a
// bar is wider than a step.
func (all bars) rangeError(lo, hi float64, bits int) float64 {
	s, z := ActivationParams(float32(lo), float32(hi), bits)
	scale, zero, top := float64(s), float64(z), float64(int(1)<<bits-1)
	total := 0.0
	for _, b := range all {
		t := b.middle / scale
		q := min(max(math.RoundToEven(t), -zero), top-zero)
		d := float64(q*scale) - b.middle
		square := float64(d * d)
		if b.width >= scale && t >= -zero && t <= top-zero {
			square = float64(scale*scale) / 12
		}
		total += float64(square * b.count)
	}
	return total
}
