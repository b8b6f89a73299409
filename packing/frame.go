package packing

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// newEncoder returns an encoder whose output depends on the input and the level alone: one goroutine,
// no checksum (the index holds one), a window that every decoder accepts.
func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(MaxZstdWindow))
	if err != nil {
		panic(err) // the options above are constants and valid
	}
	return e
}

// deflate returns b as one Zstandard frame, or as it is when that is not larger.
func deflate(e *zstd.Encoder, b []byte) (Codec, []byte) {
	if z := e.EncodeAll(b, nil); len(b) > 0 && len(z) < len(b) {
		return CodecZstd, z
	}
	return CodecRaw, b
}

// squeeze returns b under the mixing codec c where it has at most so many bytes, else as deflate does; or as it is when
// that is not larger.
func squeeze(c Codec, most int, b []byte, stride int) (Codec, []byte) {
	if len(b) > most {
		return deflate(newEncoder(zstd.SpeedBestCompression), b)
	}
	if t := encodeText(c, b, stride); len(b) > 0 && len(t) < len(b) {
		return c, t
	}
	return CodecRaw, b
}

// firstGrowth is what inflate allocates before a frame has shown how much it really holds.
const firstGrowth = 1 << 20

// inflate decodes src, one Zstandard frame, to exactly size bytes. What it allocates grows with the
// bytes that the frame really yields: a size that is only claimed costs nothing.
func inflate(src []byte, size int64) ([]byte, error) {
	if err := checkFrame(src, size); err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxZstdWindow))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	dst := make([]byte, 0, min(size, firstGrowth))
	for int64(len(dst)) < size {
		if len(dst) == cap(dst) {
			next := make([]byte, len(dst), min(size, 2*int64(cap(dst))))
			copy(next, dst)
			dst = next
		}
		n, err := io.ReadFull(d, dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("%d bytes decoded, want %d", len(dst), size)
		}
		if err != nil {
			return nil, err
		}
	}
	var more [1]byte
	if _, err := io.ReadFull(d, more[:]); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("more than %d bytes decoded", size)
		}
		return nil, err
	}
	return dst, nil
}

// checkFrame checks that src is exactly one frame, not skippable, without dictionary and checksum, with
// a window in the limit and a content size, if it states one, of size. It walks the block headers
// (RFC 8878, 3.1.1.2: last:1, type:2, size:21, little-endian) to find the frame's end.
func checkFrame(src []byte, size int64) error {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return fmt.Errorf("frame header: %w", err)
	}
	switch {
	case h.Skippable || h.DictionaryID != 0 || h.HasCheckSum:
		return errors.New("frame header: a plain frame without dictionary and checksum is wanted")
	case h.WindowSize > MaxZstdWindow || h.SingleSegment && h.FrameContentSize > MaxZstdWindow:
		return fmt.Errorf("frame header: window above %d bytes", MaxZstdWindow)
	case h.HasFCS && h.FrameContentSize != uint64(size):
		return fmt.Errorf("frame header: %d bytes of content, want %d", h.FrameContentSize, size)
	}
	const rle = 1
	for at := h.HeaderSize; at+3 <= len(src); {
		block := int(src[at]) | int(src[at+1])<<8 | int(src[at+2])<<16
		at += 3
		if block>>1&3 == rle {
			at++
		} else {
			at += block >> 3
		}
		if block&1 == 1 { // the last block
			if at != len(src) {
				return fmt.Errorf("frame of %d bytes, want %d", at, len(src))
			}
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}
