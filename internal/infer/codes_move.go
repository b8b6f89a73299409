package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// pixelSlice returns what cuts pixels along their constant dimensions; nil where channels, or dimensions counted from the
// back, are cut.
func (b *blocking) pixelSlice(nd *node) fastFunc {
	var lists [4][]int // starts, ends, axes, steps
	for i := range lists {
		if i+1 >= len(nd.in) || nd.in[i+1] < 0 {
			continue
		}
		c := b.consts(nd.in[i+1])
		if c == nil || !isInteger(c.Type) {
			return nil
		}
		lists[i] = append([]int{}, intsOf(c)...)
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	if axes == nil || len(starts) != len(axes) {
		return nil
	}
	for i, a := range axes {
		switch {
		case a < 0 || a == 1:
			return nil
		case a > 1: // channels lie behind them
			axes[i]--
		}
	}
	return func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		for _, a := range axes {
			if a >= len(in[0].Shape)-1 {
				return nil, nil
			}
		}
		out, err := r.slice(in[0], starts, ends, axes, steps)
		if err != nil || out.Len() == 0 {
			return nil, nil
		}
		return out, nil
	}
}

// pixelPad returns what puts zero points around pixels and beside their channels, and how many channels that makes; nil
// where something else is padded, or cut off.
func (b *blocking) pixelPad(nd *node, channels int, zero uint8) (fastFunc, int) {
	if a := nd.Attr("mode"); a != nil && string(a.S) != "constant" || len(nd.in) < 2 || nd.in[1] < 0 || len(nd.in) > 3 && nd.in[3] >= 0 {
		return nil, 0
	}
	c := b.consts(nd.in[1])
	if c == nil || c.Type != onnxio.Int64 || c.Len() < 6 || c.Len()%2 != 0 {
		return nil, 0
	}
	pads, rank := intsOf(c), c.Len()/2
	for _, p := range pads {
		if p < 0 || p > maxValueElements {
			return nil, 0
		}
	}
	if pads[0] != 0 || pads[rank] != 0 || pads[1]+pads[rank+1] > maxPadChannels {
		return nil, 0
	}
	before, all := pads[1], channels+pads[1]+pads[rank+1]
	around, any := make([]int, 2*rank), false // of pixels, whose channels come last
	for d := 2; d < rank; d++ {
		around[d-1], around[rank+d-1] = pads[d], pads[rank+d]
		any = any || pads[d] != 0 || pads[rank+d] != 0
	}
	fill := &onnxio.Array{Type: onnxio.Uint8, Shape: []int{}, Data: []uint8{zero}}
	return func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		x := in[0]
		if len(x.Shape) != rank {
			return nil, nil
		}
		if any {
			var err error
			if x, err = r.pad(x, around, "constant", fill); err != nil {
				return nil, nil
			}
		}
		if all == channels {
			return x, nil
		}
		step := kernel.PixelStep(all)
		out, err := r.blank(onnxio.Uint8, append(append([]int{}, x.Shape[:rank-1]...), step)...)
		if err != nil {
			return nil, nil
		}
		dst := byteData(out)
		fillWith(dst, zero)
		kernel.JoinPixels(dst, byteData(x), step, x.Shape[rank-1], before, channels, nil, r.threads)
		return out, nil
	}, all
}

// maxPadChannels bounds the channels that padding adds.
const maxPadChannels = 1 << 16
