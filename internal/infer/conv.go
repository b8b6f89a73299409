package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// convolution holds the attributes of Conv and ConvTranspose.
type convolution struct {
	window     *window
	group      int
	transposed bool
	extra, out []int // output_padding and output_shape of a transposed one
}

// bindConv: the cross-correlation of X [N, C, spatial] with W [M, C/group, kernel], plus B [M].
func bindConv(b *binding) runFunc {
	z := &convolution{window: bindWindow(b), group: int(b.int("group", 1))}
	b.node.state = z
	return z.run
}

func (z *convolution) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	p, err := z.place(in[0], in[1], in[2])
	if err != nil {
		return nil, err
	}
	return r.convolve(in, p.shape, func(dst, x, w, bias []float32) {
		p.compute(dst, x, w, bias, kernel.Epilogue{}, r.threads)
	})
}

// placed is a convolution with the shapes of its operands.
type placed struct {
	*convolution
	n, c, m int // batch, input channels, output channels
	window  *kernel.Window
	shape   []int // of the result
}

// place checks the operands and works out the shapes.
func (z *convolution) place(x, w, bias *onnxio.Array) (*placed, error) {
	p := &placed{convolution: z}
	var err error
	if p.n, p.c, p.m, err = channels(x, w, bias, z.group, z.transposed); err != nil {
		return nil, err
	}
	size := w.Shape[2:]
	if z.window.kernel != nil && !equalShape(z.window.kernel, size) {
		return nil, fmt.Errorf("kernel_shape %v, weights %v", z.window.kernel, w.Shape)
	}
	var spatial []int
	if z.transposed {
		p.window, spatial, err = z.window.backward(x.Shape[2:], size, z.extra, z.out)
	} else {
		p.window, spatial, _, err = z.window.forward(x.Shape[2:], size)
	}
	if err != nil {
		return nil, err
	}
	p.shape = append([]int{p.n, p.m}, spatial...)
	return p, nil
}

// compute writes the convolution to dst, bounded as e says.
func (p *placed) compute(dst, x, w, bias []float32, e kernel.Epilogue, threads int) {
	if p.transposed {
		kernel.ConvTranspose(dst, x, w, bias, p.n, p.c, p.m, p.group, p.window, threads)
		if e.Clamp {
			kernel.Clamp(dst, dst, e.Low, e.High)
		}
		return
	}
	kernel.Conv(dst, x, w, bias, p.n, p.c, p.m, p.group, p.window, e, threads)
}

// convolve allocates the output and runs f on the operands in float32.
func (r *run) convolve(in []*onnxio.Array, shape []int, f func(dst, x, w, bias []float32)) ([]*onnxio.Array, error) {
	var ops [3][]float32
	for i, a := range in[:3] {
		if a == nil {
			continue
		}
		d, err := r.float32s(a)
		if err != nil {
			return nil, err
		}
		ops[i] = d
	}
	out, err := r.new(floatType(in[0].Type), shape...)
	if err != nil {
		return nil, err
	}
	if out.Len() > 0 {
		f(out.F32(), ops[0], ops[1], ops[2])
	}
	return one(r.cast(out, in[0].Type))
}

// channels checks the shapes of a convolution and returns batch, input and output channels. Transposed weights are
// [C, M/group, kernel].
func channels(x, w, bias *onnxio.Array, group int, transposed bool) (n, c, m int, err error) {
	if len(x.Shape) < 3 || len(x.Shape) != len(w.Shape) {
		return 0, 0, 0, fmt.Errorf("convolving %v with %v", x.Shape, w.Shape)
	}
	n, c, m = x.Shape[0], x.Shape[1], w.Shape[0]
	cg := w.Shape[1]
	ok := group > 0 && c%group == 0 && m%group == 0 && c/group == cg
	if transposed {
		ok = group > 0 && c%group == 0 && w.Shape[0] == c && cg <= maxValueElements/group
		m = cg * group
	}
	if !ok || !positive(w.Shape[2:]) {
		return 0, 0, 0, fmt.Errorf("convolving %v with %v in %d groups", x.Shape, w.Shape, group)
	}
	if x.Type != w.Type || bias != nil && bias.Type != x.Type {
		return 0, 0, 0, fmt.Errorf("element types %v and %v differ", x.Type, w.Type)
	}
	if bias != nil && !equalShape(bias.Shape, []int{m}) {
		return 0, 0, 0, fmt.Errorf("bias %v, want [%d]", bias.Shape, m)
	}
	return n, c, m, nil
}

// bindConvTranspose: the transposed convolution of X [N, C, spatial] with W [C, M/group, kernel], plus B [M].
// Output size: stride*(in-1) + output_padding + (kernel-1)*dilation + 1 - pads, or output_shape.
func bindConvTranspose(b *binding) runFunc {
	z := &convolution{window: bindWindow(b), group: int(b.int("group", 1)), transposed: true}
	z.extra, z.out = b.ints("output_padding"), b.ints("output_shape")
	b.node.state = z
	return z.runTransposed
}

func (z *convolution) runTransposed(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	p, err := z.place(in[0], in[1], in[2])
	if err != nil {
		return nil, err
	}
	if scratch := p.scratch(in[0]); scratch > r.limit-r.live {
		return nil, fmt.Errorf("%d bytes needed, limit %d", scratch, r.limit)
	}
	return r.convolve(in, p.shape, func(dst, x, w, bias []float32) {
		p.compute(dst, x, w, bias, kernel.Epilogue{}, r.threads)
	})
}

// scratch returns the bytes that the kernel takes beside the result.
func (p *placed) scratch(x *onnxio.Array) int64 {
	if !p.transposed {
		return 0
	}
	return int64(p.m/p.group) * int64(p.window.KernelSize()) * int64(product(x.Shape[2:])) * 4
}

// backward lays the window whose transpose is taken: its output is the operator's input.
func (w *window) backward(in, size, extra, shape []int) (k *kernel.Window, out []int, err error) {
	n := len(in)
	if err := w.check(n); err != nil {
		return nil, nil, err
	}
	if extra != nil && len(extra) != n || shape != nil && len(shape) != n && len(shape) != n+2 {
		return nil, nil, fmt.Errorf("output_padding %v, output_shape %v for %d spatial dimensions", extra, shape, n)
	}
	if len(shape) == n+2 {
		shape = shape[2:]
	}
	k = unitWindow()
	out = make([]int, n)
	for i := range n {
		d := maxSpatial - n + i
		stride, dilation := at(w.strides, i, 1), at(w.dilations, i, 1)
		full := stride*(in[i]-1) + at(extra, i, 0) + (size[i]-1)*dilation + 1
		begin, total := at(w.pads, i, 0), 0
		if w.pads != nil {
			total = begin + w.pads[n+i]
		}
		same := w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER"
		switch {
		case shape != nil || same:
			out[i] = in[i] * stride
			if shape != nil {
				out[i] = shape[i]
			}
			total = max(0, full-out[i])
			begin = total / 2
			if w.autoPad != "SAME_UPPER" {
				begin = total - total/2
			}
		case w.autoPad == "VALID":
			begin, total, out[i] = 0, 0, full
		default:
			out[i] = full - total
		}
		if out[i] < 0 || begin < 0 || at(extra, i, 0) < 0 {
			return nil, nil, fmt.Errorf("output size %d with padding %d", out[i], begin)
		}
		k.In[d], k.Out[d], k.Kernel[d] = out[i], in[i], size[i]
		k.Stride[d], k.Dilation[d], k.Pad[d] = stride, dilation, begin
	}
	return k, out, nil
}
