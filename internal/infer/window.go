package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// window holds the attributes that convolutions and pools share.
type window struct {
	kernel, strides, dilations, pads []int // nil: not given
	autoPad                          string
	ceil                             bool
}

// maxSpatial is the number of spatial dimensions that kernels handle.
const maxSpatial = 3

// bindWindow reads the shared attributes.
func bindWindow(b *binding) *window {
	w := &window{
		kernel: b.ints("kernel_shape"), strides: b.ints("strides"), pads: b.ints("pads"),
		dilations: b.ints("dilations"),
		autoPad:   b.str("auto_pad", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
	}
	if len(w.kernel) > maxSpatial {
		b.refuse("kernels of %d spatial dimensions", len(w.kernel))
	}
	if b.has("kernel_shape") && !positive(w.kernel) || !positive(w.strides) || !positive(w.dilations) {
		b.malformed("kernel_shape %v, strides %v or dilations %v not positive", w.kernel, w.strides, w.dilations)
	}
	return w
}

func positive(list []int) bool {
	for _, v := range list {
		if v <= 0 || v > maxValueElements {
			return false
		}
	}
	return true
}

// at returns list[i], def where the list is not given.
func at(list []int, i, def int) int {
	if list == nil {
		return def
	}
	return list[i]
}

// check compares the number of values of every attribute with the spatial dimensions of the input.
func (w *window) check(spatial int) error {
	if spatial < 1 || spatial > maxSpatial {
		return fmt.Errorf("%d spatial dimensions, want 1 to %d", spatial, maxSpatial)
	}
	for _, l := range []struct {
		name string
		list []int
		want int
	}{{"kernel_shape", w.kernel, spatial}, {"strides", w.strides, spatial}, {"dilations", w.dilations, spatial}, {"pads", w.pads, 2 * spatial}} {
		if l.list != nil && len(l.list) != l.want {
			return fmt.Errorf("attribute %q: %d values, want %d", l.name, len(l.list), l.want)
		}
	}
	return nil
}

// forward lays the window over an input of the given spatial shape, kernel being its size. end is the padding behind.
func (w *window) forward(in, size []int) (k *kernel.Window, out, end []int, err error) {
	n := len(in)
	if err := w.check(n); err != nil {
		return nil, nil, nil, err
	}
	k = unitWindow()
	out, end = make([]int, n), make([]int, n)
	for i := range n {
		d := maxSpatial - n + i
		k.In[d], k.Kernel[d] = in[i], size[i]
		k.Stride[d], k.Dilation[d] = at(w.strides, i, 1), at(w.dilations, i, 1)
		extent := (size[i]-1)*k.Dilation[d] + 1
		begin, after := at(w.pads, i, 0), 0
		if w.pads != nil {
			after = w.pads[n+i]
		}
		switch w.autoPad {
		case "VALID":
			begin, after = 0, 0
		case "SAME_UPPER", "SAME_LOWER":
			o := (in[i] + k.Stride[d] - 1) / k.Stride[d]
			total := max(0, (o-1)*k.Stride[d]+extent-in[i])
			begin = total / 2
			if w.autoPad == "SAME_LOWER" {
				begin = total - total/2
			}
			after = total - begin
		}
		room := in[i] + begin + after - extent
		if begin < 0 || after < 0 || begin > maxValueElements || after > maxValueElements {
			return nil, nil, nil, fmt.Errorf("padding %d and %d is out of range", begin, after)
		}
		if room < 0 {
			return nil, nil, nil, fmt.Errorf("kernel of extent %d over %d positions", extent, in[i]+begin+after)
		}
		out[i] = room/k.Stride[d] + 1
		if w.ceil && w.autoPad == "NOTSET" {
			out[i] = (room+k.Stride[d]-1)/k.Stride[d] + 1
			if (out[i]-1)*k.Stride[d] >= in[i]+begin { // a window that starts in the padding behind does not count
				out[i]--
			}
		}
		k.Out[d], k.Pad[d], end[i] = out[i], begin, after
	}
	return k, out, end, nil
}

// unitWindow returns a window of one position in every dimension.
func unitWindow() *kernel.Window {
	u := [3]int{1, 1, 1}
	return &kernel.Window{In: u, Kernel: u, Out: u, Stride: u, Dilation: u}
}

// Window returns the window that node n, a Conv or ConvTranspose of ONNX's own domain, lays over an input of the spatial
// shape in with weights of the spatial shape size. That of ConvTranspose is the window whose transpose the node applies: In
// stands for its output and Out for its input. Shapes and attributes that the node could not be run with are an error, as are
// windows over more positions than a value may have elements.
func Window(n *onnxio.Node, in, size []int) (*kernel.Window, error) {
	w := &window{
		strides: windowInts(n, "strides"), pads: windowInts(n, "pads"), dilations: windowInts(n, "dilations"),
		autoPad: n.StringAttr("auto_pad", "NOTSET"),
	}
	if len(in) != len(size) || !positive(size) || !positive(w.strides) || !positive(w.dilations) {
		return nil, fmt.Errorf("sliding %v over %v: want positive sizes, strides and dilations", size, in)
	}
	if given := windowInts(n, "kernel_shape"); given != nil && !equalShape(given, size) {
		return nil, fmt.Errorf("kernel_shape %v, weights %v", given, size)
	}
	if err := countable(in); err != nil {
		return nil, fmt.Errorf("sliding %v over %v: %w", size, in, err)
	}
	var k *kernel.Window
	var out []int
	var err error
	if n.OpType == "ConvTranspose" {
		k, out, err = w.backward(in, size, windowInts(n, "output_padding"), windowInts(n, "output_shape"))
	} else {
		k, out, _, err = w.forward(in, size)
	}
	if err == nil {
		err = countable(out)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// countable reports a shape below zero, or of more elements than a value may have.
func countable(shape []int) error {
	total := 1
	for _, n := range shape {
		if n < 0 {
			return fmt.Errorf("shape %v is below zero", shape)
		}
		if total > maxValueElements/max(1, n) {
			return fmt.Errorf("shape %v has more than %d elements", shape, maxValueElements)
		}
		total *= max(1, n)
	}
	return nil
}

func windowInts(n *onnxio.Node, name string) []int {
	values := n.IntsAttr(name)
	if values == nil {
		return nil
	}
	list := make([]int, len(values))
	for i, v := range values {
		list[i] = int(max(-maxValueElements, min(maxValueElements, v)))
	}
	return list
}
