package shape

import (
	"fmt"
	"slices"
)

// cut is one dimension of a Slice.
type cut struct {
	axis             int
	start, end, step Dim
}

// slice: from start to end in steps along the named axes; attributes up to version 9, inputs from 10 on.
func slice(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	cuts, err := c.cuts(len(s))
	if err != nil {
		return err
	}
	if cuts == nil {
		return c.giveRank(0, c.elem(0), len(s))
	}
	out := slices.Clone(s)
	for _, k := range cuts {
		if out[k.axis], err = c.cutSize(s[k.axis], k); err != nil {
			return err
		}
	}
	return c.giveValue(0, c.arg(0).cutBy(out, cuts))
}

// cuts reads what is cut; nil where the axes are not known. Bounds that are not followed are unknown numbers.
func (c *call) cuts(rank int) ([]cut, error) {
	read := func(i int, name string) ([]Dim, bool) {
		if c.version < 10 {
			return numbersOf(c.node.IntsAttr(name)), c.has(name)
		}
		if !c.given(i) {
			return nil, false
		}
		return c.elements(i), true
	}
	starts, _ := read(1, "starts")
	ends, _ := read(2, "ends")
	along, some := read(3, "axes")
	steps, stepped := read(4, "steps")
	n := len(starts)
	if c.version >= 10 {
		k, ok := c.count(1)
		if !ok {
			return nil, nil
		}
		n = int(min(k, maxRank+1))
	}
	switch {
	case n > rank:
		return nil, fmt.Errorf("slicing %d dimensions of a value of rank %d", n, rank)
	case starts != nil && ends != nil && len(ends) != len(starts):
		return nil, fmt.Errorf("%d starts and %d ends", len(starts), len(ends))
	case some && along == nil:
		return nil, nil
	}
	list := make([]cut, n)
	places := make([]int64, n)
	for i := range list {
		list[i] = cut{start: c.at(starts, i), end: c.at(ends, i), step: Size(1)}
		if places[i] = int64(i); some {
			if len(along) != n {
				return nil, fmt.Errorf("%d axes for %d starts", len(along), n)
			}
			k, known := along[i].Known()
			if !known {
				return nil, nil
			}
			places[i] = k
		}
		if stepped {
			list[i].step = c.at(steps, i)
		}
	}
	if _, err := axes(places, rank); err != nil {
		return nil, err
	}
	for i, v := range places {
		list[i].axis, _ = axis(v, rank)
	}
	return list, nil
}

// at returns element i of a list, an unknown number beyond its end.
func (c *call) at(list []Dim, i int) Dim {
	if i < len(list) {
		return list[i]
	}
	return c.element()
}

// cutSize returns how many of n positions a cut keeps.
func (c *call) cutSize(n Dim, k cut) (Dim, error) {
	step, known := k.step.Known()
	if known && step == 0 {
		return n, fmt.Errorf("slicing in steps of 0")
	}
	size, numbers := n.Known()
	start, fixed := k.start.Known()
	end, fixed2 := k.end.Known()
	if numbers && known && fixed && fixed2 {
		_, count := sliceRange(start, end, step, size)
		return Size(count), nil
	}
	if !known || step < 1 || step > maxSize {
		if known && step == -1 && fixed && fixed2 && start == -1 && end < -maxSize {
			return n, nil // the whole dimension, backwards
		}
		return c.size(), nil
	}
	last, ok := boundOf(k.end, n)
	first, ok2 := boundOf(k.start, n)
	if !ok || !ok2 {
		return c.size(), nil
	}
	switch {
	case fixed && start < 0 && start > -maxSize && (last.Equal(n) || fixed2 && end < 0): // both ends count from the back
		if last.Equal(n) {
			end = 0
		}
		return ceilDiv(minDim(last, Size(max(end-start, 0))), step), nil
	case k.start.atLeast(0): // beyond n it gives less than none
		first = k.start
	}
	return maxDim(ceilDiv(sub(last, first), step), Size(0)), nil
}

// boundOf returns a start or end counted from the front and limited to 0..n; false where its sign is not known.
func boundOf(d, n Dim) (Dim, bool) {
	v, known := d.Known()
	switch {
	case known && v >= maxSize:
		return n, true
	case known && v <= -maxSize:
		return Size(0), true
	case known && v < 0:
		return maxDim(addInt(n, v), Size(0)), true
	case d.atLeast(0):
		return minDim(d, n), true
	}
	if neg := scaled(d, -1); !known && neg.atLeast(1) {
		return maxDim(add(n, d), Size(0)), true
	}
	return lost, false
}

