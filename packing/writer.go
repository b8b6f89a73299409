package packing

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Writer writes one .bq file in one pass. Of what it has written it keeps only the index in memory.
type Writer struct {
	out     *bufio.Writer // feeds dst and hash
	hash    hash.Hash
	offset  int64
	meta    []byte // encoded
	graph   *blob  // nil until it is written
	entries []byte // encoded
	count   int
	last    Entry
	names   map[string]bool
	data    *zstd.Encoder // for large kept tensors: more speed; graph and index get more effort
	err     error         // the first failure of dst or misuse; final
}

// NewWriter starts a file on dst. Nothing is promised to have reached dst before Close returns.
// Errors, those in meta included, are returned by the calls that follow.
func NewWriter(dst io.Writer, meta Meta) *Writer {
	w := &Writer{hash: sha256.New(), names: map[string]bool{}}
	w.out = bufio.NewWriterSize(io.MultiWriter(dst, w.hash), 1<<16)
	w.err = meta.check()
	w.meta = meta.appendTo(nil)
	w.write([]byte(signature))
	return w
}

// SetMeta puts meta in the place of what NewWriter got, for what is known only when the tensors are written.
func (w *Writer) SetMeta(meta Meta) error {
	if err := meta.check(); err != nil {
		return err
	}
	w.meta = meta.appendTo(nil)
	return w.err
}

// check refuses what rules R12 and R13 refuse.
func (m Meta) check() error {
	if len(m) > MaxMetaPairs {
		return fmt.Errorf("writing metadata: %d pairs, want at most %d", len(m), MaxMetaPairs)
	}
	seen := map[string]bool{}
	for _, p := range m {
		if p.Key == "" || len(p.Key) > MaxNameBytes || seen[p.Key] {
			return fmt.Errorf("writing metadata: key %.40q is empty, too long or there twice", p.Key)
		}
		seen[p.Key] = true
	}
	return nil
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
		w.offset += int64(len(b))
	}
}

// pad writes zero bytes up to the next section.
func (w *Writer) pad() { w.write(make([]byte, padding(w.offset))) }

// Graph writes the graph: bytes of the caller's own format, at most MaxGraphBytes. It is called at
// most once and before the first Tensor; a file without graph has an empty one.
func (w *Writer) Graph(b []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case w.graph != nil || w.count > 0:
		return errors.New("writing graph: it stands once, before the tensors")
	case int64(len(b)) > MaxGraphBytes:
		return fmt.Errorf("writing graph: %d bytes, want at most %d", len(b), int64(MaxGraphBytes))
	}
	codec, stored := squeeze(CodecGraph, MaxTextBytes, b, 0)
	w.graph = &blob{codec: codec, raw: int64(len(b)), stored: int64(len(stored)), sum: checksum(stored)}
	w.write(stored)
	w.pad()
	return w.err
}

// Tensor writes one tensor. Values and slices of t are only read, and not kept. When t itself is at
// fault, nothing has been written and the Writer goes on as if the call had not been made.
func (w *Writer) Tensor(t *Tensor) error {
	if w.err != nil {
		return w.err
	}
	if err := w.check(t); err != nil {
		return fmt.Errorf("writing tensor %.80q: %w", t.Name, err)
	}
	n, _ := elements(t.Shape...)
	e := Entry{Name: t.Name, Type: t.Type, Shape: t.Shape, Elements: n, Note: t.Note}
	if t.Quant == nil {
		var stored []byte
		e.Codec, stored = w.keptData(t.Data, n)
		e.DataBytes, e.KeptBytes, e.sum = int64(len(t.Data)), int64(len(stored)), checksum(stored)
		w.write(stored)
	} else {
		w.quant(&e, t.Quant)
	}
	w.pad()
	w.last = e
	w.entries = e.appendTo(w.entries)
	w.names[t.Name] = true
	w.count++
	return w.err
}

