package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// quantizerCase is one set of arguments of the quantizer's loops.
type quantizerCase struct {
	x, y                        []float32
	codes                       []uint8
	edges                       []float32 // ascending
	values, steps               Values
	scale, limit, half, low, up float32
	bits                        int // of the codes
}

// quantizerResult is what the loops make of it, as bits.
type quantizerResult struct {
	low, high   uint32
	finite      bool
	bins, round []uint8
	cells       []uint32
	floats      []uint32
	sums        []uint64
}

// results runs every loop by the instruction set in use.
func (c *quantizerCase) results() quantizerResult {
	var r quantizerResult
	low, high, finite := MinMax(c.x)
	r.low, r.high, r.finite = math.Float32bits(low), math.Float32bits(high), finite
	n := len(c.x)
	r.bins = make([]uint8, n)
	NewBins(c.edges, n).Assign(r.bins, c.x, c.scale, c.limit)
	if !finite {
		return r
	}
	r.round = make([]uint8, n)
	RoundClamp(r.round, c.x, c.scale, c.low, c.up, c.half, -c.low)
	r.cells = make([]uint32, n)
	CellIndex(r.cells, c.x, c.scale, min(c.limit, math.MaxFloat32), 1.0/16, 1<<15, 1<<24-1)
	dst := make([]float32, n)
	keep := func() {
		for _, v := range dst {
			if v != v { // all NaNs are one
				v = float32(math.NaN())
			}
			r.floats = append(r.floats, math.Float32bits(v))
		}
	}
	Decode(dst, c.codes, &c.values, c.bits, c.scale)
	keep()
	for i, unit := range []float32{1, -1, 0.25, -4} {
		at := make([]uint32, n)
		at = at[:CheapMoves(at, c.x, c.codes, &c.values, &c.steps, c.bits, c.scale, unit, []float32{0.5, math.MaxFloat32}[i/2])]
		r.cells = append(append(r.cells, at...), math.MaxUint32)
	}
	a, b := CodeErrors(c.x, c.codes, &c.values, c.bits, c.scale)
	d, e := GridErrors(c.x, c.scale, c.half, c.low, c.up)
	for _, v := range []float64{a, b, d, e, Project(c.x, c.codes, &c.values, c.bits, c.scale), SumProducts(c.x, c.y), SumProducts(c.x, c.x)} {
		if v != v {
			v = math.NaN()
		}
		r.sums = append(r.sums, math.Float64bits(v))
	}
	return r
}

func (r quantizerResult) equal(o quantizerResult) error {
	switch {
	case r.low != o.low || r.high != o.high || r.finite != o.finite:
		return fmt.Errorf("least and largest %x %x %v, want %x %x %v", r.low, r.high, r.finite, o.low, o.high, o.finite)
	case !slices.Equal(r.bins, o.bins):
		return fmt.Errorf("bins %v, want %v", r.bins, o.bins)
	case !slices.Equal(r.round, o.round):
		return fmt.Errorf("rounded %v, want %v", r.round, o.round)
	case !slices.Equal(r.cells, o.cells):
		return fmt.Errorf("cells %x, want %x", r.cells, o.cells)
	case !slices.Equal(r.floats, o.floats):
		return fmt.Errorf("values %x, want %x", r.floats, o.floats)
	case !slices.Equal(r.sums, o.sums):
		return fmt.Errorf("sums %x, want %x", r.sums, o.sums)
	}
	return nil
}

// newQuantizerCase fills a case of n values with random ones; some of them are special.
func newQuantizerCase(seed uint64, n int) *quantizerCase {
	r := rand.New(rand.NewPCG(seed, 1))
	c := &quantizerCase{scale: float32(math.Exp(r.NormFloat64())), limit: float32(math.Inf(1)), low: -8, up: 7, bits: 1 + r.IntN(8)}
	if r.IntN(2) == 0 {
		c.limit = 1
	}
	if r.IntN(3) == 0 {
		c.half, c.low, c.up = 0.5, -1.5, 1.5
	}
	for range n {
		c.x, c.y, c.codes = append(c.x, float32(3*r.NormFloat64())), append(c.y, float32(r.NormFloat64())), append(c.codes, uint8(r.IntN(1<<c.bits)))
	}
	for i := range c.values {
		c.values[i], c.steps[i] = float32(r.NormFloat64()), float32(math.Abs(r.NormFloat64()))
	}
	c.edges = make([]float32, r.IntN(256))
	for i := range c.edges {
		c.edges[i] = float32(r.NormFloat64())
	}
	slices.Sort(c.edges)
	for range n / 8 { // ties: on edges, halfway between integers, zeros
		i := r.IntN(n)
		switch r.IntN(4) {
		case 0:
			c.x[i] = float32(float64(r.IntN(40)-20)/2) * c.scale
		case 1:
			if len(c.edges) > 0 {
				c.x[i] = c.edges[r.IntN(len(c.edges))] * c.scale
			}
		case 2:
			c.x[i] = float32(math.Copysign(0, -1))
		default:
			c.x[i] = math.Float32frombits(r.Uint32() & 0xbfffffff) // any size below 2
		}
	}
	return c
}

