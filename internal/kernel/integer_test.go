package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomBytes(rng *rand.Rand, n int) ([]uint8, []int8) {
	u, s := make([]uint8, n), make([]int8, n)
	for i := range u {
		u[i], s[i] = uint8(rng.IntN(256)), int8(rng.IntN(256)-128)
	}
	return u, s
}

func TestProductBytes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 9))
		for _, s := range [][3]int{{1, 1, 1}, {3, 33, 4}, {13, 31, 7}, {25, 70, 1030}, {2, 5, 0}, {12, 32, 2050}} {
			m, n, k := s[0], s[1], s[2]
			a, _ := randomBytes(rng, m*k)
			_, b := randomBytes(rng, k*n)
			want := make([]int32, m*n)
			for i := range m {
				for j := range n {
					for p := range k {
						want[i*n+j] += int32(a[i*k+p]) * int32(b[p*n+j])
					}
				}
			}
			for threads := 1; threads < 4; threads++ {
				got := make([]int32, m*n)
				got[0] = 7 // what stands there is overwritten
				ProductBytes(got, m, n, k, a, b, threads)
				if !slices.Equal(got, want) {
					t.Errorf("%v, %d threads: %v, want %v", s, threads, got[:min(8, len(got))], want[:min(8, len(want))])
				}
			}
		}
	})
}

// TestProductBytesExtremes sums the largest products of either sign: 255*-128 and 255*127, and for signed operands
// -128*-128, as often as int32 holds them.
func TestProductBytesExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, k := range []int{1, 2, 3, MaxIntegerTerms} {
			const m, n = 2, 3
			for _, v := range []int8{-128, 127} {
				a, b, s, got := make([]uint8, m*k), make([]int8, k*n), make([]int8, m*k), make([]int32, m*n)
				fillWith(a, 255)
				fillWith(b, v)
				fillWith(s, -128)
				ProductBytes(got, m, n, k, a, b, 1)
				for _, sum := range got {
					if want := int32(k) * 255 * int32(v); sum != want {
						t.Fatalf("%d times 255*%d: %d, want %d", k, v, sum, want)
					}
				}
				ProductSignedBytes(got, m, n, k, s, b, 1)
				for _, sum := range got {
					if want := int32(k) * -128 * int32(v); sum != want {
						t.Fatalf("%d times -128*%d: %d, want %d", k, v, sum, want)
					}
				}
			}
		}
	})
}

// productBytesRef is the product of a [m, k] and b [k, n].
func productBytesRef[T uint8 | int8](a []T, b []int8, m, n, k int) []int32 {
	want := make([]int32, m*n)
	for i := range m {
		for j := range n {
			for p := range k {
				want[i*n+j] += int32(a[i*k+p]) * int32(b[p*n+j])
			}
		}
	}
	return want
}

func FuzzProductBytes(f *testing.F) {
	f.Add(uint64(1), 3, 33, 5)
	f.Add(uint64(2), 13, 70, 131)
	f.Add(uint64(3), 1, 0, 0)
	f.Fuzz(func(t *testing.T, seed uint64, m, n, k int) {
		if m < 0 || m > 40 || n < 0 || n > 100 || k < 0 || k > 1200 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 7))
		a, s := randomBytes(rng, m*k)
		_, b := randomBytes(rng, k*n)
		unsigned, signed := productBytesRef(a, b, m, n, k), productBytesRef(s, b, m, n, k)
		eachLevel(t, func(t *testing.T) {
			got := make([]int32, m*n)
			if ProductBytes(got, m, n, k, a, b, 1); !slices.Equal(got, unsigned) {
				t.Errorf("unsigned: %v, want %v", got, unsigned)
			}
			if ProductSignedBytes(got, m, n, k, s, b, 2); !slices.Equal(got, signed) {
				t.Errorf("signed: %v, want %v", got, signed)
			}
		})
	})
}

func TestConvBytes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(2, 9))
		for i := range 100 {
			w := randomWindow(rng)
			if i%2 == 0 { // over two dimensions, as most are
				w.In[0], w.Kernel[0], w.Out[0], w.Pad[0] = 1, 1, 1, 0
			}
			group := 1 + rng.IntN(3)
			cg, og := 1+rng.IntN(3), 1+rng.IntN(3)
			x, _ := randomBytes(rng, group*cg*w.InSize())
			_, weights := randomBytes(rng, group*og*cg*w.KernelSize())
			const pad = 200
			// a convolution of x-pad, whose padding is zero, and the sum of the weights times pad
			xf, wf := make([]float32, len(x)), make([]float32, len(weights))
			for i, v := range x {
				xf[i] = float32(v) - pad
			}
			for i, v := range weights {
				wf[i] = float32(v)
			}
			want, _ := convRef(xf, wf, nil, 1, group*cg, group*og, group, w)
			got := make([]int32, len(want))
			ConvBytes(got, x, pad, weights, 1, group*cg, group*og, group, w, 2)
			k := cg * w.KernelSize()
			for o, v := range got {
				sum := int32(0)
				for _, c := range weights[o/w.OutSize()*k:][:k] {
					sum += int32(c)
				}
				if float64(v-pad*sum) != want[o] {
					t.Fatalf("%+v group %d: sum %d is %v, want %v", *w, group, o, v-pad*sum, want[o])
				}
			}
		}
	})
}

