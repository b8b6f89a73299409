package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// bindMatMul: Y = A * B as numpy.matmul: vectors are promoted, leading dimensions broadcast.
func bindMatMul(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if in[0].Type != in[1].Type {
			return nil, typeError(in[1])
		}
		return one(r.matmul(in[0], in[1]))
	}
}

// products describes a batch of matrix products [m, k] * [k, n].
type products struct {
	m, n, k int
	shape   []int // of the result
	walk    *walk // over the leading dimensions, in units of matrices
}

// planProducts works out numpy.matmul's shapes.
func planProducts(a, b []int) (*products, error) {
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("multiplying shapes %v and %v", a, b)
	}
	left, right := a, b
	if len(a) == 1 {
		left = []int{1, a[0]}
	}
	if len(b) == 1 {
		right = []int{b[0], 1}
	}
	p := &products{m: left[len(left)-2], k: left[len(left)-1], n: right[len(right)-1]}
	if right[len(right)-2] != p.k {
		return nil, fmt.Errorf("multiplying shapes %v and %v", a, b)
	}
	la, lb := left[:len(left)-2], right[:len(right)-2]
	lead, err := broadcastShape(la, lb)
	if err != nil {
		return nil, err
	}
	p.shape = append(p.shape, lead...)
	if len(a) > 1 {
		p.shape = append(p.shape, p.m)
	}
	if len(b) > 1 {
		p.shape = append(p.shape, p.n)
	}
	if len(lb) == 0 || product(lb) == 1 && len(a) > 1 && product(lead) == product(la) {
		p.m *= product(lead) // one matrix on the right: all rows on the left are one matrix
		lead, la, lb = nil, nil, nil
	}
	p.walk = newWalk(lead, la, lb)
	return p, nil
}

// each calls f with the matrix numbers of the result, the left and the right operand.
func (p *products) each(f func(c, a, b int)) {
	p.walk.each(func(o int, at []int) {
		for i := range p.walk.n {
			f(o+i, at[0]+i*p.walk.step[0], at[1]+i*p.walk.step[1])
		}
	})
}

