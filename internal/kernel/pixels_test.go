package kernel

import (
	"fmt"
	"slices"
	"testing"
)

// flatWindow is a window over a plane; in, kernel, stride, dilation and pad are of rows, then columns.
func flatWindow(in, kernel, stride, dilation, pad [2]int) *Window {
	w := &Window{}
	for i, d := range []struct {
		to *[3]int
		v  [2]int
	}{{&w.In, in}, {&w.Kernel, kernel}, {&w.Stride, stride}, {&w.Dilation, dilation}, {&w.Pad, pad}} {
		*d.to = [3]int{1, d.v[0], d.v[1]}
		if i == 4 {
			d.to[0] = 0
		}
	}
	for d := range w.Out {
		w.Out[d] = (w.In[d]+2*w.Pad[d]-(w.Kernel[d]-1)*w.Dilation[d]-1)/w.Stride[d] + 1
	}
	return w
}

// pixelCase is a convolution of pixels.
type pixelCase struct {
	channels, outputs, step, batch int
	deep                           bool
	w                              *Window
}

// TestPixelConv compares convolutions of codes with sums in order, by definition.
func TestPixelConv(t *testing.T) {
	one, three, none := [2]int{1, 1}, [2]int{3, 3}, [2]int{}
	cases := []pixelCase{
		{channels: 3, outputs: 24, step: 4, batch: 2, w: flatWindow([2]int{13, 11}, three, [2]int{2, 2}, one, one)},
		{channels: 40, outputs: 5, step: 48, batch: 1, w: flatWindow([2]int{7, 7}, one, one, one, none)},
		{channels: 16, outputs: 64, step: 16, batch: 3, w: flatWindow([2]int{5, 6}, one, one, one, none)},
		{channels: 16, outputs: 64, step: 16, batch: 1, w: flatWindow([2]int{9, 8}, one, [2]int{2, 2}, one, none)},
		{channels: 17, outputs: 100, step: 32, batch: 1, w: flatWindow([2]int{14, 14}, three, one, one, one)},
		{channels: 6, outputs: 144, step: 16, batch: 1, w: flatWindow([2]int{5, 5}, [2]int{5, 1}, one, [2]int{1, 2}, [2]int{2, 3})},
		{channels: 300, outputs: 33, step: 304, batch: 1, w: flatWindow([2]int{1, 1}, one, one, one, none)},
		{channels: 4, outputs: 8, step: 16, batch: 1, w: flatWindow([2]int{100, 180}, three, one, one, one)}, // more than a band
		{channels: 40, outputs: 40, step: 48, batch: 2, deep: true, w: flatWindow([2]int{9, 7}, three, one, one, one)},
		{channels: 20, outputs: 20, step: 32, batch: 1, deep: true, w: flatWindow([2]int{9, 7}, three, [2]int{2, 1}, [2]int{1, 2}, [2]int{1, 2})},
		{channels: 16, outputs: 16, step: 16, batch: 1, deep: true, w: flatWindow([2]int{9, 12}, [2]int{5, 5}, one, one, [2]int{2, 2})},
		{channels: 16, outputs: 16, step: 16, batch: 1, deep: true, w: flatWindow([2]int{4, 4}, [2]int{4, 4}, one, one, none)},
		{channels: 16, outputs: 16, step: 16, batch: 1, deep: true, w: flatWindow([2]int{20, 1}, [2]int{4, 1}, [2]int{3, 1}, one, [2]int{1, 0})},
	}
	behind := flatWindow([2]int{8, 8}, three, [2]int{2, 2}, one, none) // padding behind alone
	behind.Out = [3]int{1, 4, 4}
	cases = append(cases, pixelCase{channels: 20, outputs: 16, step: 32, batch: 2, w: behind}, pixelCase{channels: 16, outputs: 16, step: 16, batch: 1, deep: true, w: behind})
	for i := range 8 { // every size of the last tile
		cases = append(cases, pixelCase{channels: 4, outputs: 16 * (1 + i%4), step: 16, batch: 1, w: flatWindow([2]int{1, 9 + i}, one, one, one, none)})
	}
	for _, c := range cases {
		eachLevel(t, func(t *testing.T) { c.check(t, 256) })
	}
	eachMove(func() {
		for _, c := range cases {
			if c.deep {
				c.check(t, 256)
			}
		}
	})
}

// TestPackedPixelConv: weights of few values stand in codes of four bits.
func TestPackedPixelConv(t *testing.T) {
	one, three := [2]int{1, 1}, [2]int{3, 3}
	for _, c := range []pixelCase{
		{channels: 50, outputs: 100, step: 64, batch: 2, w: flatWindow([2]int{5, 7}, three, one, one, one)},
		{channels: 600, outputs: 72, step: 608, batch: 1, w: flatWindow([2]int{1, 1}, one, one, one, [2]int{})},
	} {
		for _, values := range []int{2, 15, 17} {
			eachLevel(t, func(t *testing.T) {
				if f := c.check(t, values); (f.packed != nil) != (values <= 16) || (f.weights == nil) != (values <= 16) {
					t.Errorf("%d values: packed %v, weights %d", values, f.packed != nil, len(f.weights))
				}
			})
		}
	}
}

