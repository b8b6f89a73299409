package packing

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/huff0"
)

// The codes section of CodecHuffman: a byte for the codes in a symbol, then blocks of symbols under a Huffman code each,
// as Zstandard has it (RFC 8878, 4.2), then, for codes of more than 8 bits, their low bits. FORMAT.md, "Codes, codec 2".

const (
	// The most symbols and codes of a block. The first is half of what huff0 takes; the second bounds the codes for each
	// stored byte.
	blockSymbols = 1 << 17
	blockCodes   = 1 << 18
	// fourStreams is how many symbols are worth the six bytes that three more streams take, for twice the speed.
	fourStreams = 1 << 10

	// The first byte of a block.
	blockRaw  = 0 // symbols as they are
	blockSame = 1 // one symbol that repeats
	blockOne  = 2 // a Huffman table and one stream
	blockFour = 3 // a Huffman table and four streams
)

// huffmanState is the memory of one goroutine.
type huffmanState struct {
	scratch huff0.Scratch
	symbols []byte
}

// room makes symbols n bytes long and returns it.
func (h *huffmanState) room(n int) []byte {
	h.symbols = slices.Grow(h.symbols[:0], n)[:n]
	return h.symbols
}

var huffmanPool = sync.Pool{New: func() any {
	return &huffmanState{scratch: huff0.Scratch{Reuse: huff0.ReusePolicyNone}}
}}

// mostTogether returns how many codes of the given bits fit in a symbol.
func mostTogether(bits int) int {
	if bits > MaxNarrow {
		return 1
	}
	return 8 / bits
}

// blockSize returns the most symbols of a block.
func blockSize(together int) int { return min(blockSymbols, blockCodes/together) }

// lowBits returns how many bits of a code stand outside of its symbol.
func lowBits(bits int) int { return max(0, bits-8) }

// symbols fills dst with the symbols from the given one on.
func (q *Quant) symbols(dst []byte, from, together int) {
	switch {
	case q.Bits > MaxNarrow:
		for i := range dst {
			dst[i] = byte(q.Wide[from+i] >> (q.Bits - 8))
		}
	case together == 1:
		copy(dst, q.Codes[from:])
	default:
		for i := range dst {
			s := byte(0)
			at := (from + i) * together
			for j, c := range q.Codes[at:min(at+together, len(q.Codes))] {
				s |= c << (j * q.Bits)
			}
			dst[i] = s
		}
	}
}

// encodeHuffman returns the codes section of q under CodecHuffman: the shorter one of codes alone and as many together
// as fit in a symbol.
func (q *Quant) encodeHuffman() []byte {
	best := q.huffmanTogether(1)
	if most := mostTogether(q.Bits); most > 1 {
		if b := q.huffmanTogether(most); len(b) < len(best) {
			best = b
		}
	}
	return best
}

func (q *Quant) huffmanTogether(together int) []byte {
	n := partCount(q.Len(), together)
	blocks := make([][]byte, partCount(n, blockSize(together)))
	eachPart(len(blocks), &huffmanPool, func(h *huffmanState, i int) {
		from, end := partStart(n, len(blocks), i), partStart(n, len(blocks), i+1)
		q.symbols(h.room(end-from), from, together)
		blocks[i] = h.encodeBlock()
	})
	dst := joinParts([]byte{byte(together)}, blocks)
	if low := lowBits(q.Bits); low > 0 {
		rest := make([]uint8, q.Len())
		for i, c := range q.Wide {
			rest[i] = uint8(c & (1<<low - 1))
		}
		at := len(dst)
		dst = append(dst, make([]byte, PackedLen(len(rest), low))...)
		PackBits(dst[at:], rest, low)
	}
	return dst
}

// encodeBlock returns the block of the symbols in h.
func (h *huffmanState) encodeBlock() []byte {
	kind, compress := byte(blockOne), huff0.Compress1X
	if len(h.symbols) >= fourStreams {
		kind, compress = blockFour, huff0.Compress4X
	}
	out, _, err := compress(h.symbols, &h.scratch)
	switch {
	case errors.Is(err, huff0.ErrUseRLE):
		return []byte{blockSame, h.symbols[0]}
	case err != nil: // incompressible
		return append([]byte{blockRaw}, h.symbols...)
	}
	return append([]byte{kind}, out...)
}

