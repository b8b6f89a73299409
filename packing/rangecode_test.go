package packing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// shaped is a tensor that a codec is tried on.
type shaped struct {
	shape []int64
	q     *Quant
}

// normalCodes returns a tensor whose values are independent normal numbers of the given deviation, rounded, around the
// centre of each group.
func normalCodes(seed uint64, bits int, deviation float64, l Layout, shape ...int64) shaped {
	rng := rand.New(rand.NewPCG(seed, 11))
	q := &Quant{Bits: bits, Layout: l, Codec: CodecRange, Scales: make([]float32, l.Groups())}
	n := l.Elements()
	q.makeCodes(n)
	centres := make([]int32, n)
	q.centres(centres, 0)
	for i, c := range centres {
		v := int(math.RoundToEven(deviation*rng.NormFloat64())) + int(c)
		v = max(0, min(1<<bits-1, v))
		if bits > MaxNarrow {
			q.Wide[i] = uint16(v)
		} else {
			q.Codes[i] = uint8(v)
		}
	}
	return shaped{shape, q}
}

// entropyBytes returns the order-0 entropy of the codes: what a static code that knows their counts takes.
func entropyBytes(q *Quant) float64 {
	counts := make([]int, 1<<q.Bits)
	for i := range q.Len() {
		counts[q.Code(i)]++
	}
	bits := 0.0
	for _, n := range counts {
		if n > 0 {
			bits -= float64(n) * math.Log2(float64(n)/float64(q.Len()))
		}
	}
	return bits / 8
}

// kinds returns tensors of every number of bits, of several layouts, with zero points, with levels, and of no or few codes.
func kinds() map[string]shaped {
	list := map[string]shaped{}
	for bits := 1; bits <= MaxBits; bits++ {
		list[fmt.Sprintf("%d bits", bits)] = normalCodes(uint64(bits), bits, math.Ldexp(0.2, bits), Layout{1, 12, 18, 0}, 12, 2, 3, 3)
		list[fmt.Sprintf("%d bits, narrow", bits)] = normalCodes(uint64(bits), bits, 1, Layout{20, 12, 1, 0}, 20, 12)
	}
	for n := range 5 {
		list[fmt.Sprintf("%d codes", n)] = normalCodes(uint64(n), 4, 2, Layout{1, 1, n, 0}, int64(n))
	}
	zeros := normalCodes(1, 4, 3, Layout{5, 3, 4, 0}, 5, 3, 2, 2)
	zeros.q.Zeros = []uint8{0, 15, 7}
	blocks := normalCodes(2, 4, 3, Layout{5, 3, 4, 7}, 5, 3, 2, 2)
	blocks.q.Zeros = []uint8{0, 15, 7, 8, 2, 14, 1, 4, 9}
	for name, levels := range map[string][]float32{"first": {0, 1, 2, 3}, "middle": {-3, -1, 1, 2}, "last": {-3, -2, -1, -0.5}} {
		c := normalCodes(3, 2, 1, Layout{1, 4, 30, 0}, 4, 30)
		c.q.Levels = levels
		list["levels, "+name+" nearest to zero"] = c
	}
	wide := normalCodes(4, 16, 9000, Layout{1, 1, 1000, 0}, 1000)
	wide.q.Wide[0], wide.q.Wide[1] = 0, 65535
	list["repeats"] = repeating()
	few := normalCodes(5, 4, 3, Layout{1, 40, 100, 0}, 40, 100)
	copy(few.q.Codes[2000:], few.q.Codes[:2000])
	few.q.Zeros = make([]uint8, 40) // so that some of what is expected does not fit
	for i := range few.q.Zeros {
		few.q.Zeros[i] = uint8(4 + i%5)
	}
	few.q.Zeros[30] = 13
	list["repeats beside zero points"] = few
	list["zero points"], list["zero points of blocks"], list["ends of 16 bits"] = zeros, blocks, wide
	list["three chunks"] = normalCodes(5, 3, 1, Layout{1, 7, 2*rangeChunk/7 + 5, 0}, 7, 2*rangeChunk/7+5)
	return list
}

