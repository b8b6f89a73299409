package kernel

import (
	"math/rand/v2"
	"testing"
)

// The pool of bytes equals the pool of the same values as floats, where every window sees an input.
func TestMaxPoolBytes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 9))
		for i := range 300 {
			w := randomWindow(rng)
			w.In[0], w.Kernel[0], w.Out[0], w.Pad[0], w.Stride[0], w.Dilation[0] = 1, 1, 1, 0, 1, 1
			if i%3 == 0 {
				w = deepWindow(20+rng.IntN(120), 1+rng.IntN(4), 1+rng.IntN(3), 1+rng.IntN(2))
			}
			planes := 1 + rng.IntN(3)
			x, _ := randomBytes(rng, planes*w.InSize())
			for _, signed := range []bool{false, true} {
				floats, want := make([]float32, len(x)), make([]float32, planes*w.OutSize())
				for i, v := range x {
					floats[i] = float32(widened(v, signed))
				}
				MaxPool(want, nil, floats, planes, w, false, 1)
				got := make([]uint8, len(want)+1)
				got[len(want)] = 77
				if !MaxPoolBytes(got[:len(want)], x, signed, planes, w, 2) {
					t.Fatalf("%+v: declined", *w)
				}
				for i, v := range want {
					if v < -128 { // no input
						v = map[bool]float32{true: -128, false: 0}[signed]
					}
					if float32(widened(got[i], signed)) != v {
						t.Fatalf("%+v, signed %v: element %d is %d, want %v", *w, signed, i, widened(got[i], signed), v)
					}
				}
				if got[len(want)] != 77 {
					t.Fatalf("%+v: the byte behind the result is overwritten", *w)
				}
			}
		}
		if MaxPoolBytes(nil, nil, false, 1, &Window{In: [3]int{2, 1, 1}, Kernel: [3]int{2, 1, 1}, Out: [3]int{1, 1, 1}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}}, 1) {
			t.Error("a window over three dimensions is taken")
		}
	})
}

func BenchmarkMaxPoolBytes(b *testing.B) {
	w := deepWindow(112, 3, 2, 1)
	x, _ := randomBytes(rand.New(rand.NewPCG(1, 1)), 24*w.InSize())
	dst := make([]uint8, 24*w.OutSize())
	b.SetBytes(int64(len(x)))
	for b.Loop() {
		MaxPoolBytes(dst, x, false, 24, w, 1)
	}
}
