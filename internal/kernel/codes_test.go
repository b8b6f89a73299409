package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// someBytes returns n bytes of any value.
func someBytes(seed uint64, n int) []uint8 {
	rng, x := rand.New(rand.NewPCG(seed, 1)), make([]uint8, n)
	for i := range x {
		x[i] = uint8(rng.IntN(256))
	}
	return x
}

// TestLookUp: lengths around those of vectors, in place too.
func TestLookUp(t *testing.T) {
	table := [256]uint8(someBytes(1, 256))
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 15, 63, 64, 65, 200, 70000} {
			x := someBytes(uint64(n), n)
			want := make([]uint8, n)
			for i, c := range x {
				want[i] = table[c]
			}
			dst := make([]uint8, n)
			LookUp(dst, x, &table, 2)
			LookUp(x, x, &table, 2)
			if !slices.Equal(dst, want) || !slices.Equal(x, want) {
				t.Errorf("%d bytes: %v, in place %v, want %v", n, dst, x, want)
			}
		}
	})
}

// TestCodeSumByHand: codes worked out on paper.
func TestCodeSumByHand(t *testing.T) {
	a, b := []uint8{0, 10, 255, 128, 7}, []uint8{3, 4, 255, 1, 0}
	for _, c := range []struct {
		name string
		s    CodeSum
		want []uint8
	}{
		// 2 + a/2 + b/4 rounded: 2.75, 8, 193.25, 66.25, 5.5; the last is a tie, which goes to the even 6
		{"sum", CodeSum{A: 0.5, B: 0.25, Fixed: 2, High: 255}, []uint8{3, 8, 193, 66, 6}},
		{"sum, bounded", CodeSum{A: 0.5, B: 0.25, Fixed: 2, Low: 5, High: 100}, []uint8{5, 8, 100, 66, 6}},
		// (a-8)*(b-3)/16 + 100: 100, 100.125, 3990, 85, 100.1875
		{"product", CodeSum{Product: true, A: 1.0 / 16, ZeroA: 8, ZeroB: 3, Zero: 100, High: 255}, []uint8{100, 100, 255, 85, 100}},
		// signed: 255 is -1, 128 is -128: 1 + a + b = 4, 15, -1, -126, 8
		{"signed", CodeSum{A: 1, B: 1, Fixed: 1, Signed: true, Low: -128, High: 127}, []uint8{4, 15, 0xff, 0x82, 8}},
	} {
		eachLevel(t, func(t *testing.T) {
			dst := make([]uint8, len(a))
			c.s.Run(dst, a, b, 1)
			if !slices.Equal(dst, c.want) {
				t.Errorf("%s: %v, want %v", c.name, dst, c.want)
			}
			long := make([]uint8, 40*len(a))
			c.s.Run(long, slices.Repeat(a, 40), slices.Repeat(b, 40), 1)
			if !slices.Equal(long, slices.Repeat(c.want, 40)) {
				t.Errorf("%s, repeated: %v", c.name, long)
			}
			c.s.Spread(dst, a, b[1:2])
			for i := range dst {
				if w := c.s.code(a[i], b[1]); dst[i] != w {
					t.Errorf("%s, one for all: element %d is %d, want %d", c.name, i, dst[i], w)
				}
			}
		})
	}
}

// TestCodeSumLevels: codes are the same by every instruction set, in sums that lie at ties too.
func TestCodeSumLevels(t *testing.T) {
	a, b := someBytes(1, 4096), someBytes(2, 4096)
	for _, s := range []CodeSum{{A: 0.1, B: 0.7, Fixed: -3.3, High: 255}, {A: 1.0 / 3, B: 0.5, Fixed: 1.0 / 6, High: 255}, {A: 0.37, B: 0.011, Fixed: 120.4, Low: -128, High: 127, Signed: true},
		{Product: true, A: 0.013, ZeroA: 100, ZeroB: 7, Zero: 30, High: 255}, {Product: true, A: 0.5, ZeroA: -1, ZeroB: 3, Zero: -30, Low: -128, High: 127, Signed: true}} {
		want := make([]uint8, len(a))
		for i := range a {
			want[i] = s.code(a[i], b[i])
		}
		eachLevel(t, func(t *testing.T) {
			dst := make([]uint8, len(a))
			s.Run(dst, a, b, 2)
			if !slices.Equal(dst, want) {
				t.Errorf("%+v: other codes", s)
			}
		})
	}
}

// TestNewCodeSum: scales 0.5, 0.25 and 2, zero points 4, 8 and 10: (8-4)*0.5/2 + (24-8)*0.25/2 + 10 and
// (8-4)*0.5 * (24-8)*0.25 / 2 + 10.
func TestNewCodeSum(t *testing.T) {
	scales, zeros := [3]float32{0.5, 0.25, 2}, [3]int32{4, 8, 10}
	if got := NewCodeSum(scales, zeros, 0, 255, false).code(8, 24); got != 13 {
		t.Errorf("sum %d, want 13", got)
	}
	if got := NewCodeProduct(scales, zeros, 0, 255, false).code(8, 24); got != 14 {
		t.Errorf("product %d, want 14", got)
	}
}

