package convert

import (
	"slices"
	"strings"

	"bq/balance"
	"bq/onnxio"
)

// Weights often reach their operator behind a Reshape or a Transpose, or as an argument of a local function. A use is
// followed through nodes that only move a constant's elements, or change their float type, to the nodes that compute
// with them; a layout found there is led back to the stored order.

// move is one node that a constant passes on its way to a use, with the shapes it has before and after.
type move struct {
	node          *onnxio.Node
	before, after []int
	perm          []int           // of Transpose; nil where the elements keep their row-major order
	to            onnxio.DataType // of Cast; 0 where the elements keep their type
}

// maxMoves bounds how many nodes a constant is followed through, maxUses how many uses are found: functions that call
// each other twice make them many.
const (
	maxMoves = 16
	maxUses  = 1 << 12
)

// follow replaces each use of s by a node that moves elements with the uses of that node's output.
func (w *wiring) follow(s *site) {
	shape, err := s.Tensor.Shape()
	if err != nil {
		return
	}
	var uses []use
	for _, u := range s.uses {
		uses = append(uses, w.beyond(u, shape)...)
		if len(uses) > maxUses {
			return
		}
	}
	s.uses = uses
}

// beyond returns what u's node leads to where it is a mover whose output only nodes read, else u itself.
func (w *wiring) beyond(u use, shape []int) []use {
	mv, ok := w.step(u, shape)
	if !ok || len(u.moves) == maxMoves {
		return []use{u}
	}
	out := w.moved(u)
	next := w.uses[out]
	if len(next) == 0 || w.output[out] {
		return []use{u}
	}
	var list []use
	for _, v := range next {
		v.moves = append(slices.Clone(u.moves), mv)
		list = append(list, w.beyond(v, mv.after)...)
		if len(list) > maxUses {
			break
		}
	}
	return list
}

// moved returns the value that u's node, a mover, makes of what it reads at u.
func (w *wiring) moved(u use) value {
	if g := w.called(u.node); g != nil {
		return value{g, g.Inputs[u.input].Name}
	}
	return value{w.home[u.node], u.node.Outputs[0]}
}

// step returns the move that u's node makes; false where the node does more than move, or the shape can't be told.
func (w *wiring) step(u use, shape []int) (move, bool) {
	n := u.node
	mv := move{node: n, before: shape}
	if g := w.called(n); g != nil {
		mv.after = shape
		return mv, u.input < len(g.Inputs)
	}
	if u.input != 0 || len(n.Outputs) == 0 || hasReference(n) {
		return mv, false
	}
	ok := true
	switch opOf(n) {
	case "Identity":
		mv.after = shape
	case "Cast":
		mv.after, mv.to = shape, onnxio.DataType(n.IntAttr("to", 0))
		ok = mv.to.IsFloat()
	case "Squeeze":
		mv.after, ok = squeezed(shape, w.axes(n))
	case "Unsqueeze":
		mv.after, ok = unsqueezed(shape, w.axes(n))
	case "Reshape":
		mv.after, ok = reshaped(shape, w.list(n, 1), n.IntAttr("allowzero", 0) != 0)
	case "Flatten":
		axis := int(n.IntAttr("axis", 1))
		if axis < 0 {
			axis += len(shape)
		}
		if ok = axis >= 0 && axis <= len(shape); ok {
			mv.after = []int{product(shape[:axis]), product(shape[axis:])}
		}
	case "Transpose":
		if mv.perm, ok = permutation(n.IntsAttr("perm"), len(shape)); ok {
			for _, p := range mv.perm {
				mv.after = append(mv.after, shape[p])
			}
		}
	default:
		ok = false
	}
	return mv, ok
}

