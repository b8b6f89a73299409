package infer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"bq/onnxio"
)

// padRef is the element of a padded array at a position of its shape: that of x, or -1 for the constant.
func padRef(x []int64, in, pads, at []int, mode string) int64 {
	place := 0
	for d, n := range in {
		i := at[d] - pads[d]
		for i < 0 || i >= n {
			switch mode {
			case "edge":
				i = min(max(i, 0), n-1)
			case "wrap":
				i += map[bool]int{true: n, false: -n}[i < 0]
			case "reflect":
				if n == 1 {
					i = 0
				} else if i < 0 {
					i = -i
				} else {
					i = 2*(n-1) - i
				}
			default:
				return -1
			}
		}
		place = place*n + i
	}
	return x[place]
}

// Every element of a padded array comes from where it should, whatever the dimensions, the pads and the type.
func TestPad(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	types := []onnxio.DataType{onnxio.Int64, onnxio.Float, onnxio.Int8, onnxio.String, onnxio.Double, onnxio.Int16}
	for i := range 2000 {
		rank, mode := rng.IntN(5), []string{"constant", "edge", "reflect", "wrap"}[i%4]
		shape, pads, count := make([]int, rank), make([]int, 2*rank), 1
		for d := range shape {
			shape[d] = 1 + rng.IntN(3)
			if rng.IntN(3) > 0 {
				pads[d], pads[rank+d] = rng.IntN(5)-1, rng.IntN(5)-1
			}
			count *= shape[d]
		}
		x := make([]int64, count)
		for k := range x {
			x[k] = int64(1 + k)
		}
		checkPad(t, x, shape, pads, mode, types[i%len(types)])
	}
}

func checkPad(t *testing.T, x []int64, shape, pads []int, mode string, to onnxio.DataType) {
	t.Helper()
	r := &run{limit: 1 << 30, arena: &arena{poison: true}}
	typed, err := r.cast(onnxio.Int64s(x, shape...), to)
	if err != nil {
		t.Fatal(err)
	}
	what := fmt.Sprint(to, shape, " padded by ", pads, " ", mode)
	want, out := []string{}, make([]int, len(shape))
	size := 1
	for d, n := range shape {
		if out[d] = n + pads[d] + pads[len(shape)+d]; out[d] < 0 {
			if _, err := r.pad(typed, pads, mode, nil); err == nil {
				t.Errorf("%s: no error", what)
			}
			return
		}
		size *= out[d]
	}
	for i := range size {
		at, rest := make([]int, len(out)), i
		for d := len(out) - 1; d >= 0; d-- {
			at[d], rest = rest%out[d], rest/out[d]
		}
		want = append(want, fmt.Sprint(padRef(x, shape, pads, at, mode)))
	}
	fill, err := r.cast(onnxio.Int64s([]int64{-1}), to)
	if err != nil {
		t.Fatal(err)
	}
	y, err := r.pad(typed, pads, mode, fill)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	text, err := r.cast(y, onnxio.String)
	if err != nil {
		t.Fatal(err)
	}
	if got := text.Data.([]string); !slices.Equal(got, want) || !slices.Equal(y.Shape, out) {
		t.Errorf("%s: %v %v, want %v %v", what, y.Shape, got, out, want)
	}
}

// Where nothing is given, the constant is zero; an array without elements is padded by the constant alone.
func TestPadByZero(t *testing.T) {
	r := &run{limit: 1 << 30, arena: &arena{poison: true}}
	for _, tt := range []struct{ shape, pads, want []int }{
		{[]int{0}, []int{2, 1}, []int{3}}, {[]int{2, 0}, []int{0, 1, 0, 1}, []int{2, 2}}, {[]int{0, 2}, []int{1, 0, 0, 0}, []int{1, 2}},
		{[]int{0, 2}, []int{0, 1, 0, 0}, []int{0, 3}},
	} {
		y, err := r.pad(onnxio.NewArray(onnxio.Float, tt.shape...), tt.pads, "constant", nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(y.Shape, tt.want) || !slices.Equal(y.F32(), make([]float32, product(tt.want))) {
			t.Errorf("%v by %v: %v %v", tt.shape, tt.pads, y.Shape, y.F32())
		}
	}
}

// Runs of every length arrive whole, and nothing else is written.
func TestCopyRuns(t *testing.T) {
	for n := range 20 {
		for count := range 5 {
			for gap := range 3 {
				src, got := make([]int32, 3+count*(n+gap)), make([]int32, 5+count*(n+2*gap))
				want := slices.Clone(got)
				for i := range src {
					src[i] = int32(1 + i)
				}
				for i := range count {
					for k := range n {
						want[5+i*(n+2*gap)+k] = src[3+i*(n+gap)+k]
					}
				}
				copyEach(got, src, runs{n: n, count: count, from: 3, fromStep: n + gap, to: 5, toStep: n + 2*gap})
				if !slices.Equal(got, want) {
					t.Errorf("%d runs of %d, %d apart: %v, want %v", count, n, gap, got, want)
				}
			}
		}
	}
}

// Concat puts parts of every length beside one another, for every type.
func TestConcatShortRuns(t *testing.T) {
	r := &run{limit: 1 << 30}
	for _, to := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64,
		onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64, onnxio.String} {
		for a := range 10 {
			const rows, b = 3, 2
			x, y, want := make([]int64, rows*a), make([]int64, rows*b), []string{}
			for i := range rows {
				for k := range a {
					x[i*a+k] = int64(10*i + k)
					want = append(want, fmt.Sprint(10*i+k))
				}
				for k := range b {
					y[i*b+k] = int64(50 + 10*i + k)
					want = append(want, fmt.Sprint(50+10*i+k))
				}
			}
			parts := arrays{onnxio.Int64s(x, rows, a), onnxio.Int64s(y, rows, b)}
			for i, p := range parts {
				var err error
				if parts[i], err = r.cast(p, to); err != nil {
					t.Fatal(err)
				}
			}
			out, err := r.concat(parts, 1)
			if err != nil {
				t.Fatal(err)
			}
			text, err := r.cast(out, onnxio.String)
			if err != nil {
				t.Fatal(err)
			}
			if got := text.Data.([]string); !slices.Equal(got, want) {
				t.Errorf("%v, %d and %d: %v, want %v", to, a, b, got, want)
			}
		}
	}
}
