package balance

import (
	"math"
	"slices"
	"testing"
)

// binned is everything a Histogram promises to keep whatever the order of its values.
type binned struct {
	count, nonFinite, zeros int64
	min, max                float32
	exponent                int
	signed, ranged          bool
}

func (h *Histogram) state() binned {
	return binned{h.count, h.nonFinite, h.zeros, h.min, h.max, h.exponent, h.signed, h.ranged}
}

func same(a, b *Histogram) bool { return a.state() == b.state() && slices.Equal(a.bins, b.bins) }

func streams() map[string][]float32 {
	return map[string][]float32{
		"gauss": gaussian(3000), "positive": uniform(3000), "negative": scaled(uniform(100), -1),
		"growing": {0, 1e-30, -1e-20, 1, 1e10, -1e30, 0}, "zeros": {0, 0, minus0}, "zeros first": {0, 0, 3},
		"empty": {}, "one": {-7}, "powers": {1, 2, 4, -1, -2, -4, 8}, "not finite": {nan, 1, inf, -inf, -2},
		"subnormal": {tiny, -tiny, 0}, "largest": {huge, -huge, 1},
	}
}

func TestHistogramOrder(t *testing.T) {
	for name, x := range streams() {
		var whole, parts, mixed, left, right Histogram
		whole.Add(x)
		for _, v := range x {
			parts.Add([]float32{v})
		}
		mixed.Add(shuffled(x))
		left.Add(x[:len(x)/3])
		right.Add(x[len(x)/3:])
		keep := Histogram{}
		keep.Add(x[len(x)/3:])
		left.Merge(&right)
		for how, h := range map[string]*Histogram{"one by one": &parts, "shuffled": &mixed, "merged": &left} {
			if len(x) > 0 && !same(&whole, h) {
				t.Errorf("%s, %s: %+v, want %+v", name, how, h.state(), whole.state())
			}
		}
		if parts.Sum() != whole.Sum() {
			t.Errorf("%s: sum %v one by one, %v at once", name, parts.Sum(), whole.Sum())
		}
		if !same(&right, &keep) {
			t.Errorf("%s: merging changed its source", name)
		}
	}
}

// binsRef counts by the definition: bins of R/1024 over [-R, R), or R/2048 over [0, R).
func binsRef(x []float32) []int64 {
	most, signed := 0.0, false
	for _, v := range x {
		most, signed = max(most, math.Abs(float64(v))), signed || v < 0
	}
	r := 1.0
	for r > most {
		r /= 2
	}
	for r <= most {
		r *= 2
	}
	bins, width, from := make([]int64, 2048), r/2048, 0
	if signed {
		width, from = r/1024, 1024
	}
	for _, v := range x {
		bins[from+int(math.Floor(float64(v)/width))]++
	}
	return bins
}

func TestHistogramBins(t *testing.T) {
	for _, name := range []string{"gauss", "positive", "negative", "growing", "zeros first", "one", "powers", "subnormal", "largest"} {
		x := streams()[name]
		var h Histogram
		h.Add(x)
		if !slices.Equal(h.bins, binsRef(x)) {
			t.Errorf("%s: bins differ from the definition", name)
		}
	}
}

func TestHistogramTotals(t *testing.T) {
	var h Histogram
	if lo, hi := h.MinMax(); lo != 0 || hi != 0 || h.Count() != 0 {
		t.Errorf("empty: %v %v %v", lo, hi, h.Count())
	}
	if got := h.Add([]float32{1, nan, -3, inf, 5, -inf}); got != 3 {
		t.Errorf("not finite: got %d, want 3", got)
	}
	lo, hi := h.MinMax()
	if lo != -3 || hi != 5 || h.Count() != 3 || h.Sum() != 3 || h.NonFinite() != 3 {
		t.Errorf("got %v %v %v %v %v", lo, hi, h.Count(), h.Sum(), h.NonFinite())
	}
}

func TestPercentileRange(t *testing.T) {
	// binWidth: 1000 values 0.001 to 1 lie in bins of 2/2048 (R = 2 above 1), so a quantile is off by less than that.
	const binWidth = 2.0 / 1024
	up := make([]float32, 1000)
	for i := range up {
		up[i] = float32(i+1) / 1000
	}
	both := append(scaled(slices.Clone(up), -1), up...)
	rows := []struct {
		name   string
		x      []float32
		p      float64
		lo, hi float64
	}{
		{"one-sided", up, 0.9, 0, 0.9},
		{"one-sided, all", up, 1, 0, 1},
		{"negative", scaled(slices.Clone(up), -1), 0.9, -0.9, 0},
		{"two-sided", both, 0.9, -0.9, 0.9},
		{"two-sided, all", both, 1, -1, 1},
		{"empty", nil, 0.99, 0, 0},
		{"zeros", []float32{0, 0}, 0.5, 0, 0},
		{"constant", []float32{2, 2, 2}, 1, 0, 2},
		{"one negative", []float32{-2}, 1, -2, 0},
		{"not finite", []float32{nan, inf, 1}, 1, 0, 1},
	}
	for _, row := range rows {
		var h Histogram
		h.Add(row.x)
		lo, hi := h.PercentileRange(row.p)
		tolerance := binWidth
		if row.p == 1 {
			tolerance = 0
		}
		if math.Abs(float64(lo)-row.lo) > tolerance || math.Abs(float64(hi)-row.hi) > tolerance {
			t.Errorf("%s: got %v %v, want %v %v", row.name, lo, hi, row.lo, row.hi)
		}
	}
}

