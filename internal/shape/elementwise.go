package shape

import (
	"math"

	"bq/onnxio"
)

// sameAsInput: the first output has type and shape of the first input.
func sameAsInput(c *call) error { return c.giveLike(0, 0, c.elem(0)) }

// testOfInput: a bool for every element of the first input.
func testOfInput(c *call) error { return c.giveLike(0, 0, onnxio.Bool) }

// identity: the value itself, whatever its kind.
func identity(c *call) error { return c.giveValue(0, c.arg(0)) }

// unary makes the rule of an operator on single elements. whole is what it does to whole numbers, real what it does to
// floats; either may be nil, which ends the following of elements.
func unary(whole func(Dim) (Dim, bool), real func(float64) float64) func(*call) error {
	return func(c *call) error {
		x, t := c.arg(0), c.elem(0)
		if x.floats != nil && real != nil {
			out := make([]float64, len(x.floats))
			for i, v := range x.floats {
				out[i] = real(v)
			}
			return c.giveValue(0, c.withFloats(t, x.Shape, out))
		}
		if x.ints != nil && whole != nil {
			out := make([]Dim, len(x.ints))
			for i, d := range x.ints {
				var ok bool
				if out[i], ok = whole(d); !ok {
					out[i] = lost
				}
			}
			return c.giveValue(0, c.withInts(t, x.Shape, out))
		}
		return sameAsInput(c)
	}
}

// itself: whole numbers stay as they are when rounded.
func itself(d Dim) (Dim, bool) { return d, true }

func negative(d Dim) (Dim, bool) { return scaled(d, -1), true }

func magnitude(d Dim) (Dim, bool) {
	if n, ok := d.Known(); ok && n < 0 {
		return scaled(d, -1), true
	}
	return d, d.atLeast(0)
}

func notNegative(d Dim) (Dim, bool) { return maxDim(d, Dim{}), true }

// negation: Not of bools.
func negation(c *call) error { return unary(logicalNot, nil)(c) }

func logicalNot(d Dim) (Dim, bool) {
	n, ok := d.Known()
	return truth(n == 0), ok
}

func truth(v bool) Dim {
	if v {
		return Size(1)
	}
	return Size(0)
}

// arithmetic makes the rule of an operator on the broadcast elements of two or more inputs. whole combines two whole
// numbers of a type, real two floats.
func arithmetic(whole func(a, b Dim, t onnxio.DataType) (Dim, bool), real func(a, b float64) float64) func(*call) error {
	return func(c *call) error {
		t := c.elemAmong(0)
		if c.version < 7 && c.has("broadcast") {
			return c.giveLike(0, 0, t)
		}
		shape, ok, err := c.broadcastInputs(0)
		if err != nil {
			return err
		}
		if !ok {
			return c.giveUnranked(0, t)
		}
		ints, floats, ok := c.operands(shape)
		if !ok || len(ints) == 0 {
			return c.give(0, t, shape...)
		}
		if out := foldFloats(floats, real); out != nil {
			return c.giveValue(0, c.withFloats(t, shape, out))
		}
		return c.giveValue(0, c.withInts(t, shape, foldInts(ints, t, whole)))
	}
}

// foldFloats combines operands element by element; nil where one has no floats.
func foldFloats(operands [][]float64, f func(a, b float64) float64) []float64 {
	var out []float64
	for i, v := range operands {
		if v == nil || f == nil {
			return nil
		}
		if i == 0 {
			out = append([]float64{}, v...)
			continue
		}
		for k := range out {
			out[k] = f(out[k], v[k])
		}
	}
	return out
}

// foldInts combines operands element by element; nil where one has no whole numbers.
func foldInts(operands [][]Dim, t onnxio.DataType, f func(a, b Dim, t onnxio.DataType) (Dim, bool)) []Dim {
	var out []Dim
	for i, v := range operands {
		if v == nil || f == nil {
			return nil
		}
		if i == 0 {
			out = append([]Dim{}, v...)
			continue
		}
		for k := range out {
			d, ok := f(out[k], v[k], t)
			if !ok {
				d = lost
			}
			out[k] = d
		}
	}
	return out
}

func sumOf(a, b Dim, _ onnxio.DataType) (Dim, bool)        { return add(a, b), true }
func differenceOf(a, b Dim, _ onnxio.DataType) (Dim, bool) { return sub(a, b), true }
func timesOf(a, b Dim, _ onnxio.DataType) (Dim, bool)      { return mul(a, b), true }
func smallerOf(a, b Dim, _ onnxio.DataType) (Dim, bool)    { return minDim(a, b), true }
func largerOf(a, b Dim, _ onnxio.DataType) (Dim, bool)     { return maxDim(a, b), true }

