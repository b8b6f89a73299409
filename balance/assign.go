package balance

import (
	"fmt"
	"math"

	"bq/internal/kernel"
)

// Assign writes to dst[i] the bin of x[i]: the number of edges <= x[i]. -0 equals +0; NaN gets bin 0. At most 255
// edges; dst and x have one length.
func (cb Codebook) Assign(dst []uint8, x []float32) {
	if len(dst) != len(x) || len(cb.Edges) >= 1<<MaxBits {
		panic(fmt.Sprintf("balance: assigning %d values to %d codes by %d edges", len(x), len(dst), len(cb.Edges)))
	}
	kernel.NewBins(cb.Edges, len(x)).Assign(dst, x, 1, unlimited)
}

// unlimited is a limit that no finite value exceeds.
var unlimited = float32(math.Inf(1))
