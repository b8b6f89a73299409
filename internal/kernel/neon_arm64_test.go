package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// The kernels find their arguments by these offsets: constants of _generate/gemm.go and _generate/depthwise.go.
func TestArgumentsLieWhereKernelsReadThem(t *testing.T) {
	var a tileArgs
	for i, got := range []uintptr{
		unsafe.Offsetof(a.dst), unsafe.Offsetof(a.ldc), unsafe.Offsetof(a.a), unsafe.Offsetof(a.lda), unsafe.Offsetof(a.b),
		unsafe.Offsetof(a.ldb), unsafe.Offsetof(a.k), unsafe.Offsetof(a.bias), unsafe.Offsetof(a.from), unsafe.Offsetof(a.low),
	} {
		if got != uintptr(8*i) {
			t.Errorf("field %d of a tile at %d, want %d", i, got, 8*i)
		}
	}
	if got := unsafe.Offsetof(a.high) - unsafe.Offsetof(a.low); got != 4 {
		t.Errorf("high of a tile %d behind low, want 4", got)
	}
	var s stripArgs
	for i, got := range []uintptr{
		unsafe.Offsetof(s.dst), unsafe.Offsetof(s.dstPitch), unsafe.Offsetof(s.src), unsafe.Offsetof(s.srcPitch), unsafe.Offsetof(s.rows),
		unsafe.Offsetof(s.taps), unsafe.Offsetof(s.offsets), unsafe.Offsetof(s.w), unsafe.Offsetof(s.low), unsafe.Offsetof(s.bias),
	} {
		if got != uintptr(8*i) {
			t.Errorf("field %d of a strip at %d, want %d", i, got, 8*i)
		}
	}
	if got := unsafe.Offsetof(s.cols) - unsafe.Offsetof(s.bias); got != 4 {
		t.Errorf("columns of a strip %d behind the bias, want 4", got)
	}
}