// quotientOf is Div: exact, or of integers rounded toward zero. Of symbols that is the floor where neither operand can
// be negative.
func quotientOf(a, b Dim, t onnxio.DataType) (Dim, bool) {
	if q, ok := exactDiv(a, b); ok {
		return q, true
	}
	k, known := b.Known()
	if !isInteger(t) || !known || k == 0 {
		return lost, false
	}
	if n, ok := a.Known(); ok {
		return Size(n / k), true
	}
	if k < 0 || !a.atLeast(0) {
		return lost, false
	}
	return floorDiv(a, k), true
}

// remainderOf is Mod of integers: the sign of the divisor.
func remainderOf(a, b Dim, t onnxio.DataType) (Dim, bool) {
	k, known := b.Known()
	if !isInteger(t) || !known || k < 1 || k > maxSize {
		return lost, false
	}
	return sub(a, scaled(floorDiv(a, k), k)), true
}

// powerOf is Pow of small known numbers.
func powerOf(a, b Dim, _ onnxio.DataType) (Dim, bool) {
	k, known := b.Known()
	if !known || k < 0 || k > maxFactors {
		return lost, false
	}
	p := Size(1)
	for range k {
		p = mul(p, a)
	}
	return p, true
}

// modulo: fmod of C has another sign than Mod without it, where operands are negative.
func modulo(c *call) error {
	if c.node.IntAttr("fmod", 0) != 0 {
		return c.giveBroadcast(0, c.elemAmong(0))
	}
	return arithmetic(remainderOf, nil)(c)
}

// power: the type of the base, whatever the type of the exponent.
func power(c *call) error {
	if t := c.elem(0); t == c.elem(1) {
		return arithmetic(powerOf, math.Pow)(c)
	}
	return c.giveBroadcast(0, c.elem(0))
}

// meanOf: only the shape is inferred.
func meanOf(c *call) error { return c.giveBroadcast(0, c.elemAmong(0)) }

// comparison makes the rule of a relation; holds says what it is for whole numbers, where that is known.
func comparison(holds func(a, b Dim) (is, known bool)) func(*call) error {
	return func(c *call) error {
		if c.version < 7 && c.has("broadcast") {
			return c.giveLike(0, 0, onnxio.Bool)
		}
		shape, ok, err := c.broadcastInputs(0)
		if err != nil {
			return err
		}
		if !ok {
			return c.giveUnranked(0, onnxio.Bool)
		}
		ints, _, ok := c.operands(shape)
		if !ok || holds == nil {
			return c.give(0, onnxio.Bool, shape...)
		}
		out := foldInts(ints, onnxio.Bool, func(a, b Dim, _ onnxio.DataType) (Dim, bool) {
			is, known := holds(a, b)
			return truth(is), known
		})
		return c.giveValue(0, c.withInts(onnxio.Bool, shape, out))
	}
}

func equals(a, b Dim) (is, known bool) {
	if a.Equal(b) {
		return true, true
	}
	return false, a.differs(b) || !sub(a, b).isLost() && (sub(a, b).atLeast(1) || sub(b, a).atLeast(1))
}

func less(a, b Dim) (is, known bool) {
	if sub(b, a).atLeast(1) {
		return true, true
	}
	return false, sub(a, b).atLeast(0)
}

func lessOrEqual(a, b Dim) (is, known bool) {
	is, known = less(b, a)
	return !is, known
}

func greater(a, b Dim) (is, known bool)        { return less(b, a) }
func greaterOrEqual(a, b Dim) (is, known bool) { return lessOrEqual(b, a) }

func both(a, b Dim) (is, known bool) {
	if a.is(0) || b.is(0) {
		return false, true
	}
	return true, a.is(1) && b.is(1)
}

func either(a, b Dim) (is, known bool) {
	if a.is(1) || b.is(1) {
		return true, true
	}
	return false, a.is(0) && b.is(0)
}

func oneOnly(a, b Dim) (is, known bool) {
	n, ok := a.Known()
	m, ok2 := b.Known()
	return n != m, ok && ok2
}

