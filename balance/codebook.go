package balance

import (
	"fmt"
	"math"
	"slices"
)

// Codebook is K-1 edges and K levels, both in ascending order, repeats allowed. Bin i holds the values x with
// Edges[i-1] <= x < Edges[i]: a value equal to an edge belongs to the upper bin.
type Codebook struct {
	Edges, Levels []float32
}

const (
	maxRounds = 30   // 300 rounds gain at most 0.014 dB more (Gaussian and Laplacian samples, 3 to 8 bits)
	minGain   = 1e-5 // Lloyd stops when a round lowers the squared error by less than this share
)

// errorBalanced is the exponent of asymptotically equal squared error per bin (Panter and Dite 1951).
const errorBalanced = 1.0 / 3

// BalancedCodebook returns 2^bits bins of equal mass of f^p, p in [0, 1], where f is the density of x weighted by
// importance (finite, >= 0; nil means 1), and their levels.
//
// At p = 1 without importance the edges are exact order statistics: edge i is the value of rank ceil(i*n/K), so the
// counts of bins differ by at most one where values are distinct; equal values always share a bin, the upper one. With
// importance they are weighted percentiles, exact to the 2^-16 of a fine histogram. For p < 1 the density is taken
// from the spacings d of up to 8192 equally likely quantiles, each of which holds a mass of d^(1-p). Where x takes no
// more than K distinct values and levels are bin means, every value gets a bin of its own.
//
// An empty bin gets the middle of its edges. NaN or Inf gives an error that wraps ErrNonFinite; an empty x edges and
// levels of 0. x is only read; the order of its elements does not matter, except for the last bit of the means at p = 1.
func BalancedCodebook(x, importance []float32, bits int, p float64, lv Levels) (Codebook, error) {
	importance, err := checkSample(x, importance, Spec{Bits: bits, Method: Balanced, P: p, Levels: lv})
	if err != nil {
		return Codebook{}, err
	}
	if len(x) == 0 {
		return emptyCodebook(1 << bits), nil
	}
	if p == 1 {
		return countBalanced(uniformWeights(x, importance), 1<<bits, lv), nil
	}
	c := uniformWeights(x, importance).cells(1 << bits)
	b := c.balanced(1<<bits, p, lv)
	return Codebook{c.edges(b), c.levels(b, lv)}, nil
}

// Lloyd improves cb for the values x: each round puts every edge midway between its levels and every level at the
// weighted mean of its bin, until the gain is below a share of 1e-5 or the given number of rounds is done. A level
// whose bin is empty moves to where it splits the bin of largest error. Errors as for BalancedCodebook.
func (cb Codebook) Lloyd(x, importance []float32, rounds int) (Codebook, error) {
	importance, err := checkSample(x, importance, Spec{Bits: 1})
	if err != nil {
		return Codebook{}, err
	}
	if len(cb.Levels) == 0 || len(cb.Edges) != len(cb.Levels)-1 {
		return Codebook{}, fmt.Errorf("checking codebook: want one edge fewer than levels, got %d and %d",
			len(cb.Edges), len(cb.Levels))
	}
	for i, level := range cb.Levels {
		if level-level != 0 || i > 0 && level < cb.Levels[i-1] {
			return Codebook{}, fmt.Errorf("checking codebook: want finite ascending levels, got %v at %d", level, i)
		}
	}
	if len(x) == 0 {
		return Codebook{slices.Clone(cb.Edges), slices.Clone(cb.Levels)}, nil
	}
	c := uniformWeights(x, importance).cells(len(cb.Levels))
	b := c.lloyd(c.borders(cb.Levels), rounds, LevelMeans)
	levels := c.levels(b, LevelMeans)
	return Codebook{midpoints(levels), levels}, nil
}

func checkSample(x, importance []float32, s Spec) ([]float32, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := checkFinite(x); err != nil {
		return nil, err
	}
	return checkImportance(importance, len(x))
}

func emptyCodebook(k int) Codebook {
	return Codebook{make([]float32, k-1), make([]float32, k)}
}

// Bins are kept as k+1 borders of cells: bin i is the cells b[i] <= c < b[i+1], b[0] = 0, b[k] = len(c.cell).

