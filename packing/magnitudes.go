package packing

import "math/bits"

// The range coder's binarisation. The size of a value is 0 for 0, else e+1 with 2^e <= |value| < 2^(e+1). It is found by
// asking "at least j?", first for the j that halves what is to be expected, then up or down from there. The sign comes
// behind the size, but where 1 is asked for first, it follows that question. The mantissa is last; its upper bits are
// coded, its lower bits stored.

const (
	sizes      = 17 // of values of 16 bits and a sign
	codedBelow = 3  // mantissa bits that are coded

	// Places in a slot: that of "at least j?" is j, from 1; that of the upper mantissa bit is upperAt + e, with e from 1.
	upperAt  = 16
	slotSize = 32

	// What the first chances count for, in bits seen.
	priorSeen = 6
	tableSeen = 12 // of the tensor as a whole
	signSeen  = 10
	restSeen  = 10

	// Codes of so few bits have signs of different reach, and are better known by them first.
	signedFirst = 3

	classes     = 16 // half octaves that a context tells apart, the chunk's own in the middle
	fineClasses = 64 // quarter octaves
	maxBase     = 37 // the half octave of the mean magnitude 65535
)

// A slot holds the chances of one context.
type slot [slotSize]chance

// priors are the slots of a chunk to start with, by k from -priorBase; see _generate/priors.py.
type priors [priorSize]slot

func prior(table *[priorSize]uint16, k int) uint64 {
	return uint64(table[max(0, min(priorSize-1, k+priorBase))])
}

// reach returns the probabilities of 2^16 that a value has at least each size, where its neighbours are of class k.
func reach(k int) (f [sizes + 1]uint64) {
	f[0] = 1 << 16
	f[1] = prior(&priorNonzero, k)
	for j := 2; j < sizes; j++ {
		f[j] = f[j-1] * prior(&priorLonger, k-4*(j-2)) >> 16
	}
	return f
}

// middleOf returns the size that is asked for first in a chunk of class base: the largest that half of the values reach.
func middleOf(base int) int {
	f := reach(2 * base)
	j := 1
	for f[j+1] >= 1<<15 {
		j++
	}
	return j
}

// priorsFrom returns the slots for chunks that ask for size first before others.
func priorsFrom(first int) *priors {
	const least = 64 // of 65536, what no chance starts below
	t := &priors{}
	for i := range t {
		k := i - priorBase
		f := reach(k)
		for j := 1; j < sizes; j++ {
			up, all := f[j], f[j-1] // reached j, of those that reached j-1
			switch {
			case j == first:
				all = 1 << 16
			case j < first:
				up, all = f[j]-f[j+1], 1<<16-f[j+1] // of those that did not reach j+1
			}
			p := uint64(least)
			if all > 0 {
				p = max(least, min(1<<16-least, up<<16/all))
			}
			if j < upperAt {
				t[i][j] = chance(p)<<16 | priorSeen
			} else {
				t[i][0] = chance(p)<<16 | priorSeen // the place that no question has
			}
		}
		for e := 1; e < slotSize-upperAt; e++ {
			t[i][upperAt+e] = chance(prior(&priorUpper, k-4*e))<<16 | priorSeen
		}
	}
	return t
}

func (t *priors) at(k int) slot { return t[max(0, min(priorSize-1, k+priorBase))] }

// magnitudeModel predicts the values of one chunk.
type magnitudeModel struct {
	arith
	base   int      // half octave of the mean magnitude of the chunk
	first  int      // size that is asked for first
	slots  [4]*slot // the contexts of this value
	mixers [slotSize]mixer
	sign   mixer

	whole [3]slot // no context: sign unknown, above zero, below zero
	rest  [2][sizes][1 << codedBelow]chance
	table [2][classes * classes]slot
	fine  [fineClasses]slot
	signs [inputs][27]chance // the first by size
}

// reset makes the model that of a chunk of codes of the given bits whose mean magnitude is of class base.
func (m *magnitudeModel) reset(base, bits int) {
	m.base, m.first = base, middleOf(base)
	if bits <= signedFirst {
		m.first = 1
	}
	t := priorsFrom(m.first)
	for i := range m.mixers {
		m.mixers[i] = newMixer(firstWeight)
	}
	m.sign = newMixer(signWeight)
	for i := range m.whole {
		m.whole[i] = t.at(2 * base)
		for j := range m.whole[i] {
			m.whole[i][j] += tableSeen - priorSeen
		}
	}
	for i := range classes * classes {
		m.table[0][i] = t.at(i/classes + i%classes - classes + 2*base)
		m.table[1][i] = m.table[0][i]
	}
	for i := range m.fine {
		m.fine[i] = t.at(i - classes + 2*base)
	}
	for i := range m.rest {
		for e := range m.rest[i] {
			for j := range m.rest[i][e] {
				m.rest[i][e][j] = even | restSeen
			}
		}
	}
	for i := range m.signs {
		for j := range m.signs[i] {
			m.signs[i][j] = even | signSeen
		}
	}
}

