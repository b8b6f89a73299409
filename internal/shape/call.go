package shape

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// call is what the rule of an operator sees of a node, and where it puts the outputs. Outputs that it leaves nil are
// unknown.
type call struct {
	*visit
	node    *onnxio.Node
	where   string        // `node 31 "nms" (NonMaxSuppression)`
	label   func() string // the node's name in paths
	version int64         // of the operator set of the node's domain
	in      []*value      // nil where not given
	out     []*value
	inner   []*section
	stuck   bool // the subgraph last inferred has a node that cannot run
}

// resolve looks up the inputs.
func (c *call) resolve() error {
	c.in = make([]*value, len(c.node.Inputs))
	for i, name := range c.node.Inputs {
		if name == "" || c.scope.isGone(name) {
			continue
		}
		v := c.scope.resolve(name)
		if v == nil {
			v = c.sparseInput(name)
		}
		if v == nil {
			return &onnxio.FormatError{Where: c.where,
				Text: "input " + onnxio.Quote(name) + " is neither a graph input nor computed by an earlier node"}
		}
		c.in[i] = v
	}
	return nil
}

// isGone reports whether name is an input of a function that its call leaves out.
func (s *scope) isGone(name string) bool {
	for ; s != nil; s = s.outer {
		if s.values[name] != nil {
			return false
		}
		if s.gone[name] {
			return true
		}
	}
	return false
}

// sparseInput defines the sparse initializers of the graph when the first of them is read.
func (c *call) sparseInput(name string) *value {
	if c.sparseRead {
		return nil
	}
	c.sparseRead = true
	list := c.inference.sparse(c.g)
	for _, n := range sortedKeys(list) {
		if c.scope.values[n] == nil {
			c.scope.values[n] = &value{Info: list[n]}
		}
	}
	return c.scope.values[name]
}

// infer applies the function that the node calls or the rule of its operator.
func (c *call) infer() error {
	if f := c.function(); f != nil {
		return c.expand(f)
	}
	c.version = c.opset(c.node.Domain)
	key := operatorKey{onnxio.CanonicalDomain(c.node.Domain), c.node.OpType}
	rule := rules[key]
	if rule == nil || c.version == 0 {
		if !c.warned[key] && !c.quiet {
			c.warned[key] = true
			what := "no rule"
			if rule != nil {
				what = "the model does not import the domain"
			}
			c.warn(c.where, "operator %s of domain %s: %s", key.name, key.domain, what)
		}
		return nil
	}
	return rule(c)
}

// given reports whether the node has input i; it has none of a negative number.
func (c *call) given(i int) bool { return i >= 0 && i < len(c.in) && c.in[i] != nil }

// arg returns input i; a value of which nothing is known where it is not given.
func (c *call) arg(i int) *value {
	if c.given(i) {
		return c.in[i]
	}
	return &value{}
}

// shape returns the dimensions of input i; false where it is not given, is no tensor or its rank is unknown.
func (c *call) shape(i int) ([]Dim, bool) {
	if !c.given(i) || c.in[i].Kind != Tensor && c.in[i].Kind != Optional && c.in[i].Kind != SparseTensor {
		return nil, false
	}
	return c.in[i].Shape, c.in[i].Ranked
}

// elem returns the element type of input i.
func (c *call) elem(i int) onnxio.DataType { return c.arg(i).Type }

// count returns the number of elements of input i.
func (c *call) count(i int) (int64, bool) {
	s, ok := c.shape(i)
	if !ok {
		return 0, false
	}
	return product(s).Known()
}

// give sets output i to a tensor.
func (c *call) give(i int, t onnxio.DataType, shape ...Dim) error {
	return c.giveValue(i, &value{Info: tensorOf(t, shape...)})
}

// giveValue sets output i. Sizes that are not followed become unknowns of their own; a shape of known sizes that is out
// of range is an error.
func (c *call) giveValue(i int, v *value) error {
	if i >= len(c.out) {
		return nil
	}
	c.out[i] = v
	if !v.Ranked {
		return nil
	}
	if len(v.Shape) > maxRank {
		return fmt.Errorf("a result of %d dimensions, at most %d are followed", len(v.Shape), maxRank)
	}
	elements, empty := 1.0, false
	for k, d := range v.Shape {
		if d.isLost() {
			v.Shape = append([]Dim{}, v.Shape...)
			v.Shape[k] = c.size()
		}
		if n, ok := d.Known(); ok {
			if n < 0 {
				return fmt.Errorf("a result of shape %s", shapeText(v.Shape))
			}
			empty = empty || n == 0
			elements *= float64(max(n, 1))
		}
	}
	if !empty && elements > maxSize {
		return fmt.Errorf("a result of shape %s has too many elements", shapeText(v.Shape))
	}
	return nil
}