// matmul multiplies floats in float32 and integers in their own type.
func (r *run) matmul(x, y *onnxio.Array) (*onnxio.Array, error) {
	p, err := planProducts(x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	if !x.Type.IsFloat() {
		return r.matmulIntegers(p, x, y)
	}
	a, err := r.float32s(x)
	if err != nil {
		return nil, err
	}
	b, err := r.float32s(y)
	if err != nil {
		return nil, err
	}
	out, err := r.blank(floatType(x.Type), p.shape...)
	if err != nil {
		return nil, err
	}
	c := out.F32()
	m, n, k := p.m, p.n, p.k
	p.each(func(i, j, l int) {
		kernel.Product(c[i*m*n:(i+1)*m*n], n, m, n, k,
			kernel.RowMajor(a[j*m*k:(j+1)*m*k], k), kernel.RowMajor(b[l*k*n:(l+1)*k*n], n), kernel.Epilogue{}, r.threads)
	})
	return r.cast(out, x.Type)
}

func (r *run) matmulIntegers(p *products, x, y *onnxio.Array) (*onnxio.Array, error) {
	if !isInteger(x.Type) {
		return nil, typeError(x)
	}
	a, b := x.Ints(), y.Ints()
	out, err := r.new(onnxio.Int64, p.shape...)
	if err != nil {
		return nil, err
	}
	c := out.Data.([]int64)
	p.each(func(i, j, l int) {
		integerProduct(c[i*p.m*p.n:], a[j*p.m*p.k:], b[l*p.k*p.n:], p)
	})
	return r.cast(out, x.Type)
}

func integerProduct(c, a, b []int64, p *products) {
	for i := range p.m {
		row := c[i*p.n : (i+1)*p.n]
		for q := range p.k {
			v := a[i*p.k+q]
			for j := range row {
				row[j] += v * b[q*p.n+j]
			}
		}
	}
}

// gemm holds the attributes of Gemm.
type gemm struct {
	alpha, beta float32
	ta, tb      bool
}

// bindGemm: Y = alpha * A' * B' + beta * C with A' and B' transposed as the attributes say; C broadcasts to Y.
func bindGemm(b *binding) runFunc {
	z := &gemm{b.float("alpha", 1), b.float("beta", 1), b.bool("transA", false), b.bool("transB", false)}
	b.node.state = z
	return z.run
}

// sizes checks the shapes of A and B and returns those of the product [m, k] * [k, n].
func (z *gemm) sizes(a, b []int) (m, n, k int, err error) {
	if len(a) != 2 || len(b) != 2 {
		return 0, 0, 0, fmt.Errorf("multiplying shapes %v and %v, want matrices", a, b)
	}
	m, k = a[0], a[1]
	n, k2 := b[1], b[0]
	if z.ta {
		m, k = k, m
	}
	if z.tb {
		n, k2 = k2, n
	}
	if k != k2 {
		return 0, 0, 0, fmt.Errorf("multiplying [%d %d] and [%d %d]", m, k, k2, n)
	}
	return m, n, k, nil
}

// operands views the elements of A and B as the matrices that are multiplied.
func (z *gemm) operands(x, w []float32, m, n, k int) (a, b kernel.Matrix) {
	a, b = kernel.RowMajor(x, k), kernel.RowMajor(w, n)
	if z.ta {
		a = kernel.RowMajor(x, m).T()
	}
	if z.tb {
		b = kernel.RowMajor(w, k).T()
	}
	return a, b
}

func (z *gemm) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	m, n, k, err := z.sizes(in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	if in[0].Type != in[1].Type || in[2] != nil && in[2].Type != in[0].Type {
		return nil, fmt.Errorf("element types differ")
	}
	if !in[0].Type.IsFloat() {
		return nil, typeError(in[0])
	}
	x, err := r.float32s(in[0])
	if err != nil {
		return nil, err
	}
	w, err := r.float32s(in[1])
	if err != nil {
		return nil, err
	}
	out, err := r.new(floatType(in[0].Type), m, n)
	if err != nil {
		return nil, err
	}
	a, b := z.operands(x, w, m, n, k)
	if err := z.multiply(r, out, a, b, in[2], m, n, k); err != nil {
		return nil, err
	}
	return one(r.cast(out, in[0].Type))
}

// multiply writes the product and what is added to it to the zero array out.
func (z *gemm) multiply(r *run, out *onnxio.Array, a, b kernel.Matrix, c *onnxio.Array, m, n, k int) error {
	y := out.F32()
	if z.alpha == 1 && c != nil { // the usual case: the bias is the sum's first term
		if err := r.addScaled(out, c, z.beta); err != nil {
			return err
		}
		kernel.Gemm(y, n, m, n, k, a, b, r.threads)
		return nil
	}
	kernel.Product(y, n, m, n, k, a, b, kernel.Epilogue{}, r.threads)
	if z.alpha != 1 {
		for i := range y {
			y[i] *= z.alpha
		}
	}
	if c != nil {
		return r.addScaled(out, c, z.beta)
	}
	return nil
}

// addScaled adds beta*c, broadcast, to the fresh float32 array out.
func (r *run) addScaled(out, c *onnxio.Array, beta float32) error {
	full, err := broadcastShape(out.Shape, c.Shape)
	if err != nil {
		return err
	}
	if !equalShape(full, out.Shape) {
		return fmt.Errorf("shape %v does not broadcast to %v", c.Shape, out.Shape)
	}
	src, err := r.float32s(c)
	if err != nil {
		return err
	}
	y := out.F32()
	w := newWalk(out.Shape, c.Shape)
	w.each(func(o int, at []int) {
		for i := range w.n {
			y[o+i] += float32(beta * src[at[0]+i*w.step[0]])
		}
	})
	return nil
}
