package packing

import (
	"encoding/binary"
	"math"
)

// parser walks through the decoded index. It keeps the first error; once there is one, every read
// returns zero, and loops end because they look at err.
type parser struct {
	b    []byte
	pos  int
	at   int64 // where the index starts in the file
	end  int64 // where the sections must end
	next int64 // where the next section starts
	name string
	err  error
}

func (p *parser) fail(rule, format string, args ...any) {
	if p.err == nil {
		args = append([]any{p.pos}, args...)
		p.err = formatError(rule, p.at, p.name, "index byte %d: "+format, args...)
	}
}

func (p *parser) unknown(rule, format string, args ...any) {
	if p.err == nil {
		p.err = unsupported(rule, p.at, p.name, format, args...)
	}
}

// take returns the next n bytes as they stand in the index.
func (p *parser) take(n int) []byte {
	if p.err == nil && n > len(p.b)-p.pos {
		p.fail(ruleInteger, "%d bytes wanted, %d left", n, len(p.b)-p.pos)
	}
	if p.err != nil {
		return nil
	}
	p.pos += n
	return p.b[p.pos-n : p.pos]
}

func (p *parser) u8() byte {
	if b := p.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// uvarint reads an unsigned LEB128 integer of at most limit, in as few bytes as it can take.
func (p *parser) uvarint(limit int64, what string) int64 {
	if p.err != nil {
		return 0
	}
	v, n := binary.Uvarint(p.b[p.pos:])
	switch {
	case n == 0:
		p.fail(ruleInteger, "%s: integer runs past the end", what)
	case n < 0:
		p.fail(ruleInteger, "%s: integer above 64 bits", what)
	case n > 1 && p.b[p.pos+n-1] == 0:
		p.fail(ruleInteger, "%s: integer %d in %d bytes, want fewer", what, v, n)
	case v > uint64(limit):
		p.fail(ruleLimit, "%s: %d, want at most %d", what, v, limit)
	default:
		p.pos += n
		return int64(v)
	}
	return 0
}

// count reads the number of items to come, each of at least size bytes.
func (p *parser) count(limit, size int64, what string) int64 {
	n := p.uvarint(limit, what)
	if left := int64(len(p.b) - p.pos); p.err == nil && n > left/size {
		p.fail(ruleLimit, "%s: %d, but %d bytes left", what, n, left)
		return 0
	}
	return n
}

func (p *parser) string(limit int64, what string) string {
	return string(p.take(int(p.count(limit, 1, what))))
}

// place gives the next section its offset and checks that it ends before the index.
func (p *parser) place(stored int64, what string) int64 {
	at := p.next
	if p.err == nil && stored+padding(stored) > p.end-at { // stored is at most 2*MaxFileBytes
		p.fail(rulePlaced, "%s: %d bytes at %d run into the index at %d", what, stored, at, p.end)
	}
	if p.err == nil {
		p.next += stored + padding(stored)
	}
	return at
}

// parseIndex checks rules R11 to R26.
func parseIndex(b []byte, f *footer) (*index, error) {
	p := &parser{b: b, at: f.indexOffset, end: f.indexOffset, next: headerSize}
	x := &index{meta: p.meta()}
	x.graph = p.blob(MaxGraphBytes, "graph")
	x.graph.offset = p.place(x.graph.stored, "graph")
	p.tensors(x)
	p.extras(x)
	if p.err == nil && p.next != p.end {
		p.fail(rulePlaced, "sections end at %d, want %d", p.next, p.end)
	}
	if p.err == nil && p.pos != len(b) {
		p.fail(ruleIndexEnd, "%d bytes left over", len(b)-p.pos)
	}
	if p.err != nil {
		return nil, p.err
	}
	return x, nil
}

func (p *parser) meta() Meta {
	const least = 3 // a key of one byte, an empty value
	n := p.count(MaxMetaPairs, least, "metadata pairs")
	m := make(Meta, 0, n)
	seen := make(map[string]bool, n)
	for i := int64(0); i < n && p.err == nil; i++ {
		key := p.string(MaxNameBytes, "metadata key")
		value := append([]byte{}, p.take(int(p.count(MaxIndexBytes, 1, "metadata value")))...)
		if p.err == nil && (key == "" || seen[key]) {
			p.fail(ruleMetaKey, "metadata key %q: empty or twice", key)
		}
		seen[key] = true
		m = append(m, Pair{key, value})
	}
	return m
}

// blob reads what blob.appendTo wrote. Of an unknown codec only the limits are checked.
func (p *parser) blob(limit int64, what string) blob {
	s := blob{codec: Codec(p.u8())}
	s.raw = p.uvarint(limit, what+" length")
	s.stored = s.raw
	if s.codec != CodecRaw {
		s.stored = p.uvarint(MaxFileBytes, what+" stored length")
	}
	if s.codec == CodecZstd && (s.stored >= s.raw || (s.raw-1)/MaxZstdRatio >= s.stored) {
		p.fail(ruleStored, "%s: %d bytes stored for %d", what, s.stored, s.raw)
	}
	if s.codec.mixes() && (s.stored >= s.raw || s.raw > MaxTextBytes) {
		p.fail(ruleStored, "%s: %d bytes stored for %d under codec %d", what, s.stored, s.raw, s.codec)
	}
	s.sum = p.u32()
	return s
}

func (p *parser) tensors(x *index) {
	const least = 12 // a name of one byte, no dimensions, kept
	n := p.count(MaxTensors, least, "tensors")
	if p.err != nil {
		return
	}
	// An Entry is larger than its bytes here, so a count that is only claimed must not decide.
	x.entries = make([]Entry, 0, min(n, 1024))
	x.byName = make(map[string]int, min(n, 1024))
	for i := int64(0); i < n && p.err == nil; i++ {
		e := Entry{Name: p.string(MaxNameBytes, "tensor name")}
		if _, twice := x.byName[e.Name]; p.err == nil && (twice || e.Name == "") {
			p.fail(ruleName, "tensor name %q: empty or twice", e.Name)
		}
		p.name = e.Name
		p.entry(&e)
		x.byName[e.Name] = len(x.entries)
		x.entries = append(x.entries, e)
		p.name = ""
	}
}

// entry reads a tensor entry after its name.
func (p *parser) entry(e *Entry) {
	e.Type = int32(p.uvarint(math.MaxInt32, "element type"))
	e.Shape = make([]int64, p.count(MaxRank, 1, "rank"))
	for i := range e.Shape {
		e.Shape[i] = p.uvarint(math.MaxInt64, "dimension")
	}
	n, ok := elements(e.Shape...)
	if !ok && p.err == nil {
		p.fail(ruleShape, "shape %v: more than %d elements", e.Shape, int64(elementLimit))
	}
	e.Elements = n
	switch state := p.u8(); {
	case state == stateKept:
		p.kept(e)
	case state == stateQuantized || state == stateApart:
		e.apart = state == stateApart
		p.quantized(e)
	default:
		p.unknown(ruleState, "state of %q: %d is not known", e.Name, state)
	}
}

func (p *parser) kept(e *Entry) {
	e.Note = p.string(MaxLabelBytes, "note")
	s := p.blob(MaxFileBytes*MaxZstdRatio-1, "data")
	if p.err == nil && !keptLength(s.raw, e.Elements) {
		p.fail(ruleKeptLength, "data: %d bytes for %d elements", s.raw, e.Elements)
	}
	e.Codec, e.DataBytes, e.KeptBytes, e.sum = s.codec, s.raw, s.stored, s.sum
	e.Offset = p.place(s.stored, "data")
}

// keptLength reports whether so many raw bytes can hold n elements: none for none, else 1 to 16 each;
// elements under a byte wide share bytes.
func keptLength(raw, n int64) bool { return raw <= MaxElementBytes*n && (raw > 0 || n == 0) }

func (p *parser) quantized(e *Entry) {
	e.Quantized = true
	e.Method = p.string(MaxLabelBytes, "method")
	e.P = math.Float32frombits(p.u32())
	e.Bits = int(p.u8())
	if p.err == nil && (e.Bits < 1 || e.Bits > MaxBits) {
		p.fail(ruleBits, "bits: %d, want 1 to %d", e.Bits, MaxBits)
	}
	if !finite([]float32{e.P}) {
		p.fail(ruleExponent, "exponent: %v, want a finite number", e.P)
	}
	l := &e.Layout
	for _, n := range [...]*int{&l.Outer, &l.Channels, &l.Inner, &l.Block} {
		*n = int(p.uvarint(elementLimit, "layout"))
	}
	if p.err == nil && !l.valid(e.Elements) {
		p.fail(ruleLayout, "layout %v: want %d elements", *l, e.Elements)
	}
	e.Codec = Codec(p.u8())
	if e.apart || e.Codec != CodecPacked {
		e.CodesBytes = p.uvarint(MaxFileBytes, "codes length")
	} else if p.err == nil {
		e.CodesBytes = int64(PackedLen(int(e.Elements), e.Bits))
	}
	if e.apart {
		e.sum = p.u32()
	}
	p.checkCodesLength(e)
	p.params(e)
	e.Offset = p.place(e.CodesBytes+e.ScalesBytes, "codes and params")
}

// params reads what an entry says of the params section, and the last checksum.
func (p *parser) params(e *Entry) {
	e.forms = forms(p.u8())
	e.Codebook = e.forms.codebook()
	if e.apart || !e.forms.fixed() {
		e.ScalesBytes = p.uvarint(MaxFileBytes, "params length")
	} else if p.err == nil {
		s, z, l := e.forms.size(e.Layout.Groups(), e.Bits)
		e.ScalesBytes = int64(s + z + l)
	}
	if e.apart {
		e.paramsSum = p.u32()
	} else {
		e.sum = p.u32()
	}
	p.checkForms(e)
}

// checkCodesLength matches the length of the codes section with its codec; an unknown codec passes.
func (p *parser) checkCodesLength(e *Entry) {
	if p.err != nil || !e.Codec.knownForCodes() {
		return
	}
	packed := int64(PackedLen(int(e.Elements), e.Bits))
	switch {
	case e.Codec == CodecPacked && e.CodesBytes != packed:
		p.fail(ruleCodesLength, "codes: %d bytes, want %d", e.CodesBytes, packed)
	case e.Codec != CodecPacked && e.CodesBytes >= packed:
		p.fail(ruleCodesLength, "codes: %d bytes under codec %d, want fewer than the %d of packed ones", e.CodesBytes, e.Codec, packed)
	case e.Codec != CodecPacked && (e.Elements-1)/MaxCodesRatio >= e.CodesBytes:
		p.fail(ruleCodesLength, "codes: %d bytes for %d codes", e.CodesBytes, e.Elements)
	}
}

// checkForms matches the length of the params section with its forms; unknown forms pass, so that a
// file with one such tensor still opens.
func (p *parser) checkForms(e *Entry) {
	if p.err != nil || !e.forms.known() {
		return
	}
	if e.Codebook && e.forms.zeros() != zerosDefault {
		p.fail(ruleForms, "params: zero points beside levels")
		return
	}
	if e.Bits > MaxNarrow && (e.Codebook || e.forms.zeros() != zerosDefault) {
		p.fail(ruleForms, "params: zero points or levels for codes of %d bits", e.Bits)
		return
	}
	groups := e.Layout.Groups()
	s, z, l := e.forms.size(groups, e.Bits)
	most, least := int64(s+z+l), int64(s+z+l)
	shortest := int64((groups + MaxCodesRatio - 1) / MaxCodesRatio)
	if e.forms.scales() == scalesCoded8 {
		least -= int64(s) - shortest
	}
	if e.forms.zeros() == zerosCoded {
		least -= int64(z) - shortest
	}
	if e.ScalesBytes < least || e.ScalesBytes > most {
		p.fail(ruleForms, "params: %d bytes, want %d to %d", e.ScalesBytes, least, most)
	}
}

func (p *parser) extras(x *index) {
	const least = 6 // id and length of one byte, checksum
	n := p.count(MaxExtras, least, "extra sections")
	last := int64(-1)
	for i := int64(0); i < n && p.err == nil; i++ {
		s := extra{id: p.uvarint(math.MaxInt64, "section id")}
		s.stored = p.uvarint(MaxFileBytes, "section length")
		s.sum = p.u32()
		if p.err == nil && s.id <= last {
			p.fail(ruleExtra, "section id %d after %d", s.id, last)
		}
		if s.id%2 == 1 {
			p.unknown(ruleExtra, "section: kind %d is not known and must not be skipped", s.id)
		}
		s.offset = p.place(s.stored, "extra section")
		x.extras = append(x.extras, s)
		last = s.id
	}
}
