package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomBlockWindow draws a window that images in blocks may have, of rows long enough for several tiles.
func randomBlockWindow(rng *rand.Rand) *Window {
	for {
		w := randomWindow(rng)
		if rng.IntN(3) == 0 {
			w.Kernel[1], w.Kernel[2], w.Stride, w.Pad = 1, 1, [3]int{1, 1, 1}, [3]int{}
		}
		w.In[0], w.Kernel[0], w.Stride[0], w.Pad[0], w.Out[0] = 1, 1, 1, 0, 1
		w.In[2] += rng.IntN(40)
		ok := true
		for d := 1; d < 3; d++ {
			room := w.In[d] + 2*w.Pad[d] - (w.Kernel[d]-1)*w.Dilation[d] - 1
			w.Out[d] = room/w.Stride[d] + 1
			ok = ok && room >= 0
		}
		if ok && BlockWindow(w) {
			return w
		}
	}
}

// inBlocks returns x [batch, channels, size] in blocks, with NaN in the lanes behind the last channel: nobody reads them.
func inBlocks(x []float32, batch, channels, size int) []float32 {
	y := make([]float32, batch*Blocks(channels)*Block*size)
	fillRow(y, float32(math.NaN()))
	for n := range batch {
		for c := range channels {
			for p := range size {
				y[((n*Blocks(channels)+c/Block)*size+p)*Block+c%Block] = x[(n*channels+c)*size+p]
			}
		}
	}
	return y
}

func TestBlocksAreReordered(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 15, 16, 17, 40} {
			for _, size := range []int{0, 1, 5, 16, 50} {
				x := randomFloats(2*c*size, 1)
				want := inBlocks(x, 2, c, size)
				for i, v := range want {
					if v != v {
						want[i] = 0 // what ToBlocks fills lanes with
					}
				}
				got, back := make([]float32, len(want)), make([]float32, len(x))
				ToBlocks(got, x, 2, c, size, 2)
				FromBlocks(back, got, 2, c, size, 2)
				if !slices.Equal(got, want) || !slices.Equal(back, x) {
					t.Errorf("%d channels of %d pixels: wrong", c, size)
				}
			}
		}
	})
}

func TestBlockConv(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for i := range 150 {
			w, batch := randomBlockWindow(rng), 1+rng.IntN(2)
			inC, outC, group, planes := 1+rng.IntN(40), 1+rng.IntN(140), 1, rng.IntN(3) == 0
			if rng.IntN(3) == 0 {
				outC, group, planes = inC, inC, false
			}
			x, weights := randomFloats(batch*inC*w.InSize(), uint64(i)), randomFloats(outC*inC/group*w.KernelSize(), uint64(i+1000))
			bias, add := randomFloats(outC, 7), randomFloats(batch*outC*w.OutSize(), 8)
			want, scale := convRef(x, weights, bias, batch, inC, outC, group, w)
			for k := range want {
				want[k] = min(max(want[k]+float64(add[k]), -1.5), 2)
				scale[k]++
			}
			src := x
			if !planes {
				src = inBlocks(x, batch, inC, w.InSize())
			}
			c := PackBlocks(weights, bias, inC, outC, group, w.KernelSize(), planes)
			var first []float32
			for threads := 1; threads <= 3; threads++ {
				dst := inBlocks(add, batch, outC, w.OutSize())
				c.Run(dst, src, dst, batch, w, Epilogue{Clamp: true, Low: -1.5, High: 2}, func(span []float32) {
					for k := range span {
						span[k] *= 2
					}
				}, threads)
				got := make([]float32, len(want))
				FromBlocks(got, dst, batch, outC, w.OutSize(), 1)
				for k := range got {
					got[k] /= 2
				}
				near(t, fmt.Sprintf("%+v %d to %d group %d planes %v", *w, inC, outC, group, planes), got, want, scale)
				if first == nil {
					first = got
				} else if !slices.Equal(first, got) {
					t.Errorf("%d threads give other bits", threads)
				}
			}
		}
	})
}

