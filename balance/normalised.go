package balance

import (
	"math"

	"bq/internal/kernel"
)

// normalisation is what a group's values are divided by, and how far they may lie from zero then.
type normalisation struct{ scale, limit float32 }

// plainValues leaves values as they are.
var plainValues = normalisation{1, unlimited}

// of returns the normalised value.
func (n normalisation) of(v float32) float32 { return min(max(v/n.scale, -n.limit), n.limit) }

// weighted is a sample whose runs carry a weight of their own besides the importance of the elements: the normalised
// values of a tensor in group order, group g with the weight scale^2.
type weighted struct {
	x, importance []float32 // importance nil: 1
	layout        Layout    // gives the runs
	unit          []float64 // one weight per run, scaled so that the largest unit*importance is 1
	scales        []float32 // by which the runs of x are divided; nil: 1. A run of scale 0 is zeros, of weight 0
	limit         float32   // to which the quotients are limited
}

func uniformWeights(x, importance []float32) weighted {
	w := weighted{x, importance, PerTensor(len(x)), []float64{1}, nil, unlimited}
	w.scaleUnits()
	return w
}

// scaleUnits divides the weights of the runs by the largest weight of an element.
func (w weighted) scaleUnits() {
	most := 0.0
	for g, u := range w.unit {
		_, importance := w.run(g)
		if importance != nil {
			u = float64(u * float64(absMax(importance)))
		}
		most = max(most, u)
	}
	if most == 0 {
		return
	}
	for g := range w.unit {
		w.unit[g] /= most
	}
}

func (w weighted) run(g int) (x, importance []float32) {
	lo, hi := w.layout.Span(g)
	if w.importance == nil {
		return w.x[lo:hi], nil
	}
	return w.x[lo:hi], w.importance[lo:hi]
}

// normalisation returns that of run g; a run of zeros stays as it is.
func (w weighted) normalisation(g int) normalisation {
	if w.scales == nil || w.scales[g] == 0 {
		return plainValues
	}
	return normalisation{w.scales[g], w.limit}
}

// absMax returns the largest magnitude of a normalised value: division and limit keep the order.
func (w weighted) absMax() float32 {
	var most float32
	for g := range w.unit {
		x, _ := w.run(g)
		most = max(most, w.normalisation(g).of(absMax(x)))
	}
	return most
}

// cells returns the fine histogram of the sample for k bins. It may be put into cellPool afterwards.
func (w weighted) cells(k int) *cells {
	c := newCells(cellCount(len(w.x), k), kneeShare)
	c.reset(float64(w.absMax()))
	for g, u := range w.unit {
		x, importance := w.run(g)
		c.add(x, importance, u, w.normalisation(g))
	}
	c.settle()
	return c
}

// divided returns w with its normalised values written out in a buffer; done gives that back.
func (w weighted) divided() (plain weighted, done func()) {
	if w.scales == nil {
		return w, func() {}
	}
	dst := borrow[float32](&floats, len(w.x))
	for g := range w.unit {
		lo, hi := w.layout.Span(g)
		n := w.normalisation(g)
		kernel.Div((*dst)[lo:hi], w.x[lo:hi], []float32{n.scale}, 1, 0)
		if n.limit != unlimited {
			kernel.Clamp((*dst)[lo:hi], (*dst)[lo:hi], -n.limit, n.limit)
		}
	}
	w.x, w.scales = *dst, nil
	return w, func() { floats.Put(dst) }
}

// countBalanced returns k bins of equal count, or of equal importance where there is one. The weights of runs count
// only in the levels. w has no scales.
func countBalanced(w weighted, k int, lv Levels) Codebook {
	cb := Codebook{Edges: make([]float32, k-1)}
	if w.importance == nil {
		Select(cb.Edges, w.x, countRanks(len(w.x), k))
	} else {
		c := uniformWeights(w.x, w.importance).cells(k)
		cb.Edges = c.edges(c.balanced(k, 1, lv))
	}
	cb.Levels = levelsOf(w.bins(cb), lv)
	return cb
}

// countRanks returns the ranks of the edges between k bins of n values, n >= 1: bin i holds the ranks from
// ceil(i*n/k) to ceil((i+1)*n/k) - 1.
func countRanks(n, k int) []int {
	ranks := make([]int, k-1)
	for i := range ranks {
		ranks[i] = min(((i+1)*n+k-1)/k, n-1)
	}
	return ranks
}

