//go:build !amd64

package kernel

func integerKernels() bool { return false }

func (p *integerProduct) padLeft(*byteColumns) {}

func (p *integerProduct) block(b *byteColumns, i0, i1, j0, j1 int) { p.blockPlain(b, i0, i1, j0, j1) }

func requantize([]uint8, []int32, int32, float32, float32, float32, int32, int32) int { return 0 }

func requantizeColumns([]uint8, []int32, float32, []float32, float32, int32, int32) int { return 0 }

func quantize([]uint8, []float32, float32, int32, int32) int { return 0 }

func dequantize([]float32, []uint8, float32, int32, bool) int { return 0 }
