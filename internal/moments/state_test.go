package moments

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestStateOfHandWorkedRows(t *testing.T) {
	s := New(1, 2, true)
	s.Add([]float32{1, 2, 3, 4}, []float32{1, 3, 3, 4}, 2, 1)
	st := s.State()
	// sums of z: (4, 6), of z z^T: (10, 14; 20), of x: (4, 7), of (x-z) z^T: (0, 0; 1, 2)
	if st.Rows != 2 || !slices.Equal(st.Z, []float64{4, 6}) || !slices.Equal(st.Second, []float64{10, 14, 20}) {
		t.Errorf("rows %d, z %v, second %v", st.Rows, st.Z, st.Second)
	}
	if !slices.Equal(st.X, []float64{4, 7}) || !slices.Equal(st.Shift, []float64{0, 0, 1, 2}) {
		t.Errorf("x %v, shift %v", st.X, st.Shift)
	}
}

func TestSumsComeBackFromTheirState(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		groups, k int
		twin      bool
	}{{1, 1, false}, {3, 5, true}, {2, 40, false}, {1, 300, true}} {
		z, x := make([]float32, 50*c.groups*c.k), make([]float32, 50*c.groups*c.k)
		for i := range z {
			z[i], x[i] = float32(random.NormFloat64()), float32(random.NormFloat64())
		}
		s := New(c.groups, c.k, c.twin)
		if !c.twin {
			x = nil
		}
		s.Add(z, x, 50, 2)
		got, err := FromState(c.groups, c.k, s.State())
		if err != nil {
			t.Fatal(err)
		}
		for g := range c.groups {
			if !slices.Equal(got.Second(g, true), s.Second(g, true)) || !slices.Equal(got.Mean(g), s.Mean(g)) {
				t.Errorf("%v: other second moments in group %d", c, g)
			}
			if c.twin && (!slices.Equal(got.Shift(g, true), s.Shift(g, true)) || !slices.Equal(got.TwinMean(g), s.TwinMean(g))) {
				t.Errorf("%v: other shifts in group %d", c, g)
			}
		}
	}
}

func TestStatesThatDoNotFit(t *testing.T) {
	s := New(1, 2, true)
	s.Add([]float32{1, 2}, []float32{1, 3}, 1, 1)
	for name, change := range map[string]func(st *State){
		"no rows":    func(st *State) { st.Rows = 0 },
		"short":      func(st *State) { st.Second = st.Second[:2] },
		"long":       func(st *State) { st.Z = append(st.Z, 1) },
		"no shift":   func(st *State) { st.Shift = nil },
		"no means":   func(st *State) { st.X, st.Shift, st.Z = nil, nil, nil },
		"NaN":        func(st *State) { st.Second[1] = math.NaN() },
		"infinity":   func(st *State) { st.Shift[1] = math.Inf(1) },
		"no moments": func(st *State) { st.X, st.Shift, st.Second = nil, nil, nil },
	} {
		st := s.State()
		change(&st)
		if _, err := FromState(1, 2, st); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
