package packing

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

func TestArithByHand(t *testing.T) {
	for _, test := range []struct {
		p    []uint32
		bits []int
		want []byte
	}{
		{nil, nil, nil},                             // [0, ffffffff] holds 0
		{[]uint32{1 << 15}, []int{1}, nil},          // [0, 7fffffff]
		{[]uint32{1 << 15}, []int{0}, []byte{0x80}}, // [80000000, ffffffff]
		// [80000000, ffffffff], then 1 of 1/4 of it: [80000000, 9fffffff]
		{[]uint32{1 << 15, 1 << 14}, []int{0, 1}, []byte{0x80}},
		{[]uint32{1 << 15, 1 << 14}, []int{0, 0}, []byte{0xa0}},
		// Eight halves leave one byte, and [0, ffffffff] again.
		{[]uint32{1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15, 1 << 15}, []int{0, 1, 0, 1, 1, 0, 1, 1}, []byte{0b10100100}},
	} {
		var c arith
		c.startWriting(nil)
		for i, p := range test.p {
			c.bit(p, test.bits[i])
		}
		if got := c.finish(); !bytes.Equal(got, test.want) {
			t.Errorf("%v of %v: got % x, want % x", test.bits, test.p, got, test.want)
		}
	}
}

func TestArithRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, sure := range []uint32{1, 22, 1000, 1 << 15} {
		for _, n := range []int{1, 2, 10, 1000} {
			p, bits := make([]uint32, n), make([]int, n)
			ideal := 0.0
			for i := range p {
				p[i] = sure + rng.Uint32N(1<<16-2*sure+1)
				p[i] = min(p[i], 1<<16-1)
				bits[i] = bit(rng.Uint32N(1<<16) < p[i])
				chance := float64(p[i]) / (1 << 16)
				if bits[i] == 0 {
					chance = 1 - chance
				}
				ideal -= math.Log2(chance)
			}
			var c arith
			c.startWriting(nil)
			for i := range p {
				c.bit(p[i], bits[i])
			}
			b := c.finish()
			if got := float64(8 * len(b)); got > ideal*1.001+16 {
				t.Errorf("%d bits: %v, want at most %v", n, got, ideal)
			}
			read := func(b []byte) bool {
				var c arith
				c.startReading(b)
				same := true
				for i := range p {
					same = c.bit(p[i], 0) == bits[i] && same
				}
				return same && c.ended()
			}
			if !read(b) {
				t.Fatalf("%d bits are not read back", n)
			}
			for i := range b {
				b[i] ^= 1
				if read(b) {
					t.Errorf("%d bits: a change of byte %d of %d is not noticed", n, i, len(b))
				}
				b[i] ^= 1
			}
			if len(b) > 0 && read(b[:len(b)-1]) || read(append(b, 0)) {
				t.Errorf("%d bits: a byte too few or too many is not noticed", n)
			}
		}
	}
}

func TestChanceLearns(t *testing.T) {
	c := even
	c.learn(1) // by 2^16/1.5 = 43690 of 2^16: 2^21 + (2^21*43690 >> 16)
	if want := chance(2097152+1398080)<<10 | 1; c != want {
		t.Errorf("after a 1: %x, want %x", c, want)
	}
	c.learn(0) // by 2^16/2.5 = 26214: 3495232 - ceil(3495232*26214/2^16)
	if want := chance(3495232-1398072)<<10 | 2; c != want {
		t.Errorf("after a 0: %x, want %x", c, want)
	}
	for y := range 2 {
		for range 5000 {
			c.learn(y)
		}
		if p := c >> chanceShift; y == 0 && p > 40000 || y == 1 && p < 1<<22-40000 || c&1023 != 1023 {
			t.Errorf("after 5000 times %d: %d of 2^22, %d seen", y, p, c&1023)
		}
	}
}

func TestSquashIsLogistic(t *testing.T) {
	for d := -maxLogit; d <= maxLogit; d++ {
		want := 65536 / (1 + math.Exp(-float64(d)/256))
		if got := float64(squashTable[d+maxLogit+1]); math.Abs(got-want) > 1.01 {
			t.Errorf("squash(%d) = %v, want %v", d, got, want)
		}
		if sum := int(squashTable[d+maxLogit+1]) + int(squashTable[-d+maxLogit+1]); sum != 1<<16 {
			t.Errorf("squash(%d) and squash(%d) add up to %d", d, -d, sum)
		}
	}
	for i, d := range stretchTable {
		p := (float64(i) + 0.5) / 4096
		want := max(-maxLogit, min(maxLogit, 256*math.Log(p/(1-p))))
		if math.Abs(float64(d)-want) > 1.5 && math.Abs(want) < 1500 || math.Abs(float64(d)-want) > 40 {
			t.Errorf("stretch(%d) = %d, want %v", i, d, want)
		}
	}
}

// A mixer of one good and three useless contexts comes to trust the good one.
func TestMixerLearnsWhomToTrust(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	m := newMixer(firstWeight)
	var c arith
	c.startWriting(nil)
	good, bad := [2]chance{even, even}, even
	for range 4000 {
		context := rng.IntN(2)
		y := context
		if rng.IntN(10) == 0 {
			y = 1 - y
		}
		m.code(&c, &bad, &good[context], &bad, &bad, y)
	}
	if m.weights[1] < 40000 || m.weights[1] < 2*max(m.weights[0], m.weights[2], m.weights[3]) {
		t.Errorf("weights %v", m.weights)
	}
	entropy := 4000 * 0.469 / 8 // of 1/10
	if got := float64(len(c.finish())); got > entropy*1.12 {
		t.Errorf("%v bytes, want about %v", got, entropy)
	}
}
