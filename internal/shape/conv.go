package shape

import (
	"fmt"

	"bq/onnxio"
)

// conv: X [N, C, spatial], W [M, C/group, kernel], B [M].
func conv(c *call) error { return c.convOf(0, 1, 2, c.elem(0)) }

// convInteger: X, W and their zero points, to int32.
func convInteger(c *call) error { return c.convOf(0, 1, -1, onnxio.Int32) }

// qlinearConv: X, its scale and zero point, W, its scale and zero point, and those of the result, which give its type; B.
func qlinearConv(c *call) error {
	if c.node.IntAttr("channels_last", 0) != 0 {
		return c.channelsLast(func() error { return c.convOf(0, 3, 8, c.elem(7)) })
	}
	return c.convOf(0, 3, 8, c.elem(7))
}

// convOf infers a convolution of input x with weights w and bias b to type t.
func (c *call) convOf(x, w, b int, t onnxio.DataType) error {
	win, err := c.window()
	if err != nil {
		return err
	}
	in, ok := c.shape(x)
	weights, ok2 := c.shape(w)
	size, err := c.kernelSize(win, weights, ok2)
	if err != nil {
		return err
	}
	switch {
	case !ok && size == nil:
		return c.giveUnranked(0, t)
	case !ok:
		in = c.sizes(len(size) + 2)
	case size == nil:
		return c.giveRank(0, t, len(in))
	case len(in) < 3 || len(in) != len(size)+2:
		return fmt.Errorf("convolving %s with %s", shapeText(in), shapeText(weights))
	}
	m := c.size()
	if ok2 {
		m = weights[0]
		if err := c.checkChannels(in, weights); err != nil {
			return err
		}
	}
	if err := c.vector(b, m); err != nil {
		return err
	}
	spatial, err := win.forward(in[2:], size)
	if err != nil {
		return err
	}
	return c.give(0, t, append([]Dim{in[0], m}, spatial...)...)
}

// checkChannels compares the channels of X [N, C, ...] and W [M, C/group, ...].
func (c *call) checkChannels(in, weights []Dim) error {
	group := c.int("group", 1)
	bad := fmt.Errorf("convolving %s with %s in %d groups", shapeText(in), shapeText(weights), group)
	if group < 1 {
		return bad
	}
	if in[1].differs(scaled(weights[1], group)) {
		return bad
	}
	if m, ok := weights[0].Known(); ok && m%group != 0 {
		return bad
	}
	return nil
}

// channelsLast runs the rule of an operator on [N, C, spatial] for a first input [N, spatial, C].
func (c *call) channelsLast(rule func() error) error {
	x := c.arg(0)
	if n := len(x.Shape); x.Ranked && n >= 3 {
		moved := *x
		moved.Shape = append([]Dim{x.Shape[0], x.Shape[n-1]}, x.Shape[1:n-1]...)
		c.in[0] = &moved
		defer func() { c.in[0] = x }()
	}
	if err := rule(); err != nil {
		return err
	}
	if len(c.out) == 0 {
		return nil
	}
	if y := c.out[0]; y != nil && y.Ranked && len(y.Shape) >= 3 {
		moved := append([]Dim{y.Shape[0]}, y.Shape[2:]...)
		return c.give(0, y.Type, append(moved, y.Shape[1])...)
	}
	return nil
}

// deformConv: X, W, offset, B, mask; the shape of a convolution.
func deformConv(c *call) error { return c.convOf(0, 1, 3, c.elem(0)) }

// convTranspose: X [N, C, spatial], W [C, M/group, kernel], B [M]. Each output size is
// stride*(in-1) + output_padding + (kernel-1)*dilation + 1 - pads, or output_shape, or in*stride with SAME padding.
func convTranspose(c *call) error {
	win, err := c.window()
	if err != nil {
		return err
	}
	in, ok := c.shape(0)
	weights, ok2 := c.shape(1)
	size, err := c.kernelSize(win, weights, ok2)
	if err != nil {
		return err
	}
	switch {
	case !ok && size == nil:
		return c.giveUnranked(0, c.elem(0))
	case !ok:
		in = c.sizes(len(size) + 2)
	case size == nil:
		return c.giveRank(0, c.elem(0), len(in))
	case len(in) < 3 || len(in) != len(size)+2:
		return fmt.Errorf("convolving %s with %s", shapeText(in), shapeText(weights))
	}
	m := c.size()
	if ok2 {
		if in[1].differs(weights[0]) {
			return fmt.Errorf("convolving %s with %s", shapeText(in), shapeText(weights))
		}
		m = scaled(weights[1], c.int("group", 1))
	}
	if err := c.vector(2, m); err != nil {
		return err
	}
	spatial, err := win.backward(in[2:], size, c.node.IntsAttr("output_padding"), c.node.IntsAttr("output_shape"))
	if err != nil {
		return err
	}
	return c.give(0, c.elem(0), append([]Dim{in[0], m}, spatial...)...)
}