func TestRequantize(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		sums := []int32{0, 1, 3, 5, -1, -3, -5, 1000, -1000, 1 << 30, 509, 511, 7, 9, 11, 13, 15, 17}
		got := make([]uint8, len(sums))
		Requantize(got, sums, 0, 1, 0.5, 1, 10, false)
		want := []uint8{10, 10, 12, 12, 10, 8, 8, 255, 0, 255, 255, 255, 14, 14, 16, 16, 18, 18} // ties to even, then the zero point
		if !slices.Equal(got, want) {
			t.Errorf("unsigned: %v, want %v", got, want)
		}
		Requantize(got, sums, 0, 8, 8, 1, 0, false) // 2^36 is beyond int32
		if got[9] != 255 || got[8] != 0 {
			t.Errorf("saturated: %v", got)
		}
		Requantize(got, sums, 1, 1, 0.5, 1, 0, true)
		signed := make([]int8, len(got))
		for i, v := range got {
			signed[i] = int8(v)
		}
		if want := []int8{0, 1, 2, 3, 0, -1, -2, 127, -128, 127, 127, 127, 4, 5, 6, 7, 8, 9}; !slices.Equal(signed, want) {
			t.Errorf("signed: %v, want %v", signed, want)
		}
	})
}

func TestRequantizeColumns(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 5))
		sums, second := make([]int32, 37), randomFloats(37, 3)
		for i := range sums {
			sums[i] = int32(rng.IntN(2000) - 1000)
		}
		got := make([]uint8, len(sums))
		RequantizeColumns(got, sums, 0.5, second, 0.25, -3, true)
		for i, s := range sums {
			want := make([]uint8, 1)
			Requantize(want, []int32{s}, 0, 0.5, second[i], 0.25, -3, true)
			if got[i] != want[0] {
				t.Errorf("sum %d: %d, want %d", i, int8(got[i]), int8(want[0]))
			}
		}
	})
}

func BenchmarkProductBytes(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][3]int{{512, 512, 512}, {64, 3136, 576}, {128, 784, 1152}} {
		m, n, k := s[0], s[1], s[2]
		x, _ := randomBytes(rng, m*k)
		_, y := randomBytes(rng, k*n)
		dst := make([]int32, m*n)
		b.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(b *testing.B) {
			for b.Loop() {
				ProductBytes(dst, m, n, k, x, y, 1)
			}
			reportOperations(b, 2*float64(m)*float64(n)*float64(k))
		})
	}
}

func BenchmarkConvBytes(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][2]int{{64, 56}, {128, 28}, {16, 32}} {
		c, size := s[0], s[1]
		w := &Window{In: [3]int{1, size, size}, Out: [3]int{1, size, size}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
		x, _ := randomBytes(rng, c*size*size)
		_, weights := randomBytes(rng, 9*c*c)
		dst := make([]int32, c*size*size)
		b.Run(fmt.Sprintf("3x3/channels=%d/size=%d", c, size), func(b *testing.B) {
			for b.Loop() {
				ConvBytes(dst, x, 3, weights, 1, c, c, 1, w, 1)
			}
			reportOperations(b, 2*float64(len(dst))*float64(9*c))
		})
	}
}

func BenchmarkRequantize(b *testing.B) {
	sums, dst := make([]int32, 4096), make([]uint8, 4096)
	for b.Loop() {
		Requantize(dst, sums, 3, 0.5, 0.25, 0.125, 3, false)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sums)), "ns/element")
}

func TestQuantizeAndBack(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		x := []float32{0, 0.25, 0.75, 1.25, -0.25, -0.75, 1e30, -1e30, inf, -inf, 63, 64, -64, -64.5, 1, 2, nan}
		for _, n := range []int{len(x), len(x) - 1} { // with the NaN and without, which takes another way
			got := make([]uint8, n)
			Quantize(got, x[:n], 0.5, 3, false)
			want := []uint8{3, 3, 5, 5, 3, 1, 255, 0, 255, 0, 129, 131, 0, 0, 5, 7, 3}
			if !slices.Equal(got, want[:n]) {
				t.Errorf("unsigned: %v, want %v", got, want[:n])
			}
			Quantize(got, x[:n], 0.5, -3, true)
			signed := []int8{-3, -3, -1, -1, -3, -5, 127, -128, 127, -128, 123, 125, -128, -128, -1, 1, -3}
			for i, v := range got {
				if int8(v) != signed[i] {
					t.Errorf("signed %v: %d, want %d", x[i], int8(v), signed[i])
				}
			}
		}
		bytes := []uint8{0, 1, 127, 128, 255, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
		back := make([]float32, len(bytes))
		Dequantize(back, bytes, 0.5, 3, false)
		if want := []float32{-1.5, -1, 62, 62.5, 126}; !slices.Equal(back[:5], want) || back[16] != 5.5 {
			t.Errorf("unsigned back: %v, want %v", back, want)
		}
		Dequantize(back, bytes, 0.5, -3, true)
		if want := []float32{1.5, 2, 65, -62.5, 1}; !slices.Equal(back[:5], want) || back[16] != 8.5 {
			t.Errorf("signed back: %v, want %v", back, want)
		}
	})
}
