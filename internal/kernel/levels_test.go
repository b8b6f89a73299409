package kernel

import "testing"

// eachLevel runs f once with the kernels of each instruction set that this processor has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for l := plain; l <= best; l++ {
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
