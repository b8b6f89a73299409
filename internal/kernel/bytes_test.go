package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Columns and filters that were laid out before give the sums of those that were not.
func TestPackByteColumns(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 4))
		for _, s := range [][3]int{{1, 1, 1}, {3, 33, 4}, {13, 31, 7}, {25, 70, 1030}, {2, 5, 0}, {12, 132, 2050}, {1, 1000, 1027}} {
			m, n, k := s[0], s[1], s[2]
			a, _ := randomBytes(rng, m*k)
			_, b := randomBytes(rng, k*n)
			c := PackByteColumns(b, k, n)
			want := productBytesRef(a, b, m, n, k)
			for threads := 1; threads < 4; threads++ {
				got := make([]int32, m*n)
				got[0] = 7 // what stands there is overwritten
				if c.Product(got, a, m, threads); !slices.Equal(got, want) {
					t.Errorf("%v, %d threads: %v, want %v", s, threads, got[:min(8, len(got))], want[:min(8, len(want))])
				}
			}
		}
	})
}

// convBytesRef is the convolution of x, whose padding is pad, with weights.
func convBytesRef(x []uint8, pad uint8, weights []int8, batch, inC, outC, group int, w *Window) []int32 {
	cg, og, size := inC/group, outC/group, w.KernelSize()
	var sums []int32
	for i := range batch * outC {
		n, o := i/outC, i%outC
		for j := range w.OutSize() {
			place := [3]int{j / (w.Out[2] * w.Out[1]), j / w.Out[2] % w.Out[1], j % w.Out[2]}
			sum := int32(0)
			for q := range cg * size {
				tap := [3]int{q % size / (w.Kernel[2] * w.Kernel[1]), q % size / w.Kernel[2] % w.Kernel[1], q % size % w.Kernel[2]}
				at, inside := n*inC+o/og*cg+q/size, true
				for d := range 3 {
					y := place[d]*w.Stride[d] + tap[d]*w.Dilation[d] - w.Pad[d]
					inside = inside && y >= 0 && y < w.In[d]
					at = at*w.In[d] + y
				}
				v := int32(pad)
				if inside {
					v = int32(x[at])
				}
				sum += v * int32(weights[o*cg*size+q])
			}
			sums = append(sums, sum)
		}
	}
	return sums
}

// testConvTo compares with sums in order, finished row by row; zeros says whether filters have zero points.
func testConvTo(t *testing.T, rng *rand.Rand, batch, cg, og, group int, w *Window, zeros bool) {
	t.Helper()
	inC, outC, k := group*cg, group*og, cg*w.KernelSize()
	x, _ := randomBytes(rng, batch*inC*w.InSize())
	_, weights := randomBytes(rng, outC*k)
	const pad = 131
	q := &ByteFinish{Finish{make([]int32, outC), 0.5, randomFloats(outC, 4), randomFloats(outC, 5)}, 7, 11, 5, 240}
	floats := &FloatFinish{q.Finish, -300, 300}
	var points []int32
	for i := range q.Bias {
		q.Bias[i] = int32(rng.IntN(4000) - 2000)
		points = append(points, int32(rng.IntN(511)-255))
	}
	if !zeros {
		points = nil
	}
	sums := convBytesRef(x, pad, weights, batch, inC, outC, group, w)
	seen := convBytesRef(x, pad, slices.Repeat([]int8{1}, outC*k), batch, inC, outC, group, w)
	want, wantFloats := make([]uint8, len(sums)), make([]float32, len(sums))
	for i, v := range sums {
		o := i / w.OutSize() % outC
		if zeros {
			v -= points[o] * seen[i]
		}
		y := float32(float32(float32(v+q.Bias[o])*q.First)*q.Second[o]) + q.Shift[o]
		wantFloats[i] = min(max(y, floats.Low), floats.High)
		want[i] = uint8(min(max(int(math.RoundToEven(float64(y/q.Out)))+11, 5), 240))
	}
	f := PackByteFilters(weights, points, outC, k)
	for _, flip := range []uint8{0, 0x80, 0} { // the later times with the plan of the first
		given := slices.Clone(x)
		for i := range given {
			given[i] ^= flip
		}
		got, gotFloats := make([]uint8, len(want)+1), make([]float32, len(want))
		got[len(want)] = 77
		f.ConvBytesTo(got[:len(want)], given, flip, pad, batch, inC, group, w, q, 2)
		f.ConvFloatsTo(gotFloats, given, flip, pad, batch, inC, group, w, floats, 2)
		if got[len(want)] != 77 {
			t.Fatalf("%+v: the byte behind the result is overwritten", *w)
		}
		if !slices.Equal(got[:len(want)], want) {
			t.Fatalf("%+v, %d channels in %d groups, flip %d:\n%v, want\n%v", *w, inC, group, flip, got[:len(want)], want)
		}
		if !slices.Equal(gotFloats, wantFloats) {
			t.Fatalf("%+v, %d channels in %d groups, flip %d:\n%v, want\n%v", *w, inC, group, flip, gotFloats, wantFloats)
		}
	}
}

