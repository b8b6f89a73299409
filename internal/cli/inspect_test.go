package cli

import (
	"slices"
	"testing"

	"bq/packing"
)

func TestHistogram(t *testing.T) {
	wide := func(codes ...uint16) *packing.Quant { return &packing.Quant{Bits: 12, Wide: codes} }
	for name, c := range map[string]struct {
		q    *packing.Quant
		want histogram
	}{
		"every code":        {&packing.Quant{Bits: 2, Codes: []uint8{3, 1, 3}}, histogram{[]int{0, 1, 0, 2}, 0, 1}},
		"no codes":          {&packing.Quant{Bits: 1}, histogram{[]int{0, 0}, 0, 1}},
		"wide, none":        {wide(), histogram{[]int{0}, 0, 1}},
		"wide, one":         {wide(2048, 2048), histogram{[]int{2}, 2048, 1}},
		"wide, used range":  {wide(2050, 2047, 2050), histogram{[]int{1, 0, 0, 2}, 2047, 1}},
		"wide, 64 codes":    {wide(100, 163), histogram{append(append([]int{1}, make([]int, 62)...), 1), 100, 1}},
		"wide, 65 codes":    {wide(100, 164), histogram{append(append([]int{1}, make([]int, 31)...), 1), 100, 2}},
		"wide, whole range": {wide(0, 4095), histogram{append(append([]int{1}, make([]int, 62)...), 1), 0, 64}},
	} {
		if got := newHistogram(c.q); got.first != c.want.first || got.each != c.want.each || !slices.Equal(got.counts, c.want.counts) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
