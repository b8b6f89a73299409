package moments

import "bq/internal/kernel"

// Geometry tells how the inputs of a layer lie in the value that it reads: Places rows, of which Row copies one.
type Geometry interface {
	Width() int  // values of a row: groups times inputs of a group
	Places() int // rows there are
	Row(dst, x []float32, place int)
}

// Vectors is the geometry of matrix products: element j of place p stands at
// (p/Inner)*Outer + p%Inner*Step + j*Stride.
type Vectors struct {
	K, Count, Inner, Outer, Step, Stride int
}

// Rows is the geometry of the rows of a matrix of n values, k to a row.
func Rows(n, k int) *Vectors {
	return &Vectors{K: k, Count: n / max(1, k), Inner: 1, Outer: k, Stride: 1}
}

// Width returns the length of a vector.
func (v *Vectors) Width() int { return v.K }

// Places returns the number of vectors.
func (v *Vectors) Places() int { return v.Count }

// Row copies vector p of x.
func (v *Vectors) Row(dst, x []float32, p int) {
	at := p/v.Inner*v.Outer + p%v.Inner*v.Step
	if v.Stride == 1 {
		copy(dst[:v.K], x[at:])
		return
	}
	for j := range v.K {
		dst[j] = x[at+j*v.Stride]
	}
}

// States is the geometry of a recurrent layer's own states: place (t, b) of the layer's outputs over time has in each
// direction the state before step t, which is zero before the first.
type States struct {
	Steps, Batch, Hidden int
	Reverse              []bool // by direction
	BatchFirst           bool   // outputs [batch, step, direction, hidden], else [step, direction, batch, hidden]
}

// Width returns the states of all directions.
func (s *States) Width() int { return len(s.Reverse) * s.Hidden }

// Places returns steps times batch.
func (s *States) Places() int { return s.Steps * s.Batch }

// Row copies the states before place p = t*Batch + b.
func (s *States) Row(dst, y []float32, p int) {
	t, b := p/s.Batch, p%s.Batch
	for d, back := range s.Reverse {
		before := t - 1
		if back {
			before = t + 1
		}
		out := dst[d*s.Hidden : (d+1)*s.Hidden]
		if before < 0 || before >= s.Steps {
			clear(out)
			continue
		}
		at := (before*len(s.Reverse)+d)*s.Batch + b
		if s.BatchFirst {
			at = (b*s.Steps+before)*len(s.Reverse) + d
		}
		copy(out, y[at*s.Hidden:])
	}
}

// Convolution is the geometry of Conv: place (n, output position) reads, channel by channel, the taps of its window;
// padding is zero.
type Convolution struct {
	Batch, Channels int
	Window          *kernel.Window
}

// Width returns channels times taps.
func (c *Convolution) Width() int { return c.Channels * c.Window.KernelSize() }

// Places returns batch times output positions.
func (c *Convolution) Places() int { return c.Batch * c.Window.OutSize() }

// Row copies the taps of place p of x [batch, channels, in].
func (c *Convolution) Row(dst, x []float32, p int) {
	w := c.Window
	out := w.OutSize()
	n, at := p/out, p%out
	o := [3]int{at / (w.Out[1] * w.Out[2]), at / w.Out[2] % w.Out[1], at % w.Out[2]}
	in := w.InSize()
	image := x[n*c.Channels*in:]
	i := 0
	for ch := range c.Channels {
		plane := image[ch*in : (ch+1)*in]
		i = taps(dst, plane, i, w, o)
	}
}

// taps copies the taps of one plane at output position o to dst[i:], and returns where the next plane's go.
func taps(dst, plane []float32, i int, w *kernel.Window, o [3]int) int {
	for a := range w.Kernel[0] {
		z := o[0]*w.Stride[0] + a*w.Dilation[0] - w.Pad[0]
		for b := range w.Kernel[1] {
			y := o[1]*w.Stride[1] + b*w.Dilation[1] - w.Pad[1]
			inside := z >= 0 && z < w.In[0] && y >= 0 && y < w.In[1]
			line := (z*w.In[1] + y) * w.In[2]
			for c := range w.Kernel[2] {
				x := o[2]*w.Stride[2] + c*w.Dilation[2] - w.Pad[2]
				dst[i] = 0
				if inside && x >= 0 && x < w.In[2] {
					dst[i] = plane[line+x]
				}
				i++
			}
		}
	}
	return i
}

// Transposed is the geometry of ConvTranspose, whose Window is that of the convolution it transposes: its In are the
// positions of the operator's output, its Out those of the input. Place (n, output position) reads, channel by channel and
// tap by tap, the input that the tap brings there, or zero.
type Transposed struct {
	Batch, Channels int
	Window          *kernel.Window
}

// Width returns channels times taps.
func (c *Transposed) Width() int { return c.Channels * c.Window.KernelSize() }

// Places returns batch times output positions.
func (c *Transposed) Places() int { return c.Batch * c.Window.InSize() }

// Row copies what place p of x [batch, channels, in] is made of.
func (c *Transposed) Row(dst, x []float32, p int) {
	w := c.Window
	places, in := w.InSize(), w.OutSize()
	n, at := p/places, p%places
	o := [3]int{at / (w.In[1] * w.In[2]), at / w.In[2] % w.In[1], at % w.In[2]}
	image := x[n*c.Channels*in:]
	i := 0
	for ch := range c.Channels {
		plane := image[ch*in : (ch+1)*in]
		for t := range w.KernelSize() {
			k := [3]int{t / (w.Kernel[1] * w.Kernel[2]), t / w.Kernel[2] % w.Kernel[1], t % w.Kernel[2]}
			dst[i] = 0
			if from, ok := source(w, o, k); ok {
				dst[i] = plane[from]
			}
			i++
		}
	}
}

// source returns the input position that tap k brings to output position o, false where there is none.
func source(w *kernel.Window, o, k [3]int) (int, bool) {
	at := 0
	for d := range 3 {
		v := o[d] + w.Pad[d] - k[d]*w.Dilation[d]
		if v < 0 || v%w.Stride[d] != 0 || v/w.Stride[d] >= w.Out[d] {
			return 0, false
		}
		at = at*w.Out[d] + v/w.Stride[d]
	}
	return at, true
}
