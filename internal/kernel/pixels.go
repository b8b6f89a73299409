package kernel

import (
	"math"
	"sync/atomic"
)

// Images of codes of uint8 whose channels lie side by side, pixel by pixel: [batch, height, width, step], where step is at
// least the number of channels; what stands behind them in a pixel is of no account. A convolution of four bytes of a pixel
// with those of 16 outputs is one instruction then (VPDPBUSD), nothing has to be laid out before, and what becomes of the
// sums, bias, factor and zero point, takes whole vectors of outputs.

// PixelBlock is how many channels are convolved at a time: the steps of results are multiples of it.
const PixelBlock = 16

// PixelStep returns how many bytes a pixel with so many channels takes.
func PixelStep(channels int) int { return (channels + PixelBlock - 1) / PixelBlock * PixelBlock }

// fewChannels is up to how many channels a pixel that is laid out takes no more than it has to, in whole quads.
const fewChannels = 4

// PackedPixelStep is PixelStep for images that no kernel makes.
func PackedPixelStep(channels int) int {
	if channels <= fewChannels {
		return fewChannels
	}
	return PixelStep(channels)
}

// PixelConv is a convolution with weights of int8: of all channels, or with one kernel for each channel.
type PixelConv struct {
	channels, outputs, taps int
	deep                    bool
	quads                   int // of a tap, of channels or in a depthwise one of nothing: of taps
	panels                  []pixelPanel
	weights                 []int8
	packed                  *packedPixels // in place of weights; nil for none
	bias                    []int32       // of whole blocks of outputs, as factor and shift
	factor, shift           []float32
	bounds                  pixelBounds
	pad                     uint8
	plan                    atomic.Pointer[pixelPlan]
}

// pixelPanel is some blocks of outputs, computed at a time; weights of four bytes of all its outputs stand side by side.
type pixelPanel struct{ first, blocks, at int }

// pixelBounds limit codes less the zero point.
type pixelBounds struct {
	low, high float32
	zero      int32
}

// NewPixelConv lays out weights [outputs, channels, taps], or [channels, taps] where deep is set; pad is the code of zero
// of the image. q says what becomes of the sums of products: First and Out are 1.
func NewPixelConv(weights []int8, outputs, channels, taps int, deep bool, pad uint8, q *ByteFinish) *PixelConv {
	whole := PixelStep(outputs)
	c := &PixelConv{channels: channels, outputs: outputs, taps: taps, deep: deep, pad: pad, bias: make([]int32, whole), factor: make([]float32, whole),
		shift: make([]float32, whole), bounds: pixelBounds{float32(q.Low - q.Zero), float32(q.High - q.Zero), q.Zero}}
	for o := range outputs {
		c.bias[o], c.factor[o], c.shift[o] = q.of(o)
	}
	if deep {
		c.packDeep(weights)
		return c
	}
	c.quads = (channels + 3) / 4
	blocks := whole / PixelBlock
	for count, first, k := (blocks+3)/4, 0, 0; k < count; k++ {
		n := (k+1)*blocks/count - first
		c.panels = append(c.panels, pixelPanel{first, n, len(c.weights)})
		c.packPanel(weights, first, n)
		if odd := len(c.weights) % 128; odd != 0 { // panels begin with a byte of codes
			c.weights = append(c.weights, make([]int8, 128-odd)...)
		}
		first += n
	}
	c.packed = packPixels(c.weights)
	if c.packed != nil {
		c.weights = nil
	}
	return c
}

// packPanel lays out the weights of some blocks of outputs: by tap, by quad of channels, by output.
func (c *PixelConv) packPanel(weights []int8, first, blocks int) {
	at := len(c.weights)
	c.weights = append(c.weights, make([]int8, c.taps*c.quads*4*PixelBlock*blocks)...)
	for t := range c.taps {
		for q := range c.quads {
			for o := range blocks * PixelBlock {
				for i := range 4 {
					if row, ch := first*PixelBlock+o, 4*q+i; row < c.outputs && ch < c.channels {
						c.weights[at] = weights[(row*c.channels+ch)*c.taps+t]
					}
					at++
				}
			}
		}
	}
}

