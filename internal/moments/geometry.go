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
	out, in := w.OutSize(), w.InSize()
	n, at := p/out, p%out
	t := tapsAt(w, [3]int{at / (w.Out[1] * w.Out[2]), at / w.Out[2] % w.Out[1], at % w.Out[2]})
	size := w.KernelSize()
	dst = dst[:c.Channels*size]
	if !t.inside {
		clear(dst)
	}
	image := x[n*c.Channels*in:]
	for ch := range c.Channels {
		t.copy(dst[ch*size:(ch+1)*size], image[ch*in:(ch+1)*in])
	}
}

// taps are the taps of a window at one place that read inside the input: those from lo to hi-1 of each dimension, the first of
// which reads position first.
type taps struct {
	*kernel.Window
	lo, hi [3]int
	first  int
	inside bool // all of them
}

// tapsAt returns the taps at output position o.
func tapsAt(w *kernel.Window, o [3]int) taps {
	t := taps{Window: w, inside: true}
	for d := range 3 {
		from, dilation := o[d]*w.Stride[d]-w.Pad[d], w.Dilation[d] // tap a reads from + a*dilation
		lo := min(w.Kernel[d], max(0, dilation-1-from)/dilation)
		hi := max(lo, min(w.Kernel[d], (w.In[d]-from+dilation-1)/dilation))
		if w.In[d] <= from {
			hi = lo
		}
		t.inside = t.inside && hi-lo == w.Kernel[d]
		t.lo[d], t.hi[d] = lo, hi
		t.first = t.first*w.In[d] + from + lo*dilation
	}
	return t
}

// copy writes what the taps read of a plane to dst, and leaves the others alone.
func (t *taps) copy(dst, plane []float32) {
	k, in, step := &t.Kernel, &t.In, t.Dilation[2]
	count := t.hi[2] - t.lo[2]
	if count == 0 {
		return
	}
	for a := t.lo[0]; a < t.hi[0]; a++ {
		layer := t.first + (a-t.lo[0])*t.Dilation[0]*in[1]*in[2]
		for b := t.lo[1]; b < t.hi[1]; b++ {
			src := plane[layer+(b-t.lo[1])*t.Dilation[1]*in[2]:]
			to := dst[(a*k[1]+b)*k[2]+t.lo[2]:][:count]
			if step == 1 {
				src = src[:count]
				for c := range to {
					to[c] = src[c]
				}
				continue
			}
			for c := range to {
				to[c] = src[c*step]
			}
		}
	}
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

// listed is how many taps Row keeps on its stack.
const listed = 64

// Row copies what place p of x [batch, channels, in] is made of.
func (c *Transposed) Row(dst, x []float32, p int) {
	w := c.Window
	places, in, size := w.InSize(), w.OutSize(), w.KernelSize()
	n, at := p/places, p%places
	o := [3]int{at / (w.In[1] * w.In[2]), at / w.In[2] % w.In[1], at % w.In[2]}
	var list [listed]source
	from := sources(list[:0], w, o)
	dst = dst[:c.Channels*size]
	if len(from) < size {
		clear(dst)
	}
	image := x[n*c.Channels*in:]
	for ch := range c.Channels {
		row, plane := dst[ch*size:(ch+1)*size], image[ch*in:(ch+1)*in]
		for _, s := range from {
			row[s.tap] = plane[s.at]
		}
	}
}

// source is a tap and the input position that it brings.
type source struct{ tap, at int }

// sources appends the taps that bring something to output position o to list.
func sources(list []source, w *kernel.Window, o [3]int) []source {
	for a := range w.Kernel[0] {
		z, ok := sourceOf(w, 0, o[0], a)
		if !ok {
			continue
		}
		for b := range w.Kernel[1] {
			y, ok := sourceOf(w, 1, o[1], b)
			if !ok {
				continue
			}
			for c := range w.Kernel[2] {
				if x, ok := sourceOf(w, 2, o[2], c); ok {
					list = append(list, source{(a*w.Kernel[1]+b)*w.Kernel[2] + c, (z*w.Out[1]+y)*w.Out[2] + x})
				}
			}
		}
	}
	return list
}

// sourceOf returns the input position that tap k of dimension d brings to output position o, false where there is none.
func sourceOf(w *kernel.Window, d, o, k int) (int, bool) {
	v := o + w.Pad[d] - k*w.Dilation[d]
	if v < 0 || v%w.Stride[d] != 0 || v/w.Stride[d] >= w.Out[d] {
		return 0, false
	}
	return v / w.Stride[d], true
}