// sliceRange returns the first index and the number of indices from start to end, exclusive, of a dimension of size n,
// with ends counted from the back where negative and clamped as numpy clamps them.
func sliceRange(start, end, step, n int64) (first, count int64) {
	start, end = min(max(start, -maxSize), maxSize), min(max(end, -maxSize), maxSize)
	step = min(max(step, -maxSize), maxSize)
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		return start, max(0, (end-start+step-1)/step)
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	return start, max(0, (start-end-step-1)/-step)
}

// cutBy returns the tensor with the elements that cuts keep.
func (v *value) cutBy(shape []Dim, cuts []cut) *value {
	bare := &value{Info: tensorOf(v.Type, shape...)}
	from, to, ok := v.moved(shape)
	if !ok {
		return bare
	}
	strides, offset := rowStrides(from), int64(0)
	for _, k := range cuts {
		start, ok := k.start.Known()
		end, ok2 := k.end.Known()
		step, ok3 := k.step.Known()
		if !ok || !ok2 || !ok3 {
			return bare
		}
		first, count := sliceRange(start, end, step, from[k.axis])
		if count > 0 {
			offset += first * strides[k.axis]
			strides[k.axis] *= step
		}
	}
	return v.picked(shape, strided(to, strides, offset))
}

// dynamicSlice: Slice of ONNX 1.1 with starts, ends and axes as inputs.
func dynamicSlice(c *call) error {
	c.version = max(c.version, 10)
	return slice(c)
}

// pad: the input with elements added (or, where negative, removed) on every side. Pads are an attribute up to version 10
// ("paddings" in version 1) and an input from 11 on; axes from 18 on.
func pad(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	name := "pads"
	if c.version < 2 {
		name = "paddings"
	}
	pads, known := c.shapeInput(1, 11, name)
	if !known {
		return c.giveRank(0, c.elem(0), len(s))
	}
	at := sequence(0, len(s))
	if c.given(3) {
		list, fixed := c.numbers(3)
		if !fixed {
			return c.giveRank(0, c.elem(0), len(s))
		}
		if _, err := axes(list, len(s)); err != nil {
			return err
		}
		at = at[:len(list)]
		for i, v := range list {
			at[i], _ = axis(v, len(s))
		}
	}
	if len(pads) != 2*len(at) {
		return fmt.Errorf("pads %s for %d dimensions of %s", shapeText(pads), len(at), shapeText(s))
	}
	out := slices.Clone(s)
	for i, a := range at {
		out[a] = add(s[a], add(pads[i], pads[len(at)+i]))
		if _, fixed := out[a].Known(); !fixed && !c.whole(pads[i], pads[len(at)+i]) {
			out[a] = c.size()
		}
	}
	return c.give(0, c.elem(0), out...)
}

// whole reports whether all are numbers or named expressions: sums with them say more than an unknown.
func (c *call) whole(list ...Dim) bool {
	for _, d := range list {
		if !d.Named() {
			return false
		}
	}
	return true
}

// centerCropPad: the named dimensions get the sizes of the second input.
func centerCropPad(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	want, known := c.sizesInput(1)
	at := sequence(0, len(s))
	if c.has("axes") {
		list := c.node.IntsAttr("axes")
		if _, err := axes(list, len(s)); err != nil {
			return err
		}
		at = at[:len(list)]
		for i, v := range list {
			at[i], _ = axis(v, len(s))
		}
	}
	if known && len(want) != len(at) {
		return fmt.Errorf("shape %s for %d dimensions of %s", shapeText(want), len(at), shapeText(s))
	}
	out := slices.Clone(s)
	for i, a := range at {
		if out[a] = c.size(); known {
			out[a] = want[i]
		}
	}
	return c.give(0, c.elem(0), out...)
}

// crop: X [N, C, H, W] without border (left, top, right, bottom), or the part of size scale (height, width).
func crop(c *call) error {
	if err := c.rank(0, 4); err != nil {
		return err
	}
	s, ok := c.shape(0)
	border, scale := c.node.IntsAttr("border"), c.node.IntsAttr("scale")
	if !ok || len(border) != 4 {
		return c.giveRank(0, c.elem(0), 4)
	}
	b := numbersOf(border)
	h, w := sub(s[2], add(b[1], b[3])), sub(s[3], add(b[0], b[2]))
	if len(scale) == 2 {
		h, w = Size(scale[0]), Size(scale[1])
	}
	return c.give(0, c.elem(0), s[0], s[1], h, w)
}
