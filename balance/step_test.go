package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	inf := math.Inf(1)
	rows := []struct {
		x, step float64
		want    int16
	}{
		{0, 1, 0}, {0.5, 1, 0}, {1.5, 1, 2}, {2.5, 1, 2}, {-0.5, 1, 0}, {-1.5, 1, -2}, {-2.5, 1, -2},
		{0.51, 1, 1}, {-0.51, 1, -1}, {0.25, 0.5, 0}, {0.75, 0.5, 2}, {3, 0.5, 6},
		{32766.5, 1, 32766}, {32767.4, 1, 32767}, {-32767.4, 1, -32767}, {32768, 1, 32767}, {-32768, 1, -32767},
		{1e300, 1, 32767}, {-1e300, 1, -32767}, {inf, 1, 32767}, {-inf, 1, -32767}, {1, 5e-324, 32767}, {-1, 5e-324, -32767},
		{0, 5e-324, 0}, {1e-300, 1e300, 0}, {7, 0, 0}, {0, 0, 0}, {inf, 0, 0}, {math.NaN(), 1, 0}, {math.NaN(), 0, 0}, {inf, inf, 0},
	}
	for _, row := range rows {
		if got := Nearest(row.x, row.step); got != row.want {
			t.Errorf("%v by steps of %v: got %d, want %d", row.x, row.step, got, row.want)
		}
	}
}

// Short scales near 1 lie 1/32 apart; of two equally near the one with the even mantissa.
func TestRoundStep(t *testing.T) {
	for _, row := range []struct {
		x    float64
		want float32
	}{
		{0, 0}, {1, 1}, {0.75, 0.75}, {1 + 1.0/64, 1}, {1 + 3.0/64, 1 + 2.0/32}, {1 + 1.01/64, 1 + 1.0/32},
		{1e-300, 0x1p-131}, {1e300, 0x1.f8p127},
	} {
		if got := RoundStep(row.x); got != row.want || row.want > 0 && !isShort(got) {
			t.Errorf("%v: got %v, want %v", row.x, got, row.want)
		}
	}
}

// The narrowest width that holds -2^(b-1) to 2^(b-1)-1, and values that are the exact products: an integer of 16 bits times
// the 6 bits of a short scale has fewer than the 24 of a float32.
func TestFromIntegersWidths(t *testing.T) {
	rows := []struct {
		n    []int16
		bits int
	}{{nil, 1}, {[]int16{0}, 1}, {[]int16{0, 0}, 1}, {[]int16{-1, 0}, 1}, {[]int16{1}, 2}}
	for b := 2; b <= 16; b++ {
		most := int16(1<<(b-1) - 1)
		rows = append(rows, struct {
			n    []int16
			bits int
		}{[]int16{-most, 3 % most, 0, 1}, b}, struct {
			n    []int16
			bits int
		}{[]int16{0, most}, b})
		if b < 16 {
			rows = append(rows, struct {
				n    []int16
				bits int
			}{[]int16{-most - 1, 0, 1}, b}, struct {
				n    []int16
				bits int
			}{[]int16{0, most + 1}, b + 1}, struct {
				n    []int16
				bits int
			}{[]int16{-most - 2}, b + 1})
		}
	}
	for _, row := range rows {
		for _, step := range []float32{0, 1, 0x1.f8p-3, 0x1.18p100} {
			l := PerTensor(len(row.n))
			q, err := FromIntegers(row.n, l, make([]float32, l.Groups()))
			if err != nil {
				t.Fatal(err)
			}
			for g := range q.Scales {
				q.Scales[g] = step
			}
			if q.Bits != row.bits || (q.Wide != nil) != (row.bits > 8) || (q.Codes != nil) != (row.bits <= 8) {
				t.Errorf("%v: %d bits, wide %v, narrow %v; want %d bits", row.n, q.Bits, q.Wide, q.Codes, row.bits)
			}
			if err := q.Check(); err != nil {
				t.Errorf("%v: %v", row.n, err)
			}
			dst := make([]float32, len(row.n))
			q.Dequantize(dst)
			for i, v := range dst {
				if want := float64(row.n[i]) * float64(step); float64(v) != want {
					t.Errorf("%d of %v: decoded %v, want %v", i, row.n, v, want)
				}
			}
		}
	}
}