func TestConvTo(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 9))
		for i := range 200 {
			w := randomWindow(rng)
			if i%4 != 0 { // over two dimensions, as most are
				w.In[0], w.Kernel[0], w.Out[0], w.Pad[0] = 1, 1, 1, 0
			}
			cg, og := 1, 1
			if i%2 == 0 {
				cg, og = 1+rng.IntN(3), 1+rng.IntN(3)
			}
			testConvTo(t, rng, 1+i%2, cg, og, 1+rng.IntN(3), w, i%3 == 0)
		}
	})
}

// deepWindow is a square window.
func deepWindow(size, kernel, stride, dilation int) *Window {
	pad := (kernel - 1) * dilation / 2
	out := (size+2*pad-(kernel-1)*dilation-1)/stride + 1
	return &Window{In: [3]int{1, size, size}, Out: [3]int{1, out, out}, Kernel: [3]int{1, kernel, kernel}, Stride: [3]int{1, stride, stride},
		Dilation: [3]int{1, dilation, dilation}, Pad: [3]int{0, pad, pad}}
}

// Windows whose vectors follow rows, and those whose vectors follow planes.
func TestConvToDeep(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 9))
		for _, size := range []int{1, 2, 3, 4, 5, 7, 8, 9, 14, 16, 17, 28, 33} {
			for _, kernel := range []int{1, 3, 5, 7} {
				for stride := 1; stride <= 5; stride++ {
					for dilation := 1; dilation <= 3; dilation++ {
						testConvTo(t, rng, 1, 1, 1+size%2, 2, deepWindow(size, kernel, stride, dilation), dilation == 1)
					}
				}
			}
		}
	})
}

func BenchmarkConvBytesToDeep(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][3]int{{58, 28, 1}, {58, 56, 2}, {116, 14, 1}, {232, 7, 1}, {32, 112, 1}} {
		c, w := s[0], deepWindow(s[1], 3, s[2], 1)
		x, _ := randomBytes(rng, c*w.InSize())
		_, weights := randomBytes(rng, 9*c)
		dst, f := make([]uint8, c*w.OutSize()), PackByteFilters(weights, nil, c, 9)
		q := &ByteFinish{Finish{make([]int32, c), 0.5, []float32{0.25}, nil}, 7, 11, 0, 255}
		b.Run(fmt.Sprintf("3x3/channels=%d/size=%d/stride=%d", c, s[1], s[2]), func(b *testing.B) {
			for b.Loop() {
				f.ConvBytesTo(dst, x, 0, 3, 1, c, c, w, q, 1)
			}
			reportOperations(b, 2*float64(len(dst))*9)
		})
	}
}

// A NaN counts as zero wherever it stands, in vectors too, and so does a sum that a scale makes one.
func TestQuantizeNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		nan := float32(math.NaN())
		for _, n := range []int{1, 8, 16, 35} {
			x, sums, got := make([]float32, n), make([]int32, n), make([]uint8, n)
			want := slices.Repeat([]uint8{9}, n)
			fillWith(x, nan)
			if Quantize(got, x, 0.5, 9, false); !slices.Equal(got, want) {
				t.Errorf("%d NaN: %v", n, got)
			}
			if Requantize(got, sums, 1, nan, 1, 1, 9, false); !slices.Equal(got, want) {
				t.Errorf("%d sums: %v", n, got)
			}
			if RequantizeColumns(got, sums, 1, x, 1, 9, false); !slices.Equal(got, want) {
				t.Errorf("%d columns: %v", n, got)
			}
		}
	})
}
