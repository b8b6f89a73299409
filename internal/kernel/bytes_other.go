//go:build !amd64

package kernel

// gather is a way to gather taps.
type gather int

const (
	gatherNone gather = iota
	gatherPairs
	gatherQuads
)

func byteGather() gather { return gatherNone }

func (s *byteShuffle) call([]uint8, []uint8, []byteVector, []uint8, int, *ByteFinish) {}

func (q *ByteFinish) vectors([]uint8, []int32, []int32, int32, int32, float32, float32) int { return 0 }

func (q *FloatFinish) vectors([]float32, []int32, []int32, int32, int32, float32, float32) int {
	return 0
}

func (q *ByteFinish) columns([]uint8, []int32, int32, int32) int { return 0 }

func (q *FloatFinish) columns([]float32, []int32, int32, int32) int { return 0 }
