//go:build !amd64

package kernel

func countsByTable() bool { return false }

func (p *bitProduct) tile(dst []int32, ldc, i, rows, base, _ int) {
	p.tilePlain(dst, ldc, i, rows, base)
}

func packRowBits(dst, second []uint64, x []uint8) { packRowBitsPlain(dst, second, x) }

func (l bitLayout) packNibbles(dst, x []uint8) { l.packNibblesPlain(dst, x) }

func packPlaneBits(dst, second []uint64, x []uint8, pitch, rows, n int) {
	packPlaneBitsPlain(dst, second, x, pitch, rows, n)
}

func joinNibbles(dst, x []uint8, pitch, rows, width int, mask uint8) {
	joinNibblesPlain(dst, x, pitch, rows, width, mask)
}

func countsBits() bool { return false }
