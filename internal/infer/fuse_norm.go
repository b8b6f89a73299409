package infer

import (
	"math"

	"bq/internal/kernel"
	"bq/onnxio"
)

// Normalizations and GELU as exporters write them to versions that have no operator for them.

// fusedNorm is (x - mean(x)) / sqrt(var(x) + eps), or x / sqrt(mean(x^2) + eps), over the last dimension, then times gamma
// and plus beta, each nil or as long as a row.
type fusedNorm struct {
	eps         float64
	centred     bool
	axis        int // as the model says it: the last dimension, checked when the rank is known
	gamma, beta []float32
	rank        int // most dimensions of gamma and beta: a result of lower rank would grow
}

// fuseNorm: from the first ReduceMean (of x) or the square (of x) on.
func fuseNorm(z *fusion, i int) bool {
	f := &fusedNorm{}
	var places []int
	var x int
	switch {
	case z.is(i, "ReduceMean"):
		places, x = f.centre(z, i)
	case z.is(i, "Pow"), z.is(i, "Mul"):
		places, x = f.scaleOnly(z, i)
	}
	if places == nil {
		return false
	}
	out := func() int { return z.nodes[places[len(places)-1]].out[0] }
	for k := z.next(places[len(places)-1]); k >= 0; k = z.next(places[len(places)-1]) {
		p, op := &f.gamma, "Mul"
		if f.gamma != nil || z.is(k, "Add") {
			p, op = &f.beta, "Add"
		}
		other := -1
		if z.is(k, op) {
			other = z.other(k, out())
		}
		if other < 0 || f.beta != nil || !f.take(p, z.g.consts[other]) {
			break
		}
		places = append(places, k)
	}
	z.group(places, []int{x}, f.run, 0)
	return true
}

// take reads a constant vector as gamma or beta.
func (f *fusedNorm) take(p *[]float32, c *onnxio.Array) bool {
	if c == nil || c.Type != onnxio.Float || len(c.Shape) == 0 || c.Len() < 2 || c.Len() != c.Shape[len(c.Shape)-1] {
		return false
	}
	if f.gamma != nil && len(f.gamma) != c.Len() {
		return false
	}
	*p, f.rank = c.F32(), max(f.rank, len(c.Shape))
	return true
}

// centre matches ReduceMean, Sub, square, ReduceMean, Add, Sqrt, Div and returns their places and the slot of x.
func (f *fusedNorm) centre(z *fusion, i int) (places []int, x int) {
	x = z.nodes[i].in[0]
	sub := z.next(i)
	if !z.is(sub, "Sub") || z.nodes[sub].in[0] != x || z.nodes[sub].in[1] != z.nodes[i].out[0] || !f.mean(z, i) {
		return nil, 0
	}
	d := z.nodes[sub].out[0]
	sq := z.squareOf(d)
	root := f.root(z, sq)
	if root == nil {
		return nil, 0
	}
	div := z.next(root[len(root)-1])
	if !z.is(div, "Div") || z.nodes[div].in[0] != d || z.uses[d] != 1+z.reads(sq, d) {
		return nil, 0
	}
	f.centred = true
	return append(append([]int{i, sub}, root...), div), x
}

// scaleOnly matches square, ReduceMean, Add, Sqrt, then Div, or Reciprocal or Div of 1, and Mul.
func (f *fusedNorm) scaleOnly(z *fusion, i int) (places []int, x int) {
	x = z.nodes[i].in[0]
	if !z.isSquare(i, x) {
		return nil, 0
	}
	root := f.root(z, i)
	if root == nil {
		return nil, 0
	}
	last := root[len(root)-1]
	s, k := z.nodes[last].out[0], z.next(last)
	if z.is(k, "Div") && z.nodes[k].in[0] == x && z.nodes[k].in[1] == s {
		return append(root, k), x
	}
	one, ok := z.operand(k, s)
	if !z.is(k, "Reciprocal") && !(ok && one == 1 && z.is(k, "Div") && z.nodes[k].in[1] == s) {
		return nil, 0
	}
	mul := z.next(k)
	if !z.is(mul, "Mul") || z.other(mul, z.nodes[k].out[0]) != x {
		return nil, 0
	}
	return append(root, k, mul), x
}

// root matches the square at place sq, ReduceMean, Add of eps, Sqrt.
func (f *fusedNorm) root(z *fusion, sq int) []int {
	if sq < 0 {
		return nil
	}
	mean := z.next(sq)
	if !z.is(mean, "ReduceMean") || z.nodes[mean].in[0] != z.nodes[sq].out[0] {
		return nil
	}
	if first := f.axis; !f.mean(z, mean) || first != 0 && first != f.axis {
		return nil // two means over different dimensions
	}
	add := z.next(mean)
	if !z.is(add, "Add") {
		return nil
	}
	eps, ok := z.operand(add, z.nodes[mean].out[0])
	sqrt := z.next(add)
	if !ok || !z.is(sqrt, "Sqrt") {
		return nil
	}
	f.eps = float64(eps)
	return []int{sq, mean, add, sqrt}
}

