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

func (s *byteShuffle) call([]uint8, []uint8, []byteVector, []uint8, int, *Requantizer) {}
