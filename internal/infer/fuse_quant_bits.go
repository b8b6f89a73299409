package infer

import (
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Weights of few values run from codes of their own: of one or two bits on bit planes, where what they are multiplied with
// has one or two bits too, and those of a matrix of up to four bits by a table of 16 values.

// steppedBits are weights least + step*code of one or two bits.
type steppedBits struct {
	codes       []uint8
	bits        int
	least, step int32
}

// stepped returns weights as evenly spaced levels, four at most; false where they are not.
func stepped(weights []int8) (s steppedBits, ok bool) {
	if len(weights) == 0 {
		return s, false
	}
	least, most := slices.Min(weights), slices.Max(weights)
	s.least = int32(least)
	for _, w := range weights {
		s.step = divisor(s.step, int32(w)-s.least)
	}
	levels := int32(1)
	if s.step > 0 {
		levels = (int32(most)-s.least)/s.step + 1
	}
	if levels > 4 {
		return s, false
	}
	s.bits, s.step = 1, max(s.step, 1)
	if levels > 2 {
		s.bits = 2
	}
	s.codes = make([]uint8, len(weights))
	for i, w := range weights {
		s.codes[i] = uint8((int32(w) - s.least) / s.step)
	}
	return s, true
}

// divisor returns the greatest common divisor of numbers that are not negative.
func divisor(a, b int32) int32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// bitFilters returns weights [outputs, channels, taps], a matrix where taps is 0, for products with the codes of x on bit
// planes; nil where those are not faster, or something has more bits.
func (q *quantization) bitFilters(x *quantized, weights []int8, outputs, channels, taps int) *kernel.BitFilters {
	most, known := q.most[x.codes]
	if !known || x.typ != onnxio.Uint8 || most > 3 || x.zero > most {
		return nil
	}
	actBits := 1
	if most > 1 {
		actBits = 2
	}
	if !kernel.BitsPay(1, actBits) {
		return nil
	}
	s, ok := stepped(weights)
	if !ok || !kernel.BitsPay(s.bits, actBits) {
		return nil
	}
	return kernel.PackBitFilters(s.codes, outputs, channels, taps, s.bits, actBits, s.least, s.step)
}

// limit notes the bounds of codes of uint8 that a group makes, or a Clip of the graph.
func (q *quantization) limit(slot int, t onnxio.DataType, high int32) {
	if t == onnxio.Uint8 {
		q.most[slot] = high
	}
}

// clip notes the bounds of a Clip of codes.
func (q *quantization) clip(i int) {
	if nd := q.nodes[i]; nd.OpType == "Clip" && nd.in[0] >= 0 && nd.out[0] >= 0 {
		for k := range 2 {
			if c := nd.in[min(k+1, len(nd.in)-1)]; k+1 < len(nd.in) && c >= 0 && (q.g.consts[c] == nil || q.g.consts[c].Type != onnxio.Uint8) {
				return
			}
		}
		if low, high, ok := q.byteBounds(i, onnxio.Uint8); ok && low <= high && high < 255 {
			q.limit(nd.out[0], onnxio.Uint8, high)
		}
	}
}

// tableLeast is how many weights of a matrix are worth a table: fewer stay in the cache between runs.
const tableLeast = 1 << 15

// byteTable returns a matrix of weights [outputs, k] in codes of four bits; nil where it has more than 16 values, or is small.
func byteTable(weights []int8, outputs, k int) *kernel.ByteCodebook {
	if len(weights) < tableLeast || k > kernel.MaxIntegerTerms {
		return nil
	}
	table, codes := make([]int8, 0, 16), make([]uint8, len(weights))
	for i, w := range weights {
		at := slices.Index(table, w)
		if at < 0 {
			if len(table) == 16 {
				return nil
			}
			at, table = len(table), append(table, w)
		}
		codes[i] = uint8(at)
	}
	return kernel.NewByteCodebook(codes, append(table, make([]int8, 16-len(table))...), outputs, k)
}
