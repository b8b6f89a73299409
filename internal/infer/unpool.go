package infer

import (
	"fmt"

	"bq/onnxio"
)

// bindMaxUnpool: X written to the positions that MaxPool gave as I, zero elsewhere. The positions count in the pool's own
// input, whose shape strides, pads and kernel tell; output_shape may be larger.
func bindMaxUnpool(b *binding) runFunc {
	w := bindPool(b)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, n := in[0], len(in[0].Shape)-2
		if n < 1 || len(w.kernel) != n || !equalShape(in[1].Shape, x.Shape) {
			return nil, fmt.Errorf("unpooling %v with positions %v by %v", x.Shape, in[1].Shape, w.kernel)
		}
		if err := w.check(n); err != nil {
			return nil, err
		}
		inner := append([]int{}, x.Shape[:2]...)
		for i, d := range x.Shape[2:] {
			inner = append(inner, (d-1)*at(w.strides, i, 1)+w.kernel[i]-at(w.pads, i, 0)-at(w.pads, n+i, 0))
		}
		shape := inner
		if in[2] != nil {
			if shape = intsOf(in[2]); len(shape) != n+2 {
				return nil, fmt.Errorf("output_shape %v for %v", shape, x.Shape)
			}
		}
		size, ok := onnxio.CheckedLen(inner)
		if !ok || size > maxValueElements {
			return nil, fmt.Errorf("unpooling to %v", inner)
		}
		places, err := indices(in[1], size)
		if err != nil {
			return nil, err
		}
		out, err := r.new(x.Type, shape...)
		if err != nil {
			return nil, err
		}
		for i, p := range places {
			to := 0
			for d, left := range rowStrides(inner) {
				k := p / left
				p -= k * left
				if k >= shape[d] {
					return nil, fmt.Errorf("position %v of %v in %v", places[i], inner, shape)
				}
				to = to*shape[d] + k
			}
			places[i] = to
		}
		put(out, x, places)
		return []*onnxio.Array{out}, nil
	}
}

// bindCol2Im: blocks [N, C*block, L] added up at the positions of an image from which they were cut, L counting the
// places of the block in row-major order. Inputs data, image_shape, block_shape.
func bindCol2Im(b *binding) runFunc {
	dilations, pads, strides := b.ints("dilations"), b.ints("pads"), b.ints("strides")
	if !positive(dilations) || !positive(strides) {
		b.malformed("dilations %v, strides %v", dilations, strides)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, image, block := in[0], intsOf(in[1]), intsOf(in[2])
		w := &window{kernel: block, strides: strides, dilations: dilations, pads: pads, autoPad: "NOTSET"}
		if len(x.Shape) != 3 || len(image) != len(block) || !positive(image) || !positive(block) || len(image) > maxSpatial {
			return nil, fmt.Errorf("columns %v to an image %v in blocks %v", x.Shape, image, block)
		}
		_, places, _, err := w.forward(image, block)
		if err != nil {
			return nil, err
		}
		taps := product(block)
		if x.Shape[1]%taps != 0 || x.Shape[2] != product(places) {
			return nil, fmt.Errorf("columns %v to an image %v in blocks %v", x.Shape, image, block)
		}
		channels := x.Shape[1] / taps
		shape := append([]int{x.Shape[0], channels}, image...)
		return r.pooled(x, shape, func(dst, src []float32) {
			plane := product(image)
			for i, v := range src {
				row, place := i/x.Shape[2], i%x.Shape[2]
				if p := w.source(row%taps, place, image, block, places); p >= 0 {
					dst[row/taps*plane+p] += v
				}
			}
		})
	}
}

// source returns the position in an image of tap number k of the window at a place, -1 where it lies in the padding.
func (w *window) source(k, place int, image, block, places []int) int {
	pos, stride := 0, 1
	for d := len(image) - 1; d >= 0; d-- {
		v := place%places[d]*at(w.strides, d, 1) - at(w.pads, d, 0) + k%block[d]*at(w.dilations, d, 1)
		if v < 0 || v >= image[d] {
			return -1
		}
		pos += v * stride
		stride *= image[d]
		place, k = place/places[d], k/block[d]
	}
	return pos
}
