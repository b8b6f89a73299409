package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// constantNode: the tensor of one of the seven attributes.
func constantNode(c *call) error {
	for _, a := range c.node.Attributes {
		switch a.Name {
		case "value":
			if a.T == nil {
				return fmt.Errorf("attribute \"value\": no tensor")
			}
			v, err := constant(a.T)
			if err != nil {
				return err
			}
			return c.giveValue(0, v)
		case "value_float":
			return c.giveValue(0, c.withFloats(onnxio.Float, nil, []float64{float64(a.F)}))
		case "value_int":
			return c.giveValue(0, c.withInts(onnxio.Int64, nil, []Dim{{c: a.I}}))
		case "value_floats":
			floats := make([]float64, len(a.Floats))
			for i, v := range a.Floats {
				floats[i] = float64(v)
			}
			return c.giveValue(0, c.withFloats(onnxio.Float, []Dim{Size(int64(len(floats)))}, floats))
		case "value_ints":
			ints := numbersOf(a.Ints)
			return c.giveValue(0, c.withInts(onnxio.Int64, []Dim{Size(int64(len(ints)))}, ints))
		case "value_string":
			return c.give(0, onnxio.String)
		case "value_strings":
			return c.give(0, onnxio.String, Size(int64(len(a.Strings))))
		}
	}
	return c.giveUnranked(0, onnxio.Undefined)
}

// numbersOf returns integers of the model as they are, open ends of Slice included.
func numbersOf(list []int64) []Dim {
	out := make([]Dim, len(list))
	for i, v := range list {
		out[i] = Dim{c: v}
	}
	return out
}

// shapeInput returns the sizes that input i (or, up to version before, attribute name) asks for: its elements, unknown
// ones where only their number is known; false where not even that is.
func (c *call) shapeInput(i int, before int64, name string) ([]Dim, bool) {
	if c.version < before {
		return numbersOf(c.node.IntsAttr(name)), c.has(name)
	}
	if e := c.elements(i); e != nil {
		return e, true
	}
	n, ok := c.count(i)
	if !ok || n > maxRank {
		return nil, false
	}
	list := make([]Dim, n)
	for k := range list {
		list[k] = c.element()
	}
	return list, true
}

// reshape: 0 keeps a dimension (unless allowzero), -1 takes what is left. An element that may be -1 is open too; where
// only one is, it follows from the number of elements.
func reshape(c *call) error {
	want, ok := c.shapeInput(1, 5, "shape")
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	in, ranked := c.shape(0)
	allowZero := c.node.IntAttr("allowzero", 0) != 0
	out := slices.Clone(want)
	var open []int
	minus := false
	for i, d := range want {
		n, known := d.Known()
		switch {
		case known && n < -1 || known && n == -1 && minus:
			return fmt.Errorf("reshaping to %s", shapeText(want))
		case known && n == -1:
			minus = true
			open = append(open, i)
		case known && n == 0 && !allowZero && ranked:
			if i >= len(in) {
				return fmt.Errorf("reshaping %s to %s: dimension %d is not there to keep", shapeText(in), shapeText(want), i)
			}
			out[i] = in[i]
		case known && n == 0 && !allowZero:
			out[i] = c.size()
		case !d.atLeast(0):
			open = append(open, i)
		}
	}
	if err := c.fillOpen(out, in, ranked, open); err != nil {
		return fmt.Errorf("reshaping %s to %s", shapeText(in), shapeText(want))
	}
	v := &value{Info: tensorOf(c.elem(0), out...)}
	if x := c.arg(0); x.hasElements() {
		v = x.reshaped(out)
	}
	return c.giveValue(0, v)
}

var errCount = fmt.Errorf("numbers of elements differ")

