package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomCodes returns n codes of bits.
func randomCodes(rng *rand.Rand, n, bits int) []uint8 {
	x := make([]uint8, n)
	for i := range x {
		x[i] = uint8(rng.IntN(1 << bits))
	}
	return x
}

// bitProductRef is the product of x [m, k] and the transpose of w [rows, k].
func bitProductRef(x, w []uint8, m, rows, k int) []int32 {
	want := make([]int32, m*rows)
	for i := range m {
		for j := range rows {
			for q := range k {
				want[i*rows+j] += int32(x[i*k+q]) * int32(w[j*k+q])
			}
		}
	}
	return want
}

// eachBits runs f for one and two bits of weights and of activations.
func eachBits(t *testing.T, f func(t *testing.T, bits, actBits int)) {
	eachLevel(t, func(t *testing.T) {
		for bits := 1; bits <= 2; bits++ {
			for actBits := 1; actBits <= 2; actBits++ {
				t.Run(fmt.Sprintf("w%da%d", bits, actBits), func(t *testing.T) { f(t, bits, actBits) })
			}
		}
	})
}

func TestBitProduct(t *testing.T) {
	eachBits(t, func(t *testing.T, bits, actBits int) {
		rng := rand.New(rand.NewPCG(1, uint64(10*bits+actBits)))
		for _, s := range [][3]int{{0, 3, 5}, {3, 0, 5}, {2, 3, 0}, {1, 1, 1}, {3, 63, 64}, {5, 65, 66}, {9, 130, 1030}, {2, 64, 7}, {70, 5, 33}, {1, 70, 128}} {
			m, rows, k := s[0], s[1], s[2]
			x, w := randomCodes(rng, m*k, actBits), randomCodes(rng, rows*k, bits)
			want := bitProductRef(x, w, m, rows, k)
			high := slices.Clone(x)
			for i := range high { // bits beyond those of a code are none of it
				high[i] |= uint8(rng.IntN(256)) << actBits
			}
			packed := PackBits(w, rows, k, bits, actBits)
			for threads := 1; threads < 4; threads++ {
				got := make([]int32, m*rows)
				for i := range got {
					got[i] = 7 // what stands there is overwritten
				}
				packed.Product(got, high, m, threads)
				if !slices.Equal(got, want) {
					t.Errorf("%v, %d threads: %v, want %v", s, threads, got[:min(8, len(got))], want[:min(8, len(want))])
				}
			}
		}
	})
}

// Sums beyond 16 bits, of nothing but the largest codes.
func TestBitProductLong(t *testing.T) {
	eachBits(t, func(t *testing.T, bits, actBits int) {
		const k = 140000
		x, w := make([]uint8, 3*k), make([]uint8, 2*k)
		fillWith(x, 1<<actBits-1)
		fillWith(w, 1<<bits-1)
		got := make([]int32, 6)
		PackBits(w, 2, k, bits, actBits).Product(got, x, 3, 1)
		for _, v := range got {
			if want := int32(k * (1<<bits - 1) * (1<<actBits - 1)); v != want {
				t.Fatalf("%v, want %d", got, want)
			}
		}
	})
}

func TestBitConv(t *testing.T) {
	eachBits(t, func(t *testing.T, bits, actBits int) {
		rng := rand.New(rand.NewPCG(2, uint64(10*bits+actBits)))
		for i := range 120 {
			w := randomWindow(rng)
			if i%8 != 0 { // over two dimensions, as most are
				w.In[0], w.Kernel[0], w.Out[0], w.Pad[0] = 1, 1, 1, 0
			}
			inC, outC, batch := 1+rng.IntN(5), 1+rng.IntN(10), 1+rng.IntN(2)
			if i%5 == 0 {
				inC = 60 + rng.IntN(10)
			}
			checkBitConv(t, rng, w, batch, inC, outC, bits, actBits)
		}
		for _, s := range [][3]int{{1, 1, 0}, {64, 3, 1}, {7, 3, 1}, {70, 1, 0}, {65, 5, 2}} { // lines that fill tiles and do not
			size, kernel, pad := s[0], s[1], s[2]
			for stride := 1; stride <= 3; stride++ {
				out := (size+2*pad-kernel)/stride + 1
				w := &Window{In: [3]int{1, 3, size}, Kernel: [3]int{1, 1, kernel}, Out: [3]int{1, 3, out}, Stride: [3]int{1, 1, stride}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 0, pad}}
				checkBitConv(t, rng, w, 1, 3, 9, bits, actBits)
			}
		}
	})
}