// balanced returns the borders of k bins of equal mass of f^p.
func (c *cells) balanced(k int, p float64, lv Levels) []int {
	b := make([]int, k+1)
	b[k] = len(c.cell)
	if own := c.occupied(k); own != nil && p < 1 && lv == LevelMeans {
		for i := 1; i < k; i++ {
			b[i] = own[min(i, len(own)-1)] + i/len(own)
			b[i] = min(b[i], len(c.cell))
		}
		slices.Sort(b)
		return b
	}
	for i, e := range c.balancedEdges(k, p) {
		b[i+1] = max(b[i], c.border(e))
	}
	return b
}

// balancedEdges returns k-1 values that cut the mass of f^p into equal parts.
func (c *cells) balancedEdges(k int, p float64) []float64 {
	edges := make([]float64, k-1)
	if p == 1 {
		for i := range edges {
			edges[i] = c.quantile(float64(i+1) / float64(k))
		}
		return edges
	}
	at := c.spacing(p)
	done, running, total := 0.0, 0, 0.0 // mass of the segments before `running`
	mass := make([]float64, len(at)-1)
	for j := range mass {
		mass[j] = Power((at[j+1]-at[j])/(c.hi-c.lo), 1-p)
		total += mass[j]
	}
	for i := range edges {
		want := float64(total*float64(i+1)) / float64(k)
		for running < len(mass)-1 && done+mass[running] < want {
			done += mass[running]
			running++
		}
		part := 0.0
		if mass[running] > 0 {
			part = min((want-done)/mass[running], 1)
		}
		edges[i] = at[running] + float64((at[running+1]-at[running])*part)
	}
	return edges
}

// spacing returns the ends of segments of equal mass, about 16 values each; one segment for p = 0, where the mass of
// f^p is the width.
func (c *cells) spacing(p float64) []float64 {
	m := min(max(c.n/16, 16), 8192)
	if p == 0 {
		m = 1
	}
	at := make([]float64, m+1)
	at[0], at[m] = c.lo, c.hi
	for j := 1; j < m; j++ {
		at[j] = c.quantile(float64(j) / float64(m))
	}
	return at
}

// clipped returns k bins of equal width with the least error over the clips of the values' range, in steps of 4 %.
// It is where lloyd starts for equispaced levels: from bins of unequal width it would need hundreds of rounds.
func (c *cells) clipped(k int) []int {
	const shrink, steps = 0.96, 200 // down to 3e-4 of the range
	var best []int
	least, factor := math.Inf(1), 1.0
	levels := make([]float32, k)
	for range steps {
		lo, hi := float64(c.lo*factor), float64(c.hi*factor)
		step := (hi - lo) / float64(k)
		for i := range levels {
			levels[i] = float32(lo + float64(step*(float64(i)+0.5))) // each product rounded: no fused multiply-add
		}
		b := c.borders(levels)
		if d := c.distortion(b, levels); d < least {
			best, least = b, d
		}
		factor *= shrink
	}
	return best
}

// lloyd runs rounds from the borders b and returns the best borders met.
func (c *cells) lloyd(b []int, rounds int, lv Levels) []int {
	if lv == LevelMeans {
		b = c.refill(b)
	}
	best := c.distortion(b, c.levels(b, lv))
	for range rounds {
		next := c.borders(c.levels(b, lv))
		if lv == LevelMeans {
			next = c.refill(next)
		}
		d := c.distortion(next, c.levels(next, lv))
		if d >= best {
			break
		}
		gain := best - d
		b, best = next, d
		if gain < float64(minGain*d) {
			break
		}
	}
	return b
}

// borders returns the bins of the values nearest to each level, to the border of a cell.
func (c *cells) borders(levels []float32) []int {
	k := len(levels)
	b := make([]int, k+1)
	b[k] = len(c.cell)
	for i := 1; i < k; i++ {
		b[i] = max(b[i-1], c.border((float64(levels[i-1])+float64(levels[i]))/2))
	}
	return b
}

