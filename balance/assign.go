package balance

import (
	"fmt"
	"math"
	"sort"
)

// Assign writes to dst[i] the bin of x[i]: the number of edges <= x[i]. -0 equals +0; NaN gets bin 0. At most 255
// edges; dst and x have one length.
func (cb Codebook) Assign(dst []uint8, x []float32) {
	if len(dst) != len(x) || len(cb.Edges) >= 1<<MaxBits {
		panic(fmt.Sprintf("balance: assigning %d values to %d codes by %d edges", len(x), len(dst), len(cb.Edges)))
	}
	newAssigner(cb.Edges, len(x)).to(dst, x)
}

// assigner finds bins with one table look-up on the top 16 bits of the float and, as a rule, one comparison.
type assigner struct {
	edges []float32 // followed by a NaN, which no value reaches
	start []uint8   // for each value of the top 16 bits of orderKey: the bin of the smallest value that has them
}

// smallSample is the length below which the table costs more than it saves.
const smallSample = 1 << 13

func newAssigner(edges []float32, n int) assigner {
	a := assigner{edges: append(append(make([]float32, 0, len(edges)+1), edges...), float32(math.NaN()))}
	if n < smallSample {
		return a
	}
	a.start = make([]uint8, 1<<16)
	c, limit := 0, int(orderKey(float32(math.Inf(1)))>>16)
	for top := int(orderKey(float32(math.Inf(-1)))>>16) + 1; top <= limit; top++ {
		for fromKey(uint32(top)<<16) >= a.edges[c] {
			c++
		}
		a.start[top] = uint8(c)
	}
	return a
}

// to writes the bins of x to the first len(x) codes of dst.
func (a assigner) to(dst []uint8, x []float32) {
	edges := a.edges
	if a.start == nil {
		for i, v := range x {
			inner := edges[:len(edges)-1]
			dst[i] = uint8(sort.Search(len(inner), func(k int) bool { return !(v >= inner[k]) }))
		}
		return
	}
	start := a.start[:1<<16]
	dst = dst[:len(x)]
	for i, v := range x {
		c := int(start[orderKey(v)>>16])
		for v >= edges[c] {
			c++
		}
		dst[i] = uint8(c)
	}
}