// checkBitConv compares a convolution of random codes with the convolution of their differences to padding, which is zero
// there, and of padding alone.
func checkBitConv(t *testing.T, rng *rand.Rand, w *Window, batch, inC, outC, bits, actBits int) {
	t.Helper()
	x, weights := randomCodes(rng, batch*inC*w.InSize(), actBits), randomCodes(rng, outC*inC*w.KernelSize(), bits)
	pad := uint8(rng.IntN(1 << actBits))
	xf, wf := make([]float32, len(x)), make([]float32, len(weights))
	for i, v := range x {
		xf[i] = float32(v) - float32(pad)
	}
	sums := make([]float64, outC)
	for i, v := range weights {
		wf[i] = float32(v)
		sums[i/(inC*w.KernelSize())] += float64(v)
	}
	want, _ := convRef(xf, wf, nil, batch, inC, outC, 1, w)
	got := make([]int32, len(want))
	for i := range got {
		got[i] = -7
	}
	PackBitsConv(weights, outC, inC, w.KernelSize(), bits, actBits).Conv(got, x, pad, batch, w, 1+rng.IntN(2))
	for i, v := range got {
		if c := i / w.OutSize() % outC; float64(v) != want[i]+float64(pad)*sums[c] {
			t.Fatalf("%+v, %d to %d: sum %d is %d, want %v", *w, inC, outC, i, v, want[i]+float64(pad)*sums[c])
		}
	}
}

func FuzzBitProduct(f *testing.F) {
	f.Add(uint64(1), 3, 70, 130, 2, 2)
	f.Add(uint64(2), 1, 1, 1, 1, 2)
	f.Fuzz(func(t *testing.T, seed uint64, m, rows, k, bits, actBits int) {
		if m < 0 || m > 40 || rows < 0 || rows > 200 || k < 0 || k > 600 || bits < 1 || bits > 2 || actBits < 1 || actBits > 2 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		x, w := randomCodes(rng, m*k, actBits), randomCodes(rng, rows*k, bits)
		want := bitProductRef(x, w, m, rows, k)
		eachLevel(t, func(t *testing.T) {
			got := make([]int32, m*rows)
			PackBits(w, rows, k, bits, actBits).Product(got, x, m, 1)
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	})
}

func BenchmarkBitProduct(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bits := range [][2]int{{1, 1}, {2, 2}} {
		for _, s := range [][3]int{{512, 512, 512}, {1024, 1024, 1024}, {1, 4096, 4096}} {
			m, n, k := s[0], s[1], s[2]
			w := PackBits(randomCodes(rng, n*k, bits[0]), n, k, bits[0], bits[1])
			x, dst := randomCodes(rng, m*k, bits[1]), make([]int32, m*n)
			b.Run(fmt.Sprintf("w%da%d/%dx%dx%d", bits[0], bits[1], m, n, k), func(b *testing.B) {
				for b.Loop() {
					w.Product(dst, x, m, 1)
				}
				reportOperations(b, 2*float64(m)*float64(n)*float64(k))
			})
		}
	}
}

func BenchmarkBitConv(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][2]int{{64, 56}, {128, 28}, {16, 32}} {
		c, size := s[0], s[1]
		w := &Window{In: [3]int{1, size, size}, Out: [3]int{1, size, size}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
		weights := PackBitsConv(randomCodes(rng, 9*c*c, 2), c, c, 9, 2, 2)
		x, dst := randomCodes(rng, c*size*size, 2), make([]int32, c*size*size)
		b.Run(fmt.Sprintf("w2a2/3x3/channels=%d/size=%d", c, size), func(b *testing.B) {
			for b.Loop() {
				weights.Conv(dst, x, 0, 1, w, 1)
			}
			reportOperations(b, 2*float64(len(dst))*float64(9*c))
		})
	}
}