// fillOpen sets the open dimensions of out, whose other dimensions are known or expressions, and compares the numbers of
// elements where they are known.
func (c *call) fillOpen(out, in []Dim, ranked bool, open []int) error {
	for _, i := range open {
		out[i] = c.size()
	}
	if !ranked {
		return nil
	}
	have, sized := product(in).Known()
	if len(open) == 0 {
		if n, ok := product(out).Known(); ok && sized && n != have {
			return errCount
		}
		return nil
	}
	if len(open) > 1 {
		return nil
	}
	rest := slices.Delete(slices.Clone(out), open[0], open[0]+1)
	n, numbers := product(rest).Known()
	switch {
	case sized && numbers && n == 0 && have == 0:
		out[open[0]] = Size(0)
	case sized && numbers && (n == 0 || have%n != 0):
		return errCount
	default:
		if q, ok := quotient(in, rest); ok {
			out[open[0]] = q
		}
	}
	return nil
}

// flatten: [d0 * ... * d(axis-1), the rest].
func flatten(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveRank(0, c.elem(0), 2)
	}
	a := c.node.IntAttr("axis", 1)
	if a < -int64(len(s)) || a > int64(len(s)) {
		return fmt.Errorf("axis %d of a value of rank %d", a, len(s))
	}
	if a < 0 {
		a += int64(len(s))
	}
	return c.give(0, c.elem(0), product(s[:a]), product(s[a:]))
}

// axesInput returns the axes of a node: attribute axes up to the version before from, else input i. given is false where
// the node has none, known where they are not numbers yet.
func (c *call) axesInput(i int, from int64) (list []int64, given, known bool) {
	if c.version < from {
		return c.node.IntsAttr("axes"), c.has("axes"), true
	}
	if !c.given(i) {
		return nil, false, true
	}
	list, known = c.numbers(i)
	return list, true, known
}

// squeeze: without the named dimensions of size 1, or without all of them.
func squeeze(c *call) error {
	s, ok := c.shape(0)
	list, given, known := c.axesInput(1, 13)
	if !ok || !known {
		if n, counted := c.count(1); ok && counted && n <= int64(len(s)) {
			return c.giveRank(0, c.elem(0), len(s)-int(n))
		}
		return c.giveUnranked(0, c.elem(0))
	}
	var drop []bool
	if given {
		var err error
		if drop, err = axes(list, len(s)); err != nil {
			return err
		}
	}
	out := []Dim{}
	for i, d := range s {
		if _, fixed := d.Known(); !given && !fixed {
			return c.giveUnranked(0, c.elem(0)) // it may be 1 and go
		}
		if given && drop[i] && d.differs(Size(1)) {
			return fmt.Errorf("squeezing dimension %d of %s", i, shapeText(s))
		}
		if !given && !d.is(1) || given && !drop[i] {
			out = append(out, d)
		}
	}
	return c.giveValue(0, c.arg(0).reshaped(out))
}

// unsqueeze: with dimensions of size 1 inserted so that they have the named numbers in the result.
func unsqueeze(c *call) error {
	s, ok := c.shape(0)
	list, _, known := c.axesInput(1, 13)
	if !ok || !known {
		if n, counted := c.count(1); ok && counted && n <= maxRank {
			return c.giveRank(0, c.elem(0), len(s)+int(n))
		}
		return c.giveUnranked(0, c.elem(0))
	}
	if len(list) > maxRank {
		return fmt.Errorf("%d axes", len(list))
	}
	fresh, err := axes(list, len(s)+len(list))
	if err != nil {
		return err
	}
	out := make([]Dim, len(fresh))
	next := 0
	for i := range out {
		if out[i] = Size(1); !fresh[i] {
			out[i] = s[next]
			next++
		}
	}
	return c.giveValue(0, c.arg(0).reshaped(out))
}

// shapeOf: the dimensions from start to end.
func shapeOf(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveRank(0, onnxio.Int64, 1)
	}
	rank := int64(len(s))
	bound := func(v int64) int64 {
		if v < 0 {
			v += rank
		}
		return min(max(v, 0), rank)
	}
	from, to := bound(c.int("start", 0)), bound(c.int("end", rank))
	s = s[from:max(from, to)]
	return c.giveValue(0, c.withInts(onnxio.Int64, []Dim{Size(int64(len(s)))}, s))
}

