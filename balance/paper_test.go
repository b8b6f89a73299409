package balance

import (
	"math"
	"slices"
	"testing"
)

// equalizeRef is equalize_k with the median, recursively on the sorted values: the leaf of each rank.
func equalizeRef(leaf []int, bits, from int) {
	if bits == 0 {
		for i := range leaf {
			leaf[i] = from
		}
		return
	}
	half := len(leaf) / 2
	equalizeRef(leaf[:half], bits-1, from)
	equalizeRef(leaf[half:], bits-1, from+1<<(bits-1))
}

// TestPaperAgainstRecursion: with 2^bits dividing the count the medians leave no choice.
func TestPaperAgainstRecursion(t *testing.T) {
	x := gaussian(4096)
	sorted := sortRef(x)
	for bits := 1; bits <= 8; bits++ {
		q, err := Quantize(x, nil, PerTensor(len(x)), Spec{Bits: bits, Method: Paper})
		if err != nil {
			t.Fatal(err)
		}
		leaf := make([]int, len(x))
		equalizeRef(leaf, bits, 0)
		for e, v := range x {
			rank, _ := slices.BinarySearch(sorted, v)
			if int(q.Codes[e]) != leaf[rank] {
				t.Fatalf("%d bits: %v of rank %d: got leaf %d, want %d", bits, v, rank, q.Codes[e], leaf[rank])
			}
		}
	}
}

func TestPaperByHand(t *testing.T) {
	rows := []struct {
		name  string
		x     []float32
		bits  int
		mean  bool
		codes []uint8
		scale []float32
	}{
		{"median", []float32{-4, 3, -3, 2, -2, 1, -1, 4}, 2, false, []uint8{0, 3, 0, 2, 1, 2, 1, 3}, []float32{4}},
		// thresholds: mean 2; below it 0, 0, 0 with mean 0; above it 8 with mean 8; equal values go up
		{"mean", []float32{0, 0, 8, 0}, 2, true, []uint8{1, 1, 3, 1}, []float32{8}},
		// mean 3.75; 0 1 2 with mean 1; 12 with mean 12
		{"mean, skewed", []float32{0, 1, 2, 12}, 2, true, []uint8{0, 1, 1, 3}, []float32{12}},
		// mean of -9, 1, 1, 1 is -1.5; the mean of the lower part -9, of the upper 1
		{"mean, 3 bits", []float32{-9, 1, 1, 1}, 3, true, []uint8{3, 7, 7, 7}, []float32{9}},
		{"constant", []float32{5, 5, 5, 5}, 2, false, []uint8{3, 3, 3, 3}, []float32{5}},
		{"one element", []float32{0.3}, 1, false, []uint8{1}, []float32{0.3}},
		{"all zero", []float32{0, 0, 0}, 2, false, []uint8{2, 2, 2}, []float32{0}},
		{"all zero, mean", []float32{0, 0, 0}, 2, true, []uint8{2, 2, 2}, []float32{0}},
		{"empty", nil, 3, false, nil, nil},
		{"empty, mean", nil, 3, true, nil, nil},
	}
	for _, row := range rows {
		q, err := Quantize(row.x, nil, PerTensor(len(row.x)), Spec{Bits: row.bits, Method: Paper, MeanThreshold: row.mean})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(q.Codes, row.codes) || !slices.Equal(q.Scales, row.scale) {
			t.Errorf("%s: got %v * %v, want %v * %v", row.name, q.Codes, q.Scales, row.codes, row.scale)
		}
	}
}

func TestPaperLevels(t *testing.T) {
	const half = 0x1p-12 // float16 rounding in [0.5, 1)
	for bits := 1; bits <= 8; bits++ {
		k := 1 << bits
		for i, got := range paperLevels(k) {
			if want := 2*float64(i)/float64(k-1) - 1; math.Abs(float64(got)-want) > half {
				t.Errorf("level %d of %d: got %v, want %v", i, k, got, want)
			}
		}
	}
}

// TestMeanThresholds: for a symmetric, even density the mean is the median, so the codes hardly differ.
func TestMeanThresholds(t *testing.T) {
	x := uniform(100000)
	medians, means := make([]float32, 15), meanThresholds(x, 4)
	Select(medians, x, countRanks(len(x), 16))
	for i := range means {
		// the standard error of a mean over 1/16 of the values is 0.018/sqrt(6250) < 0.0003; four of them add up
		if d := math.Abs(float64(means[i] - medians[i])); d > 0.01 {
			t.Errorf("threshold %d: mean %v, median %v", i, means[i], medians[i])
		}
	}
	for _, x := range [][]float32{laplacian(999), {huge, -huge, huge}, {tiny, 0, -tiny}} {
		if e := meanThresholds(x, 8); len(e) != 255 || !slices.IsSorted(e) {
			t.Errorf("%d thresholds, ascending %v", len(e), slices.IsSorted(e))
		}
	}
}

func TestSplitParts(t *testing.T) {
	// parts below 1, [1, 2), from 2 up: a mean past its edge is moved back, an empty part repeats its edge
	got := splitParts([]float32{1, 2}, []float64{2.25, 0, 6}, []int{2, 0, 2})
	if want := []float32{1, 1, 2, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
