package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// gather: entries of data along an axis, in the order of indices: data[:axis] + indices + data[axis+1:].
func gather(c *call) error {
	s, ok := c.shape(0)
	q, ok2 := c.shape(1)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	a, err := axis(c.node.IntAttr("axis", 0), len(s))
	if err != nil {
		return err
	}
	if !ok2 {
		return c.giveUnranked(0, c.elem(0))
	}
	out := slices.Concat(s[:a], q, s[a+1:])
	v := &value{Info: tensorOf(c.elem(0), out...)}
	n, sized := s[a].Known()
	places, known := c.numbers(1)
	for i, k := range places {
		if !sized {
			break
		}
		if k < -n || k >= n {
			return fmt.Errorf("index %d of %d", k, n)
		}
		if k < 0 {
			places[i] = k + n
		}
	}
	if known && sized {
		v = c.arg(0).gathered(out, a, places)
	}
	return c.giveValue(0, v)
}

// sameRanks returns an error where the ranks of inputs a and b are known and differ.
func (c *call) sameRanks(a, b int) error {
	s, ok := c.shape(a)
	q, ok2 := c.shape(b)
	if ok && ok2 && len(s) != len(q) {
		return fmt.Errorf("input %d of shape %s for input %d of shape %s", b, shapeText(q), a, shapeText(s))
	}
	return nil
}

// gatherElements: the shape of the indices.
func gatherElements(c *call) error {
	if err := c.sameRanks(0, 1); err != nil {
		return err
	}
	return c.giveLike(0, 1, c.elem(0))
}

// gatherND: the indices without their last dimension, of q places, then data without its first q, past the batch.
func gatherND(c *call) error {
	s, ok := c.shape(0)
	idx, ok2 := c.shape(1)
	if !ok || !ok2 {
		return c.giveUnranked(0, c.elem(0))
	}
	batch := c.node.IntAttr("batch_dims", 0)
	if len(idx) < 1 || batch < 0 || batch >= int64(len(idx)) || batch > int64(len(s)) {
		return fmt.Errorf("indices %s into %s with %d batch dimensions", shapeText(idx), shapeText(s), batch)
	}
	q, known := idx[len(idx)-1].Known()
	if !known {
		return c.giveUnranked(0, c.elem(0))
	}
	if q < 0 || q > int64(len(s))-batch {
		return fmt.Errorf("indices %s into %s", shapeText(idx), shapeText(s))
	}
	return c.give(0, c.elem(0), slices.Concat(idx[:len(idx)-1], s[batch+q:])...)
}

// scatterElements: the shape of the data.
func scatterElements(c *call) error {
	if err := c.sameRanks(0, 1); err != nil {
		return err
	}
	return sameAsInput(c)
}

// oneHot: a dimension of size depth at axis; the type of the values.
func oneHot(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(2))
	}
	a, err := axis(c.node.IntAttr("axis", -1), len(s)+1)
	if err != nil {
		return err
	}
	if n, ok := c.number(1); ok && n < 0 {
		return fmt.Errorf("depth %d", n)
	}
	return c.give(0, c.elem(2), slices.Insert(slices.Clone(s), a, c.sizeFrom(1))...)
}

// nonZero: the coordinates [rank, count] of the elements that are not zero.
func nonZero(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.give(0, onnxio.Int64, c.size(), c.size())
	}
	return c.give(0, onnxio.Int64, Size(int64(len(s))), c.size())
}

// compress: some of the entries along an axis, or of the elements.
func compress(c *call) error {
	s, ok := c.shape(0)
	if !c.has("axis") {
		return c.giveRank(0, c.elem(0), 1)
	}
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	a, err := axis(c.node.IntAttr("axis", 0), len(s))
	if err != nil {
		return err
	}
	out := slices.Clone(s)
	out[a] = c.size()
	return c.give(0, c.elem(0), out...)
}

// unique: the different elements or entries along an axis, the place of the first of each, the number of every entry, and
// how often each occurs.
func unique(c *call) error {
	s, ok := c.shape(0)
	n, whole := c.size(), c.size()
	if ok {
		whole = product(s)
	}
	switch {
	case !c.has("axis"):
		if err := c.give(0, c.elem(0), n); err != nil {
			return err
		}
	case ok:
		a, err := axis(c.node.IntAttr("axis", 0), len(s))
		if err != nil {
			return err
		}
		out := slices.Clone(s)
		whole, out[a] = s[a], n
		if err := c.give(0, c.elem(0), out...); err != nil {
			return err
		}
	default:
		if err := c.giveUnranked(0, c.elem(0)); err != nil {
			return err
		}
	}
	for i, d := range []Dim{n, whole, n} {
		if err := c.give(i+1, onnxio.Int64, d); err != nil {
			return err
		}
	}
	return nil
}

// topK: k entries along an axis, and their positions.
func topK(c *call) error {
	k := Size(c.int("k", 0))
	if c.version >= 10 {
		k = c.sizeFrom(1)
	}
	s, ok := c.shape(0)
	if !ok {
		if err := c.giveUnranked(0, c.elem(0)); err != nil {
			return err
		}
		return c.giveUnranked(1, onnxio.Int64)
	}
	a, err := axis(c.node.IntAttr("axis", -1), len(s))
	if err != nil {
		return err
	}
	if n, known := s[a].Known(); known {
		if m, fixed := k.Known(); fixed && m > n {
			return fmt.Errorf("the %d largest of %d elements", m, n)
		}
	}
	out := slices.Clone(s)
	out[a] = k
	if err := c.give(0, c.elem(0), out...); err != nil {
		return err
	}
	return c.give(1, onnxio.Int64, out...)
}