func TestActivationParams(t *testing.T) {
	rows := []struct {
		name   string
		lo, hi float32
		bits   int
		scale  float32
		zero   uint8
	}{
		{"byte", 0, 255, 8, 1, 0},
		{"signed", -128, 127, 8, 1, 128},
		{"range made to hold 0", 10, 51, 8, 0.2, 0},
		{"below 0", -51, -10, 8, 0.2, 255},
		{"tie to even, up", -1.5, 5.5, 3, 1, 2},
		{"tie to even, down", -2.5, 4.5, 3, 1, 2},
		{"tie at a half", -0.5, 6.5, 3, 1, 0},
		{"1 bit", -1, 3, 1, 4, 0},
		{"empty", 0, 0, 8, 1, 0},
		{"subnormal", 0, tiny, 8, tiny, 0},
		{"largest", -huge, huge, 1, huge, 1},
		{"infinite", -inf, inf, 1, huge, 1},
		{"NaN", nan, 255, 8, 1, 0},
	}
	for _, row := range rows {
		if s, z := ActivationParams(row.lo, row.hi, row.bits); s != row.scale || z != row.zero {
			t.Errorf("%s: got %v, %d, want %v, %d", row.name, s, z, row.scale, row.zero)
		}
	}
}

// TestMSERangeGaussian: the best 4-bit clip of a Gaussian is near 2.5 sigma (Max 1960, table II: 16 levels, step 0.3352,
// outermost level 15/2*0.3352 = 2.51), of its positive half, with 16 levels from 0, near 3 sigma.
func TestMSERangeGaussian(t *testing.T) {
	const slack = 0.25 // candidates lie 0.02*4.9 apart at the top and the minimum is flat
	x := gaussian(200000)
	var h, half Histogram
	h.Add(x)
	lo, hi := h.MSERange(4)
	if math.Abs(float64(lo)+2.51) > slack || math.Abs(float64(hi)-2.51) > slack {
		t.Errorf("two-sided: got %v %v, want -2.51 2.51", lo, hi)
	}
	for i, v := range x {
		x[i] = max(v, -v)
	}
	half.Add(x)
	if lo, hi = half.MSERange(4); lo != 0 || math.Abs(float64(hi)-3) > slack {
		t.Errorf("one-sided: got %v %v, want 0 3", lo, hi)
	}
}

func TestMSERangeEdges(t *testing.T) {
	rows := []struct {
		name   string
		x      []float32
		lo, hi float32
	}{
		{"empty", nil, 0, 0}, {"zeros", []float32{0, 0}, 0, 0}, {"constant", []float32{2, 2}, 0, 2},
		{"negative", []float32{-2, -2}, -2, 0}, {"two values", []float32{-1, 1}, -1, 1},
		{"not finite", []float32{nan, 4}, 0, 4},
	}
	for _, row := range rows {
		var h Histogram
		h.Add(row.x)
		if lo, hi := h.MSERange(8); lo != row.lo || hi != row.hi {
			t.Errorf("%s: got %v %v, want %v %v", row.name, lo, hi, row.lo, row.hi)
		}
	}
	var h Histogram // one value far out is clipped at 4 bits
	h.Add(append(uniform(100000), 20))
	if _, hi := h.MSERange(4); hi > 4 {
		t.Errorf("outlier kept: range to %v", hi)
	}
}

func TestRangeError(t *testing.T) {
	// 2 bits over [0, 3]: step 1, levels 0 to 3
	for _, row := range []struct {
		name string
		b    bar
		want float64
	}{
		{"narrow, on a level", bar{2, 0.1, 5}, 0},
		{"narrow, off a level", bar{2.25, 0.1, 4}, 0.25},
		{"wider than a step", bar{1, 1.5, 12}, 1},
		{"clipped", bar{5, 0.1, 2}, 8},
		{"clipped and wide", bar{5, 4, 2}, 8},
	} {
		if got := (bars{row.b}).rangeError(0, 3, 2); math.Abs(got-row.want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}
