package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// transpose: dimension i of the result is dimension perm[i] of the input; reversed without perm.
func transpose(c *call) error {
	s, ok := c.shape(0)
	perm := slices.Clone(c.node.IntsAttr("perm"))
	if !ok {
		if c.has("perm") {
			return c.giveRank(0, c.elem(0), len(perm))
		}
		return c.giveUnranked(0, c.elem(0))
	}
	for i := len(s) - 1; i >= 0 && !c.has("perm"); i-- {
		perm = append(perm, int64(i))
	}
	if len(perm) != len(s) {
		return fmt.Errorf("permutation %v of a value of rank %d", perm, len(s))
	}
	out, seen := make([]Dim, len(s)), make([]bool, len(s))
	for i, p := range perm {
		if p < 0 || p >= int64(len(s)) || seen[p] {
			return fmt.Errorf("permutation %v of a value of rank %d", perm, len(s))
		}
		seen[p] = true
		out[i] = s[p]
	}
	return c.giveValue(0, c.arg(0).permuted(out, perm))
}

// concat: the inputs one after another along an axis.
func concat(c *call) error {
	parts := make([]*value, len(c.in))
	for i := range c.in {
		parts[i] = c.arg(i)
	}
	return c.joinParts(parts, c.node.IntAttr("axis", 1))
}

// joinParts sets output 0 to tensors joined along an axis; other sizes are unified.
func (c *call) joinParts(parts []*value, along int64) error {
	if len(parts) == 0 {
		return fmt.Errorf("joining nothing")
	}
	t, rank := onnxio.Undefined, -1
	whole := true
	for _, p := range parts {
		if t == onnxio.Undefined {
			t = p.Type
		}
		if !p.Ranked {
			whole = false
			continue
		}
		if rank >= 0 && len(p.Shape) != rank {
			return fmt.Errorf("joining shapes %s and %s", shapeText(parts[0].Shape), shapeText(p.Shape))
		}
		rank = len(p.Shape)
	}
	if rank < 0 {
		return c.giveUnranked(0, t)
	}
	a, err := axis(along, rank)
	if err != nil {
		return err
	}
	out := c.sizes(rank)
	out[a] = Size(0)
	for _, p := range parts {
		for i, d := range p.Shape {
			if i == a {
				out[a] = add(out[a], d)
				continue
			}
			var ok bool
			if out[i], ok = unify(out[i], d); !ok {
				return fmt.Errorf("joining shapes %s and %s along dimension %d", shapeText(parts[0].Shape), shapeText(p.Shape), a)
			}
		}
	}
	if !whole {
		out[a] = c.size()
		return c.give(0, t, out...)
	}
	return c.giveValue(0, c.joinedElements(parts, t, out, a))
}

// joinedElements returns the tensor with the elements of parts along axis a where all are followed; of a vector some may
// not be, where their number is known.
func (c *call) joinedElements(parts []*value, t onnxio.DataType, shape []Dim, a int) *value {
	bare := &value{Info: tensorOf(t, shape...)}
	if n, ok := followed(shape); !ok || n == 0 || !follows(t) {
		return bare
	}
	if all, ok := joined(parts, shape, a); ok {
		all.Type = t
		return all
	}
	if len(shape) != 1 || !slices.ContainsFunc(parts, func(p *value) bool { return p.ints != nil }) {
		return bare
	}
	var ints []Dim
	for _, p := range parts {
		n, _ := p.Shape[0].Known()
		if p.ints != nil {
			ints = append(ints, p.ints...)
			continue
		}
		for range n {
			ints = append(ints, c.element())
		}
	}
	return c.withInts(t, shape, ints)
}

// split: the input cut along an axis, into parts of the given sizes or into equal parts (the last one smaller from
// version 18 on).
func split(c *call) error {
	t, parts := c.elem(0), len(c.out)
	s, ok := c.shape(0)
	if !ok {
		for i := range c.out {
			if err := c.giveUnranked(i, t); err != nil {
				return err
			}
		}
		return nil
	}
	a, err := axis(c.node.IntAttr("axis", 0), len(s))
	if err != nil {
		return err
	}
	sizes, err := c.partSizes(s[a], parts)
	if err != nil {
		return err
	}
	x, at, placed := c.arg(0), 0, true
	for i, d := range sizes {
		out := slices.Clone(s)
		out[a] = d
		v := &value{Info: tensorOf(t, out...)}
		n, known := d.Known()
		if placed = placed && known; placed && len(s) == 1 && x.hasElements() {
			if at+int(n) > max(len(x.ints), len(x.floats)) {
				return fmt.Errorf("splitting %v into %s", s[a], shapeText(sizes))
			}
			v = x.picked(out, sequence(at, int(n)))
			at += int(n)
		}
		if err := c.giveValue(i, v); err != nil {
			return err
		}
	}
	return nil
}

