package shape

import (
	"fmt"

	"bq/onnxio"
)

// broadcast returns the shape that shapes broadcast to (numpy's rule, Broadcasting.md of ONNX): aligned at the last
// dimension, a size of 1 gives way. Of a symbol and a number other than 1 it is the number; of two symbols that may
// differ nothing is known.
func (c *call) broadcast(shapes ...[]Dim) ([]Dim, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]Dim, rank)
	for i := range out {
		out[i] = Size(1)
		for _, s := range shapes {
			k := i - (rank - len(s))
			if k < 0 {
				continue
			}
			d, ok := c.broadcastDim(out[i], s[k])
			if !ok {
				return nil, fmt.Errorf("shapes %s do not broadcast", listText(shapes))
			}
			out[i] = d
		}
	}
	return out, nil
}

func (c *call) broadcastDim(a, b Dim) (Dim, bool) {
	n, known := a.Known()
	m, other := b.Known()
	switch {
	case a.is(1) || a.Equal(b):
		return b, true
	case b.is(1):
		return a, true
	case known && other:
		return a, n == m
	case known:
		return a, true
	case other:
		return b, true
	}
	return c.size(), true
}

func listText(shapes [][]Dim) string {
	text := ""
	for i, s := range shapes {
		if i > 0 {
			text += " and "
		}
		text += shapeText(s)
	}
	return text
}

// broadcastInputs returns the broadcast shape of the inputs from first on; false where the rank of one is unknown.
func (c *call) broadcastInputs(first int) ([]Dim, bool, error) {
	var shapes [][]Dim
	for i := first; i < len(c.in); i++ {
		if !c.given(i) {
			continue
		}
		s, ok := c.shape(i)
		if !ok {
			return nil, false, nil
		}
		shapes = append(shapes, s)
	}
	s, err := c.broadcast(shapes...)
	return s, err == nil, err
}

// elemAmong returns the element type of the first input from first on that has one.
func (c *call) elemAmong(first int) onnxio.DataType {
	for i := first; i < len(c.in); i++ {
		if t := c.elem(i); t != onnxio.Undefined {
			return t
		}
	}
	return onnxio.Undefined
}

// giveBroadcast sets output 0 to type t and the broadcast shape of the inputs from first on. Up to version 6 the second
// input was fitted into the first by attributes axis and broadcast.
func (c *call) giveBroadcast(first int, t onnxio.DataType) error {
	if c.version < 7 && c.has("broadcast") {
		return c.giveLike(0, 0, t)
	}
	s, ok, err := c.broadcastInputs(first)
	if err != nil {
		return err
	}
	if !ok {
		return c.giveUnranked(0, t)
	}
	return c.give(0, t, s...)
}

// operands returns the elements of all inputs, broadcast against each other, where all are followed; ok tells.
func (c *call) operands(shape []Dim) (ints [][]Dim, floats [][]float64, ok bool) {
	n, small := followed(shape)
	if !small {
		return nil, nil, false
	}
	to, _ := Info{Ranked: true, Shape: shape}.sizes()
	ints, floats = make([][]Dim, len(c.in)), make([][]float64, len(c.in))
	for i, v := range c.in {
		if v == nil || !v.hasElements() {
			return nil, nil, false
		}
		from, known := v.sizes()
		if !known {
			return nil, nil, false
		}
		at := spread(from, to)
		p := v.picked(shape, at[:n])
		ints[i], floats[i] = p.ints, p.floats
	}
	return ints, floats, true
}

// errBroadcast says that input b does not broadcast to the shape of input a.
func errBroadcast(c *call, a, b int) error {
	return fmt.Errorf("shape %s does not broadcast to %s", shapeText(c.arg(b).Shape), shapeText(c.arg(a).Shape))
}
