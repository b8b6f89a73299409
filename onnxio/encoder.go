package onnxio

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// byReference is the size from which byte strings are written from where they stand instead of being copied.
const byReference = 1024

// encoder collects an encoding as a list of parts, so that tensor data are never copied.
type encoder struct {
	parts [][]byte
	cur   []byte
	size  int64
	plain bool // encode every field anew, for comparing two messages
}

func (e *encoder) finish() [][]byte {
	e.flush()
	return e.parts
}

func (e *encoder) flush() {
	if len(e.cur) > 0 {
		e.parts = append(e.parts, e.cur)
		e.cur = nil
	}
}

func (e *encoder) raw(b []byte) {
	e.size += int64(len(b))
	if len(b) < byReference {
		e.cur = append(e.cur, b...)
		return
	}
	e.flush()
	e.parts = append(e.parts, b)
}

func (e *encoder) varint(v uint64) { e.raw(protowire.AppendVarint(nil, v)) }

func (e *encoder) tag(num protowire.Number, typ protowire.Type) {
	e.varint(protowire.EncodeTag(num, typ))
}

func (e *encoder) int(num protowire.Number, v int64) {
	e.tag(num, protowire.VarintType)
	e.varint(uint64(v))
}

// optInt writes v unless it is zero, which is what an absent field reads as.
func (e *encoder) optInt(num protowire.Number, v int64) {
	if v != 0 {
		e.int(num, v)
	}
}

func (e *encoder) bytes(num protowire.Number, b []byte) {
	e.tag(num, protowire.BytesType)
	e.varint(uint64(len(b)))
	e.raw(b)
}

func (e *encoder) optBytes(num protowire.Number, b []byte) {
	if len(b) > 0 {
		e.bytes(num, b)
	}
}

func (e *encoder) optStr(num protowire.Number, s string) { e.optBytes(num, []byte(s)) }

func (e *encoder) strs(num protowire.Number, list []string) {
	for _, s := range list {
		e.bytes(num, []byte(s))
	}
}

// packed writes a repeated varint field, packed as the tensors of onnx.proto want it.
func (e *encoder) packed(num protowire.Number, list []int64) {
	var b []byte
	for _, v := range list {
		b = protowire.AppendVarint(b, uint64(v))
	}
	e.optBytes(num, b)
}

// fieldSet is a set of field numbers below 64.
type fieldSet uint64

func fields(nums ...int) (set fieldSet) {
	for _, n := range nums {
		set |= 1 << n
	}
	return set
}

func (s fieldSet) has(num protowire.Number) bool { return num < 64 && s>>num&1 == 1 }

// unknown writes the fields of src that are not in known, as they stand: what this package does not interpret.
func (e *encoder) unknown(src []byte, known fieldSet) {
	e.others(src, func(f field) bool { return !known.has(f.num) })
}

// others writes the fields of src that keep wants, as they stand.
func (e *encoder) others(src []byte, keep func(field) bool) {
	eachField(src, func(f field) error { // well formed: it was read before
		if keep(f) {
			e.raw(f.raw)
		}
		return nil
	})
}
