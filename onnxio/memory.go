package onnxio

import (
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Reading a file allocates at most memoryFactor times its size and memoryBase. Two bytes on disk can stand for a node
// of 200 bytes, so that a small hostile file could otherwise fill the memory. Of real files, graphs take 5 to 15 times
// their bytes, the less the longer their names, and tensor data, most of the bytes, nothing: a file that has no tensor
// data at all is refused from 6 MB on where names are numbers, from 70 MB on where they are as long as in language models.
const (
	memoryFactor = 4
	memoryBase   = 64 << 20
)

// budget returns the bytes of memory that reading a file of size bytes may take.
func budget(size int) int64 { return memoryFactor*int64(size) + memoryBase }

// unlimited is the budget for reading again what was read before.
const unlimited = math.MaxInt64

// charge takes n bytes off the budget, and what the allocator rounds them up by: an eighth for large sizes, a word for
// small ones. Once the budget is spent every reader returns an error.
func (p *parser) charge(n int) error {
	p.left -= int64(n) + int64(n)/8 + 8
	if p.left < 0 {
		return formatErrorf("", "messages of the file would take more than %d bytes of memory, %d times its size and %d MiB",
			p.limit, memoryFactor, memoryBase>>20)
	}
	return nil
}

// room makes list's capacity large enough for n more elements, exactly, where it is not yet.
func room[T any](p *parser, list *[]T, n int) error {
	if n <= cap(*list)-len(*list) {
		return nil
	}
	var one T
	if err := p.charge((len(*list) + n) * int(unsafe.Sizeof(one))); err != nil {
		return err
	}
	*list = append(make([]T, 0, len(*list)+n), *list...)
	return nil
}

// tally is how often each field of a message occurs, for numbers up to 31.
type tally [32]int

// count tallies the fields of b up to the first that is malformed.
func count(b []byte) (c tally) {
	eachField(b, func(f field) error { // what is malformed is reported when the fields are read
		if int(f.num) < len(c) {
			c[f.num]++
		}
		return nil
	})
	return c
}

// str reads a string field.
func (p *parser) str(f field, dst *string) error {
	if err := p.charge(len(f.b)); err != nil {
		return err
	}
	*dst = string(f.b)
	return f.want(protowire.BytesType)
}

// maxWords bounds the words that a parser keeps one copy of.
const maxWords = 512

// word reads a string that many messages share: an operator or the name of an attribute.
func (p *parser) word(f field, dst *string) error {
	if w, ok := p.words[string(f.b)]; ok {
		*dst = w
		return f.want(protowire.BytesType)
	}
	if err := p.str(f, dst); err != nil {
		return err
	}
	if len(p.words) < maxWords {
		if p.words == nil {
			p.words = map[string]string{}
		}
		p.words[*dst] = *dst
	}
	return nil
}

func (p *parser) addStr(f field, dst *[]string) error {
	if err := room(p, dst, 1); err != nil {
		return err
	}
	var s string
	err := p.str(f, &s)
	*dst = append(*dst, s)
	return err
}

func (p *parser) addBytes(f field, dst *[][]byte) error {
	if err := room(p, dst, 1); err != nil {
		return err
	}
	*dst = append(*dst, f.b)
	return f.want(protowire.BytesType)
}

// addInts appends the values of a repeated int64 field, packed or not.
func (p *parser) addInts(f field, dst *[]int64) error {
	if f.typ == protowire.VarintType {
		err := room(p, dst, 1)
		*dst = append(*dst, int64(f.u))
		return err
	}
	if err := f.wantVarints(); err != nil {
		return err
	}
	if err := room(p, dst, countVarints(f.b)); err != nil {
		return err
	}
	eachVarint(f.b, func(_ int, v uint64) { *dst = append(*dst, int64(v)) })
	return nil
}

// addFloats appends the values of a repeated float field, packed or not.
func (p *parser) addFloats(f field, dst *[]float32) error {
	chunk, err := f.fixed(protowire.Fixed32Type, 4)
	if err != nil {
		return err
	}
	if err := room(p, dst, len(chunk)/4); err != nil {
		return err
	}
	n := len(*dst)
	*dst = (*dst)[:n+len(chunk)/4]
	getFloat32s((*dst)[n:], chunk)
	return nil
}

// addFixed appends the little-endian bytes of a repeated fixed32 or fixed64 field of msg, packed or not. A single
// chunk stays a slice of the file.
func (p *parser) addFixed(msg []byte, f field, dst *[]byte, typ protowire.Type, size int) error {
	chunk, err := f.fixed(typ, size)
	if err != nil {
		return err
	}
	return p.join(msg, f.num, dst, chunk)
}

// addVarints is addFixed for a repeated varint field: dst gets the varints as they stand.
func (p *parser) addVarints(msg []byte, f field, dst *[]byte) error {
	if f.typ == protowire.VarintType {
		return p.join(msg, f.num, dst, f.raw[len(f.raw)-f.ulen:])
	}
	if err := f.wantVarints(); err != nil {
		return err
	}
	return p.join(msg, f.num, dst, f.b)
}

// join appends chunk to dst. The first chunk is not copied, the second makes room for all that msg has in field num.
func (p *parser) join(msg []byte, num protowire.Number, dst *[]byte, chunk []byte) error {
	if len(*dst) == 0 {
		*dst = chunk
		return nil
	}
	if len(chunk) > cap(*dst)-len(*dst) {
		total := 0
		eachField(msg, func(f field) error { // well formed up to this field at least
			if f.num == num {
				total += len(f.raw)
			}
			return nil
		})
		if err := room(p, dst, total); err != nil {
			return err
		}
	}
	*dst = append(*dst, chunk...)
	return nil
}