// bins sums the values of each bin of cb exactly as Assign would place them. w has no scales.
func (w weighted) bins(cb Codebook) []bin {
	k := len(cb.Edges) + 1
	bins := make([]bin, k)
	assign, codes := kernel.NewBins(cb.Edges, len(w.x)), make([]uint8, 1<<12)
	lo, hi := w.x[0], w.x[0]
	for g, u := range w.unit {
		x, importance := w.run(g)
		for at := 0; at < len(x); at += len(codes) {
			part := x[at:min(at+len(codes), len(x))]
			assign.Assign(codes[:len(part)], part, 1, unlimited)
			for i, v := range part {
				weight := u
				if importance != nil {
					weight = float64(u * float64(importance[at+i]))
				}
				b := &bins[codes[i]]
				b.mass += weight
				b.sum += float64(weight * float64(v))
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	for i := range bins {
		bins[i].lo, bins[i].hi = float64(lo), float64(hi)
		if i > 0 {
			bins[i].lo = float64(cb.Edges[i-1])
		}
		if i < k-1 {
			bins[i].hi = float64(cb.Edges[i])
		}
	}
	return bins
}

// quantizeCodebook fills q with the methods that share one codebook: Balanced and Lloyd. x and importance are in
// group order, and so are the codes.
func quantizeCodebook(q *Quantized, x, importance []float32, s Spec) {
	k := 1 << s.Bits
	w := normalise(q, x, importance, s.Norm)
	var cb Codebook
	switch {
	case absMax(q.Scales) == 0: // nothing but zeros
		cb = emptyCodebook(k)
	case s.Method == Balanced && s.P == 1:
		plain, done := w.divided()
		cb = countBalanced(plain, k, s.Levels)
		done()
		roundHalf(cb.Levels)
	default:
		c := w.cells(k)
		cb = nearestCodebook(c, k, s)
		cellPool.Put(c)
	}
	keepFinite(cb.Levels, absMax(q.Scales))
	q.Levels = cb.Levels
	bins := kernel.NewBins(cb.Edges, len(x))
	for g := range q.Scales {
		lo, hi := q.Layout.Span(g)
		n := w.normalisation(g)
		bins.Assign(q.Codes[lo:hi], x[lo:hi], n.scale, n.limit)
	}
	q.clearDead()
}

// nearestCodebook returns float16 levels of f^p-balanced or Lloyd bins and the edges midway between them: given the
// levels, the nearest one has the least squared error.
func nearestCodebook(c *cells, k int, s Spec) Codebook {
	var b []int
	switch {
	case s.Method == Balanced:
		b = c.balanced(k, s.P, s.Levels)
	case s.Levels == LevelsUniform:
		b = c.lloyd(c.clipped(k), maxRounds, s.Levels)
	default:
		b = c.lloyd(c.balanced(k, errorBalanced, s.Levels), maxRounds, s.Levels)
	}
	levels := c.levels(b, s.Levels)
	roundHalf(levels)
	return Codebook{midpoints(levels), levels}
}

// normalise sets the scales of q and returns the groups of x to be divided by theirs, weighted by importance*scale^2.
// With NormAbsMax the values are kept in [-1, 1], also where the scale could not be rounded up past the largest float32.
func normalise(q *Quantized, x, importance []float32, norm Norm) weighted {
	w := weighted{x, importance, q.Layout, make([]float64, len(q.Scales)), q.Scales, unlimited}
	if norm == NormAbsMax {
		w.limit = 1
	}
	for g := range q.Scales {
		part, _ := w.run(g)
		scale := scaleUp(float64(absMax(part)))
		if norm == NormRMS && scale > 0 {
			scale = max(scaleNearest(rms(part)), math.Float32frombits(minScale)) // the sum may underflow
		}
		q.Scales[g] = scale
		w.unit[g] = float64(float64(scale) * float64(scale))
	}
	w.scaleUnits()
	return w
}

// clearDead gives the elements of dead groups, in group order, the code whose value is +0: 0 times a level that is
// not negative. Where all levels are negative the value is -0.
func (q *Quantized) clearDead() {
	code := 0
	for code < len(q.Levels)-1 && (q.Levels[code] < 0 || q.Levels[code] == 0 && 1/q.Levels[code] < 0) {
		code++
	}
	for g, s := range q.Scales {
		if s != 0 {
			continue
		}
		lo, hi := q.Layout.Span(g)
		for i := lo; i < hi; i++ {
			q.Codes[i] = uint8(code)
		}
	}
}