// mostNumbers is the most bytes of a kept tensor's data that are worth the time of CodecNumbers.
const mostNumbers = 1 << 16

// Last returns the entry of the tensor that was written last: its codec, and the bytes of its parts.
func (w *Writer) Last() Entry { return w.last }

// keptData returns the data of a kept tensor of n elements as stored.
func (w *Writer) keptData(b []byte, n int64) (Codec, []byte) {
	if len(b) <= mostNumbers {
		return squeeze(CodecNumbers, mostNumbers, b, strideOf(int64(len(b)), n))
	}
	if w.data == nil {
		w.data = newEncoder(zstd.SpeedDefault)
	}
	return deflate(w.data, b)
}

// strideOf returns the bytes of an element of a kept tensor, 1 where elements share bytes.
func strideOf(raw, n int64) int {
	if n == 0 || raw%n != 0 {
		return 1
	}
	return int(raw / n)
}

// quant writes codes and params of q and completes e.
func (w *Writer) quant(e *Entry, q *Quant) {
	e.Quantized = true
	e.Method, e.P, e.Bits, e.Layout = q.Method, q.P, q.Bits, q.Layout
	w.codes(e, q)
	var params []byte
	params, e.forms = appendParams(nil, q)
	e.ScalesBytes, e.sum = int64(len(params)), crc32.Update(e.sum, castagnoli, params)
	w.write(params)
}

// codes writes the codes of q, packed where its codec gains nothing.
func (w *Writer) codes(e *Entry, q *Quant) {
	codec, codes := q.section(e.Shape, q.Codec)
	if codec == CodecPacked {
		w.packed(e, q)
		return
	}
	e.Codec, e.sum, e.CodesBytes = codec, checksum(codes), int64(len(codes))
	w.write(codes)
}

// packed writes packed codes, a part at a time.
func (w *Writer) packed(e *Entry, q *Quant) {
	e.Codec = CodecPacked
	const chunk = 1 << 16 // codes; a multiple of 8, so that chunks join without a gap
	n := q.Len()
	buf := make([]byte, PackedLen(min(chunk, n), q.Bits))
	for from := 0; from < n; from += chunk {
		end := min(from+chunk, n)
		packed := buf[:PackedLen(end-from, q.Bits)]
		q.packCodes(packed, from, end)
		e.sum = crc32.Update(e.sum, castagnoli, packed)
		e.CodesBytes += int64(len(packed))
		w.write(packed)
	}
}

// check refuses a tensor that a reader would refuse.
func (w *Writer) check(t *Tensor) error {
	n, ok := elements(t.Shape...)
	switch {
	case t.Name == "" || len(t.Name) > MaxNameBytes:
		return fmt.Errorf("name of %d bytes, want 1 to %d", len(t.Name), MaxNameBytes)
	case w.names[t.Name]:
		return errors.New("name is there twice")
	case w.count == MaxTensors:
		return fmt.Errorf("more than %d tensors", MaxTensors)
	case t.Type < 0:
		return fmt.Errorf("element type %d, want 0 or more", t.Type)
	case len(t.Shape) > MaxRank || !ok:
		return fmt.Errorf("shape %v: want %d dimensions and %d elements at most", t.Shape, MaxRank, int64(elementLimit))
	case len(t.Note) > MaxLabelBytes:
		return fmt.Errorf("note of %d bytes, want at most %d", len(t.Note), MaxLabelBytes)
	case t.Quant != nil && (t.Data != nil || t.Note != ""):
		return errors.New("data or note beside codes")
	case t.Quant != nil:
		return t.Quant.check(n)
	case !keptLength(int64(len(t.Data)), n):
		return fmt.Errorf("%d bytes of data for %d elements", len(t.Data), n)
	}
	return nil
}

