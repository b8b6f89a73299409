package shape

import (
	"slices"

	"bq/onnxio"
)

// reduceBy makes the rule of a Reduce operator whose axes are an input from version from on. Elements are followed where
// all of a one-dimensional input become one: fold combines two.
func reduceBy(from int64, fold func(a, b Dim, t onnxio.DataType) (Dim, bool)) func(*call) error {
	return func(c *call) error {
		s, ok := c.shape(0)
		keep := c.node.IntAttr("keepdims", 1) != 0
		list, _, known := c.axesInput(1, from)
		if !ok || !known {
			if ok && keep {
				return c.giveRank(0, c.elem(0), len(s))
			}
			if n, counted := c.count(1); ok && counted && n > 0 && n <= int64(len(s)) {
				return c.giveRank(0, c.elem(0), len(s)-int(n))
			}
			return c.giveUnranked(0, c.elem(0))
		}
		if len(list) == 0 && c.node.IntAttr("noop_with_empty_axes", 0) != 0 {
			return sameAsInput(c)
		}
		out, err := reducedShape(s, list, keep)
		if err != nil {
			return err
		}
		if ints := c.elements(0); fold != nil && len(s) == 1 && len(ints) > 0 && follows(c.elem(0)) {
			total, ok := ints[0], true
			for _, d := range ints[1:] {
				if total, ok = fold(total, d, c.elem(0)); !ok {
					total = lost
				}
			}
			return c.giveValue(0, c.withInts(c.elem(0), out, []Dim{total}))
		}
		return c.give(0, c.elem(0), out...)
	}
}

// reducedShape returns s without the named dimensions (all where none is named), or with 1 in their place.
func reducedShape(s []Dim, list []int64, keep bool) ([]Dim, error) {
	drop := make([]bool, len(s))
	for _, v := range list {
		a, err := axis(v, len(s))
		if err != nil {
			return nil, err
		}
		drop[a] = true
	}
	out := []Dim{}
	for i, d := range s {
		if !drop[i] && len(list) > 0 {
			out = append(out, d)
		} else if keep {
			out = append(out, Size(1))
		}
	}
	return out, nil
}

// argReduce: the place of the largest or smallest element along an axis.
func argReduce(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, onnxio.Int64)
	}
	out, err := reducedShape(s, []int64{c.node.IntAttr("axis", 0)}, c.node.IntAttr("keepdims", 1) != 0)
	if err != nil {
		return err
	}
	return c.give(0, onnxio.Int64, out...)
}

// checkAxis: the shape of the input, over which an axis attribute must be in range.
func checkAxis(def int64) func(*call) error {
	return func(c *call) error {
		if s, ok := c.shape(0); ok && len(s) > 0 {
			a := c.node.IntAttr("axis", def)
			if _, err := axis(a, len(s)); err != nil && !(c.version < 13 && a == int64(len(s))) {
				return err
			}
		}
		return sameAsInput(c)
	}
}

// batchNormalization: X [N, C, ...] and four parameters [C]; the statistics that training would give are [C] too.
func batchNormalization(c *call) error {
	channels := c.size()
	if s, ok := c.shape(0); ok {
		if channels = Size(1); len(s) > 1 {
			channels = s[1]
		}
		for i := 1; i < 5; i++ {
			if err := c.vector(i, channels); err != nil && c.node.IntAttr("spatial", 1) != 0 {
				return err
			}
		}
	}
	for i := 1; i < len(c.out); i++ {
		t := c.elem(0)
		if c.given(3) && c.version >= 14 {
			t = c.elem(3)
		}
		if err := c.give(i, t, channels); err != nil {
			return err
		}
	}
	return sameAsInput(c)
}

// layerNormalization: X, normalized over the dimensions from axis on; mean and inverse deviation have 1 in their place.
func layerNormalization(c *call) error {
	stash := c.typeAttr("stash_type", onnxio.Float)
	s, ok := c.shape(0)
	if !ok {
		for i := 1; i < len(c.out); i++ {
			if err := c.giveUnranked(i, stash); err != nil {
				return err
			}
		}
		return sameAsInput(c)
	}
	a, err := axis(c.node.IntAttr("axis", -1), len(s))
	if err != nil {
		return err
	}
	kept := slices.Clone(s)
	for i := range kept[a:] {
		kept[a+i] = Size(1)
	}
	for i := 1; i < len(c.out); i++ {
		if err := c.give(i, stash, kept...); err != nil {
			return err
		}
	}
	if w, ok := c.shape(1); ok {
		if all, err := c.broadcast(s, w); err != nil || len(all) > len(s) {
			return errBroadcast(c, 0, 1)
		}
	}
	return sameAsInput(c)
}

// skipNormalization: the input normalized; output 3 is the sum of input, skip and bias, 1 and 2 the statistics.
func skipNormalization(c *call) error {
	s, ok := c.shape(0)
	for i := 1; i < min(3, len(c.out)); i++ {
		if !ok {
			if err := c.giveUnranked(i, onnxio.Float); err != nil {
				return err
			}
			continue
		}
		kept := slices.Clone(s)
		if len(kept) > 0 {
			kept[len(kept)-1] = Size(1)
		}
		if err := c.give(i, onnxio.Float, kept...); err != nil {
			return err
		}
	}
	if err := c.giveLike(3, 0, c.elem(0)); err != nil {
		return err
	}
	return sameAsInput(c)
}

// embedNormalization: input_ids [B, S] to Y [B, S, H] with H of the word embedding, mask [B], and the sum of embeddings.
func embedNormalization(c *call) error {
	if err := c.rank(0, 2); err != nil {
		return err
	}
	if err := c.rank(2, 2); err != nil {
		return err
	}
	b, n, h := c.size(), c.size(), c.size()
	if s, ok := c.shape(0); ok {
		b, n = s[0], s[1]
	}
	if s, ok := c.shape(2); ok {
		h = s[1]
	}
	if err := c.give(1, onnxio.Int32, b); err != nil {
		return err
	}
	if err := c.give(2, c.elem(2), b, n, h); err != nil {
		return err
	}
	return c.give(0, c.elem(2), b, n, h)
}

// loss: the shape of the targets, or one number where losses are summed or averaged; the second output of
// SoftmaxCrossEntropyLoss has the shape of the scores.
func loss(c *call) error {
	if err := c.giveLike(1, 0, c.elem(0)); err != nil {
		return err
	}
	if c.node.StringAttr("reduction", "mean") == "none" {
		return c.giveLike(0, 1, c.elem(0))
	}
	return c.give(0, c.elem(0))
}
