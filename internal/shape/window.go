package shape

import (
	"fmt"
)

// window holds the attributes that convolutions and pools share.
type window struct {
	kernel, strides, dilations, pads []int64 // nil: not given
	autoPad                          string
	ceil                             bool
}

// window reads and checks the shared attributes.
func (c *call) window() (*window, error) {
	w := &window{
		kernel: c.node.IntsAttr("kernel_shape"), strides: c.node.IntsAttr("strides"), pads: c.node.IntsAttr("pads"),
		dilations: c.node.IntsAttr("dilations"), autoPad: c.node.StringAttr("auto_pad", "NOTSET"),
		ceil: c.node.IntAttr("ceil_mode", 0) != 0,
	}
	for _, list := range [][]int64{w.kernel, w.strides, w.dilations} {
		for _, v := range list {
			if v < 1 || v > 1<<31 {
				return nil, fmt.Errorf("kernel_shape %v, strides %v or dilations %v not positive", w.kernel, w.strides, w.dilations)
			}
		}
	}
	for _, v := range w.pads {
		if v < 0 || v > 1<<31 {
			return nil, fmt.Errorf("attribute \"pads\": %v", w.pads)
		}
	}
	return w, nil
}

// check compares the number of values of every attribute with the spatial dimensions.
func (w *window) check(spatial int) error {
	for _, l := range []struct {
		name string
		list []int64
		want int
	}{{"kernel_shape", w.kernel, spatial}, {"strides", w.strides, spatial}, {"dilations", w.dilations, spatial}, {"pads", w.pads, 2 * spatial}} {
		if l.list != nil && len(l.list) != l.want {
			return fmt.Errorf("attribute %q: %d values, want %d", l.name, len(l.list), l.want)
		}
	}
	return nil
}

// at returns list[i], def where the list is not given.
func at(list []int64, i int, def int64) int64 {
	if list == nil {
		return def
	}
	return list[i]
}

// forward returns the positions of a window of the given size over the spatial dimensions in:
// floor((in + pads - extent) / stride) + 1, or ceil(in / stride) with SAME padding (ONNX operators Conv and MaxPool).
func (w *window) forward(in, size []Dim) ([]Dim, error) {
	if err := w.check(len(in)); err != nil {
		return nil, err
	}
	out := make([]Dim, len(in))
	for i, n := range in {
		stride := at(w.strides, i, 1)
		if w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER" {
			out[i] = ceilDiv(n, stride)
			continue
		}
		begin, end := at(w.pads, i, 0), int64(0)
		if w.pads != nil {
			end = w.pads[len(in)+i]
		}
		if w.autoPad == "VALID" {
			begin, end = 0, 0
		}
		extent := addInt(scaled(addInt(size[i], -1), at(w.dilations, i, 1)), 1)
		room := sub(addInt(n, begin+end), extent)
		if k, ok := room.Known(); ok && k < 0 {
			return nil, fmt.Errorf("kernel of extent %v over %v positions", extent, addInt(n, begin+end))
		}
		out[i] = addInt(floorDiv(room, stride), 1)
		if w.ceil && w.autoPad == "NOTSET" {
			out[i] = ceilPositions(room, addInt(n, begin), stride)
		}
	}
	return out, nil
}

// ceilPositions returns ceil(room / stride) + 1, without the windows that start in the padding behind: in + begin is
// where that starts.
func ceilPositions(room, behind Dim, stride int64) Dim {
	if sub(behind, addInt(room, stride)).atLeast(0) { // the last window starts before
		return addInt(ceilDiv(room, stride), 1)
	}
	if sub(addInt(room, stride), behind).atLeast(0) {
		return ceilDiv(behind, stride)
	}
	return minDim(addInt(ceilDiv(room, stride), 1), ceilDiv(behind, stride))
}

// kernelSize returns the spatial size of a kernel of shape w [.., .., spatial], with which attribute kernel_shape must
// agree; the attribute alone where the shape is not known, nil where neither is.
func (c *call) kernelSize(w *window, shape []Dim, ranked bool) ([]Dim, error) {
	if !ranked {
		if w.kernel == nil {
			return nil, nil
		}
		return numbersOf(w.kernel), nil
	}
	if len(shape) < 2 || w.kernel != nil && len(w.kernel) != len(shape)-2 {
		return nil, fmt.Errorf("kernel_shape %v, weights %s", w.kernel, shapeText(shape))
	}
	out := append([]Dim{}, shape[2:]...)
	for i, k := range w.kernel {
		d, ok := unify(out[i], Size(k))
		if !ok {
			return nil, fmt.Errorf("kernel_shape %v, weights %s", w.kernel, shapeText(shape))
		}
		out[i] = d
	}
	return out, nil
}
