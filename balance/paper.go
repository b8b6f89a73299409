package balance

import "math"

// quantizePaper is the method of Zhou et al. 2017, to the letter:
//
//	rtz(x) = sgn(x)*ceil(|x| - 1/2)
//	W_e    = equalize_k(W), in [0, 1]
//	W_f    = rtz(K*W_e - 1/2)/(K-1) - 1/2
//	W_q    = 2*max|W|*W_f
//
// equalize_k splits the values at a threshold and recurs k times on each side, so rtz(K*W_e - 1/2) is the index i of
// the leaf (but for a value on the very lower end of its leaf) and the value is max|W|*(2i/(K-1) - 1). The scale is the exact float32; levels are rounded to float16.
// Values equal to a threshold go up. A tensor of zeros has the scale 0.
func quantizePaper(q *Quantized, x []float32, s Spec) {
	k := 1 << s.Bits
	cb := Codebook{Levels: paperLevels(k)}
	switch {
	case len(x) == 0:
		cb.Edges = make([]float32, k-1)
	case s.MeanThreshold:
		cb.Edges = meanThresholds(x, s.Bits)
	default:
		cb.Edges = make([]float32, k-1)
		Select(cb.Edges, x, countRanks(len(x), k))
	}
	if len(x) > 0 {
		q.Scales[0] = absMax(x)
	}
	q.Levels = cb.Levels
	cb.Assign(q.Codes, x)
	q.clearDead()
}

// paperLevels returns 2i/(k-1) - 1 for i = 0..k-1, rounded to float16.
func paperLevels(k int) []float32 {
	levels := make([]float32, k)
	for i := range levels {
		levels[i] = float32(float64(2*i-(k-1)) / float64(k-1))
	}
	roundHalf(levels)
	return levels
}

// meanThresholds returns the 2^bits - 1 thresholds of equalize_k with the mean in place of the median (Zhou et al.
// 2017): one pass for each of the bits. A part without values takes its parent's threshold. The means
// are float64 sums in the order of x.
func meanThresholds(x []float32, bits int) []float32 {
	edges := []float32{}
	codes := make([]uint8, len(x))
	for depth := range bits {
		parts := 1 << depth
		sum, count := make([]float64, parts), make([]int, parts)
		Codebook{Edges: edges}.Assign(codes, x)
		for i, v := range x {
			sum[codes[i]] += float64(v)
			count[codes[i]]++
		}
		edges = splitParts(edges, sum, count)
	}
	return edges
}

// splitParts puts the mean of each part between the edges of the parts, never beyond them by a rounding.
func splitParts(edges []float32, sum []float64, count []int) []float32 {
	next := make([]float32, 0, 2*len(edges)+1)
	for i := range sum {
		lo, hi := float32(-math.MaxFloat32), float32(math.MaxFloat32)
		if i > 0 {
			lo = edges[i-1]
			next = append(next, lo)
		}
		if i < len(edges) {
			hi = edges[i]
		}
		switch {
		case count[i] > 0:
			next = append(next, min(max(float32(sum[i]/float64(count[i])), lo), hi))
		case i < len(edges):
			next = append(next, hi)
		default:
			next = append(next, lo)
		}
	}
	return next
}
