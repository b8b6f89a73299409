package packing

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// PackedLen returns the number of bytes that n codes of the given bits take: ceil(n*bits/8).
// It does not overflow for n up to 1<<59.
func PackedLen(n, bits int) int {
	return n/8*bits + (n%8*bits+7)/8
}

// PackBits stores codes in dst, the first code in the lowest bits of the first byte: bit j of code i
// is bit (i*bits+j)%8 of byte (i*bits+j)/8. Bits of the last byte that no code uses are zero.
// bits is 1 to 8, every code is below 1<<bits and dst has PackedLen(len(codes), bits) bytes; else it
// panics.
func PackBits(dst []byte, codes []uint8, bits int) {
	checkPacked(len(dst), len(codes), bits)
	if bits == 8 {
		copy(dst, codes)
		return
	}
	over := uint64(0)
	mask, l := laneMask(bits), lanesOf(bits)
	i, at := 0, 0
	// Eight codes make bits whole bytes. Each store writes 8 bytes; the next one overwrites the surplus.
	for ; i+8 <= len(codes) && at+8 <= len(dst); i, at = i+8, at+bits {
		x := binary.LittleEndian.Uint64(codes[i:])
		over |= x &^ mask
		binary.LittleEndian.PutUint64(dst[at:], l.gather(x))
	}
	for ; i < len(codes); i, at = i+8, at+bits {
		var in, out [8]byte
		n := copy(in[:], codes[i:])
		x := binary.LittleEndian.Uint64(in[:])
		over |= x &^ mask
		binary.LittleEndian.PutUint64(out[:], l.gather(x))
		copy(dst[at:], out[:PackedLen(n, bits)])
	}
	if over != 0 {
		panic(fmt.Sprintf("packing: a code does not fit in %d bits", bits))
	}
}

// UnpackBits is the inverse of PackBits: it restores len(dst) codes from src, which must have
// PackedLen(len(dst), bits) bytes and bits from 1 to 8; else it panics. It is an error when a bit of
// the last byte that no code uses is set; dst then holds the codes all the same.
func UnpackBits(dst []uint8, src []byte, bits int) error {
	checkPacked(len(src), len(dst), bits)
	if bits == 8 {
		copy(dst, src)
		return nil
	}
	l := lanesOf(bits)
	i, at := 0, 0
	for ; i+8 <= len(dst) && at+8 <= len(src); i, at = i+8, at+bits {
		x := binary.LittleEndian.Uint64(src[at:])
		binary.LittleEndian.PutUint64(dst[i:], l.scatter(x))
	}
	for ; i < len(dst); i, at = i+8, at+bits {
		var in, out [8]byte
		copy(in[:bits], src[at:])
		binary.LittleEndian.PutUint64(out[:], l.scatter(binary.LittleEndian.Uint64(in[:])))
		copy(dst[i:], out[:])
	}
	if len(src) > 0 && !unusedClear(src[len(src)-1], len(dst)%8, bits) {
		return errUnusedBits
	}
	return nil
}

// unusedClear reports whether the bits of the last byte that no code uses are zero, where rest codes stand behind the
// last whole eight: used low bits belong to codes, all eight if that is 0.
func unusedClear(last byte, rest, bits int) bool {
	used := rest * bits % 8
	return used == 0 || last>>used == 0
}

// PackWide is PackBits for codes of 9 to 16 bits.
func PackWide(dst []byte, codes []uint16, bits int) {
	checkWide(len(dst), len(codes), bits)
	over, pending, held := uint16(0), uint64(0), 0
	at := 0
	for _, c := range codes {
		over |= c >> (bits - 1) >> 1
		pending |= uint64(c) << held
		for held += bits; held >= 8; held -= 8 {
			dst[at] = byte(pending)
			pending >>= 8
			at++
		}
	}
	if held > 0 {
		dst[at] = byte(pending)
	}
	if over != 0 {
		panic(fmt.Sprintf("packing: a code does not fit in %d bits", bits))
	}
}

// UnpackWide is UnpackBits for codes of 9 to 16 bits.
func UnpackWide(dst []uint16, src []byte, bits int) error {
	checkWide(len(src), len(dst), bits)
	pending, held := uint64(0), 0
	at := 0
	for i := range dst {
		for held < bits {
			pending |= uint64(src[at]) << held
			held += 8
			at++
		}
		dst[i] = uint16(pending & (1<<bits - 1))
		pending >>= bits
		held -= bits
	}
	if pending != 0 {
		return errUnusedBits
	}
	return nil
}

