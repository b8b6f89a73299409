package packing

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// draft is a file taken apart, so that one thing in it can be made wrong and all the rest, checksums
// and digest included, made right again around it.
type draft struct {
	sections   [][]byte // graph, then codes and params or data of each tensor
	x          *index
	indexCodec Codec

	// What is still to be changed when the structure is there.
	pad       byte // first padding byte of the first section that has one
	indexPad  byte
	signature []byte
	index     func([]byte) []byte // the raw index
	stored    func([]byte) []byte // the stored index
	footer    func(*footer)
	head      func([]byte) // the footer before the digest
	file      func([]byte) []byte
}

func newDraft(t *testing.T, c *content) *draft {
	d, err := takeApart(c.encode(t))
	if err != nil {
		t.Fatal(err)
	}
	if d.x.graph.codec == CodecGraph {
		codec, _ := deflate(newEncoder(zstd.SpeedDefault), c.graph)
		d.graph(c.graph, codec)
	}
	for i, x := range c.tensors {
		if e := &d.x.entries[i]; !e.Quantized && e.Codec == CodecNumbers {
			c, _ := deflate(newEncoder(zstd.SpeedDefault), x.Data)
			d.data(x.Name, x.Data, c)
		}
	}
	return d
}

// apart gives all tensors checksums of codes and of params, as the first writers did.
func (d *draft) apart() {
	for i := range d.x.entries {
		d.x.entries[i].apart = d.x.entries[i].Quantized
	}
	d.resum()
}

// graph stores b as the graph.
func (d *draft) graph(b []byte, c Codec) {
	d.sections[0] = compressed(c, b)
	d.x.graph.codec, d.x.graph.raw = c, int64(len(b))
	d.resum()
}

// data stores b as the data of a kept tensor.
func (d *draft) data(name string, b []byte, c Codec) {
	i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == name })
	d.sections[i+1] = compressed(c, b)
	d.x.entries[i].Codec, d.x.entries[i].DataBytes = c, int64(len(b))
	d.resum()
}

// compressed returns b under a codec of bytes, with four of them in a number.
func compressed(c Codec, b []byte) []byte {
	switch {
	case c == CodecZstd:
		return newEncoder(zstd.SpeedBestCompression).EncodeAll(b, nil)
	case c.mixes():
		return encodeText(c, b, 4)
	}
	return b
}

func takeApart(b []byte) (*draft, error) {
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	d := &draft{x: f.index, signature: []byte(signature)}
	cut := func(offset, n int64) {
		d.sections = append(d.sections, slices.Clone(b[offset:offset+n]))
	}
	cut(f.index.graph.offset, f.index.graph.stored)
	for i := range f.index.entries {
		cut(f.index.entries[i].Offset, f.index.entries[i].stored())
	}
	for _, s := range f.index.extras {
		cut(s.offset, s.stored)
	}
	return d, nil
}

// resum brings lengths and checksums of all sections up to date.
func (d *draft) resum() {
	d.x.graph.stored, d.x.graph.sum = int64(len(d.sections[0])), checksum(d.sections[0])
	for i := range d.x.entries {
		e, b := &d.x.entries[i], d.sections[i+1]
		if !e.Quantized {
			e.KeptBytes, e.sum = int64(len(b)), checksum(b)
			continue
		}
		e.ScalesBytes = int64(len(b)) - e.CodesBytes
		e.sum, e.paramsSum = checksum(b), 0
		if e.apart {
			e.sum, e.paramsSum = checksum(b[:e.CodesBytes]), checksum(b[e.CodesBytes:])
		}
	}
	for i := range d.x.extras {
		b := d.sections[1+len(d.x.entries)+i]
		d.x.extras[i].stored, d.x.extras[i].sum = int64(len(b)), checksum(b)
	}
}