func TestRangeRoundTrip(t *testing.T) {
	for name, c := range kinds() {
		before := *c.q
		b := c.q.encodeRange(c.shape)
		if asks := len(b) > 0 && len(b) < 1<<14 && b[0]&asksRepeats != 0; asks != strings.HasPrefix(name, "repeats beside") && name != "repeats" {
			t.Errorf("%s: asks for repeats: %v", name, asks)
		}
		if !reflect.DeepEqual(*c.q, before) {
			t.Errorf("%s: encoding changed its input", name)
		}
		got := *c.q
		got.Codes, got.Wide = nil, nil
		if err := got.decodeRange(c.shape, b, c.q.Len(), false); err != nil || got.Codes != nil || got.Wide != nil {
			t.Errorf("%s: checking: %v", name, err)
		}
		if err := got.decodeRange(c.shape, b, c.q.Len(), true); err != nil || !reflect.DeepEqual(&got, c.q) {
			t.Errorf("%s: %v, or other codes", name, err)
		}
	}
}

// The coder looks at neighbours, but must not pay for it where they tell nothing.
func TestRangeReachesEntropy(t *testing.T) {
	for _, deviation := range []float64{0.3, 1, 3, 20} {
		bits := 3 + int(math.Ceil(math.Log2(deviation+1)))
		c := normalCodes(1, bits, deviation, Layout{1, 512, 512, 0}, 512, 512)
		got, want := float64(c.q.CodesLen(c.shape, CodecRange)), entropyBytes(c.q)
		if got > 1.005*want {
			t.Errorf("deviation %v: %v bytes, order-0 entropy %v: %+.2f %%", deviation, got, want, 100*(got/want-1))
		}
	}
}

// Rows and columns of different size are what neighbours tell.
func TestRangeGainsFromNeighbours(t *testing.T) {
	c := normalCodes(1, 8, 0, Layout{1, 256, 256, 0}, 256, 256)
	rng := rand.New(rand.NewPCG(1, 12))
	for i := range c.q.Codes {
		deviation := math.Exp2(float64(i/256%4)) * math.Exp2(float64(i%256%3))
		c.q.Codes[i] = uint8(max(0, min(255, 128+math.RoundToEven(deviation*rng.NormFloat64()))))
	}
	got, want := float64(c.q.CodesLen(c.shape, CodecRange)), entropyBytes(c.q)
	if got > 0.96*want {
		t.Errorf("%v bytes, order-0 entropy %v", got, want)
	}
}

// A table with the same row for many words, between rows of their own, costs little more than one of the latter alone.
func TestRangeFindsRepeats(t *testing.T) {
	c := repeating()
	k := &chunkCoder{}
	n := c.q.Len()
	k.with(c.q, geometryOf(c.shape, c.q.Layout), func() {
		plain, all := 0, len(k.encode(0, n))
		plain = len(k.write(baseOf(k.values), false, 0))
		// 150 of 300 rows repeat; the first 16 values of each are not expected.
		if all > plain*13/20 {
			t.Errorf("%d bytes, %d without a look at repeats", all, plain)
		}
	})
	if b := c.q.encodeRange(c.shape); b[0]&asksRepeats == 0 {
		t.Error("repeats are not asked for")
	}
	if b := normalCodes(1, 5, 4, Layout{1, 300, 100, 0}, 300, 100).q.encodeRange([]int64{300, 100}); b[0]&asksRepeats != 0 {
		t.Error("repeats are asked for where there are none")
	}
}

// repeating returns a tensor of 300 rows, each second of which is the same.
func repeating() shaped {
	c := normalCodes(1, 8, 20, Layout{1, 300, 200, 0}, 300, 200)
	for row := 3; row < 300; row += 2 {
		copy(c.q.Codes[200*row:200*row+200], c.q.Codes[200:400])
	}
	return c
}

func TestRangeOfSmallAndEvenTensors(t *testing.T) {
	for name, c := range map[string]struct {
		shaped
		most int
	}{
		"a million times one code": {normalCodes(1, 4, 0, Layout{1, 1000, 1000, 0}, 1000, 1000), 130},
		"256 times one code":       {normalCodes(1, 4, 0, Layout{1, 16, 16, 0}, 16, 16), 5},
		// 4 bits would take 128 bytes; normal numbers of deviation 2 have 3.05 bits, which are 98.
		"256 normal codes": {normalCodes(1, 4, 2, Layout{1, 16, 16, 0}, 16, 16), 102},
	} {
		if n := c.q.CodesLen(c.shape, CodecRange); n > c.most {
			t.Errorf("%s: %d bytes, want at most %d", name, n, c.most)
		}
	}
}