// TestQuantizeQuotients: codes are those of quotients rounded to nearest, at borders of two codes and beside them, of scales
// of all kinds, and of numbers that are none or too large.
func TestQuantizeQuotients(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	ones := math.Float32frombits(120<<23 | (1<<23 - 1))
	for range 400 {
		scale := float32(math.Exp(rng.NormFloat64() * 3))
		switch rng.IntN(8) {
		case 0:
			scale = ones
		case 1:
			scale = float32(math.Ldexp(1+rng.Float64(), rng.IntN(240)-120))
		}
		x := []float32{inf, -inf, nan, math.MaxFloat32, -math.MaxFloat32, 0, math.SmallestNonzeroFloat32}
		for len(x) < 1024 {
			v := (float32(rng.IntN(300)) - 20.5) * scale
			for range rng.IntN(4) {
				v = math.Nextafter32(v, inf)
			}
			for range rng.IntN(4) {
				v = math.Nextafter32(v, -inf)
			}
			x = append(x, v)
		}
		want, dst := make([]uint8, len(x)), make([]uint8, len(x))
		for i, v := range x {
			want[i] = saturated(v/scale, 9, 3, 250)
		}
		eachLevel(t, func(t *testing.T) {
			QuantizeWithin(dst, x, scale, 9, 3, 250)
			for i, w := range want {
				if dst[i] != w {
					t.Fatalf("%v by %v is %d, want %d", x[i], scale, dst[i], w)
				}
			}
		})
	}
}

// TestFMA compares with exact sums.
func TestFMA(t *testing.T) {
	x, y, z := randomFloats(20000, 1), randomFloats(20000, 2), randomFloats(20000, 3)
	for i := range x {
		if i%3 == 0 { // a product and a term that lie far apart
			z[i] *= 1 << 20
		}
		exact := new(big.Float).SetPrec(300).Mul(big.NewFloat(float64(x[i])), big.NewFloat(float64(y[i])))
		want, _ := exact.Add(exact, big.NewFloat(float64(z[i]))).Float32()
		if got := fma(x[i], y[i], z[i]); got != want {
			t.Fatalf("%v*%v + %v is %v, want %v", x[i], y[i], z[i], got, want)
		}
	}
	// 1 + 2^-24 + 2^-70: a tie but for what float64 has no room for, which rounds up.
	tiny := float32(math.Ldexp(1, -35))
	if got := fma(tiny, tiny, 1); got != 1 {
		t.Errorf("1 + 2^-70 is %v", got)
	}
	half := float32(math.Ldexp(1, -12) * (1 + math.Ldexp(1, -23)))
	if got, want := fma(half, float32(math.Ldexp(1, -12)), 1), float32(1+math.Ldexp(1, -23)); got != want {
		t.Errorf("1 + 2^-24 + 2^-47 is %v, want %v", got, want)
	}
}

// TestMeanPoolBytes: windows of a plane of 3x3 worked out on paper, padding left out of the means.
func TestMeanPoolBytes(t *testing.T) {
	x := []uint8{10, 20, 30, 40, 50, 60, 70, 80, 90}
	w := &Window{In: [3]int{1, 3, 3}, Kernel: [3]int{1, 2, 2}, Out: [3]int{1, 2, 2}, Stride: [3]int{1, 2, 2}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
	mean := func(n int) CodeMean { return CodeMean{From: 10, Factor: 0.5 / float32(n), Zero: 5, Low: 0, High: 30} }
	// Windows hold 10; 20 30; 40 70; 50 60 80 90. Half their means less 10: 0, 7.5, 22.5, 30; ties go to the even 8 and 22.
	dst := make([]uint8, 4)
	MeanPoolBytes(dst, x, 1, w, mean, 1)
	if want := []uint8{5, 13, 27, 30}; !slices.Equal(dst, want) {
		t.Errorf("means %v, want %v", dst, want)
	}
	m := mean(9)
	if got := m.Of(x); got != 25 { // (50-10)/2 + 5
		t.Errorf("mean of all is %d, want 25", got)
	}
}

// TestFinishColumns compares vectors of outputs with sums one by one.
func TestFinishColumns(t *testing.T) {
	const n = 53
	q := Finish{First: 0.5, Second: randomFloats(n, 1), Shift: randomFloats(n, 2)}
	sums := make([]int32, n)
	for o := range n {
		q.Bias, sums[o] = append(q.Bias, int32(o*31-700)), int32(o*o*3-1000)
	}
	bytes := &ByteFinish{Finish: q, Out: 1, Zero: 100, Low: 5, High: 240}
	floats := &FloatFinish{Finish: q, Low: -300, High: 400}
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{1, 16, 40, n} {
			codes, values := make([]uint8, n), make([]float32, n)
			bytes.Columns(codes, sums[:n], 3, -50)
			floats.Columns(values, sums[:n], 3, -50)
			for o := range n {
				y := q.at(3*sums[o]-50, q.Bias[o], q.Second[o], q.Shift[o])
				if codes[o] != bytes.code(y) || values[o] != floats.bound(y) {
					t.Errorf("output %d of %d: %d and %v, want %d and %v", o, n, codes[o], values[o], bytes.code(y), floats.bound(y))
				}
			}
		}
	})
}
