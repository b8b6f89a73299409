package packing

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// The codes section of CodecRange: the lengths of all chunks but the last, then the chunks, each a byte for the class of
// its mean magnitude and an arithmetic code. FORMAT.md, "Codes, codec 3".

// rangeChunk is the most codes of a chunk. Twice as many would save 0.02 % of the bytes, and leave half the work to share.
const rangeChunk = 1 << 17

// centre returns the code that a range coder takes for zero in all groups: the zero point, or the code of the level
// nearest to zero, the lowest of equals.
func (q *Quant) centre() int {
	if q.Levels == nil {
		return 1 << (q.Bits - 1)
	}
	best := 0
	for i, v := range q.Levels {
		if math.Abs(float64(v)) < math.Abs(float64(q.Levels[best])) {
			best = i
		}
	}
	return best
}

// centres fills dst with the centres of the elements from on: those of their groups where these have zero points.
func (q *Quant) centres(dst []int32, from int) {
	if q.Zeros == nil {
		c := int32(q.centre())
		for i := range dst {
			dst[i] = c
		}
		return
	}
	q.Layout.groupRuns(from, from+len(dst), func(at, end, group int) {
		for i := at; i < end; i++ {
			dst[i-from] = int32(q.Zeros[group])
		}
	})
}

// groupRuns calls run for the elements from to end, all of one group at a time: at up to stop.
func (l Layout) groupRuns(from, end int, run func(at, stop, group int)) {
	perChannel := l.BlocksPerChannel()
	for at := from; at < end; {
		i, rest := at%l.Inner, at/l.Inner
		c, o := rest%l.Channels, rest/l.Channels
		n, block := l.Inner-i, 0
		if l.Block > 0 {
			place := o*l.Inner + i
			block = place / l.Block
			n = min(n, l.Block-place%l.Block)
		}
		stop := min(end, at+n)
		run(at, stop, c*perChannel+block)
		at = stop
	}
}

// chunkCoder codes one chunk after the other. It keeps its memory in between.
type chunkCoder struct {
	q       *Quant
	g       geometry
	model   magnitudeModel
	centres []int32
	values  []int32
	repeats repeats
	asks    bool // of each value first whether it is a repeat
}

// asksRepeats in the first byte of a chunk says that it asks.
const asksRepeats = 1 << 6

// room makes centres and values those of the codes from to end.
func (k *chunkCoder) room(from, end int) {
	n := end - from
	if cap(k.centres) < n {
		k.centres, k.values = make([]int32, n), make([]int32, n)
	}
	k.centres, k.values = k.centres[:n], k.values[:n]
	k.q.centres(k.centres, from)
}

// run codes all values; where the model reads, it fills them in.
func (k *chunkCoder) run(from int) {
	m := &k.model
	top := int32(1)<<k.q.Bits - 1
	near := newNeighbours(k.g, len(k.values), from%k.g.columns, startOf(m.base))
	if k.asks {
		k.repeats.start(k.values)
	}
	var s surroundings
	for i, c := range k.centres {
		v, same := k.values[i], false
		if k.asks {
			v, same = k.repeat(v, c, top-c)
		}
		if !same {
			near.look(&s)
			v = m.value(v, c, top-c, &s)
		}
		k.values[i] = v
		near.add(v)
		if k.asks {
			k.repeats.add(same)
		}
	}
}

// repeat codes whether v is the expected value and returns that if so.
func (k *chunkCoder) repeat(v, below, above int32) (int32, bool) {
	expected, ok := k.repeats.expected(below, above)
	if !ok || k.repeats.chance().alone(&k.model.arith, bit(v == expected)) == 0 {
		return v, false
	}
	return expected, true
}

// encode returns the chunk of the codes from to end, of which there is at least one.
func (k *chunkCoder) encode(from, end int) []byte {
	k.room(from, end)
	for i, c := range k.centres {
		k.values[i] = int32(k.q.Code(from+i)) - c
	}
	base := baseOf(k.values)
	best := k.write(base, false, from)
	if k.repeats.worth(k.values) {
		if b := k.write(base, true, from); len(b) < len(best) {
			return b
		}
	}
	return best
}

// write returns the chunk of values, whose mean magnitude is of class base.
func (k *chunkCoder) write(base int, asks bool, from int) []byte {
	k.model.reset(base, k.q.Bits)
	k.asks = asks
	k.model.startWriting([]byte{byte(base) | byte(bit(asks))*asksRepeats})
	k.run(from)
	return k.model.finish()
}

// decode fills values from src, the chunk of the codes from to end.
func (k *chunkCoder) decode(src []byte, from, end int) error {
	if len(src) == 0 || src[0]&^asksRepeats > maxBase {
		return fmt.Errorf("chunk of codes %d to %d: no class of magnitude, want one of 0 to %d", from, end, maxBase)
	}
	base := int(src[0] &^ asksRepeats)
	k.asks = src[0]&asksRepeats != 0
	k.room(from, end)
	k.model.reset(base, k.q.Bits)
	k.model.startReading(src[1:])
	k.run(from)
	if !k.model.ended() {
		return fmt.Errorf("chunk of codes %d to %d: its %d bytes do not end where the codes do", from, end, len(src))
	}
	if want := baseOf(k.values); base != want {
		return fmt.Errorf("chunk of codes %d to %d: class of magnitude %d, want %d", from, end, base, want)
	}
	return nil
}

// store puts the values of the last decode into q's codes.
func (k *chunkCoder) store(from int) {
	if k.q.Bits > MaxNarrow {
		dst := k.q.Wide[from:]
		for i, c := range k.centres {
			dst[i] = uint16(c + k.values[i])
		}
		return
	}
	dst := k.q.Codes[from:]
	for i, c := range k.centres {
		dst[i] = uint8(c + k.values[i])
	}
}

// chunkPool keeps coders for tensors to come.
var chunkPool = sync.Pool{New: func() any { return &chunkCoder{} }}

// with lets use work with k as the coder of q, a tensor of geometry g, of which nothing stays in k.
func (k *chunkCoder) with(q *Quant, g geometry, use func()) {
	k.q, k.g = q, g
	use()
	k.q, k.model.arith, k.repeats.values = nil, arith{}, nil
}

// encodeRange returns the codes section of q under CodecRange.
func (q *Quant) encodeRange(shape []int64) []byte {
	n, g := q.Len(), geometryOf(shape, q.Layout)
	chunks := make([][]byte, partCount(n, rangeChunk))
	eachPart(len(chunks), &chunkPool, func(k *chunkCoder, i int) {
		k.with(q, g, func() { chunks[i] = k.encode(partStart(n, len(chunks), i), partStart(n, len(chunks), i+1)) })
	})
	return joinParts(nil, chunks)
}

// decodeRange checks rule R35 on src, the codes section of a tensor of n codes, and, where keep, fills in q's codes.
// Levels and zero points of q are there already.
func (q *Quant) decodeRange(shape []int64, src []byte, n int, keep bool) error {
	chunks, err := splitParts(src, partCount(n, rangeChunk))
	if err != nil {
		return err
	}
	if keep {
		q.makeCodes(n)
	}
	g := geometryOf(shape, q.Layout)
	errs := make([]error, len(chunks))
	eachPart(len(chunks), &chunkPool, func(k *chunkCoder, i int) {
		from, end := partStart(n, len(chunks), i), partStart(n, len(chunks), i+1)
		k.with(q, g, func() {
			if errs[i] = k.decode(chunks[i], from, end); errs[i] == nil && keep {
				k.store(from)
			}
		})
	})
	return errors.Join(errs...)
}
