//go:build !amd64

package kernel

func (p *bytePool) tap(dst, x []uint8, n int, taps []int, step int) {
	p.tapPlain(dst, x, n, taps, step)
}
