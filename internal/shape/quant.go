package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// quantizeLinear: the shape of the input in the type of the zero point, else of attribute output_dtype, else uint8.
func quantizeLinear(c *call) error {
	t := c.typeAttr("output_dtype", onnxio.Uint8)
	if c.given(2) {
		t = c.elem(2)
	}
	return c.giveLike(0, 0, t)
}

// dequantizeLinear: the shape of the input in the type of the scale, or of attribute output_dtype.
func dequantizeLinear(c *call) error {
	return c.giveLike(0, 0, c.typeAttr("output_dtype", c.elem(1)))
}

// dynamicQuantizeLinear: the input as uint8, its scale and its zero point.
func dynamicQuantizeLinear(c *call) error {
	if err := c.give(1, onnxio.Float); err != nil {
		return err
	}
	if err := c.give(2, onnxio.Uint8); err != nil {
		return err
	}
	return c.giveLike(0, 0, onnxio.Uint8)
}

// dynamicMatMul: A in float times the quantized B.
func dynamicMatMul(c *call) error { return c.productOf(0, 1, false, false, onnxio.Float) }

// qlinearBinary: A, its scale and zero point, B, its scale and zero point, and those of the result.
func qlinearBinary(c *call) error {
	a, ok := c.shape(0)
	b, ok2 := c.shape(3)
	if !ok || !ok2 {
		return c.giveUnranked(0, c.elem(0))
	}
	out, err := c.broadcast(a, b)
	if err != nil {
		return err
	}
	return c.give(0, c.elem(0), out...)
}

// qlinearConcat: scale and zero point of the result, then value, scale and zero point of each part.
func qlinearConcat(c *call) error {
	if len(c.in) < 5 || len(c.in)%3 != 2 {
		return fmt.Errorf("%d inputs, want 2 and 3 for each part", len(c.in))
	}
	var parts []*value
	for i := 2; i < len(c.in); i += 3 {
		bare := c.arg(i).Info
		parts = append(parts, &value{Info: bare})
	}
	return c.joinParts(parts, c.node.IntAttr("axis", 0))
}

// gatherBlockQuantized: entries of data along gather_axis in the type of the scales; data of uint8 holds codes of fewer
// bits packed along the last dimension.
func gatherBlockQuantized(c *call) error {
	s, ok := c.shape(0)
	q, ok2 := c.shape(1)
	if !ok || !ok2 {
		return c.giveUnranked(0, c.elem(2))
	}
	a, err := axis(c.node.IntAttr("gather_axis", 0), len(s))
	if err != nil {
		return err
	}
	if s = slices.Clone(s); c.elem(0) == onnxio.Uint8 {
		bits := c.int("bits", 4)
		if bits != 2 && bits != 4 && bits != 8 {
			return fmt.Errorf("attribute \"bits\" is %d", bits)
		}
		s[len(s)-1] = scaled(s[len(s)-1], 8/bits)
	}
	return c.give(0, c.elem(2), slices.Concat(s[:a], q, s[a+1:])...)
}
