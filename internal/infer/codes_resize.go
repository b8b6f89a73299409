package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// quantResize mixes values of which there are codes, at constant scales or to constant sizes, and quantizes the result.
type quantResize struct {
	*resizer
	scales, sizes *onnxio.Array
	x             *quantized
	to            *quantized
}

// constants returns the constant scales or sizes of a resizing node that leaves images and channels alone, by sizes as far
// as one can tell; nil where it is no such node.
func (z *resized) constants(f *fusion, nd *node) (scales, sizes *onnxio.Array) {
	given := func(i int) *onnxio.Array {
		if i < 0 || i >= len(nd.in) || nd.in[i] < 0 {
			return nil
		}
		return f.g.consts[nd.in[i]]
	}
	scales, sizes = z.constant, given(z.sizes)
	if scales == nil {
		scales = given(z.scales)
	}
	switch {
	case z.axes != nil || z.policy != "stretch" || z.coords == "tf_crop_and_resize":
		return nil, nil
	case sizes != nil && sizes.Len() > 0:
		if sizes.Type != onnxio.Int64 || sizes.Len() < 3 {
			return nil, nil
		}
		return nil, sizes
	case scales == nil || scales.Type != onnxio.Float || scales.Len() < 3 || scales.F32()[0] != 1 || scales.F32()[1] != 1:
		return nil, nil
	}
	return scales, nil
}

// linear puts a node on codes in the place of the Resize at place i, where that mixes values and its result is quantized.
func (q *quantization) linear(i int) bool {
	nd := q.nodes[i]
	z, ok := nd.state.(*resized)
	if !ok || z.mode != "linear" || nd.in[0] < 0 || q.values[nd.in[0]] == nil || !q.quantizes([]int{i}) {
		return false
	}
	f := &quantResize{resizer: z.resizer, x: q.values[nd.in[0]]}
	if f.scales, f.sizes = z.constants(q.fusion, nd); f.scales == nil && f.sizes == nil {
		return false
	}
	places, to := q.target([]int{i})
	if !to.codes || to.typ != f.x.typ {
		return false
	}
	f.to = &quantized{scale: to.scale, zero: to.zero, low: to.low, high: to.high, typ: to.typ}
	q.read(f.x)
	q.limit(to.slot, to.typ, to.high)
	q.count++
	q.place(places, nd, []int{f.x.codes}, []int{to.slot}, to.typ, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		return f.run(r, in[0], f.scales, f.sizes)
	}).state = f
	return true
}

// run resizes codes x, as they lie.
func (f *quantResize) run(r *run, x, scales, sizes *onnxio.Array) (*onnxio.Array, error) {
	v, err := f.x.decode(r, []*onnxio.Array{x})
	if err != nil {
		return nil, nil
	}
	y, err := f.resizer.run(r, v, nil, scales, sizes)
	if err != nil {
		return nil, nil
	}
	return f.to.quantize(r, y)
}

// quantize makes codes of floats as QuantizeLinear does.
func (v *quantized) quantize(r *run, x *onnxio.Array) (*onnxio.Array, error) {
	out, err := r.blank(v.typ, x.Shape...)
	if err != nil {
		return nil, nil
	}
	dst, src := byteData(out), x.F32()
	r.chunks(len(dst), func(lo, hi int) {
		kernel.QuantizeWithin(dst[lo:hi], src[lo:hi], v.scale, v.zero, v.low, v.high)
	})
	return out, nil
}

// pixelLinear takes a resizing of pixels.
func (b *blocking) pixelLinear(nd *node, f *quantResize) bool {
	in := nd.in[0]
	if !b.pixels(in, 0) {
		return false
	}
	channels := b.channels[in]
	if f.sizes != nil && int(f.sizes.Ints()[1]) != channels {
		return false
	}
	return b.pixel(nd, []int{b.block[in]}, channels, func(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
		s := in[0].Shape
		factors, lengths := pixelScales(s, f.scales, f.sizes)
		if factors == nil && lengths == nil {
			return nil, nil
		}
		if len(s) == 4 && product(s) > 0 {
			if out := f.rows(r, in[0], factors, lengths); out != nil {
				return out, nil
			}
		}
		return f.run(r, in[0], factors, lengths)
	})
}

// rows resizes pixels [batch, height, width, step]: columns first, then row by row, each of which is quantized while it is
// in the processor's cache; nil where it does not.
func (f *quantResize) rows(r *run, x, scales, sizes *onnxio.Array) *onnxio.Array {
	plans, err := f.plan(x.Shape, nil, scales, sizes)
	if err != nil || plans[0] != nil && plans[0].in != plans[0].out || plans[3] != nil && plans[3].in != plans[3].out || plans[1] == nil || plans[2] == nil {
		return nil
	}
	v, err := f.x.decode(r, []*onnxio.Array{x})
	if err != nil {
		return nil
	}
	taps, outside := f.taps(plans[2])
	for _, o := range outside {
		if o {
			return nil
		}
	}
	if v, err = r.resample(v, 2, taps, false); err != nil {
		return nil
	}
	if taps, outside = f.taps(plans[1]); len(taps) == 0 {
		return nil
	}
	for i, o := range outside {
		if o || len(taps[i]) == 0 {
			return nil
		}
	}
	n := v.Shape[2] * v.Shape[3]
	out, err := r.blank(f.to.typ, v.Shape[0], len(taps), v.Shape[2], v.Shape[3])
	if err != nil {
		return nil
	}
	dst, src, height := byteData(out), v.F32(), v.Shape[1]
	r.rows(v.Shape[0]*len(taps), 2*n, func(k int) {
		const piece = 1 << 12
		var buf [piece]float32
		list, from := taps[k%len(taps)], src[k/len(taps)*height*n:]
		for j := 0; j < n; j += piece {
			m := min(piece, n-j)
			row, to := buf[:m], dst[k*n+j:k*n+j+m]
			at := func(i int) ([]float32, float32) { return from[list[i].at*n+j:][:m], float32(list[i].weight) }
			first, w := at(0)
			if len(list) == 1 {
				kernel.Affine(row, first, w, 0)
			}
			for i := 1; i < len(list); i++ {
				next, u := at(i)
				kernel.Mix(row, first, next, w, u)
				first, w = row, 1
			}
			kernel.QuantizeWithin(to, row, f.to.scale, f.to.zero, f.to.low, f.to.high)
		}
	})
	return out
}