// decodeHuffman checks rule R36 on src, the codes section of a tensor of n codes, and, where keep, fills in q's codes.
func (q *Quant) decodeHuffman(src []byte, n int, keep bool) error {
	if len(src) == 0 || src[0] != 1 && int(src[0]) != mostTogether(q.Bits) {
		return fmt.Errorf("first byte: want 1 or %d codes in a symbol", mostTogether(q.Bits))
	}
	together, low := int(src[0]), lowBits(q.Bits)
	count := partCount(n, together)
	rest := src[1:]
	if low > 0 {
		at := len(rest) - PackedLen(n, low)
		if at < 0 {
			return fmt.Errorf("%d bytes, of which the low bits take %d", len(src), PackedLen(n, low))
		}
		rest, src = rest[:at], rest[at:]
	}
	blocks, err := splitParts(rest, partCount(count, blockSize(together)))
	if err != nil {
		return err
	}
	if keep {
		q.makeCodes(n)
	}
	errs := make([]error, len(blocks))
	eachPart(len(blocks), &huffmanPool, func(h *huffmanState, i int) {
		from, end := partStart(count, len(blocks), i), partStart(count, len(blocks), i+1)
		var dst []byte
		if keep && together == 1 && low == 0 { // symbols are codes
			dst = q.Codes[from:end:end]
		} else {
			dst = h.room(end - from)
		}
		err := h.decodeBlock(dst, blocks[i])
		if err == nil {
			err = q.spreadSymbols(dst, from, together, n, keep)
		}
		if err != nil {
			errs[i] = fmt.Errorf("block %d: %w", i, err)
		}
	})
	if err := errors.Join(errs...); err != nil || low == 0 {
		return err
	}
	return q.addLowBits(src, n, low, keep)
}

// decodeBlock fills dst with the symbols of a block.
func (h *huffmanState) decodeBlock(dst, src []byte) error {
	if len(src) == 0 {
		return errors.New("no bytes")
	}
	kind, src := src[0], src[1:]
	switch kind {
	case blockRaw:
		if len(src) != len(dst) {
			return fmt.Errorf("%d bytes for %d symbols", len(src), len(dst))
		}
		copy(dst, src)
		return nil
	case blockSame:
		if len(src) != 1 {
			return fmt.Errorf("%d bytes for a symbol", len(src))
		}
		for i := range dst {
			dst[i] = src[0]
		}
		return nil
	case blockOne, blockFour:
		return h.decodeStreams(dst, src, kind)
	}
	return fmt.Errorf("kind %d, want 0 to %d", kind, blockFour)
}

func (h *huffmanState) decodeStreams(dst, src []byte, kind byte) error {
	if want := byte(blockOne + bit(len(dst) >= fourStreams)); kind != want {
		return fmt.Errorf("kind %d for %d symbols, want %d", kind, len(dst), want)
	}
	_, streams, err := huff0.ReadTable(src, &h.scratch)
	if err != nil {
		return err
	}
	decode := h.scratch.Decoder().Decompress1X
	if kind == blockFour {
		decode = h.scratch.Decoder().Decompress4X
	}
	out, err := decode(dst[:0:len(dst)], streams)
	if err == nil && len(out) != len(dst) {
		err = fmt.Errorf("%d symbols, want %d", len(out), len(dst))
	}
	return err
}

// spreadSymbols checks that all codes in symbols, the first of which is from, fit, and stores those of a tensor of n codes
// where keep; symbols that are codes stand in their places.
func (q *Quant) spreadSymbols(symbols []byte, from, together, n int, keep bool) error {
	if q.Bits > MaxNarrow {
		for i := range symbols {
			if !keep {
				break
			}
			q.Wide[from+i] = uint16(symbols[i]) << (q.Bits - 8)
		}
		return nil
	}
	if !fits(symbols, q.Bits*together) {
		return fmt.Errorf("a symbol does not fit in %d bits", q.Bits*together)
	}
	at := from * together
	end := min(n, at+len(symbols)*together)
	if over := at + len(symbols)*together - end; over > 0 && int(symbols[len(symbols)-1])>>((together-over)*q.Bits) != 0 {
		return errors.New("the last symbol holds more codes than there are")
	}
	if !keep {
		return nil
	}
	dst := q.Codes[at:end]
	switch {
	case together == 1:
		return nil
	case together*q.Bits == 8: // as packed
		return UnpackBits(dst, symbols, q.Bits)
	}
	spreadPairs(dst, symbols, q.Bits)
	return nil
}

// spreadPairs stores the two codes of each symbol; of the last, one where dst has no room for more.
func spreadPairs(dst, symbols []byte, bits int) {
	mask := uint8(1)<<bits - 1
	for len(dst) >= 2 && len(symbols) > 0 {
		dst[0], dst[1] = symbols[0]&mask, symbols[0]>>bits
		dst, symbols = dst[2:], symbols[1:]
	}
	if len(dst) > 0 {
		dst[0] = symbols[0] & mask
	}
}

// addLowBits completes codes of more than 8 bits.
func (q *Quant) addLowBits(src []byte, n, low int, keep bool) error {
	rest := make([]uint8, n)
	if err := UnpackBits(rest, src, low); err != nil || !keep {
		return err
	}
	for i, v := range rest {
		q.Wide[i] |= uint16(v)
	}
	return nil
}