// where: elements of the second or the third input, all three broadcast.
func where(c *call) error {
	t := c.elemAmong(1)
	shape, ok, err := c.broadcastInputs(0)
	if err != nil {
		return err
	}
	if !ok {
		return c.giveUnranked(0, t)
	}
	ints, _, ok := c.operands(shape)
	if !ok || len(ints) != 3 || ints[0] == nil || ints[1] == nil || ints[2] == nil {
		return c.give(0, t, shape...)
	}
	out := make([]Dim, len(ints[0]))
	for i, cond := range ints[0] {
		switch n, known := cond.Known(); {
		case ints[1][i].Equal(ints[2][i]) || known && n != 0:
			out[i] = ints[1][i]
		case known:
			out[i] = ints[2][i]
		default:
			out[i] = lost
		}
	}
	return c.giveValue(0, c.withInts(t, shape, out))
}

// preluLike: the shape of the first input, to which the second broadcasts.
func preluLike(c *call) error {
	if c.version >= 7 {
		s, ok, err := c.broadcastInputs(0)
		if err != nil {
			return err
		}
		if x, ranked := c.shape(0); ok && ranked && len(s) > len(x) {
			return errBroadcast(c, 0, 1)
		}
	}
	return sameAsInput(c)
}

// cast: the elements in another type.
func cast(c *call) error {
	t := c.typeAttr("to", onnxio.Undefined)
	if c.version < 6 {
		t = typeByName(c.node.StringAttr("to", ""))
	}
	return c.castTo(t)
}

// castLike: the elements of the first input in the type of the second.
func castLike(c *call) error { return c.castTo(c.elem(1)) }

func (c *call) castTo(t onnxio.DataType) error {
	x := c.arg(0)
	switch {
	case !x.Ranked || !x.hasElements() || !follows(t) || t == onnxio.Bool && x.ints == nil:
		return c.giveLike(0, 0, t)
	case isInteger(t) && x.ints == nil:
		out := make([]Dim, len(x.floats))
		for i, v := range x.floats {
			if out[i] = lost; math.Abs(v) <= maxSize {
				out[i] = Size(int64(v))
			}
		}
		return c.giveValue(0, c.withInts(t, x.Shape, out))
	case x.floats != nil && !isInteger(t):
		return c.giveValue(0, c.withFloats(t, x.Shape, x.floats))
	case t == onnxio.Bool:
		out := make([]Dim, len(x.ints))
		for i, d := range x.ints {
			if out[i] = lost; d.atLeast(1) || d.is(0) {
				out[i] = truth(!d.is(0))
			}
		}
		return c.giveValue(0, c.withInts(t, x.Shape, out))
	}
	return c.giveValue(0, c.withInts(t, x.Shape, x.ints))
}

// typeByName returns the type that Cast named by its enumerator up to version 5.
func typeByName(name string) onnxio.DataType {
	names := map[string]onnxio.DataType{
		"FLOAT": onnxio.Float, "UINT8": onnxio.Uint8, "INT8": onnxio.Int8, "UINT16": onnxio.Uint16, "INT16": onnxio.Int16,
		"INT32": onnxio.Int32, "INT64": onnxio.Int64, "STRING": onnxio.String, "BOOL": onnxio.Bool,
		"FLOAT16": onnxio.Float16, "DOUBLE": onnxio.Double, "UINT32": onnxio.Uint32, "UINT64": onnxio.Uint64,
	}
	return names[name]
}

// bitCast: the same bits in another type of the same width.
func bitCast(c *call) error { return c.giveLike(0, 0, c.typeAttr("to", onnxio.Undefined)) }

// dropout: the input and a mask of its shape, of bools from version 10 on.
func dropout(c *call) error {
	t := onnxio.Bool
	if c.version < 10 {
		t = c.elem(0)
	}
	if err := c.giveLike(1, 0, t); err != nil {
		return err
	}
	return c.giveValue(0, c.arg(0))
}

// clip: the input limited to [min, max], which are attributes up to version 10 and inputs from 11 on. Elements are
// followed where the bounds are inputs of one element.
func clip(c *call) error {
	x := c.arg(0)
	if x.ints == nil || c.version < 11 {
		return sameAsInput(c)
	}
	out := append([]Dim{}, x.ints...)
	for i, limit := range []func(a, b Dim) Dim{maxDim, minDim} {
		if !c.given(i + 1) {
			continue
		}
		bound := c.elements(i + 1)
		if len(bound) != 1 {
			return sameAsInput(c)
		}
		for k, d := range out {
			out[k] = limit(d, bound[0])
		}
	}
	return c.giveValue(0, c.withInts(x.Type, x.Shape, out))
}
