package balance

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHistogramStateOfHandWorkedValues(t *testing.T) {
	var h Histogram
	h.Add([]float32{0, 1, 1, 1.5}) // the range is [0, 2), 1024 bins for each 1
	s := h.State()
	if s.Exponent != 1 || s.Signed || s.First != 0 || len(s.Counts) != 1024+512+1 {
		t.Fatalf("range 2^%d, signed %v, bins %d to %d", s.Exponent, s.Signed, s.First, s.First+len(s.Counts)-1)
	}
	if s.Counts[0] != 1 || s.Counts[1024] != 2 || s.Counts[1536] != 1 || s.Sum != 3.5 || s.Max != 1.5 {
		t.Errorf("counts %d, %d, %d, sum %v, max %v", s.Counts[0], s.Counts[1024], s.Counts[1536], s.Sum, s.Max)
	}
}

func TestHistogramComesBackFromItsState(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	normal := make([]float32, 3000)
	for i := range normal {
		normal[i] = float32(random.NormFloat64())
	}
	for _, c := range []struct {
		name   string
		values []float32
	}{
		{"empty", nil},
		{"zeros", []float32{0, 0, 0}},
		{"one", []float32{3}},
		{"one negative", []float32{-3}},
		{"constant", []float32{0.25, 0.25}},
		{"normal", normal},
		{"smallest", []float32{math.SmallestNonzeroFloat32}},
		{"largest", []float32{math.MaxFloat32, -math.MaxFloat32}},
		{"with NaN", []float32{1, float32(math.NaN()), 2}},
	} {
		var h Histogram
		h.Add(c.values)
		g, err := FromState(h.State())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		lo, hi := h.PercentileRange(0.99)
		if l, r := g.PercentileRange(0.99); l != lo || r != hi {
			t.Errorf("%s: range %v to %v, want %v to %v", c.name, l, r, lo, hi)
		}
		g.Add([]float32{-7, 0.5})
		h.Add([]float32{-7, 0.5})
		a, b := h.State(), g.State()
		if a.First != b.First || !slices.Equal(a.Counts, b.Counts) || a.Sum != b.Sum || g.Count() != h.Count() {
			t.Errorf("%s: goes on otherwise than the histogram it was taken from", c.name)
		}
	}
}

func TestHistogramStatesOfNoHistogram(t *testing.T) {
	var h Histogram
	h.Add([]float32{-1, 0, 2.5})
	for name, change := range map[string]func(s *HistogramState){
		"first":     func(s *HistogramState) { s.First = -1 },
		"too many":  func(s *HistogramState) { s.First = 2000 },
		"negative":  func(s *HistogramState) { s.Counts[3] = -1 },
		"overflow":  func(s *HistogramState) { s.Counts[3] = math.MaxInt64 },
		"NaN":       func(s *HistogramState) { s.Sum = math.NaN() },
		"order":     func(s *HistogramState) { s.Min, s.Max = s.Max, s.Min },
		"exponent":  func(s *HistogramState) { s.Exponent = 1 << 30 },
		"too wide":  func(s *HistogramState) { s.Exponent++ },
		"unsigned":  func(s *HistogramState) { s.Signed = false },
		"elsewhere": func(s *HistogramState) { s.First++ },
		"zeros":     func(s *HistogramState) { s.Min, s.Max = 0, 0 },
	} {
		s := h.State()
		change(&s)
		if _, err := FromState(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
