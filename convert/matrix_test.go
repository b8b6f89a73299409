package convert

import (
	"slices"
	"testing"

	"bq/internal/moments"
)

// Two groups of two rows with 2,501 columns become five blocks each: 2,501/512 rounded up, of 501 columns, 2,501/5 rounded up, so that four
// places at the end of each group's last block hold no element.
func TestWideMatricesAreCut(t *testing.T) {
	const cols, blocks, width = wholeColumns + 1, 5, 501
	m := &matrix{groups: 2, rows: 2, cols: cols, blocks: 1, stored: readOrder(use{}, 2*2*cols)}
	if same := (&matrix{cols: wholeColumns}); same.cut() != same {
		t.Errorf("a matrix of %d columns is cut", wholeColumns)
	}
	c := m.cut()
	if c.blocks != blocks || c.groups != 2*blocks || c.cols != width || c.len() != len(c.stored) {
		t.Fatalf("%d blocks in %d groups of %d columns, %d places", c.blocks, c.groups, c.cols, len(c.stored))
	}
	w := make([]float32, 2*2*cols)
	for i := range w {
		w[i] = float32(i + 1)
	}
	dense := c.gather(w)
	seen := 0
	for g := range c.groups {
		for r := range c.rows {
			for j := range c.cols {
				column := g%blocks*width + j
				want := 0.0 // beyond the last column
				if column < cols {
					want = float64((g/blocks*2+r)*cols + column + 1)
					seen++
				}
				if got := dense[(g*c.rows+r)*c.cols+j]; got != want {
					t.Fatalf("block %d, row %d, column %d: %v, want %v", g, r, j, got, want)
				}
			}
		}
	}
	if seen != len(w) {
		t.Errorf("%d elements have a place, want %d", seen, len(w))
	}
	// a row of inputs goes to the same places, whatever stood there
	x := w[:2*cols]
	dst := slices.Repeat([]float32{-1}, c.groups*c.cols)
	c.rowCopier(2*cols)(moments.Rows(2*cols, 2*cols), dst, x, 0)
	for i, v := range dst {
		group, column := i/(blocks*width), i%(blocks*width)
		want := float32(0)
		if column < cols {
			want = x[group*cols+column]
		}
		if v != want {
			t.Fatalf("place %d holds %v, want %v", i, v, want)
		}
	}
}