// An element of a tile has the same bits in a tile of every shape: those of fused multiply-adds in the order of p.
func TestTileShapesAgree(t *testing.T) {
	const rows, cols, k = 8, 12, 37
	a, b, bias := randomFloats(rows*k, 1), randomFloats(k*cols, 2), randomFloats(rows, 3)
	want := make([]float32, rows*cols)
	for i := range want {
		s := bias[i/cols]
		for p := range k {
			s = fused(a[i/cols*k+p], b[p*cols+i%cols], s)
		}
		want[i] = s
	}
	inf := float32(math.Inf(1))
	for _, shape := range [][2]int{{8, 12}, {4, 12}, {1, 12}, {8, 8}, {2, 8}, {8, 4}, {8, 2}, {4, 1}, {1, 1}, {7, 11}, {3, 5}} {
		got := make([]float32, rows*cols)
		for i := 0; i < rows; i += shape[0] {
			for j := 0; j < cols; j += shape[1] {
				tl := tile{dst: got[i*cols+j:], a: a[i*k:], b: b[j:], ldc: cols, lda: k, ldb: cols, rows: min(shape[0], rows-i),
					cols: min(shape[1], cols-j), k: k, from: fromBias, bias: bias[i:], low: -inf, high: inf}
				tl.run()
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("tiles of %v give other bits than fused multiply-adds one after the other", shape)
		}
	}
}

// fused returns x*y + z, rounded once: a product of two float32 is exact in float64, and a sum that lies half-way between
// two float32 after its rounding to float64 is told from one that does not by the error of that rounding (Boldo and
// Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57(4), 2008: rounding to odd).
func fused(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	back := s - p
	rest := (p - (s - back)) + (c - back) // Knuth's two-sum
	if rest != 0 && math.Float64bits(s)&1 == 0 {
		toward := math.Inf(1)
		if rest < 0 {
			toward = math.Inf(-1)
		}
		s = math.Nextafter(s, toward)
	}
	return float32(s)
}

// Bounds work as Go's comparisons do: a zero that is not below the bound stays with its sign, and a bound that is NaN
// bounds nothing.
func TestClampIsGos(t *testing.T) {
	nan, inf, negZero := float32(math.NaN()), float32(math.Inf(1)), float32(math.Copysign(0, -1))
	x := []float32{negZero, 0, 1, -1, nan, inf, -inf}
	for _, bounds := range [][2]float32{{0, 6}, {negZero, 6}, {nan, 0.5}, {-0.5, nan}, {nan, nan}, {2, 1}, {-inf, inf}} {
		got, want := make([]float32, len(x)), make([]float32, len(x))
		spansOf(neon).clamp(got, x, bounds[0], bounds[1])
		plainSpans.clamp(want, x, bounds[0], bounds[1])
		for i, w := range want {
			if math.Float32bits(got[i]) != math.Float32bits(w) && (got[i] == got[i] || w == w) {
				t.Errorf("%v bounded to %v: %v, want %v", x[i], bounds, got[i], w)
			}
		}
	}
}

// Runs of columns of every length and step, also where nothing follows the last element, are copied as in Go.
func TestPackRuns(t *testing.T) {
	for step := 1; step <= 3; step++ {
		for n := 1; n <= maxRun; n++ {
			for slack := range 2 {
				offsets := []int{0, 12, 12, 400, 804}
				src := randomFloats(201+(n-1)*step+1+slack, uint64(n))
				width := n + n%3
				got := make([]float32, len(offsets)*width)
				want := slices.Clone(got)
				packRun(got, src, offsets, n, width, step)
				packRunPlain(want, src, offsets, n, width, step)
				if !slices.Equal(got, want) {
					t.Errorf("%d columns, step %d, slack %d: %v, want %v", n, step, slack, got, want)
				}
			}
		}
	}
	packRun(nil, nil, nil, 3, 12, 1)
}

// Transposes of every small size, with gaps between lines, which stay as they are.
func TestTransposeFours(t *testing.T) {
	for rows := range 14 {
		for cols := range 14 {
			ldd, ldx := rows+2, cols+1
			x := randomFloats(rows*ldx+1, 3)
			got := randomFloats(cols*ldd+1, 4)
			want := slices.Clone(got)
			transposeFours(got, x, rows, cols, ldd, ldx)
			transposePlain(want, x, rows, cols, ldd, ldx)
			if !slices.Equal(got, want) {
				t.Errorf("%d rows, %d columns differ", rows, cols)
			}
		}
	}
}

// Loops agree with those in Go on any bit patterns: what FuzzVectorForms does with the numbers that it is given.
func TestNeonFormsOnBitPatterns(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for round := range 300 {
		x := make([]float32, rng.IntN(90))
		for i := range x {
			x[i] = math.Float32frombits(rng.Uint32())
			if round%3 == 0 {
				x[i] = float32(rng.NormFloat64() * 3)
			}
		}
		compareForms(t, levels[neon], x)
		if t.Failed() {
			t.Fatalf("of %v", x)
		}
	}
}

// Taps of step 2, alone and many, agree with those in Go.
func TestTapsOfEveryLength(t *testing.T) {
	x := randomFloats(200, 5)
	x[31] = float32(math.NaN())
	for n := range 50 {
		for taps := 1; taps < 5; taps++ {
			offsets := []int{0, 1, 7, 9}[:taps]
			for i, f := range [][2]tapFunc{
				{levels[neon].tapMax, plainVectors.tapMax}, {levels[neon].tapSum, plainVectors.tapSum},
				{levels[neon].tapMaxEven, plainVectors.tapMaxEven}, {levels[neon].tapSumEven, plainVectors.tapSumEven},
			} {
				got, want := make([]float32, n), make([]float32, n)
				f[0](got, x, offsets)
				f[1](want, x, offsets)
				sameFloats(t, fmt.Sprintf("form %d, %d elements, %d taps", i, n, taps), got, want)
			}
		}
	}
}

// Dot products of every length are those in Go but for the order of the sum.
func TestDots(t *testing.T) {
	for n := 1; n < 40; n++ {
		x, w := randomFloats(n, 1), randomFloats(4*(n+3), 2)
		var got [4]float32
		dots(&got, x, w, n+3)
		want, scale := gemmRef(4, 1, n, RowMajor(w, n+3), RowMajor(x, 1), make([]float32, 4))
		near(t, fmt.Sprint(n), got[:], want, scale)
	}
}
