package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBitFilters compares convolutions and products on bit planes with sums of weights, by definition.
func TestBitFilters(t *testing.T) {
	const outputs, channels, size = 21, 70, 9
	rng := rand.New(rand.NewPCG(3, 3))
	w := flatWindow([2]int{size, size}, [2]int{3, 3}, [2]int{2, 1}, [2]int{1, 1}, [2]int{1, 1})
	for _, c := range []struct {
		bits, actBits int
		least, step   int32
	}{{1, 1, -1, 2}, {2, 2, -2, 1}, {2, 2, -3, 2}, {2, 1, -1, 1}, {1, 2, 0, 1}} {
		q := Finish{First: 1}
		for o := range outputs {
			q.Bias, q.Second, q.Shift = append(q.Bias, int32(o*5-30)), append(q.Second, 0.03), append(q.Shift, float32(o))
		}
		bytes := &ByteFinish{Finish: q, Out: 1, Zero: 90, High: 255}
		floats := &FloatFinish{Finish: q, Low: -1e9, High: 1e9}
		pad := uint8(1)
		codes, x := randomCodes(rng, outputs*channels*9, c.bits), randomCodes(rng, 2*channels*size*size, c.actBits)
		weight := func(i int) int32 { return c.least + c.step*int32(codes[i]) }
		var want []float32
		for n := range 2 {
			for o := range outputs {
				for p := range w.OutSize() {
					sum := int32(0)
					for ch := range channels {
						for k := range 9 {
							v := pad
							if at := w.place(p, k); at >= 0 {
								v = x[(n*channels+ch)*size*size+at]
							}
							sum += weight((o*channels+ch)*9+k) * int32(v)
						}
					}
					want = append(want, floats.at(sum, q.Bias[o], q.Second[o], q.Shift[o]))
				}
			}
		}
		var product []float32
		for i := range 3 {
			for o := range outputs {
				sum := int32(0)
				for ch := range channels {
					sum += weight(o*channels+ch) * int32(x[i*channels+ch])
				}
				product = append(product, floats.at(sum, q.Bias[o], q.Second[o], q.Shift[o]))
			}
		}
		eachLevel(t, func(t *testing.T) {
			f := PackBitFilters(codes, outputs, channels, 9, c.bits, c.actBits, c.least, c.step)
			p := PackBitFilters(codes, outputs, channels, 0, c.bits, c.actBits, c.least, c.step)
			got, values := make([]uint8, len(want)), make([]float32, len(want))
			same := func(what string, codes []uint8, values, want []float32) {
				if !slices.Equal(values, want) {
					t.Errorf("%+v: %s of other values", c, what)
				}
				for i, y := range want {
					if codes[i] != bytes.code(y) {
						t.Fatalf("%+v: %s, code %d is %d, want %d", c, what, i, codes[i], bytes.code(y))
					}
				}
			}
			f.ConvBytesTo(got, x, pad, 2, w, bytes, 2)
			f.ConvFloatsTo(values, x, pad, 2, w, floats, 1)
			same("convolution", got, values, want)
			got, values = make([]uint8, len(product)), make([]float32, len(product))
			p.ProductBytesTo(got, x, 3, bytes, 1)
			p.ProductFloatsTo(values, x, 3, floats, 2)
			same("product", got, values, product)
		})
	}
}

func BenchmarkBitFilters(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bits := range [][2]int{{1, 1}, {2, 1}, {2, 2}} {
		q := &ByteFinish{Finish: Finish{Bias: make([]int32, 512), First: 1, Second: make([]float32, 512), Shift: make([]float32, 512)}, Out: 1, High: 255}
		for _, s := range [][2]int{{64, 56}, {128, 28}} {
			c, size := s[0], s[1]
			w := flatWindow([2]int{size, size}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})
			f := PackBitFilters(randomCodes(rng, 9*c*c, bits[0]), c, c, 9, bits[0], bits[1], -1, 2)
			x, dst := randomCodes(rng, c*size*size, bits[1]), make([]uint8, c*size*size)
			b.Run(fmt.Sprintf("w%da%d/3x3/channels=%d/size=%d", bits[0], bits[1], c, size), func(b *testing.B) {
				for b.Loop() {
					f.ConvBytesTo(dst, x, 0, 1, w, q, 1)
				}
				reportOperations(b, 2*float64(len(dst))*float64(9*c))
			})
		}
		const n = 512
		f := PackBitFilters(randomCodes(rng, n*n, bits[0]), n, n, 0, bits[0], bits[1], -1, 2)
		x, dst := randomCodes(rng, n*n, bits[1]), make([]uint8, n*n)
		b.Run(fmt.Sprintf("w%da%d/512x512x512", bits[0], bits[1]), func(b *testing.B) {
			for b.Loop() {
				f.ProductBytesTo(dst, x, n, q, 1)
			}
			reportOperations(b, 2*float64(n*n*n))
		})
	}
}
