package balance

import (
	"math"

	"bq/internal/kernel"
)

// The grids an affine group can use. Level of code q = (q - zero)*scale; zero is an integer, so that 0 is a level, or
// at 2 bits also 3/2: the grid {-3, -1, 1, 3}/2, which wastes no level on a side that has none to spare.

const (
	// zeroGain is the share of squared error that zero points must save over the whole tensor to be kept: below 2 %
	// (0.09 dB) they are not worth their bits.
	zeroGain = 0.02
	// mirrorBits is the widest code for which the mirrored grid (one more level above zero than below) is tried.
	mirrorBits = 4
	// affineKnee is the kneeShare of cells for equal steps: no need for much finer cells near zero.
	affineKnee = 4
)

// grid is a candidate for a group: a scale, the zero point and the weighted squared error.
type grid struct {
	scale float32
	zero  float32
	err   float64
}

// quantizeAffine fills q. x and importance are in group order, and so are the codes. symmetric: without zero points.
func quantizeAffine(q *Quantized, x, importance []float32, symmetric bool) {
	if q.Bits == 1 {
		quantizeSign(q, x, importance)
		return
	}
	a := newAffine(q.Layout, q.Bits)
	middle, shifted := make([]grid, len(q.Scales)), make([]grid, len(q.Scales))
	var half []grid
	if q.Bits == 2 {
		half = make([]grid, len(q.Scales))
	}
	for g := range q.Scales {
		if a.load(x, importance, q.Layout, g); a.lo == 0 && a.hi == 0 {
			middle[g].zero, shifted[g].zero = a.middle(), a.middle()
			continue
		}
		middle[g] = a.descend(a.middle(), math.Inf(1))
		if shifted[g] = middle[g]; !symmetric {
			shifted[g] = a.shift(middle[g])
		}
		if half != nil {
			half[g] = a.descend(1.5, math.Inf(1))
		}
	}
	chosen := choose(q, middle, shifted, half)
	for g, c := range chosen {
		q.Scales[g] = c.scale
		lo, hi := q.Layout.Span(g)
		encode(q.Codes[lo:hi], x[lo:hi], c, q.Bits)
	}
	if q.Levels != nil {
		q.clearDead()
	}
}

// choose takes the kind of grid with the least squared error over the tensor and sets Zeros or Levels to match.
func choose(q *Quantized, symmetric, shifted, half []grid) []grid {
	chosen, least := symmetric, totalError(symmetric)
	if e := totalError(shifted); e < float64((1-zeroGain)*least) {
		chosen, least = shifted, e
		q.Zeros = make([]uint8, len(shifted))
		for g, c := range shifted {
			q.Zeros[g] = uint8(c.zero)
		}
	}
	if half != nil && totalError(half) < least {
		chosen = half
		q.Zeros, q.Levels = nil, []float32{-1.5, -0.5, 0.5, 1.5}
	}
	return chosen
}

func totalError(grids []grid) float64 {
	total := 0.0
	for _, c := range grids {
		total += c.err
	}
	return total
}

// quantizeSign is the 1-bit code: levels -1 and +1, +1 for values >= 0. The error of a group is a parabola in the
// scale with its vertex at the weighted mean of |x|, so the short scale nearest to that is the best one.
func quantizeSign(q *Quantized, x, importance []float32) {
	q.Levels = []float32{-1, 1}
	for g := range q.Scales {
		lo, hi := q.Layout.Span(g)
		var sum, plain, mass float64
		for i, v := range x[lo:hi] {
			weight := 1.0
			if importance != nil {
				weight = float64(importance[lo+i])
			}
			sum += float64(weight * math.Abs(float64(v)))
			plain += math.Abs(float64(v))
			mass += weight
			if v >= 0 {
				q.Codes[lo+i] = 1
			}
		}
		if sum == 0 { // no weight in this group, or on zeros only
			sum, mass = plain, float64(hi-lo)
		}
		q.Scales[g] = scaleNearest(sum / mass)
	}
	q.clearDead()
}

// affine searches the scale of one group after another.
type affine struct {
	bits   int
	x, imp []float32
	lo, hi float32 // smallest and largest value of the group, with 0
	cells  *cells  // used for groups of at least `large` elements
	large  int
	weight float64 // importance of one unit of mass in the cells
}

// newAffine prepares for the groups of l. A candidate costs about one step a level with cells and one an element
// without; filling the cells costs as much as a few candidates.
func newAffine(l Layout, bits int) *affine {
	a := &affine{bits: bits, large: max(128, 16<<bits)}
	size := l.Outer * l.Inner
	if l.Block > 0 {
		size = min(size, l.Block)
	}
	if size < a.large {
		return a
	}
	count := 1 << 8
	for count < min(size, 256<<bits) {
		count *= 2
	}
	a.cells = newCells(count, affineKnee)
	return a
}

// middle is the zero point of the symmetric grid.
func (a *affine) middle() float32 { return float32(int(1) << (a.bits - 1)) }