// reshaped applies Reshape's rules: 0 copies a dimension unless zero is allowed, -1 takes what is left.
func reshaped(shape []int, want []int64, allowZero bool) ([]int, bool) {
	after, open := make([]int, len(want)), -1
	for i, d := range want {
		switch {
		case d == -1 && open < 0:
			open = i
			after[i] = 1
		case d == 0 && !allowZero && i < len(shape):
			after[i] = shape[i]
		case d > 0 && d <= int64(product(shape)):
			after[i] = int(d)
		default:
			return nil, false
		}
	}
	rest, ok := onnxio.CheckedLen(after)
	if open >= 0 && rest > 0 && product(shape)%rest == 0 {
		after[open] = product(shape) / rest
	}
	return after, ok && len(want) > 0 && product(after) == product(shape)
}

// axes returns the axes of Squeeze or Unsqueeze: an attribute before operator set 13, an input since.
func (w *wiring) axes(n *onnxio.Node) []int64 {
	if n.Input(1) != "" {
		return w.list(n, 1)
	}
	return n.IntsAttr("axes")
}

// squeezed takes dimensions of 1 away: those of axes, or all where none are given.
func squeezed(shape []int, axes []int64) ([]int, bool) {
	gone := make([]bool, len(shape))
	for _, a := range axes {
		if a < 0 {
			a += int64(len(shape))
		}
		if a < 0 || a >= int64(len(shape)) || shape[a] != 1 {
			return nil, false
		}
		gone[a] = true
	}
	after := []int{}
	for i, d := range shape {
		if !gone[i] && (d != 1 || len(axes) > 0) {
			after = append(after, d)
		}
	}
	return after, true
}

// unsqueezed puts dimensions of 1 where axes say, which count in the result.
func unsqueezed(shape []int, axes []int64) ([]int, bool) {
	rank := len(shape) + len(axes)
	after := make([]int, rank)
	for _, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || a >= int64(rank) || after[a] != 0 {
			return nil, false
		}
		after[a] = 1
	}
	rest := shape
	for i := range after {
		if after[i] == 0 {
			after[i], rest = rest[0], rest[1:]
		}
	}
	return after, len(axes) > 0
}

// hasReference reports whether an attribute of n, in the body of a local function, is given by each call.
func hasReference(n *onnxio.Node) bool {
	return slices.ContainsFunc(n.Attributes, func(a *onnxio.Attribute) bool { return a.RefName != "" })
}

// permutation checks perm, which is the reversal of all axes where it is not given.
func permutation(perm []int64, rank int) ([]int, bool) {
	list := make([]int, rank)
	if perm == nil {
		for i := range list {
			list[i] = rank - 1 - i
		}
		return list, true
	}
	seen := make([]bool, rank)
	if len(perm) != rank {
		return nil, false
	}
	for i, p := range perm {
		if p < 0 || p >= int64(rank) || seen[p] {
			return nil, false
		}
		seen[p], list[i] = true, int(p)
	}
	return list, true
}

// shape returns the shape in which u's node reads a constant of the given shape.
func (u use) shape(stored []int) []int {
	if len(u.moves) == 0 {
		return stored
	}
	return u.moves[len(u.moves)-1].after
}

// typ returns the element type in which u's node reads a constant of the given type.
func (u use) typ(stored onnxio.DataType) onnxio.DataType {
	for _, mv := range u.moves {
		if mv.to != 0 {
			stored = mv.to
		}
	}
	return stored
}

// via names the operators on the way to u's node, functions included.
func (u use) via() string {
	names := make([]string, len(u.moves))
	for i, mv := range u.moves {
		names[i] = mv.node.OpType
	}
	return strings.Join(names, ", ")
}

// back leads a layout of the constant as u's node reads it back to the order in which it is stored. Behind a
// Transpose the channels must be one axis.
func (u use) back(l balance.Layout) (balance.Layout, bool) {
	for _, mv := range slices.Backward(u.moves) {
		if mv.perm == nil {
			continue
		}
		axis := axisOf(l, mv.after)
		if axis < 0 {
			return l, false
		}
		l = axisLayout(mv.before, mv.perm[axis], mv.perm[axis]+1)
	}
	return l, true
}

// axisOf returns the axis of shape whose indices are the channels of l, -1 where there is none.
func axisOf(l balance.Layout, shape []int) int {
	for axis := range shape {
		if axisLayout(shape, axis, axis+1) == l {
			return axis
		}
	}
	return -1
}
