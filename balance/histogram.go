package balance

import "math"

// histogramBins is the number of bins of a Histogram.
const histogramBins = 2048

// Histogram counts a stream of values, such as the activations of a tensor over many samples, in bounded memory. Its
// bins cover [0, R) while no value is negative and [-R, R) from then on, R a power of two above every magnitude seen;
// where R must double, or a sign appears, pairs of bins are merged.
//
// Bin borders are multiples of a power of two, so merging loses nothing but resolution: bins, count, minimum and
// maximum are the same however the values are ordered, split into Add calls or spread over merged histograms. The sum
// is a float64 total in the order of the values: it keeps its bits when the same stream is split differently, not when
// it is reordered or merged. The zero Histogram is empty and ready.
type Histogram struct {
	count, nonFinite int64
	sum              float64
	min, max         float32
	zeros            int64 // zeros seen before any other value gave the range
	ranged, signed   bool  // a range is set; it has a negative half
	exponent         int   // R = 2^exponent
	limit            float64
	binsPerOne       float64 // bins per unit of value
	bins             []int64
}

// Add counts the values of x and returns how many of them are NaN or infinite; those are left out.
func (h *Histogram) Add(x []float32) (nonFinite int) {
	if h.bins == nil {
		h.bins = make([]int64, histogramBins)
	}
	for _, v := range x {
		if v-v != 0 {
			nonFinite++
			continue
		}
		if h.count == 0 {
			h.min, h.max = v, v
		}
		h.min, h.max = min(h.min, v), max(h.max, v)
		h.count++
		h.sum += float64(v)
		if v == 0 && !h.ranged {
			h.zeros++
			continue
		}
		if a := math.Abs(float64(v)); a >= h.limit || v < 0 && !h.signed {
			h.makeRoom(v)
		}
		h.bins[h.bin(v)]++
	}
	h.nonFinite += int64(nonFinite)
	return nonFinite
}

// makeRoom widens the range until it covers v, which is not 0.
func (h *Histogram) makeRoom(v float32) {
	if _, e := math.Frexp(float64(v)); !h.ranged || e > h.exponent {
		h.reach(e)
	}
	if v < 0 && !h.signed {
		h.split()
	}
}

// bin returns the bin of a value in range. The product is exact: a power of two.
func (h *Histogram) bin(v float32) int {
	t := float64(v) * h.binsPerOne
	b := int(t)
	if float64(b) > t {
		b--
	}
	return b + h.zeroBin()
}

// reach raises R to 2^exponent.
func (h *Histogram) reach(exponent int) {
	if !h.ranged {
		h.ranged, h.exponent = true, exponent
		h.bins[h.zeroBin()] += h.zeros
		h.zeros = 0
	}
	for ; h.exponent < exponent; h.exponent++ {
		h.merge()
	}
	h.setWidth()
}

func (h *Histogram) setWidth() {
	bins := histogramBins
	if h.signed {
		bins /= 2
	}
	h.binsPerOne, h.limit = math.Ldexp(float64(bins), -h.exponent), math.Ldexp(1, h.exponent)
}

func (h *Histogram) zeroBin() int {
	if h.signed {
		return histogramBins / 2
	}
	return 0
}

// merge joins pairs of bins; the bin of zero keeps its place.
func (h *Histogram) merge() {
	merged, from := make([]int64, histogramBins), h.zeroBin()
	for b, n := range h.bins {
		merged[from+(b-from)>>1] += n // >> rounds down, also below zero
	}
	h.bins = merged
}

// split makes room for negative values: [0, R) becomes [-R, R) with bins twice as wide.
func (h *Histogram) split() {
	h.merge()
	copy(h.bins[histogramBins/2:], h.bins[:histogramBins/2])
	clear(h.bins[:histogramBins/2])
	h.signed = true
	h.setWidth()
}

// Merge adds the values of other, which is only read.
func (h *Histogram) Merge(other *Histogram) {
	h.nonFinite += other.nonFinite
	if other.count == 0 {
		return
	}
	o := *other
	if h.bins == nil {
		h.bins = make([]int64, histogramBins)
	}
	if h.count == 0 {
		h.min, h.max = o.min, o.max
	}
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	h.count += o.count
	h.sum += o.sum
	if !o.ranged {
		h.addZeros(o.zeros)
		return
	}
	if !h.ranged || o.exponent > h.exponent {
		h.reach(o.exponent)
	}
	if o.exponent < h.exponent {
		o.reach(h.exponent) // merge replaces the bins of the copy, never those of other
	}
	if o.signed && !h.signed {
		h.split()
	}
	if h.signed && !o.signed {
		o.split()
	}
	for b, n := range o.bins {
		h.bins[b] += n
	}
}

func (h *Histogram) addZeros(n int64) {
	if h.ranged {
		h.bins[h.zeroBin()] += n
		return
	}
	h.zeros += n
}

// Count returns the number of finite values.
func (h *Histogram) Count() int64 { return h.count }

// NonFinite returns the number of NaN and infinite values that were left out.
func (h *Histogram) NonFinite() int64 { return h.nonFinite }

// Sum returns the sum of the finite values.
func (h *Histogram) Sum() float64 { return h.sum }

// MinMax returns the smallest and the largest finite value; 0, 0 for an empty histogram.
func (h *Histogram) MinMax() (lo, hi float32) { return h.min, h.max }

// each visits the bins that hold values, in ascending order, with their ends cut to the values' range.
func (h *Histogram) each(visit func(lo, hi float64, n int64)) {
	if h.zeros > 0 {
		visit(0, 0, h.zeros)
	}
	if !h.ranged {
		return
	}
	from := h.zeroBin()
	for b, n := range h.bins {
		if n > 0 {
			lo, hi := float64(b-from)/h.binsPerOne, float64(b-from+1)/h.binsPerOne
			visit(max(lo, float64(h.min)), min(hi, float64(h.max)), n)
		}
	}
}
