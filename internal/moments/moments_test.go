package moments

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// integers returns n whole numbers of -7 to 7: their products and sums over a chunk of rows are exact in float32.
func integers(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.IntN(15) - 7)
	}
	return x
}

// normals returns n values of a normal distribution around mean.
func normals(rng *rand.Rand, n int, mean float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(mean + rng.NormFloat64())
	}
	return x
}

// momentsRef is what a Sums should hold of n rows: mean of z and of x [groups*k], second and shift [groups, k, k].
type momentsRef struct{ mean, twin, second, shift []float64 }

// refOf sums in float64, one row after another. x nil means no twin.
func refOf(z, x []float32, n, groups, k int) *momentsRef {
	width := groups * k
	r := &momentsRef{make([]float64, width), make([]float64, width), make([]float64, width*k), make([]float64, width*k)}
	if x == nil {
		x = z
	}
	for p := range n {
		for i := range width {
			zi, xi := float64(z[p*width+i]), float64(x[p*width+i])
			r.mean[i] += zi / float64(n)
			r.twin[i] += xi / float64(n)
			for j := range k {
				zj := float64(z[p*width+i/k*k+j])
				r.second[i*k+j] += zi * zj / float64(n)
				r.shift[i*k+j] += (xi - zi) * zj / float64(n)
			}
		}
	}
	return r
}

// centre takes the products of the means away.
func (r *momentsRef) centre(k int) {
	for i := range r.mean {
		for j := range k {
			other := r.mean[i/k*k+j]
			r.second[i*k+j] -= r.mean[i] * other
			r.shift[i*k+j] -= (r.twin[i] - r.mean[i]) * other
		}
	}
}

// compare holds all moments of s against r.
func (r *momentsRef) compare(t *testing.T, s *Sums, twin, centred bool, tolerance float64) {
	t.Helper()
	k := s.K()
	near := func(what string, got, want []float64) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= tolerance }) {
			t.Errorf("%s: got %v, want %v", what, got[:min(8, len(got))], want[:min(8, len(want))])
		}
	}
	for g := range s.Groups() {
		part, square := func(x []float64) []float64 { return x[g*k : (g+1)*k] }, func(x []float64) []float64 { return x[g*k*k : (g+1)*k*k] }
		near(fmt.Sprintf("mean of group %d", g), s.Mean(g), part(r.mean))
		second := s.Second(g, centred)
		near(fmt.Sprintf("second moment of group %d", g), second, square(r.second))
		for i := range second {
			if second[i] != second[i%k*k+i/k] {
				t.Fatalf("group %d: element %d is not that across the diagonal", g, i)
			}
		}
		if twin {
			near(fmt.Sprintf("mean of the twin of group %d", g), s.TwinMean(g), part(r.twin))
			near(fmt.Sprintf("shift of group %d", g), s.Shift(g, centred), square(r.shift))
		}
	}
}

// The moments of whole numbers are exact up to the last division, for widths on both sides of the direct loop, several
// groups, and rows that fill chunks or not, in one piece or in many.
func TestSumsOfIntegers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{1, 2, direct, direct + 1, 40, 200} {
		for _, groups := range []int{1, 3} {
			for _, n := range []int{1, 7, chunk, chunk + 1, 2*chunk + 300} {
				if k == 200 && n > chunk+1 {
					continue
				}
				for _, twin := range []bool{false, true} {
					width := groups * k
					z, x := integers(rng, n*width), []float32(nil)
					if twin {
						x = integers(rng, n*width)
					}
					want := refOf(z, x, n, groups, k)
					s := New(groups, k, twin)
					s.Add(z, x, n, 2)
					if s.Len() != n || s.Groups() != groups || s.K() != k {
						t.Fatalf("%d rows of %d groups of %d, want %d, %d, %d", s.Len(), s.Groups(), s.K(), n, groups, k)
					}
					want.compare(t, s, twin, false, sumTolerance)
					pieces := New(groups, k, twin)
					for at := 0; at < n; {
						m := min(n-at, 1+rng.IntN(400))
						var part []float32
						if twin {
							part = x[at*width:]
						}
						pieces.Add(z[at*width:], part, m, 1)
						at += m
					}
					want.compare(t, pieces, twin, false, sumTolerance)
					want.centre(k)
					want.compare(t, pieces, twin, true, sumTolerance)
				}
			}
		}
	}
}

// sumTolerance is what the references differ by, which divide before they add: values are below 50.
const sumTolerance = 1e-10

// chunkTolerance is what float32 sums of a chunk are off by, with means near 3: 512 roundings of 2^-24 of sums up to 10*512,
// divided by 512, if they all went one way; measured 2e-6.
const chunkTolerance = 512 * 10 * 6e-8