func (q *Quant) check(n int64) error {
	switch {
	case len(q.Method) > MaxLabelBytes:
		return fmt.Errorf("method of %d bytes, want at most %d", len(q.Method), MaxLabelBytes)
	case !finite([]float32{q.P}):
		return fmt.Errorf("exponent %v, want a finite number", q.P)
	case q.Bits < 1 || q.Bits > MaxBits:
		return fmt.Errorf("%d bits, want 1 to %d", q.Bits, MaxBits)
	case !q.Layout.valid(n):
		return fmt.Errorf("layout %v, want %d elements", q.Layout, n)
	case !q.Codec.knownForCodes() && q.Codec != CodecAuto:
		return fmt.Errorf("codec %d is not known", q.Codec)
	case int64(q.Len()) != n:
		return fmt.Errorf("%d codes, want %d", q.Len(), n)
	case len(q.Codes)+len(q.Wide) != q.Len():
		return fmt.Errorf("codes of up to %d bits beside wider ones", MaxNarrow)
	case q.Bits > MaxNarrow && (q.Zeros != nil || q.Levels != nil):
		return fmt.Errorf("zero points or levels for codes of %d bits", q.Bits)
	case !q.fit():
		return fmt.Errorf("a code does not fit in %d bits", q.Bits)
	case len(q.Scales) != q.Layout.Groups() || !finite(q.Scales):
		return fmt.Errorf("%d scales, want %d finite ones", len(q.Scales), q.Layout.Groups())
	case q.Zeros != nil && q.Levels != nil:
		return errors.New("zero points beside levels")
	case q.Stretch != 0 && (q.Levels != nil || !validStretch(q.Stretch)):
		return fmt.Errorf("stretch %v, want 0 beside levels, else a finite number above 0", q.Stretch)
	case q.Zeros != nil && (len(q.Zeros) != len(q.Scales) || !fits(q.Zeros, q.Bits)):
		return fmt.Errorf("%d zero points, want %d of %d bits", len(q.Zeros), len(q.Scales), q.Bits)
	case q.Levels != nil && (len(q.Levels) != 1<<q.Bits || !finite(q.Levels)):
		return fmt.Errorf("%d levels, want %d finite ones", len(q.Levels), 1<<q.Bits)
	}
	return nil
}

// errClosed makes every call after Close fail.
var errClosed = errors.New("writing to a closed file")

// Close writes index and footer and returns the digest that the footer holds. It does not close dst.
// Without a Close that succeeds, what stands in dst is no .bq file.
func (w *Writer) Close() (Digest, error) {
	if w.err == nil && w.graph == nil {
		w.graph = &blob{}
	}
	if w.err != nil {
		return Digest{}, w.err
	}
	index := w.graph.appendTo(w.meta)
	index = binary.AppendUvarint(index, uint64(w.count))
	index = append(index, w.entries...)
	index = append(index, 0) // no extra sections
	if len(index) > MaxIndexBytes {
		w.err = fmt.Errorf("writing index: %d bytes, want at most %d", len(index), MaxIndexBytes)
		return Digest{}, w.err
	}
	codec, stored := squeeze(CodecText, MaxTextBytes, index, 0)
	if codec == CodecZstd && len(index) > MaxIndexRatio*len(stored) {
		codec, stored = CodecRaw, index
	}
	f := footer{indexOffset: w.offset, indexStored: int64(len(stored)), indexRaw: int64(len(index)),
		indexSum: checksum(stored), indexCodec: codec}
	w.write(stored)
	w.pad()
	f.fileSize = w.offset + footerSize
	w.write(f.head())
	return w.finish()
}

// finish writes the digest of everything so far and the end magic.
func (w *Writer) finish() (Digest, error) {
	if w.err == nil {
		w.err = w.out.Flush()
	}
	digest := Digest(w.hash.Sum(nil))
	w.write(digest[:])
	w.write([]byte(endMagic))
	if w.err == nil {
		w.err = w.out.Flush()
	}
	if w.err != nil {
		return Digest{}, w.err
	}
	w.err = errClosed
	return digest, nil
}
