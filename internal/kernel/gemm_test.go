package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTiles compares every size of tile, start and bound with the plain sum, and checks that nothing around the tile is
// written.
func TestTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	most, width := use.blocking()
	for rows := 1; rows <= most; rows++ {
		for cols := 1; cols <= width; cols++ {
			k := []int{0, 1, 2, 3, 4, 5, 8, 31}[rng.IntN(8)]
			lda, ldb, ldc := k+rng.IntN(3), width+rng.IntN(5), cols+rng.IntN(4)
			a, b := randomFloats(rows*lda+k+1, uint64(rows)), randomFloats(k*ldb+width, uint64(cols))
			before := randomFloats(rows*ldc+8, 9)
			bias := randomFloats(rows, 10)
			from := start(rng.IntN(3))
			tl := tile{a: a, b: b, lda: lda, ldb: ldb, ldc: ldc, rows: rows, cols: cols, k: k, from: from, bias: bias, low: -0.5, high: 0.75}
			got, want := slices.Clone(before), slices.Clone(before)
			scale := make([]float64, len(want))
			exact := make([]float64, len(want))
			for i, v := range want {
				exact[i] = float64(v)
			}
			for i := range rows {
				for j := range cols {
					s := [...]float64{0, float64(before[i*ldc+j]), float64(bias[i])}[from]
					for p := range k {
						v := float64(a[i*lda+p]) * float64(b[p*ldb+j])
						s += v
						scale[i*ldc+j] += math.Abs(v)
					}
					exact[i*ldc+j] = min(max(s, -0.5), 0.75)
				}
			}
			tl.dst = got
			tl.run()
			near(t, fmt.Sprintf("%d rows, %d columns, k %d, from %d", rows, cols, k, from), got, exact, scale)
		}
	}
}

// A NaN passes the bounds, and infinities take them.
func TestTileBoundsKeepNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		got := make([]float32, 3)
		Product(got, 3, 1, 3, 1, RowMajor([]float32{1}, 1), RowMajor([]float32{nan, inf, -inf}, 3), Epilogue{Clamp: true, Low: 0, High: 6}, 1)
		if got[0] == got[0] || got[1] != 6 || got[2] != 0 {
			t.Errorf("NaN, Inf, -Inf bounded to 0..6: %v", got)
		}
	})
}

func TestProduct(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 0}, {3, 4, 0}, {1, 33, 17}, {9, 1, 40}, {5, 37, 3}, {13, 65, 300}, {70, 100, 513}} {
		m, n, k := s[0], s[1], s[2]
		x, y, bias, columns := randomFloats(m*k, 1), randomFloats(k*n, 2), randomFloats(m, 3), randomFloats(n, 4)
		start := make([]float32, m*n)
		for form := range 8 {
			e := Epilogue{Bias: bias, Clamp: true, Low: -1, High: float32(math.Inf(1))}
			if form&4 != 0 {
				e.Bias, e.Columns = nil, columns
			}
			for i := range start {
				if start[i] = bias[i/n]; form&4 != 0 {
					start[i] = columns[i%n]
				}
			}
			a, b := RowMajor(x, k), RowMajor(y, n)
			if form&1 != 0 {
				a = RowMajor(x, m).T()
			}
			if form&2 != 0 {
				b = RowMajor(y, k).T()
			}
			want, scale := gemmRef(m, n, k, a, b, start)
			for i, v := range want {
				want[i] = max(v, -1)
			}
			got := make([]float32, m*n)
			Product(got, n, m, n, k, a, b, e, 1)
			near(t, fmt.Sprintf("%v form %d", s, form), got, want, scale)
			packed := make([]float32, m*n)
			ProductPacked(packed, n, m, a, Pack(b, k, n), e, 3)
			near(t, fmt.Sprintf("%v form %d, packed", s, form), packed, want, scale)
		}
	}
}

func TestConvClamp(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 2))
	for i := range 60 {
		w := randomWindow(rng)
		group := 1 + rng.IntN(3)
		cg, og := 1+rng.IntN(2), 1+rng.IntN(3)
		inC, outC := group*cg, group*og
		x, weights, bias := randomFloats(inC*w.InSize(), uint64(i)), randomFloats(outC*cg*w.KernelSize(), uint64(i+1000)), randomFloats(outC, 7)
		want, scale := convRef(x, weights, bias, 1, inC, outC, group, w)
		for i, v := range want {
			want[i] = min(max(v, 0), 0.5)
		}
		got := make([]float32, len(want))
		Conv(got, x, weights, bias, 1, inC, outC, group, w, Epilogue{Clamp: true, Low: 0, High: 0.5}, 2)
		near(t, fmt.Sprintf("%+v group %d", *w, group), got, want, scale)
	}
}

// TestStrips compares strips of all widths, heights and steps with the plain form.
func TestStrips(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	lanes := use.lanes()
	for cols := 1; cols <= lanes; cols++ {
		for rows := 1; rows <= 9; rows++ {
			step, taps := 1+rng.IntN(2), 1+rng.IntN(10)
			pitch := 2*lanes + 11
			s := strip{rows: rows, cols: cols, step: step, dstPitch: cols + rng.IntN(3), srcPitch: pitch * (1 + rng.IntN(2)),
				bias: 0.25, low: -0.5, high: 0.5, w: randomFloats(taps, uint64(rows))}
			for range taps {
				s.offsets = append(s.offsets, 4*(rng.IntN(3)*pitch+rng.IntN(8)))
			}
			slices.Sort(s.offsets)
			s.src = randomFloats(rows*s.srcPitch+3*pitch+2*lanes+stripSlack, uint64(cols))
			before := randomFloats(rows*s.dstPitch+lanes, 8)
			got, want := slices.Clone(before), slices.Clone(before)
			s.dst = want
			s.runPlain()
			s.dst = got
			s.run()
			exact, scale := make([]float64, len(want)), make([]float64, len(want))
			for i, v := range want {
				exact[i], scale[i] = float64(v), 10
			}
			near(t, fmt.Sprintf("%+v", s.offsets), got, exact, scale)
		}
	}
}

// Padding that a file claims must not decide an allocation: here padded planes would take 10^14 elements.
func TestConvWithPaddingOutOfProportion(t *testing.T) {
	const far = 10_000_000
	w := &Window{In: [3]int{1, 1, 1}, Kernel: [3]int{1, 1, 1}, Out: [3]int{1, 2, 2}, Stride: [3]int{1, far, far}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, far, far}}
	for _, group := range []int{1, 2} {
		y := make([]float32, 8)
		Conv(y, []float32{3, 5}, []float32{2, 7, 11, 13}[:4/group], nil, 1, 2, 2, group, w, Epilogue{}, 1)
		if want := map[int][]float32{1: {0, 0, 0, 41, 0, 0, 0, 98}, 2: {0, 0, 0, 6, 0, 0, 0, 35}}[group]; !slices.Equal(y, want) {
			t.Errorf("group %d: %v, want %v", group, y, want)
		}
		sums := make([]int32, 8)
		ConvBytes(sums, []uint8{3, 5}, 1, []int8{2, 7, 11, 13}[:4/group], 1, 2, 2, group, w, 1)
		if want := map[int][]int32{1: {9, 9, 9, 41, 24, 24, 24, 98}, 2: {2, 2, 2, 6, 7, 7, 7, 35}}[group]; !slices.Equal(sums, want) {
			t.Errorf("bytes, group %d: %v, want %v", group, sums, want)
		}
	}
}
