package moments

import "fmt"

// State is what Sums hold, as numbers that can be written down: all that Mean, TwinMean, Second and Shift are computed from.
type State struct {
	Rows   int
	Z, X   []float64 // [groups, k]; X nil without a twin
	Second []float64 // by group, the rows of the upper triangle with the diagonal, [groups, k*(k+1)/2]
	Shift  []float64 // [groups, k, k]; nil without a twin
}

// State returns what s holds.
func (s *Sums) State() State {
	st := State{Rows: s.n, Z: append([]float64(nil), s.z...)}
	for _, h := range s.second {
		for i := range s.k {
			st.Second = append(st.Second, h[i*s.k+i:(i+1)*s.k]...)
		}
	}
	if s.shift != nil {
		st.X = append(st.X, s.x...)
		for _, d := range s.shift {
			st.Shift = append(st.Shift, d...)
		}
	}
	return st
}

// FromState returns sums of the given sizes that hold st. Numbers that do not fit the sizes, or are not finite, are an error: they
// come from a file.
func FromState(groups, k int, st State) (*Sums, error) {
	twin := st.X != nil || st.Shift != nil
	for _, part := range []struct {
		name string
		got  []float64
		want int
	}{
		{"means", st.Z, groups * k},
		{"moments", st.Second, groups * (k * (k + 1) / 2)},
		{"twin means", st.X, groups * k},
		{"shifts", st.Shift, groups * k * k},
	} {
		if len(part.got) != part.want && (twin || part.got != nil) {
			return nil, fmt.Errorf("reading moments: %d %s, want %d", len(part.got), part.name, part.want)
		}
		for _, v := range part.got {
			if v-v != 0 {
				return nil, fmt.Errorf("reading moments: %s of %v", part.name, v)
			}
		}
	}
	if st.Rows < 1 || st.Z == nil || st.Second == nil {
		return nil, fmt.Errorf("reading moments: %d rows, %d means, %d moments", st.Rows, len(st.Z), len(st.Second))
	}
	s := New(groups, k, twin)
	s.n = st.Rows
	copy(s.z, st.Z)
	copy(s.x, st.X)
	at := 0
	for g := range groups {
		for i := range k {
			at += copy(s.second[g][i*k+i:(i+1)*k], st.Second[at:])
		}
		if twin {
			copy(s.shift[g], st.Shift[g*k*k:])
		}
	}
	return s, nil
}