// refill gives every empty bin a half of the bin whose squared error about its mean is largest, cut at the mean.
func (c *cells) refill(b []int) []int {
	kept := b[:1:1]
	for i := 1; i < len(b); i++ {
		if c.sum0[b[i]] > c.sum0[kept[len(kept)-1]] {
			kept = append(kept, b[i])
		}
	}
	kept[len(kept)-1] = len(c.cell)
	for len(kept) < len(b) {
		worst, most, cut := -1, 0.0, 0
		for i := range kept[:len(kept)-1] {
			lo, hi := kept[i], kept[i+1]
			mean := c.mean(lo, hi)
			d := (c.sum2[hi] - c.sum2[lo]) - float64(mean*(c.sum1[hi]-c.sum1[lo]))
			at := c.border(mean)
			if d > most && c.sum0[at] > c.sum0[lo] && c.sum0[hi] > c.sum0[at] {
				worst, most, cut = i, d, at
			}
		}
		if worst < 0 {
			break // fewer occupied cells than bins
		}
		kept = slices.Insert(kept, worst+1, cut)
	}
	for len(kept) < len(b) {
		kept = append(kept, len(c.cell))
	}
	return kept
}

// mean returns the weighted mean of the cells lo <= c < hi, which hold mass.
func (c *cells) mean(lo, hi int) float64 {
	return (c.sum1[hi] - c.sum1[lo]) / (c.sum0[hi] - c.sum0[lo])
}

// distortion returns the weighted squared error of giving each bin its level.
func (c *cells) distortion(b []int, levels []float32) float64 {
	total := 0.0
	for i, level := range levels {
		v := float64(level)
		s0, s1, s2 := c.sums(b[i], b[i+1])
		total += s2 - float64(2*v*s1) + float64(float64(v*v)*s0)
	}
	return total
}

func (c *cells) sums(lo, hi int) (s0, s1, s2 float64) {
	return c.sum0[hi] - c.sum0[lo], c.sum1[hi] - c.sum1[lo], c.sum2[hi] - c.sum2[lo]
}

// edges returns the inner borders as values: bin i+1 holds the values x >= edges[i].
func (c *cells) edges(b []int) []float32 {
	edges := make([]float32, len(b)-2)
	for i := range edges {
		edges[i] = atLeast(min(max(c.at[b[i+1]], c.lo), c.hi))
	}
	return edges
}

// levels returns the levels of the bins b.
func (c *cells) levels(b []int, lv Levels) []float32 {
	bins := make([]bin, len(b)-1)
	for i := range bins {
		bins[i].mass, bins[i].sum, _ = c.sums(b[i], b[i+1])
		bins[i].lo = min(max(c.at[b[i]], c.lo), c.hi)
		bins[i].hi = min(max(c.at[b[i+1]], c.lo), c.hi)
	}
	return levelsOf(bins, lv)
}

// bin is what a level follows from: the weighted count and sum of its values and its edges.
type bin struct{ mass, sum, lo, hi float64 }

// levelsOf returns one level a bin, ascending.
func levelsOf(bins []bin, lv Levels) []float32 {
	levels := make([]float32, len(bins))
	if lv == LevelsUniform {
		offset, step := fitLine(bins)
		for i := range levels {
			levels[i] = float32(offset + float64(step*float64(i)))
		}
		return levels
	}
	for i, b := range bins {
		v := (b.lo + b.hi) / 2
		if b.mass > 0 {
			v = min(max(b.sum/b.mass, b.lo), b.hi) // the running sums may leave the bin by a rounding
		}
		levels[i] = float32(v)
	}
	return levels
}

// fitLine returns the weighted least squares of value = offset + step*code; step 0 where one bin holds everything.
func fitLine(bins []bin) (offset, step float64) {
	var w, wx, wi, wii, wix float64
	for i, b := range bins {
		k := float64(i)
		w += b.mass
		wx += b.sum
		wi += float64(k * b.mass)
		wii += float64(float64(k*k) * b.mass)
		wix += float64(k * b.sum)
	}
	if w == 0 {
		return 0, 0
	}
	det := float64(w*wii) - float64(wi*wi)
	if det > 0 {
		step = max(0, (float64(w*wix)-float64(wi*wx))/det)
	}
	return (wx - float64(step*wi)) / w, step
}

// midpoints returns the edges of the nearest-level rule: the smallest float32 not below the middle of two levels, so
// that a value exactly midway goes to the upper one.
func midpoints(levels []float32) []float32 {
	edges := make([]float32, len(levels)-1)
	for i := range edges {
		edges[i] = atLeast((float64(levels[i]) + float64(levels[i+1])) / 2)
	}
	return edges
}

// atLeast returns the smallest float32 >= x.
func atLeast(x float64) float32 {
	f := float32(x)
	if float64(f) < x {
		f = math.Nextafter32(f, float32(math.Inf(1)))
	}
	return f
}