func (d *draft) rawIndex() []byte {
	b := d.x.graph.appendTo(d.x.meta.appendTo(nil))
	b = binary.AppendUvarint(b, uint64(len(d.x.entries)))
	for i := range d.x.entries {
		b = d.x.entries[i].appendTo(b)
	}
	b = binary.AppendUvarint(b, uint64(len(d.x.extras)))
	for _, s := range d.x.extras {
		b = binary.AppendUvarint(b, uint64(s.id))
		b = binary.AppendUvarint(b, uint64(s.stored))
		b = binary.LittleEndian.AppendUint32(b, s.sum)
	}
	return b
}

func (d *draft) build() []byte {
	out := slices.Clone(d.signature)
	for _, s := range d.sections {
		out = append(out, s...)
		zeros := make([]byte, padding(int64(len(s))))
		if len(zeros) > 0 {
			zeros[0], d.pad = d.pad, 0
		}
		out = append(out, zeros...)
	}
	raw := d.rawIndex()
	if d.index != nil {
		raw = d.index(raw)
	}
	f := footer{indexOffset: int64(len(out)), indexRaw: int64(len(raw))}
	stored := raw
	if stored = compressed(d.indexCodec, raw); len(stored) < len(raw) || d.indexCodec == CodecRaw {
		f.indexCodec = d.indexCodec
	} else {
		stored = raw
	}
	if d.stored != nil {
		stored = d.stored(stored)
	}
	f.indexStored, f.indexSum = int64(len(stored)), checksum(stored)
	zeros := make([]byte, padding(int64(len(stored))))
	if len(zeros) > 0 {
		zeros[0] = d.indexPad
	}
	out = append(append(out, stored...), zeros...)
	f.fileSize = int64(len(out)) + footerSize
	if d.footer != nil {
		d.footer(&f)
	}
	head := f.head()
	if d.head != nil {
		d.head(head)
	}
	out = append(out, head...)
	digest := sha256.Sum256(out)
	out = append(append(out, digest[:]...), endMagic...)
	if d.file != nil {
		out = d.file(out)
	}
	return out
}

// tensor returns entry and section of a tensor of sample.
func (d *draft) tensor(name string) (*Entry, []byte) {
	i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == name })
	return &d.x.entries[i], d.sections[i+1]
}

// params replaces the params section of a tensor and states its forms.
func (d *draft) params(name string, f forms, params []byte) {
	i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == name })
	e := &d.x.entries[i]
	e.forms = f
	d.sections[i+1] = append(d.sections[i+1][:e.CodesBytes:e.CodesBytes], params...)
	d.resum()
}

// codes replaces the codes section of a tensor and states its codec.
func (d *draft) codes(name string, c Codec, codes []byte) {
	i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == name })
	e := &d.x.entries[i]
	params := d.sections[i+1][e.CodesBytes:]
	e.Codec, e.CodesBytes = c, int64(len(codes))
	d.sections[i+1] = append(slices.Clone(codes), params...)
	d.resum()
}

// flip changes bits of a byte of a tensor's codes section.
func (d *draft) flip(name string, at int, bits byte) {
	_, b := d.tensor(name)
	b[at] ^= bits
	d.resum()
}

// cutCodes shortens the codes section of a tensor by n bytes, or lengthens it by zero bytes where n is negative.
func (d *draft) cutCodes(name string, n int) {
	e, b := d.tensor(name)
	codes := slices.Clone(b[:e.CodesBytes])
	if n < 0 {
		codes = append(codes, make([]byte, -n)...)
	} else {
		codes = codes[:len(codes)-n]
	}
	d.codes(name, e.Codec, codes)
}

// scales changes bits of a byte of a tensor's params section.
func (d *draft) scales(name string, at int, bits byte) {
	e, b := d.tensor(name)
	b[e.CodesBytes+int64(at)] ^= bits
	d.resum()
}

// zeros returns the length of the coded zero points of a tensor.
func (d *draft) zeros(name string) int {
	e, b := d.tensor(name)
	return int(b[e.CodesBytes])
}