// Every element takes the step of its own group, narrow codes and wide ones alike.
func TestFromIntegersLayouts(t *testing.T) {
	rows := []struct {
		name string
		l    Layout
	}{
		{"one channel", Layout{Outer: 1, Channels: 1, Inner: 12}},
		{"first axis", Layout{Outer: 1, Channels: 3, Inner: 4}},
		{"last axis", Layout{Outer: 4, Channels: 3, Inner: 1}},
		{"middle axis", Layout{Outer: 2, Channels: 3, Inner: 2}},
		{"blocks of a row", Layout{Outer: 1, Channels: 3, Inner: 4, Block: 3}},
		{"blocks down a column", Layout{Outer: 4, Channels: 3, Inner: 1, Block: 3}},
		{"single elements", Layout{Outer: 1, Channels: 1, Inner: 12, Block: 1}},
	}
	for _, row := range rows {
		for _, most := range []int16{100, 3000} {
			n, scales, dst := make([]int16, 12), make([]float32, row.l.Groups()), make([]float32, 12)
			for i := range n {
				n[i] = most * int16(i-6) / 6
			}
			for g := range scales {
				scales[g] = RoundStep(0.01 * float64(g+1))
			}
			given := slices.Clone(n)
			q, err := FromIntegers(n, row.l, scales)
			if err != nil {
				t.Fatal(err)
			}
			q.Dequantize(dst)
			for i, v := range dst {
				if want := float64(n[i]) * float64(scales[row.l.Group(i)]); float64(v) != want {
					t.Errorf("%s up to %d: element %d is %v, want %v", row.name, most, i, v, want)
				}
			}
			if !slices.Equal(n, given) {
				t.Errorf("%s: the integers were changed", row.name)
			}
		}
	}
}

func TestFromIntegersErrors(t *testing.T) {
	n := make([]int16, 4)
	for _, row := range []struct {
		l      Layout
		scales int
	}{
		{PerTensor(3), 1}, {PerTensor(5), 1}, {PerTensor(4), 0}, {PerTensor(4), 2}, {Layout{1, 2, 2, 0}, 1}, {Layout{-1, -4, 1, 0}, 1},
	} {
		if _, err := FromIntegers(n, row.l, make([]float32, row.scales)); err == nil {
			t.Errorf("%+v with %d scales: got no error", row.l, row.scales)
		}
	}
}

