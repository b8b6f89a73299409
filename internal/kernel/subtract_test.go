package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomDoubles returns n values of many magnitudes, now and then a zero of either sign.
func randomDoubles(rng *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = math.Ldexp(rng.NormFloat64(), rng.IntN(40)-20)
		if rng.IntN(10) == 0 {
			x[i] = math.Copysign(0, x[i])
		}
	}
	return x
}

// subtractRef subtracts one product after another from each element.
func subtractRef(dst []float64, ldd, m, n, k int, e []float64, lde int, u []float64, ldu int) {
	for i := range m {
		for j := range n {
			for p := range k {
				product := e[i*lde+p] * u[p*ldu+j]
				dst[i*ldd+j] -= float64(product)
			}
		}
	}
}

func sameDoubles(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
	})
}

// checkSubtract runs one size, the operands where place puts them; columns between n and ldd stay.
func checkSubtract(t *testing.T, rng *rand.Rand, m, n, k int, place func(x []float64) []float64) {
	t.Helper()
	ldd, lde, ldu := n+rng.IntN(3), k+rng.IntN(3), n+rng.IntN(3)
	size := func(rows, ld, cols int) int { return max(0, (rows-1)*ld+cols) }
	dst := randomDoubles(rng, size(m, ldd, n))
	e, u := place(randomDoubles(rng, size(m, lde, k))), place(randomDoubles(rng, size(k, ldu, n)))
	if len(e) > 3 && rng.IntN(4) == 0 {
		e[rng.IntN(len(e))], e[rng.IntN(len(e))] = math.Inf(1), math.NaN()
	}
	want, got := slices.Clone(dst), place(dst)
	subtractRef(want, ldd, m, n, k, e, lde, u, ldu)
	SubtractProduct(got, ldd, m, n, k, e, lde, u, ldu)
	if !sameDoubles(got, want) {
		t.Fatalf("m=%d n=%d k=%d: other bits", m, n, k)
	}
}

func TestSubtractProduct(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for n := 1; n <= 40; n++ {
			for _, m := range []int{1, 3, 4, 8, 13} {
				checkSubtract(t, rng, m, n, 1+n%7, slices.Clone[[]float64])
			}
		}
		for _, k := range []int{1, subtractDepth - 1, subtractDepth, subtractDepth + 1, 3*subtractDepth + 5} {
			for _, m := range []int{1, 7, 17} {
				checkSubtract(t, rng, m, 35, k, slices.Clone[[]float64])
			}
		}
		for _, none := range [][3]int{{0, 3, 3}, {3, 0, 3}, {3, 3, 0}, {0, 0, 0}} {
			SubtractProduct(nil, 3, none[0], none[1], none[2], nil, 3, nil, 3)
		}
	})
}

// Operands that are too short are met before anything is written.
func TestSubtractProductNeedsItsOperands(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for i := range 3 {
			size := [3]int{2*20 + 17, 2*9 + 9, 8*20 + 17}
			size[i]--
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("operand %d too short: got no panic", i)
					}
				}()
				SubtractProduct(make([]float64, size[0]), 20, 3, 17, 9, make([]float64, size[1]), 9, make([]float64, size[2]), 20)
			}()
		}
	})
}

// 10 - 2*3 - 4*0.5 and 20 - 2*5 - 4*0.25.
func ExampleSubtractProduct() {
	dst := []float64{10, 20}
	SubtractProduct(dst, 2, 1, 2, 2, []float64{2, 4}, 2, []float64{3, 5, 0.5, 0.25}, 2)
	fmt.Println(dst)
	// Output: [2 9]
}

func BenchmarkSubtractProduct(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	for l := plain; l <= best; l++ {
		for _, s := range [][3]int{{16, 512, 64}, {16, 2048, 64}, {1, 512, 64}, {16, 32, 1}, {16, 29, 1}, {16, 500, 1}} {
			m, n, k := s[0], s[1], s[2]
			dst, e, u := randomDoubles(rng, m*n), make([]float64, m*k), randomDoubles(rng, k*n)
			b.Run(fmt.Sprintf("%v/m=%d/n=%d/k=%d", l, m, n, k), func(b *testing.B) {
				use = l
				defer func() { use = best }()
				for b.Loop() {
					SubtractProduct(dst, n, m, n, k, e, k, u, n)
				}
				b.ReportMetric(float64(m*n*k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gproducts/s")
			})
		}
	}
}