// resize gives a tensor n codes, in one row.
func (d *draft) resize(name string, n int) {
	e, _ := d.tensor(name)
	e.Shape, e.Layout = []int64{int64(n)}, Layout{1, 1, n, 0}
}

// widen gives the n codes of a tensor 9 bits, all of them zero.
func (d *draft) widen(name string, n int) {
	i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == name })
	e := &d.x.entries[i]
	params := d.sections[i+1][e.CodesBytes:]
	e.Bits, e.CodesBytes = 9, int64(PackedLen(n, 9))
	d.sections[i+1] = append(make([]byte, e.CodesBytes), params...)
	d.resum()
}

func (d *draft) extra(id int64, b []byte) {
	d.sections = append(d.sections, b)
	d.x.extras = append(d.x.extras, extra{id: id, stored: int64(len(b)), sum: checksum(b)})
}

func floats(values ...float32) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, values)
	return b
}

type vector struct {
	name   string
	change func(*draft)
}

// vectors break one rule each. The name up to the first dash is the rule; "ok" breaks none, and a name
// that ends in "unsupported" must give an UnsupportedError.
var vectors = []vector{
	{"ok-sample", func(*draft) {}},
	{"ok-compressed-index", func(d *draft) { d.indexCodec = CodecZstd }},
	{"ok-mixed", func(d *draft) {
		d.indexCodec = CodecText
		d.graph(sample().graph, CodecGraph)
		d.data("zeros", make([]byte, 256), CodecNumbers)
	}},
	{"ok-apart", func(d *draft) { d.apart() }},
	{"R27-codes-apart", func(d *draft) { d.apart(); _, b := d.tensor("book"); b[0] ^= 1 }},
	{"R27-params-apart", func(d *draft) { d.apart(); e, b := d.tensor("book"); b[e.CodesBytes] ^= 1 }},
	{"ok-optional-section", func(d *draft) { d.extra(2, []byte("later")); d.extra(4, nil) }},
	{"R1-short", func(d *draft) { d.file = func(b []byte) []byte { return b[:95] } }},
	{"R1-shorter-than-header", func(d *draft) { d.file = func(b []byte) []byte { return b[:5] } }},
	{"R1-empty", func(d *draft) { d.file = func([]byte) []byte { return nil } }},
	{"R2-other-format", func(d *draft) { d.signature = []byte("\x08\x07\x12\x04torc") }},
	{"R2-text-mode", func(d *draft) { d.signature = []byte("\x8bbq1\n\x1a\n\n") }},
	{"R2-version-2-unsupported", func(d *draft) { d.signature[versionAt] = '2' }},
	{"R3-end-magic", func(d *draft) { d.file = func(b []byte) []byte { b[len(b)-1]++; return b } }},
	{"R3-cut-off", func(d *draft) { d.file = func(b []byte) []byte { return b[:len(b)-8] } }},
	{"R4-length", func(d *draft) { d.footer = func(f *footer) { f.fileSize += 8 } }},
	{"R5-reserved", func(d *draft) { d.head = func(b []byte) { b[30] = 1 } }},
	{"R6-offset", func(d *draft) { d.footer = func(f *footer) { f.indexOffset += 8 } }},
	{"R6-unaligned", func(d *draft) { d.signature = append(d.signature, 0) }},
	{"R6-in-header", func(d *draft) { d.footer = func(f *footer) { f.indexStored += f.indexOffset; f.indexOffset = 0 } }},
	{"R6-wraps", func(d *draft) { d.footer = func(f *footer) { f.indexOffset = -8; f.indexStored += 8 } }},
	{"R7-raw-length", func(d *draft) { d.footer = func(f *footer) { f.indexRaw++ } }},
	{"R7-bomb", func(d *draft) {
		d.indexCodec = CodecZstd
		d.footer = func(f *footer) { f.indexRaw = MaxIndexRatio*f.indexStored + 1 }
	}},
	{"R7-above-limit", func(d *draft) {
		d.indexCodec = CodecZstd
		d.footer = func(f *footer) { f.indexRaw = MaxIndexBytes + 1 }
	}},
	{"R7-codec-unsupported", func(d *draft) { d.footer = func(f *footer) { f.indexCodec = 9 } }},
	{"R7-mixed-not-smaller", func(d *draft) { d.indexCodec = CodecText; d.footer = func(f *footer) { f.indexRaw = f.indexStored } }},
	{"R7-mixed-above-limit", func(d *draft) { d.indexCodec = CodecText; d.footer = func(f *footer) { f.indexRaw = MaxTextBytes + 1 } }},
	{"R8-checksum", func(d *draft) { d.footer = func(f *footer) { f.indexSum ^= 1 } }},
	{"R9-padding", func(d *draft) { d.indexPad = 1 }},
	{"R10-frame", func(d *draft) { d.indexCodec = CodecZstd; d.stored = func(b []byte) []byte { b[0]++; return b } }},
	{"R10-length", func(d *draft) { d.indexCodec = CodecZstd; d.footer = func(f *footer) { f.indexRaw-- } }},
	{"R10-two-frames", func(d *draft) {
		d.indexCodec = CodecZstd
		d.stored = func(b []byte) []byte { return append(b, emptyFrame...) }
	}},
	{"R10-mixed", func(d *draft) { d.indexCodec = CodecText; d.stored = func(b []byte) []byte { return append(b, 1) } }},
	{"R11-past-the-end", func(d *draft) { d.index = func(b []byte) []byte { return b[:len(b)-1] } }},
	{"R11-not-shortest", func(d *draft) { d.index = func(b []byte) []byte { return append([]byte{b[0] | 0x80, 0}, b[1:]...) } }},
	{"R11-above-64-bits", func(d *draft) {
		d.index = func(b []byte) []byte { return append(append(bytes.Repeat([]byte{0xff}, 9), 2), b[1:]...) }
	}},
	{"R12-count-beyond-file", func(d *draft) { d.index = func(b []byte) []byte { return append([]byte{0xff, 0x7f}, b[1:]...) } }},
	{"R12-rank", func(d *draft) { e, _ := d.tensor("kept"); e.Shape = slices.Repeat([]int64{1}, MaxRank+1) }},
	{"R12-element-type", func(d *draft) { e, _ := d.tensor("kept"); e.Type = -1 }},
	{"R12-note", func(d *draft) { e, _ := d.tensor("kept"); e.Note = strings.Repeat("n", MaxLabelBytes+1) }},
	{"R12-layout", func(d *draft) { e, _ := d.tensor("affine"); e.Layout.Block = elementLimit + 1 }},
	{"R13-twice", func(d *draft) { d.x.meta[1].Key = d.x.meta[0].Key }},
	{"R13-empty", func(d *draft) { d.x.meta[1].Key = "" }},
	{"R14-graph-not-smaller", func(d *draft) { d.x.graph.raw = d.x.graph.stored }},
	{"R14-data-bomb", func(d *draft) {
		e, _ := d.tensor("zeros")
		e.DataBytes = MaxZstdRatio*e.KeptBytes + 1
		e.Shape = []int64{1 << 30}
	}},
	{"R14-mixed-graph-not-smaller", func(d *draft) { d.graph(sample().graph, CodecGraph); d.x.graph.raw = d.x.graph.stored }},
	{"R14-mixed-data-above-limit", func(d *draft) {
		d.data("zeros", make([]byte, 256), CodecNumbers)
		e, _ := d.tensor("zeros")
		e.DataBytes, e.Shape = MaxTextBytes+4, []int64{MaxTextBytes/4 + 1}
	}},
	{"R14-graph-of-numbers-unsupported", func(d *draft) { d.graph(sample().graph, CodecNumbers) }},
	{"R14-graph-codec-unsupported", func(d *draft) { d.x.graph.codec = 9 }},
	{"R14-data-codec-unsupported", func(d *draft) { e, _ := d.tensor("zeros"); e.Codec = 9 }},
	{"R15-twice", func(d *draft) { e, _ := d.tensor("book"); e.Name = "kept" }},
	{"R15-empty", func(d *draft) { e, _ := d.tensor("book"); e.Name = "" }},
	{"R16-product", func(d *draft) { e, _ := d.tensor("kept"); e.Shape = []int64{1 << 21, 1 << 20} }},
	{"R16-wraps", func(d *draft) { e, _ := d.tensor("kept"); e.Shape = []int64{1 << 32, 1 << 32, 3} }},
	{"R16-zero-hides", func(d *draft) { e, _ := d.tensor("affine"); e.Shape = []int64{0, 1 << 62} }},
	{"R17-state-unsupported", func(d *draft) {
		d.index = func(b []byte) []byte {
			return bytes.Replace(b, []byte("kept\x01\x01\x03\x00"), []byte("kept\x01\x01\x03\x09"), 1)
		}
	}},
	{"R18-too-many", func(d *draft) { e, _ := d.tensor("zeros"); e.Shape = []int64{15} }},
	{"R18-for-nothing", func(d *draft) { e, _ := d.tensor("kept"); e.Shape = []int64{0} }},
	{"R18-nothing", func(d *draft) { d.sections[1] = nil; e, _ := d.tensor("kept"); e.DataBytes = 0; d.resum() }},
	{"R19-none", func(d *draft) { e, _ := d.tensor("affine"); e.Bits = 0 }},
	{"R19-seventeen", func(d *draft) { e, _ := d.tensor("affine"); e.Bits = 17 }},
	{"R20-nan", func(d *draft) { e, _ := d.tensor("affine"); e.P = float32(math.NaN()) }},
	{"R20-infinity", func(d *draft) { e, _ := d.tensor("affine"); e.P = float32(math.Inf(-1)) }},
	{"R21-product", func(d *draft) { e, _ := d.tensor("affine"); e.Layout.Inner++ }},
	{"R21-wraps", func(d *draft) { e, _ := d.tensor("affine"); e.Layout = Layout{elementLimit, elementLimit, 10, 0} }},
	{"R22-length", func(d *draft) { d.apart(); e, _ := d.tensor("affine"); e.CodesBytes++; e.ScalesBytes-- }},
	{"R22-codec-unsupported", func(d *draft) { e, _ := d.tensor("affine"); e.Codec = 9 }},
	{"R23-length", func(d *draft) {
		d.apart()
		d.params("affine", makeForms(scalesFloat32, zerosDefault, levelsNone), floats(0.1, 0.2, 0.3))
	}},
	{"R23-zeros-beside-levels", func(d *draft) {
		d.params("book", makeForms(scalesFloat32, zerosPacked, levelsFloat32), append(floats(0.1), append([]byte{3}, floats(0.1, 1, 2, 3)...)...))
	}},
	{"R23-zeros-of-wide-codes", func(d *draft) { d.widen("affine", 10) }},
	{"R23-levels-of-wide-codes", func(d *draft) { d.widen("short", 10) }},
	{"R23-form-unsupported", func(d *draft) { e, _ := d.tensor("affine"); e.forms |= 15 }},
	{"R24-order", func(d *draft) { d.extra(4, nil); d.extra(2, nil) }},
	{"R24-twice", func(d *draft) { d.extra(2, nil); d.extra(2, nil) }},
	{"R24-mandatory-unsupported", func(d *draft) { d.extra(1, nil) }},
	{"R25-hole", func(d *draft) { d.sections = append(d.sections, make([]byte, 8)) }},
	{"R25-overrun", func(d *draft) { d.extra(2, []byte("later")); d.sections = d.sections[:len(d.sections)-1] }},
	{"R25-wraps", func(d *draft) { d.extra(2, nil); d.x.extras[0].stored = MaxFileBytes }},
	{"R26-left-over", func(d *draft) { d.index = func(b []byte) []byte { return append(b, 0) } }},
	{"R27-graph", func(d *draft) { d.x.graph.sum ^= 1 }},
	{"R27-data", func(d *draft) { d.sections[1][3] ^= 1 }},
	{"R27-codes", func(d *draft) { _, b := d.tensor("book"); b[0] ^= 1 }},
	{"R27-params", func(d *draft) { e, b := d.tensor("book"); b[e.CodesBytes] ^= 1 }},
	{"R27-extra", func(d *draft) { d.extra(2, []byte("later")); d.x.extras[0].sum ^= 1 }},
	{"R28-padding", func(d *draft) { d.pad = 1 }},
	{"R29-frame", func(d *draft) { d.sections[0][0] ^= 1; d.resum() }},
	{"R29-length", func(d *draft) { d.x.graph.raw++ }},
	{"R29-two-frames", func(d *draft) { d.sections[0] = slices.Repeat(d.sections[0], 2); d.resum() }},
	{"R29-empty-frame-behind", func(d *draft) { d.sections[0] = append(d.sections[0], emptyFrame...); d.resum() }},
	{"R29-cut-off", func(d *draft) { d.sections[0] = d.sections[0][:len(d.sections[0])-1]; d.resum() }},
	{"R29-mixed-graph", func(d *draft) { d.graph(sample().graph, CodecGraph); d.sections[0][2] ^= 4; d.resum() }},
	{"R29-mixed-data", func(d *draft) {
		d.data("zeros", make([]byte, 256), CodecNumbers)
		i := slices.IndexFunc(d.x.entries, func(e Entry) bool { return e.Name == "zeros" })
		d.sections[i+1] = append(d.sections[i+1], 0)
		d.resum()
	}},
	{"R30-codes", func(d *draft) { _, b := d.tensor("affine"); b[3] |= 0x80; d.resum() }},
	{"R30-zeros", func(d *draft) { _, b := d.tensor("affine"); b[len(b)-1] |= 0x40; d.resum() }},
	{"R31-nan", func(d *draft) { d.params("affine", 0, floats(0.1, float32(math.NaN()))) }},
	{"R31-infinity", func(d *draft) { d.params("book", makeForms(scalesBfloat16, 0, 0), []byte{0x80, 0x7f}) }},
	{"R31-longer-form", func(d *draft) { d.params("affine", 0, floats(1, 1)) }},
	{"R31-base", func(d *draft) {
		d.params("short", makeForms(scalesShort8, 0, levelsFloat32), append([]byte{0xbf, 0x0f, 2, 0, 3, 4, 5}, floats(-0.1, 0.3)...))
	}},
	{"R31-base-of-none", func(d *draft) { d.params("short", makeForms(scalesShort8, 0, 0), []byte{1, 0, 0, 0, 0, 0, 0}) }},
	{"R32-default", func(d *draft) { d.params("affine", makeForms(0, zerosPacked, 0), append(floats(0.1, 0.2), 4|4<<3)) }},
	{"R33-infinity", func(d *draft) {
		d.params("book", makeForms(scalesBfloat16, 0, levelsFloat16), []byte{0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x7c})
	}},
	{"R33-longer-form", func(d *draft) {
		d.params("book", makeForms(scalesBfloat16, 0, levelsFloat32), append([]byte{0, 0x3f}, floats(0, 1, 2, 3)...))
	}},
	{"R34-digest", func(d *draft) { d.file = func(b []byte) []byte { b[len(b)-9] ^= 1; return b } }},
}