// sequence returns n places from first on.
func sequence(first, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = first + i
	}
	return list
}

// partSizes returns the sizes of the parts that Split cuts n into.
func (c *call) partSizes(n Dim, parts int) ([]Dim, error) {
	have, known := n.Known()
	var given []Dim
	switch {
	case c.version < 13 && c.has("split"):
		given = numbersOf(c.node.IntsAttr("split"))
	case c.version < 13 || !c.given(1):
		return c.equalParts(n, parts), nil
	case c.elements(1) == nil:
		return c.sizes(parts), nil
	default:
		given = c.elements(1)
	}
	if len(given) != parts {
		return nil, fmt.Errorf("splitting %v into %d parts of %s", n, parts, shapeText(given))
	}
	sum := Size(0)
	for _, d := range given {
		if k, ok := d.Known(); ok && (k < 0 || known && k > have) {
			return nil, fmt.Errorf("splitting %v into parts of %s", n, shapeText(given))
		}
		sum = add(sum, d)
	}
	if sum.differs(n) && !sum.isLost() && known {
		return nil, fmt.Errorf("splitting %v into parts of %s", n, shapeText(given))
	}
	out := slices.Clone(given)
	for i, d := range out {
		if !d.atLeast(0) {
			out[i] = c.size()
		}
	}
	return out, nil
}

func (c *call) equalParts(n Dim, parts int) []Dim {
	out := c.sizes(0)
	each := ceilDiv(n, int64(max(parts, 1)))
	have, known := n.Known()
	for i := range parts {
		switch {
		case known:
			size, _ := each.Known()
			out = append(out, Size(max(0, min(size, have-int64(i)*size))))
		case c.version < 18: // must divide
			out = append(out, floorDiv(n, int64(parts)))
		case each.Equal(floorDiv(n, int64(parts))) || i == 0:
			out = append(out, each)
		default:
			out = append(out, c.size())
		}
	}
	return out
}

// tile: the input repeated along every dimension. Version 1 had inputs tiles and axis.
func tile(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	reps, known := c.sizesInput(1)
	if !known || c.version < 6 {
		return c.giveRank(0, c.elem(0), len(s))
	}
	if len(reps) != len(s) {
		return fmt.Errorf("repeating shape %s by %s", shapeText(s), shapeText(reps))
	}
	out := make([]Dim, len(s))
	for i, d := range s {
		out[i] = mul(d, reps[i])
	}
	return c.giveValue(0, c.tiled(out))
}

// tiled repeats the elements of a one-dimensional input.
func (c *call) tiled(shape []Dim) *value {
	x := c.arg(0)
	n, ok := followed(shape)
	have := max(len(x.ints), len(x.floats))
	if !ok || n < 0 || len(shape) != 1 || have == 0 {
		return &value{Info: tensorOf(x.Type, shape...)}
	}
	at := make([]int, n)
	for i := range at {
		at[i] = i % have
	}
	return x.picked(shape, at)
}

// blockSize returns attribute blocksize, which must be positive.
func (c *call) blockSize() (int64, error) {
	n := c.int("blocksize", 0)
	if n < 1 || n > 1<<20 {
		return 0, fmt.Errorf("attribute \"blocksize\" is %d", n)
	}
	return n, c.rank(0, 4)
}

// depthToSpace: blocks of channels become blocks of positions.
func depthToSpace(c *call) error {
	n, err := c.blockSize()
	s, ok := c.shape(0)
	if err != nil || !ok {
		return orRank(c, err, 4)
	}
	if k, known := s[1].Known(); known && k%(n*n) != 0 {
		return fmt.Errorf("shape %s in blocks of %d", shapeText(s), n)
	}
	return c.give(0, c.elem(0), s[0], floorDiv(s[1], n*n), scaled(s[2], n), scaled(s[3], n))
}

// spaceToDepth: blocks of positions become blocks of channels.
func spaceToDepth(c *call) error {
	n, err := c.blockSize()
	s, ok := c.shape(0)
	if err != nil || !ok {
		return orRank(c, err, 4)
	}
	for _, d := range s[2:] {
		if k, known := d.Known(); known && k%n != 0 {
			return fmt.Errorf("shape %s in blocks of %d", shapeText(s), n)
		}
	}
	return c.give(0, c.elem(0), s[0], scaled(s[1], n*n), floorDiv(s[2], n), floorDiv(s[3], n))
}

// orRank returns err, or where that is nil sets output 0 to unknown sizes of that rank.
func orRank(c *call, err error, rank int) error {
	if err != nil {
		return err
	}
	return c.giveRank(0, c.elem(0), rank)
}

// matrixLike: the shape and, unless dtype says otherwise, the type of the input.
func matrixLike(c *call) error {
	if err := c.rank(0, 2); err != nil {
		return err
	}
	return c.giveLike(0, 0, c.typeAttr("dtype", c.elem(0)))
}