// check compares a convolution whose weights have so many values with one by definition.
func (c *pixelCase) check(t *testing.T, values int) *PixelConv {
	per := c.channels
	if c.deep {
		per = 1
	}
	taps := c.w.KernelSize()
	weights := make([]int8, c.outputs*per*taps)
	for i, v := range someBytes(3, len(weights)) {
		weights[i] = int8(uint8(int(v)%values*256/values + 120))
	}
	q := &ByteFinish{Finish: Finish{First: 1}, Out: 1, Zero: 11, Low: 3, High: 250}
	for o := range c.outputs {
		q.Bias, q.Second, q.Shift = append(q.Bias, int32(o*700-9000)), append(q.Second, 0.9e-3+1e-5*float32(o)), append(q.Shift, float32(o%5)*0.21)
	}
	const pad = 77
	f := NewPixelConv(weights, c.outputs, c.channels, taps, c.deep, pad, q)
	if !f.Fits(c.w) {
		t.Fatalf("%+v does not fit", c)
	}
	x := someBytes(5, c.batch*c.w.InSize()*c.step)
	step := PixelStep(c.outputs)
	want := c.plain(x, weights, per, pad, q)
	for threads := 1; threads <= 2; threads++ {
		dst := make([]uint8, c.batch*c.w.OutSize()*step)
		f.Run(dst, x, c.step, c.batch, c.w, threads)
		for i := range dst {
			if o := i % step; o < c.outputs && dst[i] != want[i/step*c.outputs+o] {
				t.Fatalf("%s, %d threads: pixel %d, output %d is %d, want %d", c, threads, i/step, o, dst[i], want[i/step*c.outputs+o])
			}
		}
	}
	return f
}

func (c *pixelCase) String() string {
	return fmt.Sprintf("%d to %d channels, deep %v, window %+v", c.channels, c.outputs, c.deep, *c.w)
}

// plain convolves by definition: results [batch, Out, outputs].
func (c *pixelCase) plain(x []uint8, weights []int8, per int, pad uint8, q *ByteFinish) []uint8 {
	var dst []uint8
	taps := c.w.KernelSize()
	for n := range c.batch {
		for p := range c.w.OutSize() {
			for o := range c.outputs {
				sum := int32(0)
				for ch := range per {
					from := ch
					if c.deep {
						from = o
					}
					for k := range taps {
						v := pad
						if at := c.w.place(p, k); at >= 0 {
							v = x[(n*c.w.InSize()+at)*c.step+from]
						}
						sum += int32(weights[(o*per+ch)*taps+k]) * int32(v)
					}
				}
				bias, second, shift := q.of(o)
				dst = append(dst, q.code(q.at(sum, bias, second, shift)))
			}
		}
	}
	return dst
}

// place returns the input position that tap k of output o reads, -1 for padding.
func (w *Window) place(o, k int) int {
	y := o/w.Out[2]*w.Stride[1] + k/w.Kernel[2]*w.Dilation[1] - w.Pad[1]
	x := o%w.Out[2]*w.Stride[2] + k%w.Kernel[2]*w.Dilation[2] - w.Pad[2]
	if y < 0 || y >= w.In[1] || x < 0 || x >= w.In[2] {
		return -1
	}
	return y*w.In[2] + x
}

