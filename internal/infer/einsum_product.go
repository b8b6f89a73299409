package infer

import (
	"slices"

	"bq/internal/kernel"
	"bq/onnxio"
)

// factors is an equation of two float32 operands that is a batch of matrix products: every label stands in two of the
// operands and the result, or in all three.
type factors struct {
	size               map[string]int
	names              [2][]string // of the operands
	outer              []string    // of the result
	batch, m, n, k     []string    // in all; in the first and the result; in the second and the result; in both operands
	rows, cols, common int         // elements of m, n and k
}

// factors returns nil for equations that are no products of matrices. outer are the labels of the result.
func (e *einsum) factors(outer []string, in []*onnxio.Array) *factors {
	if len(in) != 2 || in[0].Type != onnxio.Float || in[1].Type != onnxio.Float {
		return nil
	}
	f := &factors{size: e.size, names: [2][]string{e.names[0], e.names[1]}, outer: outer}
	for i, names := range f.names {
		for d, name := range names {
			if slices.Contains(names[:d], name) || in[i].Shape[d] != e.size[name] || e.size[name] == 0 {
				return nil
			}
		}
	}
	for _, name := range e.order {
		a, b, c := slices.Contains(f.names[0], name), slices.Contains(f.names[1], name), slices.Contains(outer, name)
		switch {
		case a && b && c:
			f.batch = append(f.batch, name)
		case a && c:
			f.m = append(f.m, name)
		case b && c:
			f.n = append(f.n, name)
		case a && b:
			f.k = append(f.k, name)
		default:
			return nil
		}
	}
	f.rows, f.cols, f.common = product(f.sizes(f.m)), product(f.sizes(f.n)), product(f.sizes(f.k))
	return f
}

func (f *factors) sizes(names []string) []int {
	list := make([]int, len(names))
	for i, name := range names {
		list[i] = f.size[name]
	}
	return list
}

// multiply computes the products in float32 and puts the dimensions of the result in order.
func (f *factors) multiply(r *run, in []*onnxio.Array) (*onnxio.Array, error) {
	a, err := f.arranged(r, in[0], f.names[0], slices.Concat(f.batch, f.m, f.k))
	if err != nil {
		return nil, err
	}
	b, err := f.arranged(r, in[1], f.names[1], slices.Concat(f.batch, f.k, f.n))
	if err != nil {
		return nil, err
	}
	names := slices.Concat(f.batch, f.m, f.n)
	out, err := r.blank(onnxio.Float, f.sizes(names)...)
	if err != nil {
		return nil, err
	}
	m, n, k := f.rows, f.cols, f.common
	x, y, dst := a.F32(), b.F32(), out.F32()
	for i := range product(f.sizes(f.batch)) {
		kernel.Product(dst[i*m*n:(i+1)*m*n], n, m, n, k, kernel.RowMajor(x[i*m*k:(i+1)*m*k], k),
			kernel.RowMajor(y[i*k*n:(i+1)*k*n], n), kernel.Epilogue{}, r.threads)
	}
	return f.arranged(r, out, names, f.outer)
}

// arranged returns v, whose dimensions are called from, with those called to, in that order.
func (f *factors) arranged(r *run, v *onnxio.Array, from, to []string) (*onnxio.Array, error) {
	perm, sorted := make([]int, len(to)), true
	for i, name := range to {
		perm[i] = slices.Index(from, name)
		sorted = sorted && perm[i] == i
	}
	if sorted {
		return v, nil
	}
	return r.transpose(v, perm)
}
