//go:build !amd64

package kernel

func (p *integerProduct) blocks(*byteColumns) (block blockFunc, release func()) {
	return p.blockPlain, func() {}
}

func (f *ByteFilters) pack() {}

func (c *ByteColumns) pack() {}

func requantize([]uint8, []int32, int32, float32, float32, float32, int32, int32) int { return 0 }

func requantizeColumns([]uint8, []int32, float32, []float32, float32, int32, int32) int { return 0 }

func quantize([]uint8, []float32, float32, int32, int32, int32) int { return 0 }

func dequantize([]float32, []uint8, float32, int32, bool) int { return 0 }