// packDeep lays out kernels by block of channels, by quad of taps, by channel.
func (c *PixelConv) packDeep(weights []int8) {
	c.quads = (c.taps + 3) / 4
	c.weights = make([]int8, c.quads*4*len(c.bias))
	for i := range c.weights {
		ch, t := i/(4*PixelBlock*c.quads)*PixelBlock+i/4%PixelBlock, i/(4*PixelBlock)%c.quads*4+i%4
		if ch < c.channels && t < c.taps {
			c.weights[i] = weights[ch*c.taps+t]
		}
	}
}

// pixelPlan is what a convolution knows of the images of one window.
type pixelPlan struct {
	window       Window
	step         int  // of a pixel of the image
	bare         bool // images are read where they stand
	lines, width int  // of the result
	pitch        int  // bytes from row to row of what is read
	down         int  // bytes from what a row of the result reads to what the next one does
	reach        int  // rows that a row of the result reads
	rows         int  // of the result that are computed at a time, at most
	offsets      []int
	taps         []int // and one more
}

// pixelBand is about how many bytes of an image are read at a time: they stay in the second level cache.
const pixelBand = 1 << 17

// planFor returns the plan for a window, kept from the last time.
func (c *PixelConv) planFor(w *Window, step int) *pixelPlan {
	if p := c.plan.Load(); p != nil && p.window == *w && p.step == step {
		return p
	}
	p := &pixelPlan{window: *w, step: step, lines: w.Out[1], width: w.Out[2]}
	along, last := w.Stride[2]*step, w.reach(2)
	p.pitch = max(last, w.Pad[2]+w.In[2]) * step
	if p.bare = w.Pad == [3]int{} && last <= w.In[2] && w.reach(1) <= w.In[1]; p.bare {
		p.pitch = w.In[2] * step
	}
	p.down, p.reach = w.Stride[1]*p.pitch, (w.Kernel[1]-1)*w.Dilation[1]+1
	if w.pointwise() { // a column of pixels
		p.lines, p.width, p.pitch, p.down = w.OutSize(), 1, step, step
	}
	p.rows = min(p.lines, max(1, pixelBand/p.down))
	p.offsets = make([]int, 0, p.rows*p.width)
	for y := range p.rows {
		for x := range p.width {
			p.offsets = append(p.offsets, y*p.down+x*along)
		}
	}
	for y := range w.Kernel[1] {
		for x := range w.Kernel[2] {
			p.taps = append(p.taps, y*w.Dilation[1]*p.pitch+x*w.Dilation[2]*step)
		}
	}
	for c.deep && len(p.taps)%4 != 0 {
		p.taps = append(p.taps, 0)
	}
	p.taps = append(p.taps, 0)
	c.plan.Store(p)
	return p
}

// reach is how many positions of dimension d, padding included, all places of the window read.
func (w *Window) reach(d int) int {
	return (w.Out[d]-1)*w.Stride[d] + (w.Kernel[d]-1)*w.Dilation[d] + 1
}

// Fits reports whether Run takes a window: one over planes, whose result is not empty.
func (c *PixelConv) Fits(w *Window) bool {
	w = w.Packed()
	return w.flat() && w.In[0] == 1 && w.InSize() > 0 && w.OutSize() > 0 && w.KernelSize() == c.taps
}

// Run convolves images x [batch, In, step] into dst [batch, Out, PixelStep(outputs)].
func (c *PixelConv) Run(dst, x []uint8, step, batch int, w *Window, threads int) {
	w = w.Packed()
	p := c.planFor(w, step)
	in, out := w.InSize()*step, w.OutSize()*len(c.bias)
	work := batch * w.OutSize() * c.outputs * c.taps
	if !c.deep {
		work *= c.quads
	}
	threads = threadsFor(threads, work/4)
	rows := p.rows
	if threads > 1 {
		rows = min(rows, max(1, (p.lines*batch+2*threads-1)/(2*threads)))
	}
	bands := (p.lines + rows - 1) / rows
	Parallel(threads, batch*bands, func(u int) {
		n, y0 := u/bands, u%bands*rows
		y1 := min(p.lines, y0+rows)
		src := x[n*in : (n+1)*in]
		if p.bare {
			src = src[y0*p.down:]
		} else {
			buf := borrow((((y1-y0-1)*w.Stride[1]+p.reach)*p.pitch + 3) / 4)
			defer scratch.Put(buf)
			band := bytesOfFloats(*buf)
			p.fill(band, src, y0*w.Stride[1]-w.Pad[1], (y1-y0-1)*w.Stride[1]+p.reach, c.pad)
			src = band
		}
		to := dst[n*out : (n+1)*out][y0*p.width*len(c.bias):]
		c.band(to[:(y1-y0)*p.width*len(c.bias)], src, p, p.offsets[:(y1-y0)*p.width])
	})
}