// Rows with a mean: centring takes most of the second moment away and leaves the covariance, near the unit matrix.
func TestSumsCentred(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 3 * chunk
	for _, k := range []int{5, 30} {
		z := normals(rng, n*2*k, 3)
		x := slices.Clone(z)
		for i := range x {
			x[i] += 0.1 * float32(rng.NormFloat64())
		}
		s, want := New(2, k, true), refOf(z, x, n, 2, k)
		s.Add(z, x, n, 1)
		want.compare(t, s, true, false, chunkTolerance)
		want.centre(k)
		want.compare(t, s, true, true, chunkTolerance)
		second := s.Second(1, true)
		for i, v := range second {
			unit := 0.0
			if i/k == i%k {
				unit = 1
			}
			if math.Abs(v-unit) > 0.2 { // five standard errors of 1536 samples
				t.Errorf("covariance %d of %d inputs: %v, want near %v", i, k, v, unit)
			}
		}
	}
}

// Without rows everything is zero; so it is before any were added.
func TestSumsOfNothing(t *testing.T) {
	s := New(2, 3, true)
	for range 2 {
		zero3, zero9 := make([]float64, 3), make([]float64, 9)
		if !slices.Equal(s.Mean(1), zero3) || !slices.Equal(s.TwinMean(1), zero3) || !slices.Equal(s.Second(1, true), zero9) ||
			!slices.Equal(s.Shift(1, true), zero9) || s.Len() != 0 {
			t.Error("sums of nothing are not zero")
		}
		s.Add(nil, nil, 0, 1)
	}
	none := New(0, 4, false)
	none.Add(nil, nil, 5, 1)
	empty := New(2, 0, false)
	empty.Add(nil, nil, 5, 1)
	if none.Len() != 5 || empty.Len() != 5 || len(empty.Second(0, false)) != 0 {
		t.Error("rows of no values do not count")
	}
}

func TestSumsThreads(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const n, groups, k = chunk + 100, 2, 70
	z, x := normals(rng, n*groups*k, 0), normals(rng, n*groups*k, 0)
	one := New(groups, k, true)
	one.Add(z, x, n, 1)
	for _, threads := range []int{0, 2, 3, 8} {
		s := New(groups, k, true)
		s.Add(z, x, n, threads)
		for g := range groups {
			if !slices.Equal(s.Second(g, false), one.Second(g, false)) || !slices.Equal(s.Shift(g, false), one.Shift(g, false)) {
				t.Errorf("%d threads give other bits", threads)
			}
		}
	}
}

// NaN shows in what it has part in, and leaves other inputs alone.
func TestSumsOfNaN(t *testing.T) {
	for _, k := range []int{3, direct + 3} {
		z := make([]float32, 2*k)
		for i := range z {
			z[i] = 1
		}
		z[1] = float32(math.NaN())
		s := New(1, k, false)
		s.Add(z, nil, 2, 1)
		second, mean := s.Second(0, false), s.Mean(0)
		for i, v := range second {
			if (v != v) != (i/k == 1 || i%k == 1) {
				t.Errorf("%d inputs, element %d: %v", k, i, v)
			}
		}
		if mean[1] == mean[1] || mean[0] != 1 {
			t.Errorf("%d inputs: means %v", k, mean)
		}
	}
}

func TestAddNeedsItsRows(t *testing.T) {
	for name, f := range map[string]func(){
		"rows":    func() { New(1, 3, false).Add(make([]float32, 5), nil, 2, 1) },
		"no twin": func() { New(1, 3, true).Add(make([]float32, 6), nil, 2, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("too few %s: got no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestBytes(t *testing.T) {
	rows := []struct {
		groups, k int
		twin      bool
		want      int64
	}{
		{1, 3, false, 72}, {2, 3, false, 144}, {2, 3, true, 288}, {0, 5, true, 0}, {5, 0, true, 0},
		{1, 1 << 30, false, math.MaxInt64}, {1 << 31, 1 << 31, true, math.MaxInt64}, {1, math.MaxInt, true, math.MaxInt64},
	}
	for _, row := range rows {
		if got := Bytes(row.groups, row.k, row.twin); got != row.want {
			t.Errorf("%d groups of %d, twin %v: got %d, want %d", row.groups, row.k, row.twin, got, row.want)
		}
	}
}

// Two rows of a layer with two inputs, and what was rounded on its way there.
func ExampleSums() {
	s := New(1, 2, true)
	s.Add([]float32{1, 2, 3, 0}, []float32{1, 2.5, 3, 0}, 2, 1)
	fmt.Println(s.Mean(0), s.Second(0, false), s.Second(0, true))
	fmt.Println(s.Shift(0, false))
	// Output:
	// [2 1] [5 1 1 2] [1 -1 -1 1]
	// [0 0 0.25 0.5]
}

func BenchmarkAdd(b *testing.B) {
	for _, shape := range []struct {
		groups, k int
		twin      bool
	}{{1, 576, false}, {1, 576, true}, {1, 64, false}, {1, 2304, false}, {64, 9, false}} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("groups=%d/k=%d/twin=%v/threads=%d", shape.groups, shape.k, shape.twin, threads), func(b *testing.B) {
				const n = 2 * chunk
				rng := rand.New(rand.NewPCG(1, 1))
				z := normals(rng, n*shape.groups*shape.k, 0)
				s := New(shape.groups, shape.k, shape.twin)
				for b.Loop() {
					s.Add(z, z, n, threads)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
			})
		}
	}
}
