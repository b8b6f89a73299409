package balance

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Samples and plain reference versions shared by the tests.

const seed = 20261124

func gaussian(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// laplacian has the standard deviation sqrt(2).
func laplacian(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.ExpFloat64())
		if r.Uint32()&1 == 0 {
			x[i] = -x[i]
		}
	}
	return x
}

func uniform(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()
	}
	return x
}

func filled(n int, v float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = v
	}
	return x
}

func shuffled(x []float32) []float32 {
	y := slices.Clone(x)
	r := rand.New(rand.NewPCG(seed, 4))
	r.Shuffle(len(y), func(i, j int) { y[i], y[j] = y[j], y[i] })
	return y
}

// sortRef sorts by the total order of Select: -0 before +0, NaN last.
func sortRef(x []float32) []float32 {
	y := slices.Clone(x)
	slices.SortFunc(y, func(a, b float32) int {
		switch {
		case a != a || b != b:
			return boolInt(a != a) - boolInt(b != b)
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return boolInt(math.Signbit(float64(b))) - boolInt(math.Signbit(float64(a)))
	})
	return y
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sameBits treats all NaN as one value and -0 as different from +0.
func sameBits(a, b float32) bool {
	return a != a && b != b || math.Float32bits(a) == math.Float32bits(b)
}

// assignRef counts the edges <= v.
func assignRef(edges []float32, v float32) uint8 {
	n := 0
	for _, e := range edges {
		if v >= e {
			n++
		}
	}
	return uint8(n)
}

// quantizedSQNR quantizes x and returns the SQNR of what comes back.
func quantizedSQNR(x []float32, l Layout, s Spec) (float64, *Quantized) {
	q, err := Quantize(x, nil, l, s)
	if err != nil {
		panic(err)
	}
	y := make([]float32, len(x))
	q.Dequantize(y)
	return SQNR(x, y), q
}

var (
	nan    = float32(math.NaN())
	inf    = float32(math.Inf(1))
	tiny   = float32(math.SmallestNonzeroFloat32)
	huge   = float32(math.MaxFloat32)
	minus0 = float32(math.Copysign(0, -1))
)