// Every instruction set gives the bits of the plain form, for every length and at every place of a special value.
func TestQuantizerLoopsAreExact(t *testing.T) {
	var cases []*quantizerCase
	for n := range 70 {
		cases = append(cases, newQuantizerCase(uint64(n), n))
	}
	cases = append(cases, newQuantizerCase(99, 20001))
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for i, v := range []float32{nan, inf, -inf, -nan} {
		c := newQuantizerCase(uint64(i), 50)
		c.x[i*13] = v
		cases = append(cases, c)
	}
	for _, v := range []float32{0, 1, -1, 1e38, 1e-44} {
		c := newQuantizerCase(7, 40)
		for i := range c.x {
			c.x[i] = v
		}
		cases = append(cases, c)
	}
	overflow := newQuantizerCase(8, 40) // of quotients
	overflow.x[3], overflow.x[38], overflow.scale, overflow.limit = 3e38, -3e38, 1e-3, inf
	cases = append(cases, overflow)
	want := make([]quantizerResult, len(cases))
	use = plain
	for i, c := range cases {
		want[i] = c.results()
	}
	use = best
	eachLevel(t, func(t *testing.T) {
		for i, c := range cases {
			if err := c.results().equal(want[i]); err != nil {
				t.Errorf("case %d of %d values: %v", i, len(c.x), err)
			}
		}
	})
}