var errUnusedBits = errors.New("unused bits of the last byte are not zero")

func checkPacked(packed, n, bits int) {
	if bits < 1 || bits > MaxNarrow {
		panic(fmt.Sprintf("packing: %d bits per code, want 1 to 8", bits))
	}
	checkLength(packed, n, bits)
}

func checkWide(packed, n, bits int) {
	if bits <= MaxNarrow || bits > MaxBits {
		panic(fmt.Sprintf("packing: %d bits per code, want 9 to %d", bits, MaxBits))
	}
	checkLength(packed, n, bits)
}

func checkLength(packed, n, bits int) {
	if packed != PackedLen(n, bits) {
		panic(fmt.Sprintf("packing: %d bytes for %d codes of %d bits, want %d", packed, n, bits, PackedLen(n, bits)))
	}
}

// laneMask returns the lowest bits of each of eight bytes.
func laneMask(bits int) uint64 {
	return (1<<bits - 1) * 0x0101010101010101
}

// lanes holds the shifts and masks that move eight codes of b bits between eight bytes and 8*b bits,
// in three steps: 8 lanes of b bits, 4 of 2b, 2 of 4b, 1 of 8b. They are computed once for a loop.
type lanes struct {
	shift1, shift2, shift3 uint64 // how far the upper lane of a pair moves
	low1, low2, low3       uint64 // the lower lane of each pair
	high1, high2, high3    uint64 // the upper lane of each pair, moved down to the lower
}

func lanesOf(bits int) lanes {
	b := uint64(bits)
	l := lanes{shift1: 8 - b, shift2: 16 - 2*b, shift3: 32 - 4*b}
	l.low1 = (1<<b - 1) * 0x0001000100010001
	l.low2 = (1<<(2*b) - 1) * 0x0000000100000001
	l.low3 = 1<<(4*b) - 1
	l.high1, l.high2, l.high3 = l.low1<<b, l.low2<<(2*b), l.low3<<(4*b)
	return l
}

// gather moves the codes in the eight bytes of x together; bits above a code's are dropped.
func (l *lanes) gather(x uint64) uint64 {
	x = x&l.low1 | x>>(l.shift1&63)&l.high1
	x = x&l.low2 | x>>(l.shift2&63)&l.high2
	return x&l.low3 | x>>(l.shift3&63)&l.high3
}

// scatter is the inverse of gather; it ignores the bits above 8*b.
func (l *lanes) scatter(x uint64) uint64 {
	x = x&l.low3 | x&l.high3<<(l.shift3&63)
	x = x&l.low2 | x&l.high2<<(l.shift2&63)
	return x&l.low1 | x&l.high1<<(l.shift1&63)
}

// fits reports whether every code is below 1<<bits.
func fits(codes []uint8, bits int) bool {
	if bits == 8 {
		return true
	}
	over := uint64(0)
	i := 0
	for ; i+8 <= len(codes); i += 8 {
		over |= binary.LittleEndian.Uint64(codes[i:])
	}
	for ; i < len(codes); i++ {
		over |= uint64(codes[i])
	}
	return over&^laneMask(bits) == 0
}

// packCodes packs codes from to end of q into dst.
func (q *Quant) packCodes(dst []byte, from, end int) {
	if q.Bits > MaxNarrow {
		PackWide(dst, q.Wide[from:end], q.Bits)
		return
	}
	PackBits(dst, q.Codes[from:end], q.Bits)
}

// makeCodes makes room for n codes.
func (q *Quant) makeCodes(n int) {
	if q.Bits > MaxNarrow {
		q.Wide = make([]uint16, n)
		return
	}
	q.Codes = make([]uint8, n)
}

// unpackCodes fills in n codes from src. Codes of 8 bits are a slice of it.
func (q *Quant) unpackCodes(src []byte, n int) error {
	if q.Bits == 8 {
		checkPacked(len(src), n, q.Bits)
		q.Codes = src[:n:n]
		return nil
	}
	q.makeCodes(n)
	if q.Bits > MaxNarrow {
		return UnpackWide(q.Wide, src, q.Bits)
	}
	return UnpackBits(q.Codes, src, q.Bits)
}

// fit reports whether every code is below 1<<Bits.
func (q *Quant) fit() bool {
	if q.Bits <= MaxNarrow {
		return fits(q.Codes, q.Bits)
	}
	over := uint16(0)
	for _, c := range q.Wide {
		over |= c
	}
	return int(over) < 1<<q.Bits
}
