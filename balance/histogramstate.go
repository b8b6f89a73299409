package balance

import (
	"fmt"
	"math"
)

// HistogramState is a Histogram as numbers that can be written down and read again. Bin b of 2048 covers
// [b-zero, b-zero+1) * 2^Exponent/bins, where zero is the bin of 0 and bins how many there are on its right: 0 and 2048, or
// 1024 and 1024 where Signed.
type HistogramState struct {
	Min, Max float32
	Sum      float64
	Exponent int     // of the range
	Signed   bool    // the range has a negative half
	First    int     // the bin of Counts[0]
	Counts   []int64 // from the first to the last bin that holds values; for zeros alone a single one
}

// State returns the histogram of the finite values of h.
func (h *Histogram) State() HistogramState {
	s := HistogramState{Min: h.min, Max: h.max, Sum: h.sum, Exponent: h.exponent, Signed: h.signed}
	if h.zeros > 0 {
		s.Counts = []int64{h.zeros}
		return s
	}
	end := len(h.bins)
	for end > 0 && h.bins[end-1] == 0 {
		end--
	}
	for s.First < end && h.bins[s.First] == 0 {
		s.First++
	}
	s.Counts = append(s.Counts, h.bins[s.First:end]...)
	return s
}

// The exponents of ranges above a float32's magnitude: that of the smallest is below 2^-148, that of the largest below 2^128.
const (
	leastExponent = -148
	mostExponent  = 128
)

// FromState returns the histogram that s was taken from. A state that no histogram has is an error: it comes from a file.
func FromState(s HistogramState) (*Histogram, error) {
	h := &Histogram{min: s.Min, max: s.Max, sum: s.Sum, bins: make([]int64, histogramBins)}
	if s.First < 0 || s.First > histogramBins || len(s.Counts) > histogramBins-s.First {
		return nil, fmt.Errorf("reading a histogram: bins %d to %d, want at most %d", s.First, int64(s.First)+int64(len(s.Counts)), histogramBins)
	}
	for i, n := range s.Counts {
		if n < 0 || n > math.MaxInt64-h.count || n == 0 && (i == 0 || i == len(s.Counts)-1) {
			return nil, fmt.Errorf("reading a histogram: bin %d holds %d values", s.First+i, n)
		}
		h.count += n
	}
	if s.Sum-s.Sum != 0 || s.Min-s.Min != 0 || s.Max-s.Max != 0 || s.Min > s.Max {
		return nil, fmt.Errorf("reading a histogram: values from %v to %v with the sum %v", s.Min, s.Max, s.Sum)
	}
	if h.count == 0 || s.Min == 0 && s.Max == 0 {
		if s.First != 0 || len(s.Counts) > 1 || s.Exponent != 0 || s.Signed || s.Sum != 0 || s.Min != 0 || s.Max != 0 {
			return nil, fmt.Errorf("reading a histogram: zeros in bins other than the first")
		}
		h.zeros = h.count
		return h, nil
	}
	return h, h.setRange(s)
}

// setRange sets the range and the bins of a histogram with values other than zero.
func (h *Histogram) setRange(s HistogramState) error {
	if s.Exponent < leastExponent || s.Exponent > mostExponent || s.Signed != (s.Min < 0) {
		return fmt.Errorf("reading a histogram: a range of 2^%d, signed %v, for values from %v to %v", s.Exponent, s.Signed, s.Min, s.Max)
	}
	h.ranged, h.signed, h.exponent = true, s.Signed, s.Exponent
	h.setWidth()
	if top := max(math.Abs(float64(s.Min)), float64(s.Max)); top >= h.limit || top < h.limit/2 {
		return fmt.Errorf("reading a histogram: a range of 2^%d for values from %v to %v", s.Exponent, s.Min, s.Max)
	}
	if low, high := h.bin(s.Min), h.bin(s.Max); low != s.First || high != s.First+len(s.Counts)-1 {
		return fmt.Errorf("reading a histogram: values from %v to %v in the bins %d to %d", s.Min, s.Max, s.First, s.First+len(s.Counts)-1)
	}
	copy(h.bins[s.First:], s.Counts)
	return nil
}
