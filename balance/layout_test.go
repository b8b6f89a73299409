package balance

import (
	"math"
	"slices"
	"testing"
)

func TestLayoutGroups(t *testing.T) {
	rows := []struct {
		name   string
		l      Layout
		groups int
		of     []int // group of each element
	}{
		{"per tensor", PerTensor(3), 1, []int{0, 0, 0}},
		{"empty", PerTensor(0), 0, nil},
		{"no channels", Layout{2, 0, 3, 0}, 0, nil},
		{"one element", PerTensor(1), 1, []int{0}},
		{"first axis", Layout{1, 2, 2, 0}, 2, []int{0, 0, 1, 1}},
		{"last axis", Layout{2, 3, 1, 0}, 3, []int{0, 1, 2, 0, 1, 2}},
		{"blocks of a row", Layout{1, 2, 3, 2}, 4, []int{0, 0, 1, 2, 2, 3}},
		{"blocks down a column", Layout{3, 2, 1, 2}, 4, []int{0, 2, 0, 2, 1, 3}},
		{"blocks across both", Layout{2, 2, 2, 3}, 4, []int{0, 0, 2, 2, 0, 1, 2, 3}},
		{"block longer than channel", Layout{1, 2, 2, 99}, 2, []int{0, 0, 1, 1}},
		{"block 1", Layout{1, 1, 3, 1}, 3, []int{0, 1, 2}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := row.l.Groups(); got != row.groups {
				t.Fatalf("groups: got %d, want %d", got, row.groups)
			}
			if got := row.l.Len(); got != len(row.of) {
				t.Fatalf("length: got %d, want %d", got, len(row.of))
			}
			for e, want := range row.of {
				if got := row.l.Group(e); got != want {
					t.Errorf("group of %d: got %d, want %d", e, got, want)
				}
			}
			checkSpans(t, row.l, row.of)
		})
	}
}

// checkSpans gathers the group numbers: every span must hold its own number only, and scattering must undo it.
func checkSpans(t *testing.T, l Layout, of []int) {
	t.Helper()
	grouped, back := make([]int, len(of)), make([]int, len(of))
	Gather(l, grouped, of)
	end := 0
	for g := range l.Groups() {
		lo, hi := l.Span(g)
		if lo != end || hi <= lo {
			t.Errorf("span of group %d: got [%d, %d), want it to begin at %d", g, lo, hi, end)
		}
		for _, got := range grouped[lo:hi] {
			if got != g {
				t.Errorf("span of group %d holds an element of group %d", g, got)
			}
		}
		end = hi
	}
	if end != len(of) {
		t.Errorf("spans end at %d, want %d", end, len(of))
	}
	if Scatter(l, back, grouped); !slices.Equal(back, of) {
		t.Errorf("scatter of gather: got %v, want %v", back, of)
	}
}

// TestGatherTiles covers more channels than one tile, with a rest.
func TestGatherTiles(t *testing.T) {
	l := Layout{3, 2*tile + 5, 2, 0}
	src, dst := make([]int, l.Len()), make([]int, l.Len())
	for e := range src {
		src[e] = e
	}
	Gather(l, dst, src)
	at := 0
	for c := range l.Channels {
		for o := range l.Outer {
			for i := range l.Inner {
				if want := (o*l.Channels+c)*l.Inner + i; dst[at] != want {
					t.Fatalf("place %d: got element %d, want %d", at, dst[at], want)
				}
				at++
			}
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	for _, l := range []Layout{
		{-1, 1, 1, 0}, {1, -1, 1, 0}, {1, 1, -1, 0}, {1, 1, 1, -1}, {1, 1, 2, 0},
		{math.MaxInt, 2, math.MaxInt, 0}, {1 << 32, 1 << 32, 1, 0},
	} {
		if err := l.check(1); err == nil {
			t.Errorf("%+v for 1 element: got no error", l)
		}
	}
	if err := (Layout{1 << 32, 1 << 32, 0, 0}).check(0); err != nil {
		t.Errorf("empty layout: %v", err)
	}
}