// classOffset is the class of 16 times a mean below which halfOctave of it tells nothing.
const classOffset = 2

// startOf returns the average magnitude, in units of 1/256, that stands for class base: the middle of the half octave.
func startOf(base int) int32 {
	c := base + classOffset
	return int32(2|c&1) << (c/2 - 1) * 19
}

// baseOf returns the class of the mean magnitude of values, of which there is at least one.
func baseOf(values []int32) int {
	sum := int64(0)
	for _, v := range values {
		sum += int64(max(v, -v))
	}
	return max(0, halfOctave(uint32(16*sum/int64(len(values))))-classOffset)
}

// near returns a half octave as a class of a context.
func (m *magnitudeModel) near(halfOctave int) int {
	return max(0, min(classes-1, halfOctave-classOffset-m.base+classes/2))
}

// enter chooses the contexts of a value.
func (m *magnitudeModel) enter(s *surroundings) {
	m.slots[1] = &m.table[0][classes*m.near(s.row)+m.near(s.column)]
	m.slots[2] = &m.table[1][classes*m.near(s.near)+m.near(s.above)]
	m.slots[3] = &m.fine[max(0, min(fineClasses-1, s.both-2*m.base+classes))]
}

func (m *magnitudeModel) mixed(place, y int) int {
	place &= slotSize - 1
	s := &m.slots
	return m.mixers[place].code(&m.arith, &s[0][place], &s[1][place], &s[2][place], &s[3][place], y)
}

// value codes v, which is -below to above; one of the two is not 0.
func (m *magnitudeModel) value(v, below, above int32, s *surroundings) int32 {
	m.enter(s)
	m.slots[0] = &m.whole[0]
	size, largest := bits.Len32(uint32(max(v, -v))), bits.Len32(uint32(max(below, above)))
	j := min(m.first, largest)
	y := bit(v < 0)
	switch {
	case m.atLeast(j, size) == 0:
		if j = m.down(j, size); j == 0 {
			return 0
		}
		y = m.negative(y, j, below, above, s)
	case j == 1:
		if y = m.negative(y, 1, below, above, s); y == 1 {
			largest = bits.Len32(uint32(below))
		} else {
			largest = bits.Len32(uint32(above))
		}
		m.slots[0] = &m.whole[1+y]
		j = m.up(j, size, largest)
	default:
		j = m.up(j, size, largest)
		y = m.negative(y, j, below, above, s)
	}
	m.slots[0] = &m.whole[1+y]
	if y == 1 {
		return -m.mantissa(-v, j-1, below, &m.rest[1])
	}
	return m.mantissa(v, j-1, above, &m.rest[0])
}

// atLeast codes whether a size is j or more.
func (m *magnitudeModel) atLeast(j, size int) int { return m.mixed(j&(upperAt-1), bit(size >= j)) }

// up codes a size that is j or more.
func (m *magnitudeModel) up(j, size, largest int) int {
	for j < largest && m.atLeast(j+1, size) == 1 {
		j++
	}
	return j
}

// down codes a size that is below j.
func (m *magnitudeModel) down(j, size int) int {
	for j--; j > 0 && m.atLeast(j, size) == 0; j-- {
	}
	return j
}

// negative codes the sign of a value that has at least the given size, unless only one sign can have it.
func (m *magnitudeModel) negative(y, size int, below, above int32, s *surroundings) int {
	switch least := int32(1) << (size - 1); {
	case below < least:
		return 0
	case above < least:
		return 1
	}
	g := &m.signs
	return m.sign.code(&m.arith, &g[0][size], &g[1][s.signs[0]], &g[2][s.signs[1]], &g[3][s.signs[2]], y)
}

// mantissa codes v, from 2^e below 2^(e+1) and at most limit, the least of which it is. Bits that the limit decides are
// not coded.
func (m *magnitudeModel) mantissa(v int32, e int, limit int32, rest *[sizes][1 << codedBelow]chance) int32 {
	u := int32(1)
	for b := e - 1; b >= 0; b-- {
		y := int(v >> b & 1)
		switch {
		case (2*u+1)<<b > limit:
			y = 0
		case b == e-1:
			y = m.mixed(upperAt+e, y)
		case e-b <= codedBelow:
			y = rest[e][u&(1<<codedBelow-1)].alone(&m.arith, y)
		default:
			y = m.bit(1<<15, y)
		}
		u = 2*u + int32(y)
	}
	return u
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
