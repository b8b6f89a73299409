package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// giveSequence sets output i to a sequence of values that e describes, nil for anything.
func (c *call) giveSequence(i int, e *Info) error {
	return c.giveValue(i, &value{Info: Info{Kind: Sequence, Elem: e}})
}

// elementOf returns what is known of the values of the sequence that input i is.
func (c *call) elementOf(i int) Info {
	if e := c.arg(i).Elem; e != nil {
		return *e
	}
	return Info{Kind: Tensor}
}

// maxParts bounds the values of sequences that are followed one by one.
const maxParts = 64

// giveParts sets output 0 to the sequence of these values.
func (c *call) giveParts(t onnxio.DataType, parts []*value) error {
	e := Info{Kind: Tensor, Type: t}
	for i, p := range parts {
		if a, b := e.Type, p.Type; i > 0 && a != b && a != onnxio.Undefined && b != onnxio.Undefined {
			return fmt.Errorf("a sequence of %v and %v", a, b)
		}
		if i == 0 {
			e = p.Info
		}
		e = c.join(e, p.Info)
	}
	if len(parts) > maxParts {
		parts = nil
	}
	return c.giveValue(0, &value{Info: Info{Kind: Sequence, Elem: &e}, parts: parts})
}

// sequenceConstruct: the inputs as a sequence.
func sequenceConstruct(c *call) error {
	parts := make([]*value, len(c.in))
	for i := range parts {
		parts[i] = c.arg(i)
	}
	return c.giveParts(onnxio.Undefined, parts)
}

// sequenceEmpty: a sequence of nothing, to which tensors of type dtype may be added.
func sequenceEmpty(c *call) error {
	return c.giveParts(c.typeAttr("dtype", onnxio.Float), []*value{})
}

// place returns the place that input i names among the values of the sequence, its end or with end 1 the place behind
// where it is not given; false where either is not known.
func (c *call) place(i, end int) (int, bool) {
	n := int64(len(c.arg(0).parts))
	k, ok := c.number(i)
	switch {
	case c.arg(0).parts == nil || c.given(i) && !ok:
		return 0, false
	case !c.given(i):
		k = n - 1 + int64(end)
	case k < 0:
		k += n
	}
	return int(k), k >= 0 && k < n+int64(end)
}

// sequenceAt: a value of the sequence.
func sequenceAt(c *call) error {
	if k, ok := c.place(1, 0); ok {
		return c.giveValue(0, c.arg(0).parts[k])
	}
	return c.giveValue(0, &value{Info: c.renamed(c.elementOf(0))})
}

// renamed returns a description with unknown sizes that are unknowns of their own: two values of a sequence that has no
// common shape need not have the same.
func (c *call) renamed(i Info) Info {
	shape := slices.Clone(i.Shape)
	for k, d := range shape {
		if !d.Named() {
			shape[k] = c.size()
		}
	}
	i.Shape = shape
	return i
}

// sequenceErase: the sequence with a value less, by default the last.
func sequenceErase(c *call) error {
	if k, ok := c.place(1, 0); ok {
		return c.giveParts(c.elementOf(0).Type, slices.Delete(slices.Clone(c.arg(0).parts), k, k+1))
	}
	return c.giveValue(0, &value{Info: c.arg(0).Info})
}

// sequenceInsert: the sequence with a value more, by default at its end.
func sequenceInsert(c *call) error {
	if k, ok := c.place(2, 1); ok {
		return c.giveParts(c.elementOf(0).Type, slices.Insert(slices.Clone(c.arg(0).parts), k, c.arg(1)))
	}
	e := c.join(c.elementOf(0), c.arg(1).Info)
	return c.giveSequence(0, &e)
}

// sequenceLength: a number.
func sequenceLength(c *call) error {
	n := lost
	if p := c.arg(0).parts; p != nil {
		n = Size(int64(len(p)))
	}
	return c.giveValue(0, c.withInts(onnxio.Int64, nil, []Dim{n}))
}

