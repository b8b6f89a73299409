package shape

import (
	"fmt"
	"strings"

	"bq/onnxio"
)

// Kind is what a value is: the case of its TypeProto.
type Kind uint8

// The kinds of values.
const (
	Unknown Kind = iota
	Tensor
	SparseTensor
	Sequence
	Optional
	Map
)

// maxRank bounds the dimensions of a value: operators that insert dimensions could double them node by node.
const maxRank = 64

// maxNesting bounds types within types, such as a sequence of maps.
const maxNesting = 8

// Info is what is known of a value.
type Info struct {
	Kind   Kind
	Type   onnxio.DataType // elements of a tensor, keys of a map; Undefined where unknown
	Ranked bool            // the number of dimensions is known, and Shape holds them
	Shape  []Dim           // of a tensor
	Elem   *Info           // of a sequence, optional or map; nil where unknown
}

// tensorOf returns a tensor type of known rank.
func tensorOf(t onnxio.DataType, shape ...Dim) Info {
	return Info{Kind: Tensor, Type: t, Ranked: true, Shape: shape}
}

// String writes the type as float32[N,64,floor((H+1)/2)], float32[...] where the rank is unknown, seq(int64[?]),
// opt(...), map(int64,float32[]), "unknown". A scalar is float32[].
func (i Info) String() string {
	inner := "unknown"
	if i.Elem != nil {
		inner = i.Elem.String()
	}
	switch i.Kind {
	case Sequence:
		return "seq(" + inner + ")"
	case Optional:
		return "opt(" + inner + ")"
	case Map:
		return "map(" + i.Type.String() + "," + inner + ")"
	case Unknown:
		return "unknown"
	}
	name := "unknown"
	if i.Type != onnxio.Undefined {
		name = i.Type.String()
	}
	if i.Kind == SparseTensor {
		name = "sparse " + name
	}
	if !i.Ranked {
		return name + "[...]"
	}
	return name + shapeText(i.Shape)
}

// shapeText writes dimensions as [N,64,?].
func shapeText(dims []Dim) string {
	list := make([]string, len(dims))
	for i, d := range dims {
		list[i] = d.String()
	}
	return "[" + strings.Join(list, ",") + "]"
}

// Complete reports whether type and every dimension are known, as numbers.
func (i Info) Complete() bool {
	switch i.Kind {
	case Sequence, Optional, Map:
		return i.Elem != nil && i.Elem.Complete()
	case Unknown:
		return false
	}
	_, ok := i.sizes()
	return ok && i.Type != onnxio.Undefined
}

// sizes returns the shape where all of it is numbers.
func (i Info) sizes() ([]int64, bool) {
	if !i.Ranked {
		return nil, false
	}
	list := make([]int64, len(i.Shape))
	for k, d := range i.Shape {
		n, ok := d.Known()
		if !ok {
			return nil, false
		}
		list[k] = n
	}
	return list, true
}

// unify returns what two descriptions of one size say together: a number before a named expression before an unnamed
// one; false where they are different numbers.
func unify(a, b Dim) (Dim, bool) {
	_, known := a.Known()
	if _, other := b.Known(); known || other {
		if known && other {
			return a, a.c == b.c
		}
		if known {
			return a, true
		}
		return b, true
	}
	if !a.Named() && b.Named() {
		return b, true
	}
	return a, true
}

// fill completes what was inferred by what is declared; the first thing in which they differ is returned as text.
func (i Info) fill(declared Info) (Info, string) {
	switch {
	case declared.Kind == Unknown:
		return i, ""
	case i.Kind == Unknown:
		return declared, ""
	case i.Kind != declared.Kind:
		if i.Kind == Tensor && declared.Kind == Optional || i.Kind == Optional && declared.Kind == Tensor {
			return i, ""
		}
		return i, fmt.Sprintf("is %v, declared as %v", i, declared)
	}
	if i.Type == onnxio.Undefined {
		i.Type = declared.Type
	}
	if declared.Type != onnxio.Undefined && declared.Type != i.Type {
		return i, fmt.Sprintf("is %v, declared as %v", i, declared)
	}
	if i.Elem == nil {
		i.Elem = declared.Elem
	}
	if !declared.Ranked {
		return i, ""
	}
	if !i.Ranked {
		i.Ranked, i.Shape = true, declared.Shape
		return i, ""
	}
	if len(i.Shape) != len(declared.Shape) {
		return i, fmt.Sprintf("is %v, declared as %v", i, declared)
	}
	shape, text := append([]Dim{}, i.Shape...), ""
	for k, d := range declared.Shape {
		n, known := i.Shape[k].Known()
		switch m, ok := d.Known(); {
		case known && ok && m != n:
			text = fmt.Sprintf("is %v, declared as %v", i, declared)
		case !known && !i.Shape[k].Named():
			shape[k], _ = unify(d, i.Shape[k])
		}
	}
	i.Shape = shape
	return i, text
}

// join returns what holds for both of two values: of a condition's branches, of the values of a sequence. Sizes in which
// they differ become unknown.
func (x *inference) join(a, b Info) Info { return x.joinAfter(a, b, x.fresh) }

// joinAfter is join where unknown numbers of a that were made after number mark stand for whatever b has.
func (x *inference) joinAfter(a, b Info, mark int) Info {
	if a.Kind != b.Kind {
		return Info{}
	}
	out := Info{Kind: a.Kind}
	if a.Type == b.Type {
		out.Type = a.Type
	}
	if a.Elem != nil && b.Elem != nil {
		e := x.joinAfter(*a.Elem, *b.Elem, mark)
		out.Elem = &e
	}
	if !a.Ranked || !b.Ranked || len(a.Shape) != len(b.Shape) {
		return out
	}
	out.Ranked, out.Shape = true, make([]Dim, len(a.Shape))
	for i, d := range a.Shape {
		if out.Shape[i] = d; !d.Equal(b.Shape[i]) && !d.isAfter(mark) {
			out.Shape[i] = x.size()
		}
	}
	return out
}

// same reports whether two descriptions agree in everything.
func (i Info) same(j Info) bool {
	if i.Kind != j.Kind || i.Type != j.Type || i.Ranked != j.Ranked || len(i.Shape) != len(j.Shape) || (i.Elem == nil) != (j.Elem == nil) {
		return false
	}
	for k, d := range i.Shape {
		if !d.Equal(j.Shape[k]) {
			return false
		}
	}
	return i.Elem == nil || i.Elem.same(*j.Elem)
}