// RunRows multiplies rows [n, channels], whole quads of channels, by weights of one tap into dst [n, outputs], whole blocks
// of outputs.
func (c *PixelConv) RunRows(dst, x []uint8, n, threads int) {
	one := [3]int{1, 1, 1}
	c.Run(dst, x, c.channels, 1, &Window{In: [3]int{1, 1, n}, Kernel: one, Out: [3]int{1, 1, n}, Stride: one, Dilation: one}, threads)
}

// fill copies rows of an image, from row y on, with the padding around them.
func (p *pixelPlan) fill(band, src []uint8, y, rows int, pad uint8) {
	w := &p.window
	left, n := w.Pad[2]*p.step, w.In[2]*p.step
	for i := range rows {
		row := band[i*p.pitch : (i+1)*p.pitch]
		if y+i < 0 || y+i >= w.In[1] {
			fillWith(row, pad)
			continue
		}
		fillWith(row[:left], pad)
		copy(row[left:], src[(y+i)*n:(y+i+1)*n])
		fillWith(row[left+n:], pad)
	}
}

// band computes pixels, whose offsets count from the begin of src.
func (c *PixelConv) band(dst, src []uint8, p *pixelPlan, offsets []int) {
	if !c.vectors(dst, src, p, offsets) {
		c.plain(dst, src, p, offsets)
	}
}

// plain is band in Go.
func (c *PixelConv) plain(dst, src []uint8, p *pixelPlan, offsets []int) {
	for i, from := range offsets {
		for o := range c.outputs {
			sum := c.bias[o]
			for t := range c.taps {
				pixel := src[from+p.taps[t]:]
				if c.deep {
					sum += int32(c.weights[((o/PixelBlock*c.quads+t/4)*PixelBlock+o%PixelBlock)*4+t%4]) * int32(pixel[o])
					continue
				}
				for ch := range c.channels {
					sum += int32(c.weight(o, ch, t)) * int32(pixel[ch])
				}
			}
			dst[i*len(c.bias)+o] = c.code(sum, o)
		}
	}
}

// weight returns the weight of an output, a channel and a tap.
func (c *PixelConv) weight(o, ch, t int) int8 {
	k := 0
	for k+1 < len(c.panels) && c.panels[k+1].first*PixelBlock <= o {
		k++
	}
	p := c.panels[k]
	at := p.at + ((t*c.quads+ch/4)*p.blocks*PixelBlock+o-p.first*PixelBlock)*4 + ch%4
	if c.packed != nil {
		return c.packed.weight(at)
	}
	return c.weights[at]
}

// code makes a code of a sum.
func (c *PixelConv) code(sum int32, o int) uint8 {
	y := float32(float32(sum)*c.factor[o]) + c.shift[o]
	y = min(max(y, c.bounds.low), c.bounds.high)
	return uint8(int32(math.RoundToEven(float64(y))) + c.bounds.zero)
}

// packedPixels are weights of at most 16 different values in codes of four bits: of every 128, those of the first half are
// low nibbles, those of the second the high ones. A panel is looked up when it is used: its weights come from memory in half
// the time, and stay in the cache meanwhile.
type packedPixels struct {
	codes []uint8
	table [16]int8
}

// packedLeast is how many weights are worth packing: fewer stay in the cache between runs.
const packedLeast = 1 << 15

// packPixels returns weights in codes, nil where they have too many values, zeros that fill up panels among them, or are few.
func packPixels(weights []int8) *packedPixels {
	if len(weights) < packedLeast {
		return nil
	}
	p := &packedPixels{codes: make([]uint8, (len(weights)+127)/128*64)}
	var code [256]uint8
	values := 0
	for i, v := range weights {
		k := code[uint8(v)]
		if k == 0 {
			if values == 16 {
				return nil
			}
			p.table[values] = v
			values++
			k = uint8(values)
			code[uint8(v)] = k
		}
		p.codes[i/128*64+i%64] |= (k - 1) << (i / 64 % 2 * 4)
	}
	return p
}

// weight returns weight i.
func (p *packedPixels) weight(i int) int8 {
	return p.table[p.codes[i/128*64+i%64]>>(i/64%2*4)&15]
}
