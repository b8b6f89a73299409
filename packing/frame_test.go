package packing

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// Frames made by hand from RFC 8878, 3.1.1: magic, descriptor, window, dictionary, content size, and
// blocks of a 3-byte header (1 bit last, 2 bits type, 21 bits size) and bytes.
func TestInflateByHand(t *testing.T) {
	const magic, block = "28b52ffd", "090000 78" // the last block: raw, one byte, x
	for name, test := range map[string]struct {
		frame string
		size  int64
		want  string // of the content, or of the error
	}{
		"plain":              {magic + "20 01" + block, 1, "x"},
		"no content size":    {magic + "00 00" + block, 1, "x"},
		"run of one byte":    {magic + "20 05 2b0000 78", 5, "xxxxx"},
		"two blocks":         {magic + "20 02 080000 77" + block, 2, "wx"},
		"empty":              {"", 1, "frame header"},
		"no frame":           {"00112233445566778899", 1, "frame header"},
		"checksum":           {magic + "24 01" + block + "00000000", 1, "without dictionary and checksum"},
		"dictionary":         {magic + "21 07 01" + block, 1, "without dictionary and checksum"},
		"skippable":          {"502a4d18 01000000 78", 1, "without dictionary and checksum"},
		"window":             {magic + "00 70" + block, 1, "window above"},
		"single segment":     {magic + "a0 01008000" + block, 1<<23 + 1, "window above"},
		"other content size": {magic + "20 02" + block, 1, "2 bytes of content, want 1"},
		"more behind":        {magic + "20 01" + block + "00", 1, "frame of 10 bytes, want 11"},
		"cut off":            {magic + "20 01 090000", 1, "frame of 10 bytes, want 9"},
		"no last block":      {magic + "20 01 080000 78", 1, "unexpected EOF"},
		"too few":            {magic + "00 00" + block, 2, "1 bytes decoded, want 2"},
		"too many":           {magic + "00 00 110000 7879", 1, "more than 1 bytes decoded"},
		"reserved type":      {magic + "20 01 0f0000 78", 1, "reserved"},
	} {
		frame, err := hex.DecodeString(strings.ReplaceAll(test.frame, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := inflate(frame, test.size)
		if err != nil {
			got = []byte(err.Error())
		}
		if err == nil && string(got) != test.want || err != nil && !strings.Contains(string(got), test.want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
}

func TestFooterLimits(t *testing.T) {
	for _, test := range []struct {
		raw, stored int64
		codec       Codec
		ok          bool
	}{
		{MaxIndexBytes, 1 << 20, CodecZstd, true},
		{MaxIndexBytes + 1, 1 << 20, CodecZstd, false},
		{MaxIndexBytes, MaxIndexBytes, CodecRaw, true},
		{MaxIndexBytes + 8, MaxIndexBytes + 8, CodecRaw, false},
		{64 * 16, 16, CodecZstd, true},
		{64*16 + 1, 16, CodecZstd, false},
		{16, 16, CodecZstd, false},
		{MaxTextBytes, 16, CodecText, true},
		{MaxTextBytes + 1, 16, CodecText, false},
		{16, 16, CodecText, false},
		{9, 9, CodecRaw, true},
		{8, 8, CodecRaw, false},
		{-1, 16, CodecZstd, false},
	} {
		size := headerSize + test.stored + padding(test.stored) + footerSize
		f := footer{indexOffset: headerSize, indexStored: test.stored, indexRaw: test.raw, indexCodec: test.codec, fileSize: size}
		b := append(f.head(), make([]byte, len(f.digest))...)
		if _, err := parseFooter(append(b, endMagic...), size); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// An index that compresses beyond MaxIndexRatio is stored as it is.
func TestWriterKeepsIndexRatio(t *testing.T) {
	c := &content{meta: Meta{{"a", make([]byte, 1<<18)}}, graph: []byte{}}
	b := c.encode(t)
	if got, err := decode(b); err != nil || !bytes.Equal(got.meta[0].Value, c.meta[0].Value) || len(b) < 1<<18 {
		t.Errorf("a file of %d bytes: %v", len(b), err)
	}
}