// giveRank sets output i to a tensor of that many unknown sizes.
func (c *call) giveRank(i int, t onnxio.DataType, rank int) error {
	return c.give(i, t, c.sizes(rank)...)
}

// giveUnranked sets output i to a tensor of unknown rank.
func (c *call) giveUnranked(i int, t onnxio.DataType) error {
	return c.giveValue(i, &value{Info: Info{Kind: Tensor, Type: t}})
}

// giveLike sets output i to a tensor of the shape of input k.
func (c *call) giveLike(i, k int, t onnxio.DataType) error {
	if s, ok := c.shape(k); ok {
		return c.give(i, t, s...)
	}
	return c.giveUnranked(i, t)
}

// sizes returns n unknown sizes.
func (c *call) sizes(n int) []Dim {
	list := make([]Dim, min(max(n, 0), maxRank+1))
	for i := range list {
		list[i] = c.size()
	}
	return list
}

// axis counts an axis from the end where negative.
func axis(v int64, rank int) (int, error) {
	if v < -int64(rank) || v >= int64(rank) {
		return 0, fmt.Errorf("axis %d of a value of rank %d", v, rank)
	}
	if v < 0 {
		v += int64(rank)
	}
	return int(v), nil
}

// axes counts axes from the end where negative; none may occur twice.
func axes(list []int64, rank int) ([]bool, error) {
	named := make([]bool, rank)
	for _, v := range list {
		a, err := axis(v, rank)
		if err != nil {
			return nil, err
		}
		if named[a] {
			return nil, fmt.Errorf("axes %v name a dimension twice", list)
		}
		named[a] = true
	}
	return named, nil
}

// has reports whether the node has the attribute.
func (c *call) has(name string) bool { return c.node.Attr(name) != nil }

// int returns an integer attribute, limited to the magnitude of sizes.
func (c *call) int(name string, def int64) int64 {
	return min(max(c.node.IntAttr(name, def), -maxSize), maxSize)
}

// typeAttr returns a data type attribute, def where it is not given or undefined.
func (c *call) typeAttr(name string, def onnxio.DataType) onnxio.DataType {
	if t := c.node.IntAttr(name, 0); t > 0 && t <= math.MaxInt32 {
		return onnxio.DataType(t)
	}
	return def
}

// elements returns the elements of input i where they are followed and whole numbers.
func (c *call) elements(i int) []Dim { return c.arg(i).ints }

// numbers returns the elements of input i where all are known whole numbers.
func (c *call) numbers(i int) ([]int64, bool) {
	list := c.elements(i)
	if list == nil {
		return nil, false
	}
	out := make([]int64, len(list))
	for k, d := range list {
		n, ok := d.Known()
		if !ok {
			return nil, false
		}
		out[k] = n
	}
	return out, true
}

// number returns the single element of input i where it is a known whole number.
func (c *call) number(i int) (int64, bool) {
	if list, ok := c.numbers(i); ok && len(list) == 1 {
		return list[0], true
	}
	return 0, false
}

// sizeFrom returns the size that the single element of input i is.
func (c *call) sizeFrom(i int) Dim {
	if list := c.elements(i); len(list) == 1 && list[0].atLeast(0) {
		return list[0]
	}
	return c.size()
}

// rank returns an error where the rank of input i is known and not one of those wanted.
func (c *call) rank(i int, want ...int) error {
	s, ok := c.shape(i)
	if !ok {
		return nil
	}
	for _, n := range want {
		if len(s) == n {
			return nil
		}
	}
	return fmt.Errorf("input %d of shape %s, want rank %s", i, shapeText(s), oneOf(want))
}

func oneOf(list []int) string {
	text := ""
	for i, n := range list {
		if i > 0 {
			text += " or "
		}
		text += fmt.Sprint(n)
	}
	return text
}

// vector returns an error where input i is known not to be one-dimensional of that size.
func (c *call) vector(i int, size Dim) error {
	s, ok := c.shape(i)
	if !ok {
		return nil
	}
	if len(s) != 1 || s[0].differs(size) {
		return fmt.Errorf("input %d of shape %s, want [%v]", i, shapeText(s), size)
	}
	return nil
}