// codedVectors are vectors on the content of coded. Its tensor "one scale" has one group, so that it can be resized.
var codedVectors = []vector{
	{"ok-coded", func(*draft) {}},
	{"R22-no-bytes", func(d *draft) { d.codes("one scale", CodecRange, nil) }},
	{"R22-not-shorter", func(d *draft) { d.codes("one scale", CodecRange, make([]byte, 50)) }},
	{"R22-bomb", func(d *draft) { d.codes("one scale", CodecRange, []byte{0}); d.resize("one scale", MaxCodesRatio+1) }},
	{"R35-class", func(d *draft) { d.flip("range", 0, 1) }},
	{"R35-class-above-limit", func(d *draft) { d.codes("range", CodecRange, []byte{maxBase + 1, 0}) }},
	{"R35-byte-behind", func(d *draft) { d.cutCodes("range", -1) }},
	{"R35-cut-off", func(d *draft) { d.cutCodes("range", 1) }},
	{"R35-class-missing", func(d *draft) { d.codes("one scale", CodecRange, []byte{0, 0}); d.resize("one scale", rangeChunk+1) }},
	{"R35-part-beyond", func(d *draft) {
		d.codes("one scale", CodecRange, []byte{2, 0})
		d.resize("one scale", rangeChunk+1)
	}},
	{"R35-length-not-shortest", func(d *draft) {
		d.codes("one scale", CodecRange, []byte{0x81, 0, 0, 0})
		d.resize("one scale", rangeChunk+1)
	}},
	{"R31-coded", func(d *draft) { d.scales("same scales", 3, 1) }},
	{"R31-coded-middle", func(d *draft) { d.scales("same scales", 2, 3) }},
	{"R31-coded-base", func(d *draft) {
		short := append([]byte{0xbf, 0x0f}, bytes.Repeat([]byte{2}, 40)...) // 0.5, one step too high above the base
		d.params("same scales", makeForms(scalesCoded8, 0, 0), codeSteps(short, Layout{1, 20, 6, 3}))
	}},
	{"R31-coded-cut-off", func(d *draft) { d.params("same scales", makeForms(scalesCoded8, 0, 0), []byte{0xc0, 0x0f}) }},
	{"R23-coded-length", func(d *draft) { d.params("same scales", makeForms(scalesCoded8, 0, 0), nil) }},
	{"R32-coded-length", func(d *draft) { d.scales("coded zeros", 0, 0x7f) }},
	{"R32-coded-class", func(d *draft) {
		e, _ := d.tensor("coded zeros")
		d.scales("coded zeros", int(e.ScalesBytes)-d.zeros("coded zeros"), 1)
	}},
	{"R32-coded-default", func(d *draft) {
		z := zeroCodes(40, 4)
		z.Codes = bytes.Repeat([]byte{8}, 40)
		coded := z.encodeRange([]int64{40, 1})
		d.params("coded zeros", makeForms(scalesShort8, zerosCoded, 0), slices.Concat([]byte{byte(len(coded)), 0xc0, 0x0f}, bytes.Repeat([]byte{1}, 40), coded))
	}},
	{"R36-together", func(d *draft) { d.flip("huffman", 0, 1) }},
	{"R36-kind", func(d *draft) { d.flip("same", 1, 7) }},
	{"R36-streams", func(d *draft) { d.flip("huffman", 1, 1) }},
	{"R36-table", func(d *draft) { d.flip("huffman", 2, 0x80) }},
	{"R36-cut-off", func(d *draft) { d.cutCodes("huffman", 1) }},
	{"R36-byte-behind", func(d *draft) { d.cutCodes("same", -1) }},
	{"R36-raw-length", func(d *draft) { d.codes("one scale", CodecHuffman, []byte{2, 0, 1, 2}) }},
	{"R36-no-block", func(d *draft) { d.codes("one scale", CodecHuffman, []byte{2}) }},
	{"R36-symbol", func(d *draft) { d.codes("one scale", CodecHuffman, []byte{1, blockSame, 16}) }},
	{"R36-last-symbol", func(d *draft) {
		d.codes("one scale", CodecHuffman, []byte{2, blockSame, 0x11})
		d.resize("one scale", 99)
	}},
	{"R36-low-bits", func(d *draft) { d.codes("wide huffman", CodecHuffman, make([]byte, 20)) }},
}

