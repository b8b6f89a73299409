package packing

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// Limits of container version 1. Reader and Writer enforce them; FORMAT.md lists them.
const (
	MaxFileBytes    = 1 << 48  // a whole file
	MaxIndexBytes   = 32 << 20 // the index, decoded
	MaxIndexRatio   = 64       // decoded index bytes per stored one, when compressed
	MaxGraphBytes   = 1 << 31  // the graph, decoded
	MaxMetaPairs    = 1 << 16  // pairs of metadata
	MaxTensors      = 1 << 18  // tensors
	MaxExtras       = 1 << 10  // sections of kinds that later writers add
	MaxNameBytes    = 1 << 16  // a tensor name or a metadata key
	MaxLabelBytes   = 255      // a note or a method
	MaxRank         = 64       // dimensions of a tensor
	MaxBits         = 16       // bits of a code
	MaxElements     = 1 << 40  // elements of a tensor
	MaxElementBytes = 16       // raw bytes per element of a kept tensor (complex128)
	MaxCodesRatio   = 1 << 17  // codes per stored byte, when they are coded
	MaxTextBytes    = 1 << 18  // what is stored by prediction, decoded
	MaxZstdRatio    = 1 << 15  // decoded bytes per stored one: 128 KiB from a block of 4 bytes
	MaxZstdWindow   = 8 << 20  // window of a Zstandard frame, as RFC 8878 3.1.1.1.2 asks of every decoder
)

const (
	// signature opens a file. The first byte is no ASCII and no start of UTF-8, so that a text-mode copy,
	// a stripped eighth bit, changed line ends or a DOS end of file damage it visibly, as in PNG
	// (ISO/IEC 15948, 5.2). The byte after "bq" is the version.
	signature = "\x8bbq1\r\n\x1a\n"
	// endMagic closes it: the signature backwards.
	endMagic = "\n\x1a\n\r1qb\x8b"

	versionAt  = 3
	headerSize = 8
	footerSize = 80
	align      = 8
	// minIndex is an index with nothing in it: three counts, and codec, length and checksum of no graph.
	minIndex = 9
	minFile  = headerSize + align + footerSize // the least index is stored in up to 8 bytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is CRC-32C (RFC 3720, 12.1): polynomial 1EDC6F41, reflected, initial and final value ffffffff.
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// padding returns the number of zero bytes that bring n to a multiple of align.
func padding(n int64) int64 { return -n & (align - 1) }

// footer is the fixed structure at the end of a file. FORMAT.md, "Footer".
type footer struct {
	indexOffset int64  // bytes 0-7
	indexStored int64  // bytes 8-15
	indexRaw    int64  // bytes 16-23
	indexSum    uint32 // bytes 24-27
	indexCodec  Codec  // byte 28; 29-31 are zero
	fileSize    int64  // bytes 32-39
	digest      Digest // bytes 40-71, of all bytes of the file before byte 40 of the footer
	//                    bytes 72-79: endMagic
}

// digestAt is where the digest stands in the footer.
const digestAt = 40

// head returns the bytes of the footer before the digest.
func (f *footer) head() []byte {
	b := make([]byte, 0, digestAt)
	b = binary.LittleEndian.AppendUint64(b, uint64(f.indexOffset))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.indexStored))
	b = binary.LittleEndian.AppendUint64(b, uint64(f.indexRaw))
	b = binary.LittleEndian.AppendUint32(b, f.indexSum)
	b = append(b, byte(f.indexCodec), 0, 0, 0)
	return binary.LittleEndian.AppendUint64(b, uint64(f.fileSize))
}

// parseFooter checks rules R3 to R7 on the last footerSize bytes of a file of the given size.
func parseFooter(b []byte, size int64) (*footer, error) {
	at := size - footerSize
	if string(b[footerSize-len(endMagic):]) != endMagic {
		return nil, formatError(ruleEndMagic, size-int64(len(endMagic)), "", "footer: ends with % x, want % x (cut off?)",
			b[footerSize-len(endMagic):], endMagic)
	}
	if n := binary.LittleEndian.Uint64(b[32:]); n != uint64(size) {
		return nil, formatError(ruleLength, at+32, "", "footer: file of %d bytes, want %d", size, n)
	}
	if b[29]|b[30]|b[31] != 0 {
		return nil, formatError(ruleReserved, at+29, "", "footer: reserved bytes % x, want zero", b[29:32])
	}
	offset, stored, raw := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	// No sum overflows: both numbers are first compared with the size.
	if offset%align != 0 || offset < headerSize || offset > uint64(at) || stored > uint64(at) ||
		int64(offset+stored)+padding(int64(stored)) != at {
		return nil, formatError(ruleIndexPlace, at, "", "footer: index of %d bytes at %d does not end at the footer", stored, offset)
	}
	f := &footer{indexOffset: int64(offset), indexStored: int64(stored), fileSize: size,
		indexSum: binary.LittleEndian.Uint32(b[24:]), indexCodec: Codec(b[28])}
	copy(f.digest[:], b[digestAt:digestAt+sha256.Size])
	ok := raw >= minIndex && raw <= MaxIndexBytes
	switch f.indexCodec {
	case CodecRaw:
		ok = ok && stored == raw
	case CodecZstd:
		ok = ok && stored < raw && raw <= MaxIndexRatio*stored
	case CodecText:
		ok = ok && stored < raw && raw <= MaxTextBytes
	default:
		return nil, unsupported(ruleIndexCodec, at+28, "", "index: codec %d is not known", f.indexCodec)
	}
	if !ok {
		return nil, formatError(ruleIndexCodec, at+8, "", "index: %d bytes stored for %d with codec %d", stored, raw, f.indexCodec)
	}
	f.indexRaw = int64(raw)
	return f, nil
}
