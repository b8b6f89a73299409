package balance

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// meanTolerance: float32 sums of a mean leave its last bits open.
const meanTolerance = 1e-6

func near(a, b []float32, tolerance float64) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Abs(float64(x)-float64(y)) <= tolerance*max(1, math.Abs(float64(y)))
	})
}

func TestBalancedCodebookByHand(t *testing.T) {
	eight := []float32{8, 7, 6, 5, 4, 3, 2, 1}
	rows := []struct {
		name          string
		x, importance []float32
		bits          int
		p             float64
		lv            Levels
		edges, levels []float32
	}{
		{"count, 1 bit", eight, nil, 1, 1, LevelMeans, []float32{5}, []float32{2.5, 6.5}},
		{"count, 2 bits", eight, nil, 2, 1, LevelMeans, []float32{3, 5, 7}, []float32{1.5, 3.5, 5.5, 7.5}},
		{"count, 5 values", []float32{1, 2, 3, 4, 10}, nil, 1, 1, LevelMeans, []float32{4}, []float32{2, 7}},
		// value = offset + step*code over (0,0) (1,0) (2,1) (9,1): the bin means 0.5 and 5.5
		{"count, line", []float32{0, 1, 2, 9}, nil, 1, 1, LevelsUniform, []float32{2}, []float32{0.5, 5.5}},
		// bin 0 is empty: its level is the middle of the smallest value and the edge
		{"ties go up", []float32{1, 1, 1, 5}, nil, 1, 1, LevelMeans, []float32{1}, []float32{1, 2}},
		{"constant", []float32{3, 3, 3}, nil, 1, 1, LevelMeans, []float32{3}, []float32{3, 3}},
		{"all zero", []float32{0, 0}, nil, 2, 1, LevelMeans, []float32{0, 0, 0}, []float32{0, 0, 0, 0}},
		{"one element", []float32{-4}, nil, 1, 1, LevelMeans, []float32{-4}, []float32{-4, -4}},
		{"empty", nil, nil, 2, 1, LevelMeans, []float32{0, 0, 0}, []float32{0, 0, 0, 0}},
		{"width", []float32{0, 1, 1, 1, 8}, nil, 1, 0, LevelsUniform, []float32{4}, []float32{0.75, 8}},
		{"own bins, constant", []float32{3, 3}, nil, 2, 0.5, LevelMeans, []float32{3, 3, 3}, []float32{3, 3, 3, 3}},
		{"importance in the means", []float32{1, 2, 3, 4}, []float32{3, 1, 1, 1}, 1, 1, LevelMeans, nil, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cb, err := BalancedCodebook(row.x, row.importance, row.bits, row.p, row.lv)
			if err != nil {
				t.Fatal(err)
			}
			if row.edges == nil { // half the mass of 6 lies at the value 1: edge between 1 and 2
				if cb.Edges[0] <= 1 || cb.Edges[0] > 2 || !near(cb.Levels, []float32{1, 3}, meanTolerance) {
					t.Errorf("got %v", cb)
				}
				return
			}
			// An edge of p < 1 stands on a border of the 4096 cells: at 4 of 8 half a cell is (4.5^2/0.5)/4096 = 0.01.
			const cell = 0.01 / 4
			tolerance := meanTolerance
			if row.p < 1 {
				tolerance = cell
			}
			if !near(cb.Edges, row.edges, tolerance) || !near(cb.Levels, row.levels, tolerance) {
				t.Errorf("got %v %v, want %v %v", cb.Edges, cb.Levels, row.edges, row.levels)
			}
		})
	}
}

// TestEqualCounts: where values are distinct the counts of bins differ by at most one.
func TestEqualCounts(t *testing.T) {
	for _, n := range []int{256, 257, 1000, 65537} {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i*i) - 1000 // distinct, far from uniform
		}
		x = shuffled(x)
		for bits := 1; bits <= 8; bits++ {
			cb, err := BalancedCodebook(x, nil, bits, 1, LevelMeans)
			if err != nil {
				t.Fatal(err)
			}
			codes, counts := make([]uint8, n), make([]int, 1<<bits)
			cb.Assign(codes, x)
			for _, c := range codes {
				counts[c]++
			}
			if most, least := slices.Max(counts), slices.Min(counts); most-least > 1 {
				t.Errorf("n %d, %d bits: counts from %d to %d", n, bits, least, most)
			}
		}
	}
}