// vectorSources returns each list of vectors with the content that it changes.
func vectorSources() map[*[]vector]*content {
	c := sample()
	c.meta[1].Value = c.meta[1].Value[:46] // twice the phrase, so that the index compresses, but less so
	return map[*[]vector]*content{&vectors: c, &codedVectors: coded()}
}

// allVectors returns both lists.
func allVectors() []vector { return slices.Concat(vectors, codedVectors) }

// emptyFrame is a Zstandard frame without content: magic, single segment, size 0, an empty last block.
const emptyFrame = "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"

func vectorFile(name string) string { return filepath.Join("testdata", "vectors", name+".bq") }

func TestWriteVectors(t *testing.T) {
	if !*update {
		t.Skip("writes testdata/vectors with -update only")
	}
	old, err := filepath.Glob(vectorFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	for list, c := range vectorSources() {
		for _, v := range *list {
			d := newDraft(t, c)
			v.change(d)
			writeFile(t, vectorFile(v.name), d.build())
		}
	}
}

func TestVectorsBreakJustTheirRule(t *testing.T) {
	files, err := filepath.Glob(vectorFile("*"))
	if err != nil || len(files) != len(allVectors()) {
		t.Fatalf("%d vectors, want %d (run with -update?): %v", len(files), len(allVectors()), err)
	}
	for _, v := range allVectors() {
		b, err := os.ReadFile(vectorFile(v.name))
		if err != nil {
			t.Error(err)
			continue
		}
		rule, _, _ := strings.Cut(v.name, "-")
		_, faults := Check(bytes.NewReader(b), int64(len(b)))
		_, err = decode(b)
		if rule == "ok" {
			if faults != nil || err != nil {
				t.Errorf("%s: %v, %v", v.name, faults, err)
			}
			continue
		}
		if len(faults) != 1 || faults[0].Rule != rule || faults[0].Offset > int64(len(b)) {
			t.Errorf("%s: faults %v", v.name, faults)
		}
		_, unknown := err.(*UnsupportedError)
		_, bad := err.(*FormatError)
		// A section of a kind that may be skipped is not decoded, only checked.
		if want := strings.HasSuffix(v.name, "unsupported"); v.name != "R27-extra" && rule != "ok" && (unknown != want || bad == want) {
			t.Errorf("%s: %T %v", v.name, err, err)
		}
	}
}

func TestEveryRuleHasText(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (R\d+) \| [^|]+ \|`).FindAllSubmatch(doc, -1)
	if len(rows) != 36 {
		t.Errorf("FORMAT.md has %d rules, want 36", len(rows))
	}
	for i, row := range rows {
		rule := string(row[1])
		if want := "R" + strconv.Itoa(i+1); rule != want {
			t.Errorf("FORMAT.md: rule %s, want %s", rule, want)
		}
		if !slices.ContainsFunc(allVectors(), func(v vector) bool { return strings.HasPrefix(v.name, rule+"-") }) {
			t.Errorf("%s has no vector", rule)
		}
	}
}

func TestErrorsInWords(t *testing.T) {
	for name, want := range map[string]string{
		"R27-codes":                `codes and params of "book": checksum `,
		"R27-params-apart":         `params of "book": checksum `,
		"R2-version-2-unsupported": "R2 at 3: header: container version 2 is newer than 1",
		"R2-other-format":          "R2 at 0: header: not a bq container (starts with 08 07 12 04)",
		"R22-codec-unsupported":    `codes of "affine": codec 9 is not known`,
	} {
		b, err := os.ReadFile(vectorFile(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
	}
	if got, want := (Fault{"R27", 20480, "conv1.weight", `codes of "conv1.weight": checksum 1f00aa12, want 9b3e77c0`}).String(),
		`R27 at 20480: codes of "conv1.weight": checksum 1f00aa12, want 9b3e77c0`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
