//go:build !amd64

package kernel

func (c *Codebook) dots(dst, x []float32, first int) { c.dotsPlain(dst, x, first) }

func (c *Codebook) writeRows(dst []float32, i0, i1 int) { c.writeRowsPlain(dst, i0, i1) }

func (c *ByteCodebook) dots(dst []int32, x []uint8, first int) { c.dotsPlain(dst, x, first) }

func (c *ByteCodebook) matrix([]int32, []uint8, int, int) bool { return false }
