package shape

import (
	"fmt"

	"bq/onnxio"
)

// recurrent: X [T, N, I] with R [directions, gates*H, H] to Y [T, directions, N, H], Y_h and, for LSTM, Y_c
// [directions, N, H]; with layout 1 the batch comes first: X [N, T, I], Y [N, T, directions, H], Y_h [N, directions, H].
func recurrent(c *call) error {
	return c.recurrentOf(func(r []Dim) Dim { return r[2] })
}

// quantizedLSTM: LSTM whose R is [directions, H, 4*H].
func quantizedLSTM(c *call) error {
	return c.recurrentOf(func(r []Dim) Dim { return r[1] })
}

func (c *call) recurrentOf(hiddenOf func(r []Dim) Dim) error {
	for i := range 3 {
		if err := c.rank(i, 3); err != nil {
			return err
		}
	}
	directions := Size(1)
	switch d := c.node.StringAttr("direction", "forward"); d {
	case "forward", "reverse":
	case "bidirectional":
		directions = Size(2)
	default:
		return fmt.Errorf("attribute \"direction\": %s", onnxio.Quote(d))
	}
	h := c.size()
	if n := c.int("hidden_size", 0); n > 0 {
		h = Size(n)
	} else if r, ok := c.shape(2); ok {
		h = hiddenOf(r)
	}
	steps, batch := c.size(), c.size()
	batchFirst := c.node.IntAttr("layout", 0) == 1
	if s, ok := c.shape(0); ok {
		if steps, batch = s[0], s[1]; batchFirst {
			steps, batch = batch, steps
		}
		if w, ok := c.shape(1); ok && c.node.OpType != "DynamicQuantizeLSTM" && s[2].differs(w[2]) {
			return fmt.Errorf("input of shape %s for weights %s", shapeText(s), shapeText(w))
		}
	}
	t := c.elem(0)
	y, state := []Dim{steps, directions, batch, h}, []Dim{directions, batch, h}
	if batchFirst {
		y, state = []Dim{batch, steps, directions, h}, []Dim{batch, directions, h}
	}
	if err := c.give(1, t, state...); err != nil {
		return err
	}
	if err := c.give(2, t, state...); err != nil {
		return err
	}
	return c.give(0, t, y...)
}