// Each fault of wide codes by itself.
func TestCheckWide(t *testing.T) {
	rows := []struct {
		name, want string
		spoil      func(q *Quantized)
	}{
		{"sound", "", func(*Quantized) {}},
		{"8 bits", "want 9 to 16 bits, got 8", func(q *Quantized) { q.Bits = 8 }},
		{"17 bits", "want 9 to 16 bits, got 17", func(q *Quantized) { q.Bits = 17 }},
		{"bits below zero", "want 9 to 16 bits, got -1", func(q *Quantized) { q.Bits = -1 }},
		{"narrow codes too", "narrow codes", func(q *Quantized) { q.Codes = make([]uint8, 4) }},
		{"levels", "levels", func(q *Quantized) { q.Levels = []float32{0} }},
		{"zero points", "zero points", func(q *Quantized) { q.Zeros = make([]uint8, 2) }},
		{"stretch", "stretch", func(q *Quantized) { q.Stretch = 1 }},
		{"too few codes", "", func(q *Quantized) { q.Wide = q.Wide[1:] }},
		{"too many scales", "want 2, got 3", func(q *Quantized) { q.Scales = make([]float32, 3) }},
		{"no scales", "want 2, got 0", func(q *Quantized) { q.Scales = nil }},
		{"code out of range", "code 3: want less than 1024, got 1024", func(q *Quantized) { q.Wide[3] = 1024 }},
		{"layout", "", func(q *Quantized) { q.Layout.Outer = -1 }},
	}
	for _, row := range rows {
		q, err := FromIntegers([]int16{-512, 511, 0, 1}, Layout{1, 2, 2, 0}, []float32{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		row.spoil(q)
		err = q.Check()
		if row.name == "sound" {
			if err != nil || q.Bits != 10 {
				t.Errorf("sound codes of %d bits: %v", q.Bits, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func TestDequantizeWideNeedsRoom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("decoding into too short a slice: got no panic")
		}
	}()
	(&Quantized{Layout: PerTensor(2), Bits: 9, Wide: []uint16{0, 1}, Scales: []float32{1}}).Dequantize(make([]float32, 1))
}

// Counts 4, 2, 1 and 1 of 8 have an entropy of 4*1 + 2*2 + 1*3 + 1*3 = 14 bits, and three counts to learn at log2(8)/2.
func TestTallyBits(t *testing.T) {
	rows := []struct {
		list   []int16
		count  []int
		offset int
		bits   float64
	}{
		{nil, nil, 0, 0},
		{[]int16{7}, []int{1}, -7, 0},
		{[]int16{0, 0, 0}, []int{3}, 0, 0},
		{[]int16{0, 5, 0, 1, 0, -1, 1, 0}, []int{1, 4, 2, 0, 0, 0, 1}, 1, 14 + 4.5},
		{[]int16{5, 6}, []int{1, 1}, -5, 2 + 0.5},
		{[]int16{-6, -3, -6, -3}, []int{2, 0, 0, 2}, 6, 4 + 1},
	}
	for _, row := range rows {
		tally := TallyOf(row.list)
		if !slices.Equal(tally.Count, row.count) || tally.Offset != row.offset || tally.Total != len(row.list) {
			t.Errorf("%v: counts %v from %d of %d, want %v from %d", row.list, tally.Count, tally.Offset, tally.Total, row.count, row.offset)
		}
		if got := tally.Bits(); math.Abs(got-row.bits) > priceTolerance {
			t.Errorf("%v: %v bits, want %v", row.list, got, row.bits)
		}
	}
	if tally := TallyOf([]int16{-32768, 32767}); len(tally.Count) != 1<<16 || tally.Count[0] != 1 || tally.Count[1<<16-1] != 1 {
		t.Errorf("the extremes: %d counts", len(tally.Count))
	}
}

// priceTolerance is what two ways to compute a logarithm may differ by.
const priceTolerance = 1e-12

// Of 0 0 0 0 1 1 -1 the magnitudes up to 2 have a price. 7 counts and 3 of smoothing are 10: zero has 4+1, 1 and -1 have
// (3+1)/2 each, 2 and -2 have 1/2 each.
func TestPrices(t *testing.T) {
	p := NewPrices(TallyOf([]int16{0, 1, 0, 0, -1, 1, 0}))
	for n, want := range map[int16]float64{
		0: 1, 1: math.Log2(5), -1: math.Log2(5), 2: math.Log2(20), -2: math.Log2(20), 300: math.Log2(20),
		math.MaxInt16: math.Log2(20), math.MinInt16: math.Log2(20),
	} {
		if got := p.Of(n); math.Abs(got-want) > priceTolerance {
			t.Errorf("price of %d: %v, want %v", n, got, want)
		}
	}
}

// The frequencies behind the prices add up to 1: those of the magnitudes that have one, both signs.
func TestPricesAreFrequencies(t *testing.T) {
	for _, list := range [][]int16{nil, {0}, {3}, {-3, -3}, {5, 6, 7}, {-9, 2, 2, 0}, {math.MinInt16, math.MaxInt16}} {
		p, sum := NewPrices(TallyOf(list)), 0.0
		for m, bits := range p.bits {
			f := math.Exp2(-bits)
			if sum += f; m > 0 {
				sum += f
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%v: frequencies add up to %v", list, sum)
		}
	}
}

// With the prices of TestPrices, 1.6 costs 0.16*loss + 4.32*lambda as 2, 0.36*loss + 2.32*lambda as 1 and
// 2.56*loss + lambda as 0.
func TestChoose(t *testing.T) {
	p := NewPrices(TallyOf([]int16{0, 1, 0, 0, -1, 1, 0}))
	rows := []struct {
		x, step, loss, lambda float64
		want                  int16
	}{
		{1.6, 1, 1, 0, 2},
		{1.6, 1, 1, 0.05, 2}, // 0.38 0.48 2.61
		{1.6, 1, 1, 0.2, 1},  // 1.02 0.82 2.76
		{1.6, 1, 1, 2, 0},    // 8.80 5.00 4.56
		{1.6, 1, 10, 0.2, 2}, // 2.46 4.06 25.8
		{1.6, 1, 0.1, 0.2, 0},
		{0.8, 0.5, 4, 0.2, 1}, // the same in half the step
		{0.4, 1, 0, 1, 0},
		{0.6, 1, 0, 1, 0},  // a loss of nothing: the cheapest
		{9.5, 1, 1, 1, 10}, // 9 and 10 are as near and cost the same: the nearest
		{9.4, 1, 1, 1, 9},  // 9, not 10 and not 8
		{40000, 1, 1, 1, MaxInteger},
		{5, 0, 1, 1, 0},
		{math.NaN(), 1, 1, 1, 0},
	}
	for _, row := range rows {
		for _, sign := range []float64{1, -1} {
			if got := p.Choose(sign*row.x, row.step, row.loss, row.lambda); got != int16(sign)*row.want {
				t.Errorf("%v by steps of %v, loss %v, lambda %v: got %d, want %d", sign*row.x, row.step, row.loss, row.lambda, got, int16(sign)*row.want)
			}
		}
	}
}

// Half way between two integers that have one price, the last bit decides: the first two rows turn where the product in x - n*step
// is not rounded, the others where one in the sum is not, as on arm64 and with GOAMD64=v3.
func TestChooseIsTheSameEverywhere(t *testing.T) {
	p := NewPrices(TallyOf([]int16{0, 1, 0, 0, -1, 1, 0}))
	for _, row := range []struct {
		x, step, loss, lambda float64
		want                  int16
	}{
		{25.788189894200645, 0.7697967132597208, 0.26633711244369274, 0.37794498254917186, 34},
		{25.127356472096515, 0.7078128583689159, 0.9925002103614202, 0.5770666708080352, 36},
		{3.5848084646212355, 1.0242309898917816, 0.9947167786560032, 0.43089716821183455, 4},
		{7.567077662320017, 0.1739558083291958, 0.8745573345357611, 0.6540467526957727, 43},
	} {
		if got := p.Choose(row.x, row.step, row.loss, row.lambda); got != row.want {
			t.Errorf("%v: got %d, want %d", row.x, got, row.want)
		}
	}
	list := make([]int16, 1000)
	for i := range list {
		list[i] = int16(i * i % 37)
	}
	tally := TallyOf(list)
	sum := math.Float64bits(tally.Bits())
	for _, bits := range NewPrices(tally).bits {
		sum = sum*31 + math.Float64bits(bits)
	}
	if want := uint64(0x3450231abf940f5a); sum != want {
		t.Errorf("bits and prices have the sum %#x, want %#x", sum, want)
	}
}

// Choose is never dearer than any of its three candidates, and lambda trades error for bits.
func TestChooseAgainstCandidates(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([]int16, 4000)
	for i := range list {
		list[i] = Nearest(rng.NormFloat64(), 0.4)
	}
	p := NewPrices(TallyOf(list))
	for _, lambda := range []float64{0.01, 0.1, 1} {
		for range 3000 {
			x, loss := 2*rng.NormFloat64(), rng.Float64()
			n := Nearest(x, 0.4)
			cost := func(n int16) float64 {
				d := x - float64(n)*0.4
				return loss*d*d + lambda*p.Of(n)
			}
			best := math.Inf(1)
			for _, v := range []int16{n, n - int16(boolInt(n > 0)) + int16(boolInt(n < 0)), 0} {
				best = min(best, cost(v))
			}
			if got := p.Choose(x, 0.4, loss, lambda); cost(got) > best+priceTolerance {
				t.Fatalf("x %v, loss %v, lambda %v: %d costs %v, want %v", x, loss, lambda, got, cost(got), best)
			}
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	x := gaussian(1 << 12)
	list := make([]int16, len(x))
	for i, v := range x {
		list[i] = Nearest(float64(v), 0.4)
	}
	p := NewPrices(TallyOf(list))
	b.Run(fmt.Sprintf("n=%d", len(x)), func(b *testing.B) {
		for b.Loop() {
			for _, v := range x {
				p.Choose(float64(v), 0.4, 1, 0.05)
			}
		}
		nsPerValue(b, len(x))
	})
}
