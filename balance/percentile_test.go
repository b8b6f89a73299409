package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOrderKey(t *testing.T) {
	ascending := []float32{-inf, -huge, -1, -tiny, minus0, 0, tiny, 1, huge, inf}
	for i, v := range ascending {
		if got := fromKey(orderKey(v)); !sameBits(got, v) {
			t.Errorf("fromKey(orderKey(%v)) = %v", v, got)
		}
		if i > 0 && orderKey(ascending[i-1]) >= orderKey(v) {
			t.Errorf("key of %v is not below that of %v", ascending[i-1], v)
		}
	}
	for _, bits := range []uint32{0x7fc00000, 0x7f800001, 0xffc00000, 0xff800001} {
		if orderKey(math.Float32frombits(bits)) <= orderKey(inf) {
			t.Errorf("NaN %#x does not sort after +Inf", bits)
		}
	}
}

func TestSelectSmall(t *testing.T) {
	rows := []struct {
		name  string
		x     []float32
		ranks []int
		want  []float32
	}{
		{"no ranks", []float32{1, 2}, nil, nil},
		{"empty", nil, nil, nil},
		{"one element", []float32{7}, []int{0}, []float32{7}},
		{"constant", []float32{3, 3, 3}, []int{0, 1, 2}, []float32{3, 3, 3}},
		{"any order, repeats", []float32{5, -1, 4}, []int{2, 0, 2}, []float32{5, -1, 5}},
		{"zeros", []float32{0, minus0, 0, minus0}, []int{0, 1, 2, 3}, []float32{minus0, minus0, 0, 0}},
		{"NaN last", []float32{nan, 1, inf, -nan, -inf}, []int{0, 1, 2, 3, 4}, []float32{-inf, 1, inf, nan, nan}},
		{"subnormal", []float32{tiny, -tiny, 0}, []int{0, 1, 2}, []float32{-tiny, 0, tiny}},
		{"largest", []float32{huge, -huge, 1}, []int{0, 2}, []float32{-huge, huge}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			before, got := slices.Clone(row.x), make([]float32, len(row.ranks))
			Select(got, row.x, row.ranks)
			if !slices.EqualFunc(got, row.want, sameBits) {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if !slices.EqualFunc(before, row.x, sameBits) {
				t.Errorf("input changed to %v", row.x)
			}
		})
	}
}

// TestSelectAgainstSort: ranks whose keys share their first 16 or 24 bits are the hard case, so one sample holds
// neighbouring floats only.
func TestSelectAgainstSort(t *testing.T) {
	near := make([]float32, 5000)
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range near {
		near[i] = math.Float32frombits(0x3f800000 + r.Uint32N(2000))
	}
	for name, x := range map[string][]float32{
		"gauss": gaussian(20011), "laplace": laplacian(20000), "uniform": uniform(777), "neighbours": near,
		"few values": {1, 2, 1, 2, 2, 1, 3}, "all bits": randomBits(30000),
	} {
		sorted := sortRef(x)
		for _, k := range []int{2, 16, 256} {
			ranks := countRanks(len(x), k)
			got := make([]float32, len(ranks))
			Select(got, x, ranks)
			for i, rank := range ranks {
				if !sameBits(got[i], sorted[rank]) {
					t.Fatalf("%s: rank %d: got %v, want %v", name, rank, got[i], sorted[rank])
				}
			}
		}
	}
}

func randomBits(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 6))
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(r.Uint32())
	}
	return x
}

func FuzzSelect(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 128}, uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		x := make([]float32, len(data)/4)
		for i := range x {
			b := data[4*i:]
			x[i] = math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
		}
		if len(x) == 0 {
			return
		}
		got, rank := make([]float32, 1), int(at)%len(x)
		Select(got, x, []int{rank})
		if want := sortRef(x)[rank]; !sameBits(got[0], want) {
			t.Errorf("rank %d of %v: got %v, want %v", rank, x, got[0], want)
		}
	})
}

func TestQuantiles(t *testing.T) {
	rows := []struct {
		name  string
		x     []float32
		probs []float64
		want  []float32
	}{
		// numpy.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1]) = [1, 1.75, 3, 6.8, 8]
		{"numpy", []float32{8, 1, 4, 2}, []float64{0, 0.25, 0.5, 0.9, 1}, []float32{1, 1.75, 3, 6.8, 8}},
		{"one element", []float32{5}, []float64{0, 0.3, 1}, []float32{5, 5, 5}},
		{"constant", []float32{-2, -2}, []float64{0.1, 0.9}, []float32{-2, -2}},
		{"all zero", []float32{0, 0, 0}, []float64{0.5}, []float32{0}},
		{"empty", nil, []float64{0.5}, []float32{nan}},
		{"NaN last", []float32{nan, 1, 3}, []float64{0, 0.5, 1}, []float32{1, 3, nan}},
		{"infinities", []float32{-inf, 0, inf}, []float64{0, 0.5, 1}, []float32{-inf, 0, inf}},
		{"largest", []float32{-huge, huge}, []float64{0.5}, []float32{0}},
	}
	for _, row := range rows {
		got := make([]float32, len(row.probs))
		Quantiles(got, row.x, row.probs)
		if !slices.EqualFunc(got, row.want, sameBits) {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
	x, a, b := gaussian(1001), make([]float32, 3), make([]float32, 3)
	Quantiles(a, x, []float64{0.1, 0.5, 0.999})
	Quantiles(b, shuffled(x), []float64{0.1, 0.5, 0.999})
	if !slices.Equal(a, b) {
		t.Errorf("order of the input changed %v to %v", a, b)
	}
}

// powerTolerance is a few units in the last place of float64, for a series cut below 1e-18.
const powerTolerance = 1e-13

func TestPower(t *testing.T) {
	exact := []struct{ x, a, want float64 }{
		{0, 0.5, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0.3, 1}, {4, 0.5, 2}, {8, 1.0 / 3, 2}, {0x1p-300, 0.5, 0x1p-150}, {7, 1, 7},
	}
	for _, e := range exact {
		if got := Power(e.x, e.a); math.Abs(got-e.want) > powerTolerance*e.want {
			t.Errorf("%v^%v = %v, want %v", e.x, e.a, got, e.want)
		}
	}
	for x := 1e-12; x < 10; x *= 1.37 {
		for _, a := range []float64{0.1, 1.0 / 3, 2.0 / 3, 0.9} {
			if got, want := Power(x, a), math.Pow(x, a); math.Abs(got-want) > powerTolerance*want {
				t.Errorf("%v^%v = %v, want %v", x, a, got, want)
			}
		}
	}
}