func BenchmarkPixelConv(b *testing.B) {
	for _, c := range []struct {
		name string
		pixelCase
	}{
		{"1x1/64/56", pixelCase{channels: 64, outputs: 64, step: 64, batch: 1, w: flatWindow([2]int{56, 56}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, [2]int{})}},
		{"1x1/256/14", pixelCase{channels: 256, outputs: 256, step: 256, batch: 1, w: flatWindow([2]int{14, 14}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, [2]int{})}},
		{"3x3/64/56", pixelCase{channels: 64, outputs: 64, step: 64, batch: 1, w: flatWindow([2]int{56, 56}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})}},
		{"3x3/128/28", pixelCase{channels: 128, outputs: 128, step: 128, batch: 1, w: flatWindow([2]int{28, 28}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})}},
		{"3x3/16/32", pixelCase{channels: 16, outputs: 16, step: 16, batch: 1, w: flatWindow([2]int{32, 32}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})}},
		{"3x3s2/3/224", pixelCase{channels: 3, outputs: 32, step: 4, batch: 1, w: flatWindow([2]int{224, 224}, [2]int{3, 3}, [2]int{2, 2}, [2]int{1, 1}, [2]int{1, 1})}},
		{"deep/64/56", pixelCase{channels: 64, outputs: 64, step: 64, deep: true, batch: 1, w: flatWindow([2]int{56, 56}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})}},
		{"deep/512/7", pixelCase{channels: 512, outputs: 512, step: 512, deep: true, batch: 1, w: flatWindow([2]int{7, 7}, [2]int{3, 3}, [2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			per := c.channels
			if c.deep {
				per = 1
			}
			q := &ByteFinish{Finish: Finish{Bias: make([]int32, c.outputs), First: 1, Second: []float32{1e-3}}, Out: 1, High: 255}
			f := NewPixelConv(make([]int8, c.outputs*per*c.w.KernelSize()), c.outputs, c.channels, c.w.KernelSize(), c.deep, 0, q)
			x, dst := someBytes(1, c.w.InSize()*c.step), make([]uint8, c.w.OutSize()*PixelStep(c.outputs))
			for b.Loop() {
				f.Run(dst, x, c.step, 1, c.w, 1)
			}
			b.ReportMetric(2*float64(c.w.OutSize()*c.outputs*per*c.w.KernelSize())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GOP/s")
		})
	}
}

// TestPixelPools compares pools of pixels with those of planes.
func TestPixelPools(t *testing.T) {
	one := [2]int{1, 1}
	for _, w := range []*Window{
		flatWindow([2]int{9, 13}, [2]int{3, 3}, [2]int{2, 2}, one, one),
		flatWindow([2]int{6, 5}, [2]int{2, 1}, one, one, [2]int{}),
		flatWindow([2]int{7, 7}, [2]int{7, 7}, one, one, [2]int{}),
		flatWindow([2]int{8, 9}, [2]int{2, 3}, [2]int{1, 3}, [2]int{2, 1}, [2]int{1, 1}),
	} {
		for _, channels := range []int{16, 48, 80} {
			const batch = 2
			in, out := w.InSize(), w.OutSize()
			planes := someBytes(7, batch*channels*in)
			x := make([]uint8, len(planes))
			ToPixels(x, planes, channels, batch, channels, in, 1)
			mean := func(n int) CodeMean { return CodeMean{From: 9, Factor: 0.7 / float32(n), Zero: 20, High: 200} }
			wantMax, wantMean := make([]uint8, batch*channels*out), make([]uint8, batch*channels*out)
			MaxPoolBytes(wantMax, planes, false, batch*channels, w, 1)
			MeanPoolBytes(wantMean, planes, batch*channels, w, mean, 1)
			eachLevel(t, func(t *testing.T) {
				got, back := make([]uint8, batch*channels*out), make([]uint8, batch*channels*out)
				check := func(what string, want []uint8) {
					FromPixels(back, got, channels, batch, channels, out, 1)
					if !slices.Equal(back, want) {
						t.Errorf("%s of %d channels, window %+v: %v, want %v", what, channels, *w, back, want)
					}
				}
				for threads := 1; threads <= 2; threads++ {
					PixelMax(got, x, channels, batch, w, threads)
					check("maxima", wantMax)
					PixelMean(got, x, channels, batch, w, mean, threads)
					check("means", wantMean)
				}
			})
		}
	}
}

// TestPixelLayout: pixels with room behind their channels, there and back, and joined.
func TestPixelLayout(t *testing.T) {
	for _, c := range []struct{ batch, channels, size, step int }{{2, 3, 700, 4}, {1, 3, 5, 16}, {2, 16, 33, 16}, {1, 21, 1500, 32}, {1, 64, 64, 64}} {
		planes := someBytes(9, c.batch*c.channels*c.size)
		x, back := make([]uint8, c.batch*c.size*c.step), make([]uint8, len(planes))
		ToPixels(x, planes, c.step, c.batch, c.channels, c.size, 2)
		for i := range x {
			n, p, ch := i/(c.size*c.step), i/c.step%c.size, i%c.step
			if want := uint8(0); ch < c.channels {
				if want = planes[(n*c.channels+ch)*c.size+p]; x[i] != want {
					t.Fatalf("%+v: byte %d is %d, want %d", c, i, x[i], want)
				}
			}
		}
		if FromPixels(back, x, c.step, c.batch, c.channels, c.size, 2); !slices.Equal(back, planes) {
			t.Errorf("%+v: not what it was", c)
		}
		table, width := [256]uint8(someBytes(4, 256)), c.channels+7
		joined := make([]uint8, c.batch*c.size*width)
		JoinPixels(joined, x, width, c.step, 5, c.channels, &table, 2)
		for i, v := range joined {
			want, ch := uint8(0), i%width-5
			if ch >= 0 && ch < c.channels {
				want = table[x[i/width*c.step+ch]]
			}
			if v != want {
				t.Fatalf("%+v, joined: byte %d is %d, want %d", c, i, v, want)
			}
		}
	}
}