// TestErrorShares: at p = 1/3 every bin holds about the same squared error (Panter and Dite 1951).
func TestErrorShares(t *testing.T) {
	// share: the law is asymptotic; over a bin of 1/16 sigma the density still varies. The two end bins reach to the
	// extremes and are left out.
	const share = 0.25
	x := gaussian(1e6)
	cb, err := BalancedCodebook(x, nil, 6, 1.0/3, LevelMeans)
	if err != nil {
		t.Fatal(err)
	}
	codes, errs, total := make([]uint8, len(x)), make([]float64, 64), 0.0
	cb.Assign(codes, x)
	for i, c := range codes {
		d := float64(x[i] - cb.Levels[c])
		errs[c] += d * d
	}
	for _, e := range errs[2:62] {
		total += e / 60
	}
	for c, e := range errs[2:62] {
		if math.Abs(e/total-1) > share {
			t.Errorf("bin %d holds %.3f of the mean error", c+2, e/total)
		}
	}
}

func TestOrderOfInput(t *testing.T) {
	x := laplacian(30000)
	y := shuffled(x)
	for _, p := range []float64{0, 1.0 / 3, 1} {
		a, errA := BalancedCodebook(x, nil, 5, p, LevelMeans)
		b, errB := BalancedCodebook(y, nil, 5, p, LevelMeans)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !slices.Equal(a.Edges, b.Edges) {
			t.Errorf("p %v: order of the input changed the edges", p)
		}
		if p < 1 && !slices.Equal(a.Levels, b.Levels) {
			t.Errorf("p %v: order of the input changed the levels", p)
		}
	}
}

