package infer

import (
	"slices"

	"bq/onnxio"
)

// Operators that move elements, or take the largest, move codes just as well: DequantizeLinear goes behind them.

// movers lists them. Of Pad and Resize not every form is one.
var movers = map[string]bool{"MaxPool": true, "Reshape": true, "Transpose": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true, "Slice": true,
	"Split": true, "Gather": true, "Pad": true, "Resize": true, "Upsample": true, "DepthToSpace": true, "SpaceToDepth": true, "Expand": true,
	"Tile": true, "GatherND": true, "GatherElements": true}

// moved is a node that may move codes. It does so once somebody reads what it makes of them.
type moved struct {
	place  int
	nd     *node // as it stands in the graph
	from   *quantized
	to     []*quantized // of its outputs, nil where nobody wants one
	placed bool
}

// mover notes node i as one that may move codes.
func (q *quantization) mover(i int) {
	nd := q.nodes[i]
	if !movers[nd.OpType] || nd.in[0] < 0 || q.values[nd.in[0]] == nil || !q.moves(i) {
		return
	}
	for k, slot := range nd.in[1:] {
		if slot == nd.in[0] || slot >= 0 && q.values[slot] != nil && k >= 0 {
			return
		}
	}
	v := q.values[nd.in[0]]
	m := &moved{place: i, nd: nd, from: v}
	for _, slot := range nd.out {
		if slot < 0 {
			m.to = append(m.to, nil)
			continue
		}
		to := &quantized{value: slot, codes: q.slot(slot), source: -1, scale: v.scale, zero: v.zero, typ: v.typ, move: m}
		if most, ok := q.most[v.codes]; ok { // Pad puts zero points in
			q.limit(to.codes, to.typ, max(most, v.zero))
		}
		m.to = append(m.to, to)
		q.note(to)
	}
}

// moves reports whether the form that node i has of its operator moves elements and does nothing else.
func (q *quantization) moves(i int) bool {
	nd := q.nodes[i]
	switch nd.OpType {
	case "MaxPool":
		return len(nd.out) == 1 || !slices.ContainsFunc(nd.out[1:], func(slot int) bool { return slot >= 0 })
	case "Resize", "Upsample":
		z, ok := nd.state.(*resized)
		return ok && z.mode == "nearest" && z.coords != "tf_crop_and_resize"
	case "Pad":
		if nd.Attr("pads") != nil {
			return false
		}
		if a := nd.Attr("mode"); a != nil && string(a.S) != "constant" {
			return true
		}
		fill, ok := q.scalar(i, 2)
		return q.absent(i, 2) || ok && fill == 0 // what stands for zero is the zero point
	}
	return true
}

// move puts a node on codes in the place of m's. Values that somebody reads are decoded behind it.
func (q *quantization) move(m *moved) {
	if m.placed {
		return
	}
	m.placed = true
	q.count++
	in := slices.Clone(m.nd.in)
	in[0] = m.from.codes
	if m.nd.OpType == "Pad" {
		zero := &onnxio.Array{Type: m.from.typ, Shape: []int{}, Data: []uint8{uint8(m.from.zero)}}
		if m.from.typ == onnxio.Int8 {
			zero.Data = []int8{int8(m.from.zero)}
		}
		in[2] = q.slot(m.from.codes)
		q.consts[in[2]] = zero
	}
	nd := *m.nd
	nd.in, nd.out = in, make([]int, len(m.nd.out))
	for k, v := range m.to {
		if nd.out[k] = -1; v != nil {
			nd.out[k] = v.codes
		}
	}
	nd.standard = false // no group of floats takes it
	nd.state = m
	q.nodes[m.place] = &nd
	q.read(m.from)
}

// settleMoved decodes moved codes where somebody still reads their value.
func (q *quantization) settleMoved(v *quantized) {
	if !v.move.placed || q.uses[v.value] == 0 {
		return
	}
	q.behind = append(q.behind, placedNode{v.move.place, &node{Node: v.move.nd.Node, where: v.move.nd.where, in: []int{v.codes}, out: []int{v.value}, fast: v.decode, elem: v.typ, state: v}})
}

// placedNode is a node that goes behind the one at a place.
type placedNode struct {
	place int
	nd    *node
}

// insert puts nodes behind those of their places.
func (q *quantization) insert() {
	if len(q.behind) == 0 {
		return
	}
	var list []*node
	for i, nd := range q.nodes {
		list = append(list, nd)
		for _, b := range q.behind {
			if b.place == i {
				list = append(list, b.nd)
			}
		}
	}
	q.nodes = list
}
