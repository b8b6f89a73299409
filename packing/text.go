package packing

import (
	_ "embed"
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// The coder of graphs, indices and the data of kept tensors: each bit of a byte is predicted by what followed the same bytes
// before, under contexts of several lengths, mixed as in mixing.go, after lpaq (Mahoney, 2007). It takes less than a
// dictionary coder, and time: about 0.3 microseconds a byte, so that it is for small sections. FORMAT.md, "Mixed sections".

// graphDictionary is what the coder has read before a graph; see _generate/dictionary.py.
//
//go:embed dictionary.bin
var graphDictionary []byte

// mixes reports whether c, the codec of bytes, is one of this coder.
func (c Codec) mixes() bool { return c == CodecText || c == CodecGraph || c == CodecNumbers }

const (
	textContexts = 5
	textInputs   = textContexts + 1 // and the match

	textWeight = 16000
	textSpeed  = 5  // of 256 parts of error times logit
	textSeen   = 10 // bits after which a chance stops to slow down: what came last tells most

	leastMatch   = 4  // bytes that a match has at least
	longestMatch = 32 // bytes that are compared, and told apart
	longMatch    = 16 // bytes from which a match has mixers of its own

	multiplier = 0x2f0b4c47 // of all hashes
)

// textModel predicts bytes.
type textModel struct {
	arith
	stride   int // bytes of a number, 0 for text
	history  []byte
	table    []chance // of all contexts, by hash
	shift    int      // from 32 bits to a place in table
	contexts [textContexts]uint32
	word     uint32 // hash of the letters up to here
	field    uint32 // of the word before

	heads  []int32 // one behind the last byte of a sequence, by its hash
	match  int     // place in history of the byte that is expected
	length int     // of the match, 0 for none
	found  [longestMatch]chance

	mixers [3 << 8][textInputs]int32 // by match, and the bits of the byte so far
}

// mostTextTable is the size of the largest table, as a power of 2.
const mostTextTable = 20

// textTable returns the size of the table of a model for n bytes, as a power of 2.
func textTable(n int) int { return min(mostTextTable, max(12, bits.Len(uint(n))+3)) }

// newTextModel returns a model for n bytes.
func newTextModel(n, stride int) *textModel {
	size := textTable(n)
	m := &textModel{stride: stride, table: make([]chance, 1<<size), shift: 32 - size, history: make([]byte, 0, n)}
	for i := range m.table {
		m.table[i] = even
	}
	for i := range m.found {
		m.found[i] = even
	}
	for i := range m.mixers {
		for j := range m.mixers[i] {
			m.mixers[i][j] = textWeight
		}
	}
	if stride == 0 {
		m.heads = make([]int32, 1<<(size-4))
	}
	m.setContexts()
	return m
}

// code codes b.
func (m *textModel) code(b byte) byte {
	c := uint32(1) // the bits of the byte so far, behind a 1
	for i := 7; i >= 0; i-- {
		c = c<<1 | uint32(m.bitOf(int(b>>i&1), i, c))
	}
	m.add(byte(c))
	return byte(c)
}

// bitOf codes bit i of a byte whose bits above are known to c.
func (m *textModel) bitOf(y, i int, c uint32) int {
	var chances [textContexts]*chance
	var logits [textInputs]int32
	expected, set := m.expected(i, c)
	w := &m.mixers[set<<8|c]
	sum := int64(0)
	for j := range chances {
		h := (m.contexts[j] + c*0x9e3779b1) * 0x85ebca6b
		chances[j] = &m.table[h>>m.shift]
		logits[j] = chances[j].logit()
		sum += int64(logits[j]) * int64(w[j])
	}
	found := &m.found[min(m.length, longestMatch-1)]
	if set > 0 {
		t := found.logit()
		if expected == 0 {
			t = -t
		}
		logits[textContexts] = t
		sum += int64(t) * int64(w[textContexts])
	}
	p := squash(sum >> 16)
	y = m.bit(uint32(p), y)
	err := (int32(y)<<16 - p) * textSpeed
	for j, t := range logits {
		w[j] += (t*err + 1<<15) >> 16
	}
	for _, c := range chances {
		if c.learn(y); *c&(1<<chanceShift-1) > textSeen {
			*c--
		}
	}
	if set > 0 {
		found.learn(bit(y == expected))
	}
	return y
}

// expected returns the bit that the match expects, and the set of mixers: 0 where no match expects anything, 2 for a long
// one. A match whose byte turns out to differ ends.
func (m *textModel) expected(i int, c uint32) (y int, set uint32) {
	if m.length == 0 {
		return 0, 0
	}
	e := uint32(m.history[m.match]) | 1<<8
	if e>>(i+1) != c {
		m.length = 0
		return 0, 0
	}
	return int(e >> i & 1), 1 + uint32(bit(m.length >= longMatch))
}

// back returns the byte that stands i before the next one, 0 in front of the first.
func (m *textModel) back(i int) uint32 {
	if i > len(m.history) {
		return 0
	}
	return uint32(m.history[len(m.history)-i])
}

// add takes a byte into the history.
func (m *textModel) add(b byte) {
	if m.length > 0 {
		if m.history[m.match] == b {
			m.match, m.length = m.match+1, m.length+1
		} else {
			m.length = 0
		}
	}
	m.history = append(m.history, b)
	if m.stride == 0 {
		m.addWord(b)
		m.findMatch()
	}
	m.setContexts()
}

// addWord follows words of letters; digits between them do not count.
func (m *textModel) addWord(b byte) {
	switch {
	case b|0x20 >= 'a' && b|0x20 <= 'z' || b >= 0x80:
		m.word = (m.word + uint32(b)) * multiplier
		m.word ^= m.word >> 13
	case b < '0' || b > '9':
		m.field, m.word = m.word+uint32(b), 0
	}
}

// findMatch looks for the last place where the same five bytes stood, unless a match goes on.
func (m *textModel) findMatch() {
	h := uint32(0)
	for i := 1; i <= 5; i++ {
		h = (h + m.back(i) + 1) * multiplier
	}
	head := &m.heads[h>>(m.shift+4)]
	n := len(m.history)
	if at := int(*head); m.length == 0 && at > 0 {
		l := 0
		for l < longestMatch && l < at && m.history[at-1-l] == m.history[n-1-l] {
			l++
		}
		if l >= leastMatch {
			m.match, m.length = at, l
		}
	}
	*head = int32(n)
}

// setContexts hashes what stands before the next byte.
func (m *textModel) setContexts() {
	if m.stride > 0 {
		m.setNumberContexts()
		return
	}
	h := uint32(0)
	for i := 1; i <= 3; i++ {
		h = (h + m.back(i) + 1) * multiplier
		h ^= h >> 15
		m.contexts[i] = h + uint32(i)<<28
	}
	m.contexts[0] = 0
	m.contexts[4] = (m.word + 3*m.field + 99) * multiplier
}

// setNumberContexts hashes the byte's place in its number, with the byte before and those at this place of the numbers
// before.
func (m *textModel) setNumberContexts() {
	place := uint32(len(m.history)%m.stride + 1)
	left, above, twice := m.back(1), m.back(m.stride), m.back(2*m.stride)
	for i, v := range [textContexts]uint32{0, left, above, above<<8 | left, above<<8 | twice} {
		m.contexts[i] = ((v<<3|uint32(i))<<4 + place) * multiplier
	}
}

// read makes the model one that has coded b.
func (m *textModel) read(b []byte) {
	m.startWriting(make([]byte, 0, len(b)/2))
	for _, c := range b {
		m.code(c)
	}
}

// primed are models that have read graphDictionary, by the size of their table: reading it takes longer than most graphs do.
var primed [mostTextTable + 1]struct {
	once  sync.Once
	model *textModel
}

// graphModel returns a model for n bytes that has read graphDictionary.
func graphModel(n int) *textModel {
	p := &primed[textTable(n+len(graphDictionary))]
	p.once.Do(func() {
		p.model = newTextModel(n+len(graphDictionary), 0)
		p.model.read(graphDictionary)
	})
	m := *p.model
	m.arith = arith{}
	m.table, m.heads = slices.Clone(m.table), slices.Clone(m.heads)
	m.history = append(make([]byte, 0, len(m.history)+n), m.history...)
	return &m
}

// textModelOf returns a model for n bytes under a codec: stride counts for CodecNumbers.
func textModelOf(c Codec, n, stride int) *textModel {
	switch c {
	case CodecNumbers:
		return newTextModel(n, stride)
	case CodecGraph:
		return graphModel(n)
	}
	return newTextModel(n, 0)
}

// encodeText returns b under codec c.
func encodeText(c Codec, b []byte, stride int) []byte {
	m := textModelOf(c, len(b), stride)
	m.startWriting(nil)
	for _, v := range b {
		m.code(v)
	}
	return m.finish()
}

// decodeText is the inverse of encodeText for n bytes, of which there are at most MaxTextBytes.
func decodeText(c Codec, src []byte, n, stride int) ([]byte, error) {
	m := textModelOf(c, n, stride)
	m.startReading(src)
	first := len(m.history)
	for range n {
		m.code(0)
	}
	if !m.ended() {
		return nil, fmt.Errorf("%d bytes do not end where the %d that they stand for do", len(src), n)
	}
	return m.history[first:], nil
}