// sizeOf: the number of elements.
func sizeOf(c *call) error {
	n := lost
	if s, ok := c.shape(0); ok {
		n = product(s)
	}
	return c.giveValue(0, c.withInts(onnxio.Int64, nil, []Dim{n}))
}

// sizesInput returns the elements of input i as sizes; those that may be negative are unknown.
func (c *call) sizesInput(i int) ([]Dim, bool) {
	list, ok := c.shapeInput(i, 0, "")
	out := slices.Clone(list)
	for k, d := range out {
		if _, known := d.Known(); !known && !d.atLeast(0) {
			out[k] = c.size()
		}
	}
	return out, ok
}

// constantOfShape: a tensor of the input's shape, filled with attribute value (float32 zero).
func constantOfShape(c *call) error {
	v := &value{Info: tensorOf(onnxio.Float), floats: []float64{0}, ints: []Dim{{}}}
	if a := c.node.Attr("value"); a != nil && a.T != nil {
		var err error
		if v, err = constant(a.T); err != nil {
			return err
		}
	}
	s, ok := c.sizesInput(0)
	if !ok {
		return c.giveUnranked(0, v.Type)
	}
	return c.giveValue(0, v.filled(s))
}

// filled returns a tensor of the one element of v.
func (v *value) filled(shape []Dim) *value {
	out := &value{Info: tensorOf(v.Type, shape...)}
	n, ok := followed(shape)
	if !ok || n < 0 {
		return out
	}
	if len(v.ints) == 1 {
		out.ints = slices.Repeat(v.ints, n)
	}
	if len(v.floats) == 1 {
		out.floats = slices.Repeat(v.floats, n)
	}
	return out
}

// expand: the input broadcast with a shape in both directions.
func expand(c *call) error {
	want, ok := c.sizesInput(1)
	s, ranked := c.shape(0)
	if !ok || !ranked {
		return c.giveUnranked(0, c.elem(0))
	}
	out, err := c.broadcast(s, want)
	if err != nil {
		return err
	}
	v := &value{Info: tensorOf(c.elem(0), out...)}
	x := c.arg(0)
	if n, small := followed(out); small && n >= 0 && x.hasElements() {
		from, known := x.sizes()
		to, known2 := v.sizes()
		if known && known2 {
			v = x.picked(out, spread(from, to))
		}
	}
	return c.giveValue(0, v)
}

// counting: start, start+delta, ... before limit.
func counting(c *call) error {
	t := c.elemAmong(0)
	start, limit, delta := c.elements(0), c.elements(1), c.elements(2)
	if len(start) != 1 || len(limit) != 1 || len(delta) != 1 {
		return c.countingFloats(t)
	}
	span := sub(limit[0], start[0])
	k, known := delta[0].Known()
	switch {
	case !known || k > maxSize || k < -maxSize:
		return c.giveRank(0, t, 1)
	case k == 0:
		return fmt.Errorf("counting in steps of 0")
	case k < 0:
		span, k = scaled(span, -1), -k
	}
	n := maxDim(ceilDiv(span, k), Dim{})
	steps, ok := n.Known()
	if !ok || steps > maxElements {
		return c.give(0, t, n)
	}
	list := make([]Dim, steps)
	for i := range list {
		list[i] = add(start[0], scaled(delta[0], int64(i)))
	}
	return c.giveValue(0, c.withInts(t, []Dim{n}, list))
}

// countingFloats counts where not all of start, limit and delta are whole numbers.
func (c *call) countingFloats(t onnxio.DataType) error {
	var v [3]float64
	for i := range v {
		f := c.arg(i).floats
		if len(f) != 1 {
			return c.giveRank(0, t, 1)
		}
		v[i] = f[0]
	}
	steps := (v[1] - v[0]) / v[2]
	if v[2] == 0 || !(steps < maxSize) {
		return fmt.Errorf("counting from %v to %v by %v", v[0], v[1], v[2])
	}
	n := int64(max(0, steps))
	if float64(n) < steps {
		n++
	}
	return c.give(0, t, Size(n))
}
