package packing

// The predictor of the range coder: adaptive probabilities under several contexts, mixed in the logistic domain by
// weights that are learned along the way, as in paq (Mahoney, "Adaptive Weighing of Context Models for Lossless Data
// Compression", 2005). All of it is integer arithmetic, so every machine decodes the same.

// A chance is an adaptive probability of 1: bits 10-31 in units of 2^-22, bits 0-9 the number of bits seen, up to 1023.
type chance uint32

const (
	chanceShift = 10
	even        = chance(1 << 31) // 1/2, nothing seen
)

// pace tells how far a chance that has seen n bits moves: bits 1-17 are 2^16/(n+1.5), bit 0 is added to n.
var pace = func() (t [1 << chanceShift]uint32) {
	for n := range t {
		t[n] = (2<<16)/uint32(2*n+3)<<1 | 1
	}
	t[len(t)-1]--
	return t
}()

// learn moves the chance towards y.
func (c *chance) learn(y int) {
	v := *c
	e := pace[v&(1<<chanceShift-1)]
	d := ((int64(y)<<22 - int64(v>>chanceShift)) * int64(e>>1)) >> 16
	*c = v + chance(d)<<chanceShift + chance(e&1)
}

// The logistic domain: logits in units of 1/256, from -maxLogit to maxLogit.
const maxLogit = 2047

// squashTable holds 65536/(1+exp(-d/256)) at d+maxLogit+1, stretchTable the inverse by the upper 12 bits of a
// probability.
var (
	squashTable  = squashes()
	stretchTable = stretches(&squashTable)
)

// decay is 2^32 * exp(-1/256).
const decay = 4278222805

func squashes() (t [2*maxLogit + 2]uint16) {
	for d, e := 0, uint64(1<<30); d <= maxLogit; d++ { // e is 2^30 * exp(-d/256)
		p := e << 16 / (1<<30 + e)
		t[maxLogit+1-d], t[maxLogit+1+d] = uint16(p), uint16(1<<16-p)
		e = e * decay >> 32
	}
	t[0] = t[1]
	return t
}

func stretches(squash *[2*maxLogit + 2]uint16) (t [1 << 12]int16) {
	d := -maxLogit
	for i := range 1 << 11 { // the least logit whose probability is not below the middle of the 1/4096
		for squash[d+maxLogit+1] < uint16(16*i+8) {
			d++
		}
		t[i], t[1<<12-1-i] = int16(d), int16(-d)
	}
	return t
}

// logit returns the chance in the logistic domain.
func (c chance) logit() int32 { return int32(stretchTable[c>>20]) }

// squash returns the probability, of 65536, that a logit stands for, held within the least and the most that there are.
func squash(logit int64) int32 {
	return int32(squashTable[max(-maxLogit, min(maxLogit, logit))+maxLogit+1])
}

// inputs is the number of contexts that are mixed.
const inputs = 4

const (
	// firstWeight makes four contexts that agree a little surer than each, in units of 1/65536.
	firstWeight = 18000
	signWeight  = 14000
	// Fast learning gains on weights, slow learning on codes that no neighbour tells anything of: a settled mixer keeps these
	// within 0.5 % of their entropy.
	mixerSpeed  = 8   // of 256 parts of error times logit; ten times slower once it has settled
	mixerSettle = 144 // bits until then
)

// mixer holds the weights of one kind of bit.
type mixer struct {
	weights [inputs]int32
	seen    int32
}

func newMixer(weight int32) mixer {
	return mixer{weights: [inputs]int32{weight, weight, weight, weight}}
}

// mixerPace is the speed of a mixer by the number of bits that it has seen, in units of 1/16.
var mixerPace = func() (t [mixerSettle + 1]int32) {
	for n := range t {
		t[n] = int32(mixerSpeed * 16 * 16 / (16 + n))
	}
	return t
}()

// code codes y by the mixture of four chances and lets all of them learn.
func (m *mixer) code(c *arith, a, b, d, e *chance, y int) int {
	t0, t1, t2, t3 := a.logit(), b.logit(), d.logit(), e.logit()
	w := &m.weights
	sum := int64(t0)*int64(w[0]) + int64(t1)*int64(w[1]) + int64(t2)*int64(w[2]) + int64(t3)*int64(w[3])
	p := squash(sum >> 16)
	y = c.bit(uint32(p), y)
	err := (int32(y)<<16 - p) * mixerPace[m.seen] >> 4
	if m.seen < mixerSettle {
		m.seen++
	}
	w[0] += (t0*err + 1<<15) >> 16
	w[1] += (t1*err + 1<<15) >> 16
	w[2] += (t2*err + 1<<15) >> 16
	w[3] += (t3*err + 1<<15) >> 16
	a.learn(y)
	b.learn(y)
	d.learn(y)
	e.learn(y)
	return y
}

// alone codes y by one chance.
func (c *chance) alone(coder *arith, y int) int {
	const least = 22 // the least of squashTable
	y = coder.bit(max(least, min(1<<16-least, uint32(*c>>16))), y)
	c.learn(y)
	return y
}
