package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// resized is what blocks need to know of Resize and Upsample.
type resized struct {
	*resizer
	scales, sizes int           // inputs, -1 for none
	constant      *onnxio.Array // scales of an attribute
}

// resize takes a Resize of the spatial dimensions of a value in blocks, by constants, unless lanes without a channel would
// take much of the result, which is large.
func (b *blocking) resize(nd *node, z *resized) bool {
	in := nd.in[0]
	rank := 0
	if b.inBlocks(in) && fills(b.channels[in]) {
		rank = b.rank[in]
	}
	if rank == 0 || z.axes != nil || z.coords == "tf_crop_and_resize" || z.policy != "stretch" || z.mode == "cubic" {
		return false
	}
	given := func(i int) *onnxio.Array {
		if i < 0 || i >= len(nd.in) || nd.in[i] < 0 {
			return nil
		}
		return b.consts(nd.in[i])
	}
	channels, scales, sizes := b.channels[in], z.constant, given(z.sizes)
	if scales == nil {
		scales = given(z.scales)
	}
	var factors []float32
	var lengths []int64
	switch {
	case sizes != nil && sizes.Type == onnxio.Int64 && equalShape(sizes.Shape, []int{rank}) && int(sizes.Ints()[1]) == channels:
		lengths = sizes.Ints()
	case scales != nil && scales.Type == onnxio.Float && equalShape(scales.Shape, []int{rank}) && scales.F32()[0] == 1 && scales.F32()[1] == 1:
		factors = append(append([]float32{}, scales.F32()...), 1)
	default:
		return false
	}
	b.rank[nd.out[0]] = rank
	b.produce(nd, []int{b.block[in]}, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		var scales, sizes *onnxio.Array
		if factors != nil {
			scales = onnxio.Floats(factors, len(factors))
		} else if int(lengths[0]) == in[0].Shape[0] {
			sizes = onnxio.Int64s(append(append([]int64{lengths[0], int64(kernel.Blocks(channels))}, lengths[2:]...), kernel.Block), rank+1)
		}
		if len(in[0].Shape) != rank+1 || scales == nil && sizes == nil {
			return nil, nil
		}
		out, err := z.run(r, in[0], nil, scales, sizes)
		if err != nil {
			return nil, nil
		}
		return out, nil
	})
	return true
}