func (a *affine) load(x, importance []float32, l Layout, g int) {
	lo, hi := l.Span(g)
	a.x, a.imp = x[lo:hi], nil
	if importance != nil {
		a.imp = importance[lo:hi]
	}
	a.lo, a.hi, _ = kernel.MinMax(a.x)
	a.lo, a.hi = min(a.lo, 0), max(a.hi, 0)
	if a.cells == nil || len(a.x) < a.large {
		return
	}
	most := 1.0
	if a.imp != nil {
		most = float64(absMax(a.imp))
	}
	a.weight = most / weightUnit
	if most == 0 { // nothing counts here: any scale will do, the shape of the values decides
		a.imp, most = nil, 1
	}
	a.cells.reset(float64(max(-a.lo, a.hi)))
	a.cells.add(a.x, a.imp, 1/most, plainValues)
	a.cells.settle()
}

// shift tries the grids whose zero point is not in the middle and returns the best grid, which may be symmetric.
func (a *affine) shift(symmetric grid) grid {
	best, top := symmetric, float32(int(1)<<a.bits-1)
	step := (float64(a.hi) - float64(a.lo)) / float64(top)
	zero := float32(math.RoundToEven(-float64(a.lo) / step))
	if zero != a.middle() {
		best = better(best, a.descend(zero, best.err))
	}
	if mirrored := a.middle() - 1; a.bits <= mirrorBits && mirrored != zero {
		best = better(best, a.descend(mirrored, best.err))
	}
	return best
}

func better(a, b grid) grid {
	if b.err < a.err {
		return b
	}
	return a
}

// descend tries the short scales downward from the one that covers all values. The error of clipping alone grows all
// the way down, so once it reaches the least error met, or limit, no smaller scale can do better.
func (a *affine) descend(zero float32, limit float64) grid {
	below, above := zero, float32(int(1)<<a.bits-1)-zero
	start := 0.0
	if below > 0 {
		start = -float64(a.lo) / float64(below)
	}
	if above > 0 {
		start = max(start, float64(a.hi)/float64(above))
	}
	best := grid{scale: scaleUp(start), zero: zero, err: math.Inf(1)}
	for math.IsInf(float64(max(below, above)*best.scale), 0) {
		best.scale = scaleBelow(best.scale)
	}
	for s := best.scale; s > 0; s = scaleBelow(s) {
		total, clipped := a.errors(s, below, above)
		if total < best.err {
			best.scale, best.err = s, total
		}
		if clipped >= min(best.err, limit) {
			break
		}
	}
	return best
}

// errors returns the weighted squared error of the grid and the part of it that values beyond its ends cause, counted
// from the end levels. The grid reaches from -below to above steps; both are integers or both end in 1/2.
func (a *affine) errors(scale, below, above float32) (total, clipped float64) {
	if a.cells != nil && len(a.x) >= a.large {
		return a.cellErrors(float64(scale), float64(below), float64(above))
	}
	half := below - float32(int(below)) // 0 or 1/2: shifted by it, the levels are integers
	low, high := -below-half, above-half
	if a.imp == nil {
		total, clipped = kernel.GridErrors(a.x, scale, half, low, high)
	} else {
		total, clipped = a.weightedErrors(scale, half, low, high)
	}
	square := float64(float64(scale) * float64(scale))
	return float64(total * square), float64(clipped * square)
}

// weightedErrors is kernel.GridErrors with the importance of each element, in the order of the elements.
func (a *affine) weightedErrors(scale, half, low, high float32) (total, clipped float64) {
	for i, v := range a.x {
		t := v/scale - half
		c := min(max(t, low), high)
		d := float64(t - roundEven(c))
		d = float64(float64(d*d) * float64(a.imp[i]))
		total += d
		if c != t {
			clipped += d
		}
	}
	return total, clipped
}

// cellErrors is errors from the running sums of the cells.
func (a *affine) cellErrors(scale, below, above float64) (total, clipped float64) {
	c := a.cells
	last := len(c.cell)
	about := func(level float64, lo, hi int) float64 {
		s0, s1, s2 := c.sums(lo, hi)
		return max(0, s2-float64(2*level*s1)+float64(float64(level*level)*s0))
	}
	lo := 0
	for v := -below; v < above; v++ {
		hi := max(lo, c.border(float64((v+0.5)*scale)))
		total += about(float64(v*scale), lo, hi)
		lo = hi
	}
	total += about(float64(above*scale), lo, last)
	clipped = about(float64(-below*scale), 0, c.border(float64(-below*scale))) +
		about(float64(above*scale), c.border(float64(above*scale)), last)
	return float64(total * a.weight), float64(clipped * a.weight)
}

// roundEven rounds |v| < 2^22 to the nearest integer, ties to even: 1.5*2^23 leaves no bits behind the point.
func roundEven(v float32) float32 {
	const shift = 3 << 22
	return float32(v+shift) - shift
}

// encode writes the codes of x on the grid c: round half to even of x/scale (of x/scale - 1/2 on the half-step grid),
// cut to the grid's ends. A scale of 0 gives the zero point.
func encode(dst []uint8, x []float32, c grid, bits int) {
	if c.scale == 0 {
		for i := range dst {
			dst[i] = uint8(c.zero)
		}
		return
	}
	half := c.zero - float32(int(c.zero))
	kernel.RoundClamp(dst, x, c.scale, -c.zero, float32(int(1)<<bits-1)-c.zero, half, c.zero)
}
