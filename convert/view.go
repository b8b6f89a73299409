package convert

import "bq/packing"

// view is a shape of a quantized tensor in which its scales broadcast to its elements, so that standard operators
// can multiply the two (ONNX, Broadcasting.md).
type view struct {
	codes      []int // shape of the codes: the tensor's own, or one that sets blocks apart
	scales     []int // shape of the scales, of the same rank, 1 where they repeat
	reshaped   bool  // codes differs from the tensor's shape
	axis       int   // the only axis along which scales differ, -1 where there is one scale, -2 where it is no axis
	transposed bool  // scales stand as [blocks, channels] instead of [channels, blocks]
	channels   int
}

// viewOf finds the view of a layout of a tensor; false where blocks cross rows so that there is none.
func viewOf(l packing.Layout, shape []int) (view, bool) {
	blocks := l.BlocksPerChannel()
	switch {
	case l.Elements() == 0:
		return view{}, false
	case l.Groups() == 1:
		return view{codes: shape, scales: ones(len(shape)), axis: -1}, true
	case blocks == 1:
		return channelView(l, shape)
	case l.Outer == 1 && l.Inner%l.Block == 0:
		return view{codes: []int{l.Channels, blocks, l.Block}, scales: []int{l.Channels, blocks, 1}, reshaped: true, axis: -2}, true
	case l.Inner == 1 && l.Outer%l.Block == 0:
		return view{codes: []int{blocks, l.Block, l.Channels}, scales: []int{blocks, 1, l.Channels}, reshaped: true, axis: -2,
			transposed: true, channels: l.Channels}, true
	}
	return view{}, false
}

// channelView finds the axes that make up the channels.
func channelView(l packing.Layout, shape []int) (view, bool) {
	for from := range shape {
		if product(shape[:from]) != l.Outer {
			continue
		}
		for to := from + 1; to <= len(shape); to++ {
			if product(shape[from:to]) != l.Channels || product(shape[to:]) != l.Inner {
				continue
			}
			v := view{codes: shape, scales: ones(len(shape)), axis: -2}
			copy(v.scales[from:to], shape[from:to])
			for axis := from; axis < to; axis++ {
				if shape[axis] == l.Channels {
					v.axis = axis
				}
			}
			return v, true
		}
	}
	return view{}, false
}

// order returns per-group values in the order of the view's scales.
func (v view) order(groups []float32) []float32 {
	if !v.transposed {
		return groups
	}
	blocks := len(groups) / v.channels
	list := make([]float32, len(groups))
	for c := range v.channels {
		for b := range blocks {
			list[b*v.channels+c] = groups[c*blocks+b]
		}
	}
	return list
}

// Operator sets from which DequantizeLinear takes one scale, one scale per index of an axis, and codes of 16 bits (ONNX,
// Changelog.md).
const (
	opsetDequantize        = 10
	opsetDequantizePerAxis = 13
	opsetDequantizeWide    = 21
)

// dequantizeAxis returns the axis of a DequantizeLinear of codes of the given bits in the given operator set, -1 for one
// scale; false where the set has no such operator for this view.
func (v view) dequantizeAxis(opset int64, bits int) (int, bool) {
	switch {
	case bits > packing.MaxNarrow && opset < opsetDequantizeWide:
		return 0, false
	case v.axis >= 0:
		return v.axis, opset >= opsetDequantizePerAxis
	case v.axis == -1:
		return -1, opset >= opsetDequantize
	}
	return 0, false
}

func ones(rank int) []int {
	list := make([]int, rank)
	for i := range list {
		list[i] = 1
	}
	return list
}

func dims(shape []int64) []int {
	list := make([]int, len(shape))
	for i, d := range shape {
		list[i] = int(d)
	}
	return list
}