// TestLloydFixedPoint: after enough rounds each level is the mean of the values nearest to it, and no start is worse
// than it was.
func TestLloydFixedPoint(t *testing.T) {
	// fixedTolerance in sigma: edges stand on borders of cells, at most 1/1000 sigma apart here, and the last gain
	// below 1e-5 leaves about its root of a step open.
	const fixedTolerance = 0.02
	x := gaussian(100000)
	start, err := BalancedCodebook(x, nil, 3, 1, LevelMeans)
	if err != nil {
		t.Fatal(err)
	}
	cb, err := start.Lloyd(x, nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	codes := make([]uint8, len(x))
	cb.Assign(codes, x)
	for c, level := range cb.Levels {
		sum, n := 0.0, 0.0
		for i, v := range x {
			if int(codes[i]) == c {
				sum += float64(v)
				n++
			}
		}
		if math.Abs(sum/n-float64(level)) > fixedTolerance {
			t.Errorf("level %d: %v, mean of its values %v", c, level, sum/n)
		}
	}
	// Max 1960, table I, 8 levels: 0.2451, 0.7560, 1.344, 2.152
	if want := []float32{-2.152, -1.344, -0.7560, -0.2451, 0.2451, 0.7560, 1.344, 2.152}; !near(cb.Levels, want, 0.04) {
		t.Errorf("levels %v, want %v", cb.Levels, want)
	}
}

// TestLloydOwnLevels: as many distinct values as levels, however unequal their counts, come back exactly.
func TestLloydOwnLevels(t *testing.T) {
	x := append(filled(100000, -1), -0.5, 0.25, 0.75, 0.875, 1, 0.3125, 0)
	for _, m := range []Spec{{Bits: 3, Method: Lloyd}, {Bits: 3, Method: Balanced, P: 0.5}} {
		if got, _ := quantizedSQNR(x, PerTensor(len(x)), m); !math.IsInf(got, 1) {
			t.Errorf("%v: SQNR %v dB, want none lost", m.Method, got)
		}
	}
	start := Codebook{make([]float32, 7), make([]float32, 8)} // all levels 0: seven bins are empty
	cb, err := start.Lloyd(x, nil, 30)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{-1, -0.5, 0, 0.25, 0.3125, 0.75, 0.875, 1}; !near(cb.Levels, want, 1e-3) {
		t.Errorf("levels %v, want %v", cb.Levels, want)
	}
}

// TestImportance: a repeated value and a value of that importance are the same to every codebook with p < 1.
func TestImportance(t *testing.T) {
	x := laplacian(5000)
	var doubled, importance []float32
	for i, v := range x {
		doubled = append(doubled, v)
		importance = append(importance, 0.5)
		if i%3 == 0 {
			doubled, importance[i] = append(doubled, v), 1
		}
	}
	start := Codebook{make([]float32, 15), []float32{-4, -3, -2, -1.5, -1, -.6, -.3, -.1, .1, .3, .6, 1, 1.5, 2, 3, 4}}
	a, errA := start.Lloyd(doubled, nil, 20)
	b, errB := start.Lloyd(x, importance, 20)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !near(a.Levels, b.Levels, 0.02) { // the number of cells depends on the number of values
		t.Errorf("repeated: %v, weighted: %v", a.Levels, b.Levels)
	}
	zero := append(slices.Clone(x), 1e9)
	c, errC := start.Lloyd(zero, append(filled(5000, 1), 0), 20)
	d, errD := start.Lloyd(x, nil, 20)
	if errC != nil || errD != nil {
		t.Fatal(errC, errD)
	}
	if c.Levels[15] > 20 || d.Levels[15] > 20 {
		t.Errorf("a value of importance 0 moved the levels: %v", c.Levels)
	}
}

func TestCodebookErrors(t *testing.T) {
	for _, v := range []float32{nan, inf, -inf} {
		if _, err := BalancedCodebook([]float32{1, v}, nil, 2, 1, LevelMeans); !errors.Is(err, ErrNonFinite) {
			t.Errorf("%v: got error %v", v, err)
		}
		cb := Codebook{[]float32{0}, []float32{0, 1}}
		if _, err := cb.Lloyd([]float32{v}, nil, 1); !errors.Is(err, ErrNonFinite) {
			t.Errorf("%v: got error %v", v, err)
		}
	}
	if _, err := (Codebook{nil, []float32{1, 2}}).Lloyd(nil, nil, 1); err == nil {
		t.Error("two levels without an edge: got no error")
	}
	for _, levels := range [][]float32{{0, nan}, {2, 1}, {-inf, 0}} {
		if _, err := (Codebook{[]float32{0}, levels}).Lloyd([]float32{1}, nil, 1); err == nil {
			t.Errorf("levels %v: got no error", levels)
		}
	}
	for _, s := range []Spec{{Bits: 0}, {Bits: 9}, {Bits: 2, P: -0.1}, {Bits: 2, P: 1.1}, {Bits: 2, P: math.NaN()}} {
		if _, err := BalancedCodebook([]float32{1}, nil, s.Bits, s.P, LevelMeans); err == nil {
			t.Errorf("bits %d, p %v: got no error", s.Bits, s.P)
		}
	}
}

func TestAssign(t *testing.T) {
	special := []float32{nan, -nan, inf, -inf, huge, -huge, tiny, -tiny, 0, minus0, 1, -1, 0.5}
	for name, edges := range map[string][]float32{
		"none": {}, "one": {0}, "minus zero": {minus0}, "subnormal": {-tiny, tiny}, "repeats": {-1, 0, 0, 0, 1},
		"extremes": {-inf, -huge, huge, inf}, "neighbours": {1, math.Nextafter32(1, 2)},
	} {
		x := append(gaussian(1<<14), special...)
		x = append(append(x, edges...), randomBits(5000)...)
		got := make([]uint8, len(x))
		Codebook{Edges: edges}.Assign(got, x)
		for i, v := range x {
			want := assignRef(edges, v)
			if got[i] != want {
				t.Fatalf("%s: bin of %v: got %d, want %d", name, v, got[i], want)
			}
		}
		small := make([]uint8, len(special))
		Codebook{Edges: edges}.Assign(small, special)
		for i, v := range special {
			if want := assignRef(edges, v); small[i] != want {
				t.Errorf("%s: bin of %v by search: got %d, want %d", name, v, small[i], want)
			}
		}
	}
}

// TestMidpoints: the edge is the smallest float32 that is not nearer to the lower level.
func TestMidpoints(t *testing.T) {
	next := math.Nextafter32(1, 2)
	above2 := math.Nextafter32(2, 3) // the middle of 2 and this is no float32
	levels := []float32{-1, 1, 2, above2, 6, 6}
	want := []float32{0, 1.5, above2, math.Nextafter32(4, 5), 6}
	if got := midpoints(levels); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, row := range []struct {
		x    float64
		want float32
	}{{1, 1}, {1 + 1e-12, next}, {-1 + 1e-12, -math.Nextafter32(1, 0)}, {1e-60, tiny}, {0, 0}} {
		if got := atLeast(row.x); got != row.want {
			t.Errorf("atLeast(%v) = %v, want %v", row.x, got, row.want)
		}
	}
}
