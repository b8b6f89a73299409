//go:build !amd64

package kernel

// PixelsPay reports whether there are vector kernels for images whose channels lie side by side.
func PixelsPay() bool { return false }

func (c *PixelConv) vectors(dst, src []uint8, p *pixelPlan, offsets []int) bool { return false }

func pixelsMax(dst, x []uint8, width, step, n int, taps []int) {
	pixelsMaxPlain(dst, x, width, step, n, taps)
}

func addPixels(sums []int32, x []uint8, step, n int) { addPixelsPlain(sums, x, step, n) }