func TestSmallest(t *testing.T) {
	even := normalCodes(1, 2, 0, Layout{1, 1, 4096, 0}, 4096)
	rng := rand.New(rand.NewPCG(2, 13))
	copy(even.q.Codes, randomCodes(rng, 4096, 2))
	for name, test := range map[string]struct {
		c    shaped
		want Codec
	}{
		"codes of full entropy": {even, CodecPacked},
		"no codes":              {normalCodes(1, 2, 0, Layout{1, 1, 0, 0}, 0), CodecPacked},
		"normal codes":          {normalCodes(1, 4, 2, Layout{1, 64, 64, 0}, 64, 64), CodecRange},
		"one code":              {normalCodes(1, 4, 0, Layout{1, 1, 4, 0}, 4), CodecPacked}, // in two bytes
	} {
		got := test.c.q.Smallest(test.c.shape)
		if got != test.want {
			t.Errorf("%s: codec %d, want %d", name, got, test.want)
		}
		test.c.q.Codec = CodecAuto
		file, err := decode((&content{tensors: []Tensor{{Name: "w", Shape: test.c.shape, Quant: test.c.q}}}).encode(t))
		if err != nil || file.tensors[0].Quant.Codec != test.want {
			t.Errorf("%s: a writer takes codec %d, %v; want %d", name, file.tensors[0].Quant.Codec, err, test.want)
		}
		if test.c.q.CodesLen(test.c.shape, got) > test.c.q.CodesLen(test.c.shape, CodecPacked) {
			t.Errorf("%s: more bytes than packed", name)
		}
	}
	if !panics(func() { even.q.CodesLen(even.shape, 9) }) {
		t.Error("a length under an unknown codec is told")
	}
}

