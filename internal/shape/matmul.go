package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// matMul: A [..., M, K] times B [..., K, N], batch dimensions broadcast; vectors as numpy.matmul takes them.
func matMul(c *call) error { return c.productOf(0, 1, false, false, c.elem(0)) }

// matMulInteger: A, B and their zero points, to int32.
func matMulInteger(c *call) error { return c.productOf(0, 1, false, false, onnxio.Int32) }

// qlinearMatMul: A, its scale and zero point, B, its scale and zero point, and those of the result, which give its type.
func qlinearMatMul(c *call) error { return c.productOf(0, 3, false, false, c.elem(7)) }

// matMulToFloat: A and B quantized, the result in the type of A's scale.
func matMulToFloat(c *call) error { return c.productOf(0, 1, false, false, c.elem(2)) }

// fusedMatMul: MatMul with the last two dimensions of either operand transposed.
func fusedMatMul(c *call) error {
	ta, tb := c.node.IntAttr("transA", 0) != 0, c.node.IntAttr("transB", 0) != 0
	if c.node.IntAttr("transBatchA", 0) != 0 || c.node.IntAttr("transBatchB", 0) != 0 {
		return c.giveUnranked(0, c.elem(0))
	}
	return c.productOf(0, 1, ta, tb, c.elem(0))
}

// productOf sets output 0 to the product of inputs a and b in type t.
func (c *call) productOf(a, b int, ta, tb bool, t onnxio.DataType) error {
	x, ok := c.shape(a)
	y, ok2 := c.shape(b)
	if !ok || !ok2 {
		return c.giveUnranked(0, t)
	}
	x, y = swapLast(x, ta), swapLast(y, tb)
	if len(x) == 0 || len(y) == 0 {
		return fmt.Errorf("multiplying %s and %s", shapeText(x), shapeText(y))
	}
	row, column := len(x) == 1, len(y) == 1
	if row {
		x = []Dim{Size(1), x[0]}
	}
	if column {
		y = []Dim{y[0], Size(1)}
	}
	m, n := len(x), len(y)
	if x[m-1].differs(y[n-2]) {
		return fmt.Errorf("multiplying %s and %s", shapeText(c.arg(a).Shape), shapeText(c.arg(b).Shape))
	}
	out, err := c.broadcast(x[:m-2], y[:n-2])
	if err != nil {
		return err
	}
	if !row {
		out = append(out, x[m-2])
	}
	if !column {
		out = append(out, y[n-1])
	}
	return c.give(0, t, out...)
}

// swapLast exchanges the last two dimensions where swap is set; a vector stays as it is.
func swapLast(s []Dim, swap bool) []Dim {
	n := len(s)
	if !swap || n < 2 {
		return s
	}
	out := slices.Clone(s)
	out[n-1], out[n-2] = s[n-2], s[n-1]
	return out
}

// gemm: A' [M, K] times B' [K, N] plus C, which broadcasts.
func gemm(c *call) error { return c.gemmOf(0, 1, 2, c.elem(0)) }

// qgemm: A, its scale and zero point, B, its scale and zero point, C, and scale and zero point of the result: quantized
// where they are given, else float.
func qgemm(c *call) error {
	t := onnxio.Float
	if c.given(7) {
		if t = c.elem(8); t == onnxio.Undefined {
			t = c.elem(0)
		}
	}
	return c.gemmOf(0, 3, 6, t)
}

func (c *call) gemmOf(a, b, bias int, t onnxio.DataType) error {
	if err := c.rank(a, 2); err != nil {
		return err
	}
	if err := c.rank(b, 2); err != nil {
		return err
	}
	x, ok := c.shape(a)
	y, ok2 := c.shape(b)
	m, n := c.size(), c.size()
	if x = swapLast(x, c.node.IntAttr("transA", 0) != 0); ok {
		m = x[0]
	}
	if y = swapLast(y, c.node.IntAttr("transB", 0) != 0); ok2 {
		n = y[1]
	}
	if ok && ok2 && x[1].differs(y[0]) {
		return fmt.Errorf("multiplying %s and %s", shapeText(c.arg(a).Shape), shapeText(c.arg(b).Shape))
	}
	if s, given := c.shape(bias); given && c.version >= 7 {
		all, err := c.broadcast([]Dim{m, n}, s)
		if err != nil || len(all) > 2 || all[0].differs(m) || all[1].differs(n) {
			return fmt.Errorf("adding %s to [%v,%v]", shapeText(s), m, n)
		}
	}
	return c.give(0, t, m, n)
}

// matMulNBits: A [..., K] times the transpose of the packed B: [..., N].
func matMulNBits(c *call) error {
	s, ok := c.shape(0)
	n, k := c.int("N", 0), c.int("K", 0)
	switch {
	case n < 1 || k < 1:
		return fmt.Errorf("attributes N %d and K %d", n, k)
	case !ok:
		return c.giveUnranked(0, c.elem(0))
	case len(s) == 0 || s[len(s)-1].differs(Size(k)):
		return fmt.Errorf("multiplying shape %s by a matrix of %d rows", shapeText(s), k)
	}
	return c.give(0, c.elem(0), append(slices.Clone(s[:len(s)-1]), Size(n))...)
}

// determinant: of every matrix of X [..., M, M].
func determinant(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(s) < 2 || s[len(s)-1].differs(s[len(s)-2]) {
		return fmt.Errorf("determinant of shape %s", shapeText(s))
	}
	return c.give(0, c.elem(0), s[:len(s)-2]...)
}