// Sums of more rows than a piece are continued from what stands in the result.
func TestBlockConvInPieces(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		w := &Window{In: [3]int{1, 3, 4}, Out: [3]int{1, 3, 4}, Kernel: [3]int{1, 3, 3}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
		const inC, outC = 2*pieceRows/9 + 5, 20
		x, weights := randomFloats(inC*12, 1), randomFloats(outC*inC*9, 2)
		want, scale := convRef(x, weights, nil, 1, inC, outC, 1, w)
		dst, got := make([]float32, Blocks(outC)*Block*12), make([]float32, outC*12)
		PackBlocks(weights, nil, inC, outC, 1, 9, false).Run(dst, inBlocks(x, 1, inC, 12), nil, 1, w, Epilogue{}, nil, 2)
		FromBlocks(got, dst, 1, outC, 12, 1)
		near(t, "pieces", got, want, scale)
	})
}

func TestBlockPools(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for i := range 100 {
			w, batch, c := randomBlockWindow(rng), 1+rng.IntN(2), 1+rng.IntN(40)
			x := randomFloats(batch*c*w.InSize(), uint64(i))
			if i%5 == 0 {
				x[rng.IntN(len(x))] = float32(math.NaN())
			}
			src, blocks := inBlocks(x, batch, c, w.InSize()), Blocks(c)
			dst := make([]float32, batch*blocks*Block*w.OutSize())
			got, want := make([]float32, batch*c*w.OutSize()), make([]float32, batch*c*w.OutSize())
			same := func(what string) {
				FromBlocks(got, dst, batch, c, w.OutSize(), 1)
				for k, v := range want {
					if got[k] != v && (v == v || got[k] == got[k]) {
						t.Fatalf("%s %+v: element %d is %v, want %v", what, *w, k, got[k], v)
					}
				}
			}
			MaxPoolBlocks(dst, src, batch, blocks, w, 2)
			MaxPool(want, nil, x, batch*c, w, false, 1)
			same("max")
			AveragePoolBlocks(dst, src, batch, blocks, w, nil, 2)
			AveragePool(want, x, batch*c, w, nil, 1)
			same("average")
		}
	})
}

func TestGlobalAveragePoolBlocks(t *testing.T) {
	for _, size := range []int{1, 7, 8, 9, 49} {
		x := make([]float32, 3*size)
		for i := range x {
			x[i] = float32(i % size * (i/size + 1)) // means (size-1)/2, times 1, 2, 3
		}
		dst, got := make([]float32, Block), make([]float32, 3)
		GlobalAveragePoolBlocks(dst, inBlocks(x, 1, 3, size), 1, 1, size, 1)
		FromBlocks(got, dst, 1, 3, 1, 1)
		m := float32(size-1) / 2
		if !slices.Equal(got, []float32{m, 2 * m, 3 * m}) {
			t.Errorf("%d pixels: %v", size, got)
		}
	}
}

func TestBlockTransposed(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng, done := rand.New(rand.NewPCG(9, 10)), 0
		for i := range 200 {
			w, batch, inC, outC := randomBlockWindow(rng), 1+rng.IntN(2), 1+rng.IntN(20), 1+rng.IntN(40)
			weights, bias := randomFloats(inC*outC*w.KernelSize(), uint64(i)), randomFloats(outC, 7)
			c := PackBlocksTransposed(weights, bias, inC, outC, w)
			if c == nil || !c.Fits(w) {
				continue
			}
			done++
			x := randomFloats(batch*inC*w.OutSize(), uint64(i+1000))
			want, got := make([]float32, batch*outC*w.InSize()), make([]float32, batch*outC*w.InSize())
			ConvTranspose(want, x, weights, bias, batch, inC, outC, 1, w, 1)
			dst := make([]float32, batch*Blocks(outC)*Block*w.InSize())
			fillRow(dst, float32(math.NaN()))
			c.Run(dst, inBlocks(x, batch, inC, w.OutSize()), batch, w, Epilogue{Clamp: true, Low: -2, High: 3}, nil, 2)
			FromBlocks(got, dst, batch, outC, w.InSize(), 1)
			for k, v := range want {
				if v = min(max(v, -2), 3); !(math.Abs(float64(got[k]-v)) <= sumTolerance*40) {
					t.Fatalf("%+v %d to %d: element %d is %v, want %v", *w, inC, outC, k, got[k], v)
				}
			}
		}
		if done < 50 {
			t.Errorf("only %d windows were tried", done)
		}
	})
}