// backward returns the output of a transposed window.
func (w *window) backward(in, size []Dim, extra, shape []int64) ([]Dim, error) {
	n := len(in)
	if err := w.check(n); err != nil {
		return nil, err
	}
	if extra != nil && len(extra) != n || shape != nil && len(shape) != n && len(shape) != n+2 {
		return nil, fmt.Errorf("output_padding %v, output_shape %v for %d spatial dimensions", extra, shape, n)
	}
	if len(shape) == n+2 {
		shape = shape[2:]
	}
	out := make([]Dim, n)
	for i, d := range in {
		stride := at(w.strides, i, 1)
		full := add(scaled(addInt(d, -1), stride), add(scaled(addInt(size[i], -1), at(w.dilations, i, 1)), Size(1)))
		full = add(full, Size(at(extra, i, 0)))
		switch {
		case shape != nil:
			out[i] = Size(shape[i])
		case w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER":
			out[i] = scaled(d, stride)
		case w.autoPad == "VALID" || w.pads == nil:
			out[i] = full
		default:
			out[i] = addInt(full, -w.pads[i]-w.pads[n+i])
		}
	}
	return out, nil
}

// pool: the positions of the window over X [N, C, spatial]; MaxPool has their places as a second output.
func pool(c *call) error {
	win, err := c.window()
	if err != nil {
		return err
	}
	if win.kernel == nil {
		return fmt.Errorf("attribute \"kernel_shape\" is missing")
	}
	in, ok := c.shape(0)
	if !ok {
		in = c.sizes(len(win.kernel) + 2)
	}
	if len(in) < 3 || len(in) != len(win.kernel)+2 {
		return fmt.Errorf("kernel_shape %v over shape %s", win.kernel, shapeText(in))
	}
	spatial, err := win.forward(in[2:], numbersOf(win.kernel))
	if err != nil {
		return err
	}
	out := append([]Dim{in[0], in[1]}, spatial...)
	if err := c.give(0, c.elem(0), out...); err != nil {
		return err
	}
	return c.give(1, onnxio.Int64, out...)
}

// globalPool: every spatial dimension of X [N, C, spatial] becomes 1.
func globalPool(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(s) < 2 {
		return fmt.Errorf("pooling a value of rank %d", len(s))
	}
	out := append([]Dim{}, s...)
	for i := range out[2:] {
		out[2+i] = Size(1)
	}
	return c.give(0, c.elem(0), out...)
}

// orChannelsLast makes a rule on [N, C, spatial] one that heeds attribute channels_last.
func orChannelsLast(rule func(*call) error) func(*call) error {
	return func(c *call) error {
		if c.node.IntAttr("channels_last", 0) == 0 {
			return rule(c)
		}
		return c.channelsLast(func() error { return rule(c) })
	}
}

// maxUnpool: the shape that MaxPool pooled, told by its window, or input output_shape.
func maxUnpool(c *call) error {
	win, err := c.window()
	if err != nil {
		return err
	}
	s, ok := c.shape(0)
	if c.given(2) {
		want, known := c.sizesInput(2)
		switch {
		case known:
			return c.give(0, c.elem(0), want...)
		case ok:
			return c.giveRank(0, c.elem(0), len(s))
		}
		return c.giveUnranked(0, c.elem(0))
	}
	if !ok {
		return c.giveRank(0, c.elem(0), len(win.kernel)+2)
	}
	if len(s) != len(win.kernel)+2 {
		return fmt.Errorf("unpooling %s by %v", shapeText(s), win.kernel)
	}
	spatial, err := win.backward(s[2:], numbersOf(win.kernel), nil, nil)
	if err != nil {
		return err
	}
	return c.give(0, c.elem(0), append([]Dim{s[0], s[1]}, spatial...)...)
}

// col2Im: blocks [N, C*block, L] to an image [N, C, image_shape].
func col2Im(c *call) error {
	if err := c.rank(0, 3); err != nil {
		return err
	}
	image, known := c.sizesInput(1)
	block, known2 := c.sizesInput(2)
	if !known {
		return c.giveUnranked(0, c.elem(0))
	}
	n, channels := c.size(), c.size()
	if s, ok := c.shape(0); ok {
		n = s[0]
		if k, fixed := product(block).Known(); known2 && fixed && k > 0 {
			channels = floorDiv(s[1], k)
		}
	}
	return c.give(0, c.elem(0), append([]Dim{n, channels}, image...)...)
}
