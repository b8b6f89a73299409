package infer

import (
	"sync"

	"bq/internal/kernel"
	"bq/onnxio"
)

// constantRight is a constant right operand [k, n] of products, packed when the first product of many rows asks for it.
type constantRight struct {
	b      kernel.Matrix
	k, n   int
	once   sync.Once
	packed *kernel.Packed
}

// packedRows is the number of rows from which packing pays: up to there kernels read the operand where it stands.
const packedRows = 9

// product writes a [m, k] times the operand to dst [m, n].
func (c *constantRight) product(dst []float32, m int, a kernel.Matrix, e kernel.Epilogue, threads int) {
	if m < packedRows || c.k == 0 {
		kernel.Product(dst, c.n, m, c.n, c.k, a, c.b, e, threads)
		return
	}
	c.once.Do(func() { c.packed = kernel.Pack(c.b, c.k, c.n) })
	kernel.ProductPacked(dst, c.n, m, a, c.packed, e, threads)
}

// fusedProduct is MatMul or Gemm with a constant right operand and what follows: a bias for each column, an activation.
type fusedProduct struct {
	right *constantRight
	gemm  *gemm     // nil for MatMul
	bias  []float32 // of each column; nil for none
	rank  int       // of the bias: a result of lower rank would grow
	tail  tail
}

func fuseProduct(z *fusion, i int) bool {
	f := z.product(i)
	if f == nil {
		return false
	}
	places := []int{i}
	k, out := z.next(i), z.nodes[i].out[0]
	if f.bias == nil && z.is(k, "Add") {
		if other := z.other(k, out); other >= 0 && z.g.consts[other] != nil && f.addBias(z.g.consts[other], 1) {
			places, out = append(places, k), z.nodes[k].out[0]
			k = z.next(k)
		}
	}
	if t, ok := z.tail(k, out); ok {
		places, f.tail = append(places, k), t
	}
	z.group(places, z.nodes[i].in[:1], f.run)
	return true
}

// product returns the product at place i where its right operand is a constant matrix, nil for others.
func (z *fusion) product(i int) *fusedProduct {
	if !z.is(i, "MatMul") && !z.is(i, "Gemm") {
		return nil
	}
	w := z.constant(i, 1)
	if w == nil || len(w.Shape) != 2 || w.Len() == 0 {
		return nil
	}
	k, n := w.Shape[0], w.Shape[1]
	f := &fusedProduct{right: &constantRight{b: kernel.RowMajor(w.F32(), n), k: k, n: n}}
	if z.is(i, "MatMul") {
		return f
	}
	if f.gemm = z.nodes[i].state.(*gemm); f.gemm.alpha != 1 {
		return nil
	}
	if f.gemm.tb {
		f.right = &constantRight{b: kernel.RowMajor(w.F32(), n).T(), k: n, n: k}
	}
	if !z.absent(i, 2) && (z.constant(i, 2) == nil || !f.addBias(z.constant(i, 2), f.gemm.beta)) {
		return nil
	}
	return f
}

// addBias takes a constant [n], or [1, n], times scale as the bias of the columns.
func (f *fusedProduct) addBias(c *onnxio.Array, scale float32) bool {
	n := f.right.n
	if c.Type != onnxio.Float || c.Len() != n || len(c.Shape) == 0 || c.Shape[len(c.Shape)-1] != n {
		return false
	}
	f.bias, f.rank = make([]float32, n), len(c.Shape)
	for i, v := range c.F32() {
		f.bias[i] = v * scale
	}
	return true
}

func (f *fusedProduct) run(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	x, k, n := in[0], f.right.k, f.right.n
	rank := len(x.Shape)
	if rank == 0 || f.rank > rank || f.gemm != nil && rank != 2 || x.Len() == 0 {
		return nil, nil
	}
	a, last := kernel.RowMajor(x.F32(), k), x.Shape[rank-1]
	shape := append(append(make([]int, 0, 8), x.Shape[:rank-1]...), n)
	if f.gemm != nil && f.gemm.ta {
		last, shape[0] = x.Shape[0], x.Shape[1]
		a = kernel.RowMajor(x.F32(), x.Shape[1]).T()
	}
	if last != k {
		return nil, nil
	}
	out, err := r.blank(onnxio.Float, shape...)
	if err != nil {
		return nil, nil
	}
	e, dst := f.tail.epilogue(), out.F32()
	e.Columns = f.bias
	f.right.product(dst, len(dst)/n, a, e, r.threads)
	f.tail.rest(r, dst)
	return out, nil
}
