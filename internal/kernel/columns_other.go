//go:build !amd64 && !arm64

package kernel

func packRun(dst, src []float32, offsets []int, n, width, step int) {
	packRunPlain(dst, src, offsets, n, width, step)
}