// splitToSequence: the input cut along an axis into pieces; of size 1 without the axis where keepdims is 0 and no split is
// given.
func splitToSequence(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveSequence(0, &Info{Kind: Tensor, Type: c.elem(0)})
	}
	a, err := axis(c.node.IntAttr("axis", 0), len(s))
	if err != nil {
		return err
	}
	drop := !c.given(1) && c.node.IntAttr("keepdims", 1) == 0
	piece := func(d Dim) *value {
		out := slices.Clone(s)
		if out[a] = d; drop {
			out = slices.Delete(out, a, a+1)
		}
		return &value{Info: tensorOf(c.elem(0), out...)}
	}
	if sizes := c.pieces(s[a]); sizes != nil {
		parts := make([]*value, len(sizes))
		for i, d := range sizes {
			parts[i] = piece(d)
		}
		return c.giveParts(c.elem(0), parts)
	}
	d := c.size()
	if !c.given(1) {
		d = Size(1)
	}
	return c.giveSequence(0, &piece(d).Info)
}

// pieces returns the sizes that SplitToSequence cuts n into: those of its second input, or all of the one that is a
// scalar but the last; nil where they are not known or too many.
func (c *call) pieces(n Dim) []Dim {
	if list := c.elements(1); list != nil && len(c.arg(1).Shape) == 1 && len(list) <= maxParts {
		return list
	}
	have, known := n.Known()
	size, ok := c.number(1)
	if !c.given(1) {
		size, ok = 1, true
	}
	if !known || !ok || size < 1 || have/size > maxParts {
		return nil
	}
	sizes := []Dim{}
	for at := int64(0); at < have; at += size {
		sizes = append(sizes, Size(min(size, have-at)))
	}
	return sizes
}

// concatFromSequence: the values of a sequence joined along an axis, or along a new one.
func concatFromSequence(c *call) error {
	e, parts := c.elementOf(0), c.arg(0).parts
	fresh := c.node.IntAttr("new_axis", 0) != 0
	if len(parts) > 0 && !fresh {
		return c.joinParts(parts, c.node.IntAttr("axis", 0))
	}
	if !e.Ranked {
		return c.giveUnranked(0, e.Type)
	}
	rank := len(e.Shape)
	if fresh {
		rank++
	}
	a, err := axis(c.node.IntAttr("axis", 0), rank)
	if err != nil {
		return err
	}
	out := slices.Clone(c.renamed(e).Shape)
	if fresh {
		n := c.size()
		if parts != nil {
			n = Size(int64(len(parts)))
		}
		out = slices.Insert(out, a, n)
	} else {
		out[a] = c.size()
	}
	return c.give(0, e.Type, out...)
}

// optional: the input as an optional, or one of attribute type without value.
func optional(c *call) error {
	var e Info
	if c.given(0) {
		e = c.arg(0).Info
	} else if a := c.node.Attr("type"); a != nil {
		e = c.typeOfAttribute(a)
	}
	return c.giveValue(0, &value{Info: Info{Kind: Optional, Elem: &e}})
}

// optionalHasElement: a bool.
func optionalHasElement(c *call) error { return c.give(0, onnxio.Bool) }

// optionalGetElement: the value of an optional; from version 18 on also of a value that is none.
func optionalGetElement(c *call) error {
	v := c.arg(0)
	if v.Kind != Optional {
		return c.giveValue(0, v)
	}
	if v.Elem == nil {
		return c.giveValue(0, &value{})
	}
	return c.giveValue(0, &value{Info: *v.Elem})
}

// zipMap of ai.onnx.ml: a map from label to score for each row.
func zipMap(c *call) error {
	key := onnxio.Int64
	if c.has("classlabels_strings") {
		key = onnxio.String
	}
	score := tensorOf(onnxio.Float)
	return c.giveSequence(0, &Info{Kind: Map, Type: key, Elem: &score})
}
