package kernel

import (
	"slices"
	"testing"
)

// here lists the instruction sets that this processor has.
func here() []level {
	if best == neon {
		return []level{plain, neon}
	}
	return []level{plain, avx2, avx512}[:best+1]
}

// eachLevel runs f once with the kernels of each instruction set that this processor has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, l := range here() {
		t.Run(l.String(), func(t *testing.T) {
			use, spans = l, spansOf(l)
			defer func() { use, spans = best, spansOf(best) }()
			f(t)
		})
	}
}

// The tests of products and convolutions hold for every instruction set.
func TestLevels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		TestGemm(t)
		TestGemmEdges(t)
		TestProduct(t)
		TestConv(t)
		TestConvClamp(t)
		TestConvPaddingOnly(t)
		TestConvThreads(t)
		TestTiles(t)
		TestStrips(t)
	})
}

// Strips with a 3x3 kernel equal those of any taps.
func TestStrips3x3(t *testing.T) {
	const pitch = 41
	eachLevel(t, func(t *testing.T) {
		for cols := 1; cols <= use.lanes(); cols++ {
			for rows := 1; rows < 12; rows++ {
				s := strip{src: randomFloats((rows+2)*pitch+stripSlack, 1), w: randomFloats(9, 2), dstPitch: cols + 1, srcPitch: pitch, rows: rows,
					cols: cols, step: 1, offsets: []int{0, 4, 8, 4 * pitch, 4*pitch + 4, 4*pitch + 8, 8 * pitch, 8*pitch + 4, 8*pitch + 8},
					bias: 0.5, low: -1, high: 2}
				got, want := randomFloats(rows*(cols+1), 3), randomFloats(rows*(cols+1), 3)
				s.dst = want
				s.run()
				s.dst, s.three = got, true
				s.run()
				if !slices.Equal(got, want) {
					t.Errorf("%d rows, %d columns: other bits than by taps", rows, cols)
				}
			}
		}
	})
}
