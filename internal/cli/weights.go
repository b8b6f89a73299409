package cli

import (
	"fmt"
	"math"

	"bq/convert"
	"bq/internal/page"
	"bq/packing"
)

// Histograms of weights as their quantizer sees them, so that all groups of a tensor share one set of levels: in units
// of the group's scale, and for affine codes counted from code zero.

const (
	histogramBins = 64
	manyTensors   = 100 // from here on histograms have half the bins, to keep the page small
	levelsShown   = 32  // more levels than these are too close to tell apart
)

// weightHistogram draws the float weights of a tensor with the levels that replace them; false where the two do not
// belong together.
func weightHistogram(c convert.Coverage, q *packing.Quant, weights []float32, bins int) (page.Histogram, bool) {
	l := q.Layout
	if len(weights) == 0 || len(weights) != l.Elements() {
		return page.Histogram{}, false
	}
	h := page.Histogram{Name: escape(c.Name), Caption: fmt.Sprintf("%s, %d bits, %s", memberText(c), c.Bits, plural(1<<c.Bits, "level"))}
	if 1<<c.Bits <= levelsShown {
		h.Levels = unitLevels(q)
		for i := 1; i < len(h.Levels); i++ {
			h.Edges = append(h.Edges, (h.Levels[i-1]+h.Levels[i])/2)
		}
	}
	unit := make([]float64, 0, len(weights))
	low, high := math.Inf(1), math.Inf(-1)
	for i, w := range weights {
		g := groupOf(l, i)
		v := float64(w) / float64(q.Scale(g))
		if q.Levels == nil {
			v += float64(zeroOf(q, g))
		}
		if v-v != 0 {
			continue // a scale of zero, or a weight that is not finite
		}
		unit = append(unit, v)
		low, high = min(low, v), max(high, v)
	}
	for _, v := range h.Levels {
		low, high = min(low, v), max(high, v)
	}
	if !(low < high) {
		return page.Histogram{}, false
	}
	h.Low, h.High, h.Counts = low, high, make([]int, bins)
	for _, v := range unit {
		h.Counts[min(bins-1, int(float64(bins)*(v-low)/(high-low)))]++
	}
	return h, true
}

// groupOf returns the group of element i.
func groupOf(l packing.Layout, i int) int {
	inner := i % l.Inner
	channel := i / l.Inner % l.Channels
	outer := i / l.Inner / l.Channels
	if l.Block == 0 {
		return channel
	}
	return channel*l.BlocksPerChannel() + (outer*l.Inner+inner)/l.Block
}

// zeroOf returns the zero point of a group.
func zeroOf(q *packing.Quant, g int) int {
	if len(q.Zeros) == 0 {
		return 1 << (q.Bits - 1)
	}
	return int(q.Zeros[g])
}

// unitLevels returns the levels in units of the scale: those of the codebook, or the codes themselves.
func unitLevels(q *packing.Quant) []float64 {
	list := make([]float64, 1<<q.Bits)
	for i := range list {
		if len(q.Levels) == len(list) {
			list[i] = float64(q.Levels[i])
		} else {
			list[i] = float64(i)
		}
	}
	return list
}

// weightSQNR returns the SQNR of quantized weights against float ones in dB.
func weightSQNR(want, got []float32) float64 {
	if len(want) != len(got) {
		return math.NaN()
	}
	signal, noise := 0.0, 0.0
	for i := range want {
		w, e := float64(want[i]), float64(want[i])-float64(got[i])
		signal, noise = signal+w*w, noise+e*e
	}
	switch {
	case noise == 0:
		return math.Inf(1)
	case signal == 0:
		return math.NaN()
	}
	return 10 * math.Log10(signal/noise)
}
