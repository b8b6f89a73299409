package infer

import (
	"fmt"

	"bq/onnxio"
)

// binding is what an operator's bind function sees of a node at Compile: its attributes, the version of its
// operator set, and the inputs that are already known. Attributes that the bind function does not read are refused,
// so that nothing a model says is ignored in silence.
type binding struct {
	*compiler
	scope       *scope
	node        *node
	version     int64 // of the operator set of the node's domain
	read        map[string]bool
	format      error  // the node is malformed
	unsupported string // what of the node is refused, by name
}

// malformed notes that the node contradicts the specification.
func (b *binding) malformed(format string, args ...any) {
	if b.format == nil {
		b.format = &onnxio.FormatError{Where: b.node.where, Text: fmt.Sprintf(format, args...)}
	}
}

// refuse notes that the node is valid, and what of it this engine does not run.
func (b *binding) refuse(format string, args ...any) {
	if b.unsupported == "" {
		b.unsupported = fmt.Sprintf(format, args...)
	}
}

// attr returns the attribute of that name and type, nil where the node has none.
func (b *binding) attr(name string, t onnxio.AttributeType) *onnxio.Attribute {
	b.read[name] = true
	a := b.node.Attr(name)
	if a == nil {
		return nil
	}
	if a.RefName != "" {
		b.refuse("attribute %s refers to an attribute of a function", onnxio.Quote(name))
		return nil
	}
	if a.Type != t {
		b.malformed("attribute %s: type %d, want %d", onnxio.Quote(name), a.Type, t)
		return nil
	}
	return a
}

func (b *binding) int(name string, def int64) int64 {
	if a := b.attr(name, onnxio.AttrInt); a != nil {
		return a.I
	}
	return def
}

func (b *binding) bool(name string, def bool) bool {
	if a := b.attr(name, onnxio.AttrInt); a != nil {
		return a.I != 0
	}
	return def
}

func (b *binding) float(name string, def float32) float32 {
	if a := b.attr(name, onnxio.AttrFloat); a != nil {
		return a.F
	}
	return def
}

func (b *binding) floats(name string) []float32 {
	if a := b.attr(name, onnxio.AttrFloats); a != nil {
		return a.Floats
	}
	return nil
}

// str returns a string attribute that must be one of allowed, where any are given.
func (b *binding) str(name, def string, allowed ...string) string {
	a := b.attr(name, onnxio.AttrString)
	if a == nil {
		return def
	}
	for _, v := range allowed {
		if v == string(a.S) {
			return v
		}
	}
	if len(allowed) > 0 {
		b.malformed("attribute %s: %s, want one of %q", onnxio.Quote(name), onnxio.Quote(string(a.S)), allowed)
		return def
	}
	return string(a.S)
}

func (b *binding) strs(name string) []string {
	a := b.attr(name, onnxio.AttrStrings)
	if a == nil {
		return nil
	}
	list := make([]string, len(a.Strings))
	for i, s := range a.Strings {
		list[i] = string(s)
	}
	return list
}

func (b *binding) has(name string) bool { return b.node.Attr(name) != nil }

// ints returns a list of integers, nil where the node has none. Values beyond int are malformed.
func (b *binding) ints(name string) []int {
	a := b.attr(name, onnxio.AttrInts)
	if a == nil {
		return nil
	}
	list := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		if v > maxValueElements || v < -maxValueElements {
			// Open ends of Slice are written as the largest and smallest integers.
			v = min(max(v, -maxValueElements), maxValueElements)
		}
		list[i] = int(v)
	}
	return list
}

// tensor returns a decoded tensor attribute, nil where the node has none.
func (b *binding) tensor(name string) *onnxio.Array {
	a := b.attr(name, onnxio.AttrTensor)
	if a == nil {
		return nil
	}
	if a.T == nil {
		b.malformed("attribute %s: no tensor", onnxio.Quote(name))
		return nil
	}
	v, err := a.T.Array()
	if err != nil {
		b.refuse("attribute %s: %v", onnxio.Quote(name), err)
		return nil
	}
	return v
}

// ignore marks attributes that carry no meaning for inference.
func (b *binding) ignore(names ...string) {
	for _, n := range names {
		b.read[n] = true
	}
}

// refuseSet refuses the node where it sets any of the named attributes.
func (b *binding) refuseSet(names ...string) {
	for _, n := range names {
		b.read[n] = true
		if b.has(n) {
			b.refuse("attribute %s", onnxio.Quote(n))
		}
	}
}

// given reports whether the node has input i.
func (b *binding) given(i int) bool { return i < len(b.node.in) && b.node.in[i] >= 0 }

// subgraph compiles a graph attribute; nil where the node has none or it cannot be compiled.
func (b *binding) subgraph(name string) *graph {
	a := b.attr(name, onnxio.AttrGraph)
	if a == nil || a.G == nil {
		b.malformed("attribute %s: no graph", onnxio.Quote(name))
		return nil
	}
	if b.depth >= maxSubgraphDepth {
		b.malformed("attribute %s: graphs nested more than %d deep", onnxio.Quote(name), maxSubgraphDepth)
		return nil
	}
	outer := b.prefix
	b.prefix += b.node.where + " " + name + ": "
	b.depth++
	g, err := b.graph(a.G, b.scope)
	b.depth--
	b.prefix = outer
	if err != nil && b.format == nil {
		b.format = fmt.Errorf("%s: attribute %s: %w", b.node.where, onnxio.Quote(name), err)
		return nil
	}
	b.node.subs = append(b.node.subs, g)
	return g
}

// checkAllRead refuses attributes that the operator does not know.
func (b *binding) checkAllRead() {
	for _, a := range b.node.Attributes {
		if !b.read[a.Name] {
			b.refuse("attribute %s of operator %s", onnxio.Quote(a.Name), b.node.OpType)
		}
	}
}
