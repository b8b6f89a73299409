package balance

import (
	"math"
	"sort"
	"sync"

	"bq/internal/kernel"
)

// cells is a histogram fine enough to stand for the values: cost of a search on it does not depend on their number.
// Its cells are equal steps of u = x/(|x| + knee), so that they are narrow near zero, where a bell-shaped tensor with
// outliers has its mass, and still 1/1820 of the largest magnitude wide at the ends (with 2^16 cells).
// Mass and moment are integers, so the order in which values are added does not matter.
type cells struct {
	share  float64 // knee = absmax/share
	knee   float64
	half   float64   // half the number of cells
	unit   []float64 // borders of the cells for knee 1
	lo, hi float64   // smallest and largest value of positive mass
	n      int       // number of values of positive mass
	cell   []cell
	at     []float64 // borders of the cells
	// Sums over the cells before cell c, by settle: sum w, sum w*x, sum w*x^2 (each cell taken at its mean).
	sum0, sum1, sum2 []float64
}

// cell is the sum of weights, weightUnit each for weight 1, and that of weight*position, the position of a value inside
// its cell in [0, cellParts).
type cell struct{ mass, moment int64 }

const (
	kneeShare  = 16      // of cells for codebooks
	weightUnit = 1 << 20 // integer mass of weight 1: 2^31 values stay below 2^51, which float64 holds exactly
	cellParts  = 1 << 8  // 2^31 * weightUnit * cellParts = 2^59
	maxCells   = 1 << 16
)

// cellCount returns a power of two for n values and k bins: 256 cells a bin are enough for edges, 16 a value for means.
func cellCount(n, k int) int {
	c := 1 << 12
	for c < maxCells && (c < 16*n || c < 16*k) {
		c *= 2
	}
	return c
}

// cellPool keeps cells for those who come next.
var cellPool sync.Pool

// newCells returns count cells, a power of two, whose knee is absmax/share; reset makes them ready. They may be put into
// cellPool afterwards.
func newCells(count int, share float64) *cells {
	if c, _ := cellPool.Get().(*cells); c != nil && len(c.cell) == count {
		c.share = share
		return c
	}
	c := &cells{
		share: share, half: float64(count / 2), unit: make([]float64, count+1),
		cell: make([]cell, count), at: make([]float64, count+1),
		sum0: make([]float64, count+1), sum1: make([]float64, count+1), sum2: make([]float64, count+1),
	}
	for k := range c.unit {
		u := (float64(k) - c.half) / c.half
		c.unit[k] = u / (1 - math.Abs(u))
	}
	c.unit[0], c.unit[count] = c.unit[1], c.unit[count-1] // not +-Inf: |u| <= 16/17, these cells stay empty
	return c
}

// reset empties the cells and sets their widths for values up to absmax.
func (c *cells) reset(absmax float64) {
	clear(c.cell)
	c.knee = absmax / c.share
	if c.knee == 0 {
		c.knee = 1
	}
	c.lo, c.hi, c.n = math.Inf(1), math.Inf(-1), 0
}

// position returns the place of x on the axis of cells: its cell and, behind the point, where it lies in it.
// half is a power of two, so the product is exact and a fused multiply-add changes nothing.
func (c *cells) position(x float64) float64 {
	return float64(x/(math.Abs(x)+c.knee)*c.half) + c.half
}

// add counts every x, normalised by n, with the weight unit*importance, at most 1; importance nil means 1.
func (c *cells) add(x, importance []float32, unit float64, n normalisation) {
	weight := int64(math.RoundToEven(unit * weightUnit))
	if weight == 0 || len(x) == 0 {
		return
	}
	if importance == nil {
		low, high, _ := kernel.MinMax(x)
		c.reach(n.of(low), len(x))
		c.reach(n.of(high), 0)
	}
	var at [1 << 10]uint32
	for len(x) > 0 {
		m := min(len(at), len(x))
		kernel.CellIndex(at[:m], x[:m], n.scale, min(n.limit, math.MaxFloat32), c.knee, c.half, uint32(len(c.cell)*cellParts-1))
		if importance == nil {
			for _, t := range at[:m] {
				k := &c.cell[t/cellParts]
				k.mass += weight
				k.moment += weight * int64(t%cellParts)
			}
		} else {
			c.addWeighted(at[:m], x[:m], importance[:m], unit, n)
			importance = importance[m:]
		}
		x = x[m:]
	}
}

// addWeighted counts values x at the given places, each with its own weight.
func (c *cells) addWeighted(at []uint32, x, importance []float32, unit float64, n normalisation) {
	for i, t := range at {
		weight := int64(math.RoundToEven(float64(unit*float64(importance[i])) * weightUnit))
		if weight == 0 {
			continue
		}
		k := &c.cell[t/cellParts]
		k.mass += weight
		k.moment += weight * int64(t%cellParts)
		c.reach(n.of(x[i]), 1)
	}
}

// reach widens the range of values to v, which stands for n of them.
func (c *cells) reach(v float32, n int) {
	c.lo, c.hi = min(c.lo, float64(v)), max(c.hi, float64(v))
	c.n += n
}

// settle computes the running sums and the borders of the cells once all values are in.
func (c *cells) settle() {
	for k, u := range c.unit {
		c.at[k] = float64(c.knee * u)
	}
	for k, m := range c.cell {
		w, x := float64(m.mass), 0.0
		if m.mass > 0 {
			x = c.inside(k, (float64(m.moment)/w+0.5)/cellParts)
		}
		wx := float64(w * x)
		c.sum0[k+1] = c.sum0[k] + w
		c.sum1[k+1] = c.sum1[k] + wx
		c.sum2[k+1] = c.sum2[k] + float64(wx*x)
	}
}

// inside returns the value at the given part of cell k, kept within the values' range.
func (c *cells) inside(k int, part float64) float64 {
	x := c.at[k] + float64((c.at[k+1]-c.at[k])*part)
	return min(max(x, c.lo), c.hi)
}

// border returns the number of cells that lie below x: an edge at x is moved to the nearest border of cells.
func (c *cells) border(x float64) int {
	return min(int(c.position(x)+0.5), len(c.cell))
}

// quantile returns the value below which the share p of the mass lies, linear inside a cell.
func (c *cells) quantile(p float64) float64 {
	total := c.sum0[len(c.cell)]
	want := float64(p * total)
	k := sort.Search(len(c.cell)-1, func(k int) bool { return c.sum0[k+1] >= want })
	if c.cell[k].mass == 0 {
		return c.inside(k, 0)
	}
	return c.inside(k, (want-c.sum0[k])/float64(c.cell[k].mass))
}

// occupied returns the cells that hold mass, or nil if there are more than limit.
func (c *cells) occupied(limit int) []int {
	var found []int
	for k, m := range c.cell {
		if m.mass == 0 {
			continue
		}
		if len(found) == limit {
			return nil
		}
		found = append(found, k)
	}
	return found
}