// mean reads the axis of the ReduceMean at place i, false where it has several or drops it. Axis 0 is refused: it is the
// last one of vectors alone.
func (f *fusedNorm) mean(z *fusion, i int) bool {
	nd := z.nodes[i]
	if a := nd.Attr("keepdims"); a != nil && a.I != 1 {
		return false
	}
	var axes []int64
	if a := nd.Attr("axes"); a != nil {
		axes = a.Ints
	} else if !z.absent(i, 1) {
		if c := z.g.consts[nd.in[1]]; c != nil && c.Type == onnxio.Int64 {
			axes = c.Ints()
		}
	}
	if len(axes) != 1 || axes[0] == 0 || axes[0] < -1 || axes[0] > 16 {
		return false
	}
	f.axis = int(axes[0])
	return true
}

// isSquare reports whether place i computes the square of slot.
func (z *fusion) isSquare(i, slot int) bool {
	nd := z.nodes[i]
	if z.is(i, "Mul") {
		return nd.in[0] == slot && nd.in[1] == slot
	}
	two, ok := z.operand(i, slot)
	return z.is(i, "Pow") && nd.in[0] == slot && ok && two == 2
}

// squareOf returns the place of the node that squares slot, -1 where none of its readers does.
func (z *fusion) squareOf(slot int) int {
	for k := z.maker[slot] + 1; k < len(z.nodes); k++ {
		if (z.is(k, "Pow") || z.is(k, "Mul")) && z.isSquare(k, slot) {
			return k
		}
	}
	return -1
}

// reads returns how often place i reads slot.
func (z *fusion) reads(i, slot int) int {
	n := 0
	for _, s := range z.nodes[i].in {
		if s == slot {
			n++
		}
	}
	return n
}

func (f *fusedNorm) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	x := in[0]
	rank := len(x.Shape)
	if rank == 0 || f.rank > rank || f.axis >= 0 && f.axis != rank-1 || x.Len() == 0 {
		return nil, nil
	}
	n := x.Shape[rank-1]
	if f.gamma != nil && len(f.gamma) != n || f.beta != nil && len(f.beta) != n {
		return nil, nil
	}
	out, err := r.blank(onnxio.Float, x.Shape...)
	if err != nil {
		return nil, nil
	}
	dst, src := out.F32(), x.F32()
	rows := len(src) / n
	each := max(1, (1<<13)/n)
	kernel.Parallel(r.threads, (rows+each-1)/each, func(i int) {
		for row := i * each; row < min(rows, (i+1)*each); row++ {
			f.row(dst[row*n:(row+1)*n], src[row*n:(row+1)*n])
		}
	})
	return out, nil
}

func (f *fusedNorm) row(dst, src []float32) {
	if f.centred {
		kernel.Normalize(dst, src, f.eps)
	} else {
		kernel.RMSNormalize(dst, src, f.eps)
	}
	if f.gamma != nil {
		kernel.Mul(dst, dst, f.gamma, 1, 1)
	}
	if f.beta != nil {
		kernel.Add(dst, dst, f.beta, 1, 1)
	}
}

// fuseGelu: x/2 * (1 + erf(x / sqrt 2)), from the node that scales x on, the half taken at the end or of x.
func fuseGelu(z *fusion, i int) bool {
	if !z.is(i, "Div") && !z.is(i, "Mul") {
		return false
	}
	x := z.variable(i)
	by, ok := z.operand(i, x)
	if x < 0 || !ok || z.is(i, "Div") && z.nodes[i].in[0] != x {
		return false
	}
	factor := float64(by)
	if z.is(i, "Div") {
		factor = 1 / factor
	}
	erf := z.next(i)
	if math.Abs(factor-math.Sqrt2/2) > geluTolerance || !z.is(erf, "Erf") {
		return false
	}
	add := z.next(erf)
	one, ok := z.operand(add, z.nodes[erf].out[0])
	if !ok || one != 1 || !z.is(add, "Add") {
		return false
	}
	mul := z.next(add)
	if !z.is(mul, "Mul") {
		return false
	}
	other := z.other(mul, z.nodes[add].out[0])
	switch last := z.next(mul); {
	case other == x && last >= 0 && z.halves(last, z.nodes[mul].out[0]):
		return z.spanGroup([]int{i, erf, add, mul, last}, x, kernel.Gelu)
	case other >= 0 && z.maker[other] >= 0 && z.halves(z.maker[other], x) && z.next(z.maker[other]) == mul:
		places := []int{z.maker[other], i, erf, add, mul}
		if places[0] > i && places[0] < erf {
			places[0], places[1] = places[1], places[0]
		}
		return z.ascending(places) && z.spanGroup(places, x, kernel.Gelu)
	}
	return false
}

// geluTolerance is how far an exporter's rounding of 1/sqrt(2), or of sqrt(2), may be off.
const geluTolerance = 1e-6

// halves reports whether place i takes half of slot.
func (z *fusion) halves(i, slot int) bool {
	by, ok := z.operand(i, slot)
	return ok && (z.is(i, "Mul") && by == 0.5 || z.is(i, "Div") && by == 2 && z.nodes[i].in[0] == slot)
}

func (z *fusion) ascending(places []int) bool {
	for i := 1; i < len(places); i++ {
		if places[i] <= places[i-1] {
			return false
		}
	}
	return true
}