// The bytes are the format: they may not change, on any machine.
func TestRangeBytesAreSettled(t *testing.T) {
	for name, want := range map[string]string{
		"4 bits": "23fb1287d31a", "12 bits": "e18c8626849a", "zero points of blocks": "4f0f4303bc67", "three chunks": "0a728d8f8f11",
		"levels, middle nearest to zero": "4c3616c6fc9a", "repeats beside zero points": "c8dc002822b1",
	} {
		c := kinds()[name]
		sum := sha256.Sum256(c.q.encodeRange(c.shape))
		if got := hex.EncodeToString(sum[:6]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestGeometry(t *testing.T) {
	for _, test := range []struct {
		name  string
		l     Layout
		shape []int64
		want  geometry
	}{
		{"convolution", Layout{1, 8, 18, 0}, []int64{8, 2, 3, 3}, geometry{18, 9}},
		{"of each channel", Layout{1, 8, 9, 0}, []int64{8, 1, 3, 3}, geometry{9, 3}},
		{"transposed", Layout{8, 2, 9, 0}, []int64{8, 2, 3, 3}, geometry{18, 9}},
		{"matrix, outputs first", Layout{1, 6, 10, 0}, []int64{6, 10}, geometry{10, 1}},
		{"matrix, outputs last", Layout{10, 6, 1, 0}, []int64{10, 6}, geometry{6, 1}},
		{"recurrent", Layout{1, 24, 5, 0}, []int64{1, 24, 5}, geometry{5, 1}},
		{"recurrent, both directions", Layout{1, 48, 5, 0}, []int64{2, 24, 5}, geometry{5, 1}},
		{"one scale", Layout{1, 1, 144, 0}, []int64{8, 2, 3, 3}, geometry{18, 9}},
		{"one scale, one row", Layout{1, 1, 144, 0}, []int64{1, 144}, geometry{144, 1}},
		{"blocks", Layout{1, 8, 18, 6}, []int64{8, 2, 3, 3}, geometry{18, 9}},
		{"scalar", Layout{1, 1, 1, 0}, nil, geometry{1, 1}},
		{"nothing", Layout{1, 0, 3, 0}, []int64{0, 3}, geometry{1, 1}},
		{"a layout that is not the shape's", Layout{1, 6, 12, 0}, []int64{8, 9}, geometry{12, 12}},
		{"long rows", Layout{1, 2, 1 << 20, 0}, []int64{2, 1 << 20}, geometry{maxColumns, 1}},
	} {
		if got := geometryOf(test.shape, test.l); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestChunksCoverEverything(t *testing.T) {
	for _, n := range []int{0, 1, rangeChunk - 1, rangeChunk, rangeChunk + 1, 10*rangeChunk + 7, math.MaxInt >> 4} {
		chunks := partCount(n, rangeChunk)
		if partStart(n, chunks+bit(n == 0), chunks) != n {
			t.Errorf("%d codes: the end of chunk %d is not the end", n, chunks)
		}
		for i := range min(chunks, 20) {
			if size := partStart(n, chunks, i+1) - partStart(n, chunks, i); size < 1 || size > rangeChunk {
				t.Errorf("%d codes: chunk %d of %d has %d", n, i, chunks, size)
			}
		}
	}
}

func TestPriorSlots(t *testing.T) {
	// 65536 times the chances of k = 12, mean magnitude 1, by the table: not zero; of these, 2 or more, and 4 or more.
	one, two, four := prior(&priorNonzero, 12), prior(&priorLonger, 12), prior(&priorLonger, 8)
	near := func(c chance, want float64) bool { return math.Abs(float64(c>>16)-65536*want) <= 2 }
	f1, f2, f4 := float64(one)/65536, float64(two)/65536, float64(four)/65536
	up := priorsFrom(1).at(12)
	if !near(up[1], f1) || !near(up[2], f2) || !near(up[3], f4) || up[1]&1023 != priorSeen {
		t.Errorf("from 1: %v", up[:4])
	}
	// First 2 or more; then 1 of those that are not; then 4 or more of those that are.
	middle := priorsFrom(2).at(12)
	if !near(middle[2], f1*f2) || !near(middle[1], (f1-f1*f2)/(1-f1*f2)) || !near(middle[3], f4) {
		t.Errorf("from 2: %v", middle[:4])
	}
	for base := range maxBase + 1 {
		j := middleOf(base)
		if f := reach(2 * base); j < 1 || j > 16 || j > 1 && f[j] < 1<<15 || f[j+1] >= 1<<15 {
			t.Errorf("class %d: asks for %d first", base, j)
		}
	}
}

// FuzzRange: whatever the bytes, there is no panic, and what decodes encodes to the same bytes again.
func FuzzRange(f *testing.F) {
	for _, c := range kinds() {
		if n := c.q.Len(); n < 1000 {
			f.Add(c.q.encodeRange(c.shape), uint16(n), uint8(c.q.Bits), uint8(7), c.q.Zeros != nil)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16, bits, inner uint8, zeros bool) {
		l := Layout{1, int(n) / int(max(inner, 1)), int(max(inner, 1)), 0}
		q := &Quant{Bits: 1 + int(bits-1)%MaxBits, Layout: l}
		if zeros && q.Bits <= MaxNarrow {
			q.Zeros = make([]uint8, l.Groups())
			for i := range q.Zeros {
				q.Zeros[i] = uint8(i) & (1<<q.Bits - 1)
			}
		}
		shape := []int64{int64(l.Channels), int64(l.Inner)}
		if q.decodeRange(shape, b, l.Elements(), true) != nil {
			return
		}
		// Whether repeats are asked for is the writer's choice; all else is not.
		if again := q.encodeRange(shape); l.Elements() > 0 && again[0] == b[0] && !bytes.Equal(again, b) {
			t.Fatalf("bytes change: % x, then % x", b, again)
		}
	})
}

func BenchmarkRange(b *testing.B) {
	for _, bits := range []int{2, 4, 6, 8} {
		c := normalCodes(1, bits+1, math.Exp2(float64(bits)-2), Layout{1, 512, 256, 0}, 512, 256)
		n := c.q.Len()
		section := c.q.encodeRange(c.shape)
		b.Run(fmt.Sprintf("encode/entropy=%d/n=%d", bits, n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				c.q.encodeRange(c.shape)
			}
		})
		b.Run(fmt.Sprintf("decode/entropy=%d/n=%d", bits, n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := c.q.decodeRange(c.shape, section, n, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