func FuzzQuantizerLoops(f *testing.F) {
	f.Add(uint64(1), []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
	f.Fuzz(func(t *testing.T, seed uint64, raw []byte) {
		c := newQuantizerCase(seed, min(len(raw)/4, 1<<12))
		for i := range c.x {
			c.x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		defer func() { use = best }()
		use = plain
		want := c.results()
		for _, l := range here() {
			use = l
			if err := c.results().equal(want); err != nil {
				t.Fatalf("%v: %v", l, err)
			}
		}
	})
}

// By hand: what each loop computes, at the edges of its rule.
func TestQuantizerLoopsByHand(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachLevel(t, func(t *testing.T) {
		for _, tt := range []struct {
			x         []float32
			low, high float32
			finite    bool
		}{{nil, 0, 0, true}, {[]float32{-3}, -3, -3, true}, {[]float32{2, -1, 5}, -1, 5, true}, {[]float32{1, nan}, 0, 0, false}, {[]float32{-inf}, 0, 0, false}} {
			for _, more := range []int{0, 40} { // more copies of the last value fill vectors
				x := slices.Clone(tt.x)
				for range min(more, more*len(x)) {
					x = append(x, x[len(tt.x)-1])
				}
				if low, high, finite := MinMax(x); low != tt.low || high != tt.high || finite != tt.finite {
					t.Errorf("MinMax(%v) = %v, %v, %v", x, low, high, finite)
				}
			}
		}
		x := []float32{-9, -0.5, 0.5, 1.5, 2.5, 9, 0, -1.5, -2.5, 1, 2, 3, 0.25, 0.75, 4, -4, 100}
		codes := make([]uint8, len(x))
		RoundClamp(codes, x, 1, -4, 3, 0, 4)
		if want := []uint8{0, 4, 4, 6, 6, 7, 4, 2, 2, 5, 6, 7, 4, 5, 7, 0, 7}; !slices.Equal(codes, want) {
			t.Errorf("rounded to %v, want %v", codes, want)
		}
		NewBins([]float32{-1, 0, 0, 2}, 0).Assign(codes, x, 2, inf) // of x/2
		if want := []uint8{0, 1, 3, 3, 3, 4, 3, 1, 0, 3, 3, 3, 3, 3, 4, 0, 4}; !slices.Equal(codes, want) {
			t.Errorf("bins %v, want %v", codes, want)
		}
		// 16 times 3 - 2*1.25 = 0.5, moved by 1.5 in units of 1/2: 3*(3 - 2*1) = 3
		threes, ones, moves := slices.Repeat([]float32{3}, 17), make([]uint8, 17), make([]uint32, 17)
		values, steps := Values{2}, Values{1.2, inf}
		if sum, squares := CodeErrors(threes, ones, &values, 1, 1.25); sum != 8.5 || squares != 4.25 {
			t.Errorf("errors %v, squares %v", sum, squares)
		}
		if p := Project(threes, ones, &values, 1, 1.25); p != 17*7.5 {
			t.Errorf("projection %v", p)
		}
		ones[3] = 1 // its value is 0, its step none
		for limit, want := range map[float32]int{3: 16, 2.9: 0} {
			if n := CheapMoves(moves, threes, ones, &values, &steps, 1, 1.25, 2, limit); n != want || n > 0 && (moves[2] != 2 || moves[3] != 4 || moves[15] != 16) {
				t.Errorf("moves of at most %v: %v of %v, want %d", limit, n, moves, want)
			}
		}
		if n := CheapMoves(moves, threes, ones, &values, &steps, 1, 1.25, -2, math.MaxFloat32); n != 0 {
			t.Errorf("%d moves against the error", n)
		}
		// 0.75 from 1 and 2.5 beyond 1: (1/4)^2 and (1.5)^2, of which the second is clipped
		if total, clipped := GridErrors([]float32{0.75, 2.5}, 1, 0, -1, 1); total != 2.3125 || clipped != 2.25 {
			t.Errorf("grid errors %v, clipped %v", total, clipped)
		}
		cells := make([]uint32, 17)
		CellIndex(cells, slices.Repeat([]float32{1}, 17), 1, inf, 1, 4, 8*256-1) // u = 1/2 of half an axis of 4 cells
		if cells[0] != 6*256 || cells[16] != 6*256 {
			t.Errorf("cells %v", cells)
		}
	})
}

func TestTransposeOfBytes(t *testing.T) {
	for _, size := range [][2]int{{0, 3}, {1, 1}, {8, 8}, {7, 20}, {20, 7}, {9, 17}, {130, 75}, {64, 64}} {
		rows, cols := size[0], size[1]
		x, got := make([]uint8, rows*cols), make([]uint8, rows*cols)
		for i := range x {
			x[i] = uint8(i * 37 >> 3)
		}
		Transpose(got, x, rows, cols)
		for i := range rows {
			for j := range cols {
				if got[j*rows+i] != x[i*cols+j] {
					t.Fatalf("%d x %d: element %d, %d is %d, want %d", rows, cols, j, i, got[j*rows+i], x[i*cols+j])
				}
			}
		}
	}
}

func BenchmarkQuantizer(b *testing.B) {
	const n = 1 << 20
	x, codes, bytes, cells, dst := randomFloats(n, 3), make([]uint8, n), make([]uint8, n), make([]uint32, n), make([]float32, n)
	c := newQuantizerCase(1, 16)
	edges := slices.Clone(x[:255])
	slices.Sort(edges)
	bins16, bins256 := NewBins(edges[:15], n), NewBins(edges, n)
	for _, bb := range []struct {
		name string
		f    func()
	}{
		{"minmax", func() { MinMax(x) }},
		{"sum of products", func() { SumProducts(x, x) }},
		{"cells", func() { CellIndex(cells, x, 1, 1, 1.0/16, 1<<15, 1<<24-1) }},
		{"assign/bins=16", func() { bins16.Assign(codes, x, 1, 1) }},
		{"assign/bins=256", func() { bins256.Assign(codes, x, 1, 1) }},
		{"round and clamp", func() { RoundClamp(codes, x, 0.1, -128, 127, 0, 128) }},
		{"decode", func() { Decode(dst, codes, &c.values, 8, 2) }},
		{"project", func() { Project(x, codes, &c.values, 8, 2) }},
		{"code errors", func() { CodeErrors(x, codes, &c.values, 8, 2) }},
		{"cheap moves", func() { CheapMoves(cells, x, codes, &c.values, &c.steps, 8, 2, 1, -10) }},
		{"transpose bytes", func() { Transpose(bytes, codes, 1024, n/1024) }},
		{"grid errors", func() { GridErrors(x, 0.1, 0, -128, 127) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				bb.f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/value")
		})
	}
}
