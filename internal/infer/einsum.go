package infer

import (
	"fmt"
	"slices"
	"strings"

	"bq/onnxio"
)

// bindEinsum: the sum of products that an equation such as "bij,bjk->bik" names: equal letters run together, letters
// that the result lacks are summed over. An ellipsis stands for dimensions that broadcast. Without "->" the result
// has the letters that occur once, in alphabetical order (ONNX operator Einsum, numpy.einsum).
func bindEinsum(b *binding) runFunc {
	equation := strings.ReplaceAll(b.str("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	for _, term := range append(terms, right) {
		if bad := strings.Trim(strings.Replace(term, "...", "", 1), einsumLetters); bad != "" {
			b.malformed("attribute \"equation\": %s", onnxio.Quote(equation))
		}
	}
	if !explicit {
		right = implicitResult(left)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if len(in) != len(terms) {
			return nil, fmt.Errorf("equation %s for %d inputs", onnxio.Quote(equation), len(in))
		}
		e := &einsum{size: map[string]int{}}
		for i, x := range in {
			if err := e.bind(terms[i], x); err != nil {
				return nil, err
			}
		}
		return one(e.run(r, right, in))
	}
}

const einsumLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// implicitResult returns the ellipsis, where there is one, and the letters of left that occur once, sorted.
func implicitResult(left string) string {
	right := ""
	if strings.Contains(left, "...") {
		right = "..."
	}
	for c := 'A'; c <= 'z'; c++ {
		if strings.Count(left, string(c)) == 1 && strings.ContainsRune(einsumLetters, c) {
			right += string(c)
		}
	}
	return right
}

// einsum gathers the sizes of the labels: letters, and for an ellipsis .0 (the last dimension), .1, ...
type einsum struct {
	size   map[string]int
	order  []string         // labels as they first occur
	names  [][]string       // by operand and dimension
	stride []map[string]int // by operand and label
	spread int              // most dimensions that an ellipsis stands for
}

// labels splits a term into labels; the ellipsis stands for n dimensions.
func labels(term string, n int) []string {
	var list []string
	for i := 0; i < len(term); i++ {
		if term[i] != '.' {
			list = append(list, term[i:i+1])
			continue
		}
		for k := n - 1; k >= 0; k-- {
			list = append(list, fmt.Sprintf(".%d", k))
		}
		i += len("...") - 1
	}
	return list
}

func (e *einsum) bind(term string, x *onnxio.Array) error {
	spread := 0
	if strings.Contains(term, "...") {
		spread = len(x.Shape) - (len(term) - len("..."))
	}
	if spread < 0 {
		return fmt.Errorf("term %s for shape %v", onnxio.Quote(term), x.Shape)
	}
	e.spread = max(e.spread, spread)
	names := labels(term, spread)
	if len(names) != len(x.Shape) {
		return fmt.Errorf("term %s for shape %v", onnxio.Quote(term), x.Shape)
	}
	steps := map[string]int{}
	for i, s := range rowStrides(x.Shape) {
		name, d := names[i], x.Shape[i]
		old, known := e.size[name]
		switch {
		case !known:
			e.order = append(e.order, name)
			e.size[name] = d
		case old == 1:
			e.size[name] = d
		case d != 1 && d != old:
			return fmt.Errorf("label %s is %d and %d", name, old, d)
		}
		if d != 1 {
			steps[name] += s
		}
	}
	e.stride, e.names = append(e.stride, steps), append(e.names, names)
	return nil
}

func (e *einsum) run(r *run, right string, in []*onnxio.Array) (*onnxio.Array, error) {
	outer := labels(right, e.spread)
	seen := map[string]bool{}
	var shape, sums []int
	for _, name := range outer {
		d, ok := e.size[name]
		if !ok || seen[name] {
			return nil, fmt.Errorf("label %s of the result", name)
		}
		seen[name] = true
		shape = append(shape, d)
	}
	var inner []string
	for _, name := range e.order {
		if !seen[name] {
			inner = append(inner, name)
			sums = append(sums, e.size[name])
		}
	}
	if n, ok := onnxio.CheckedLen(append(append([]int{}, shape...), sums...)); !ok || n > maxValueElements {
		return nil, fmt.Errorf("more than %d products", maxValueElements)
	}
	if f := e.factors(outer, in); f != nil && f.rows*f.cols*f.common >= leastProduct {
		return f.multiply(r, in)
	}
	return e.sum(r, outer, inner, shape, in)
}

// leastProduct is the number of multiplications from which a matrix product is faster than the loop over strides.
const leastProduct = 32

// sum computes any equation, floats in float64 and integers modulo 2^64. The terms of an element are added in the order
// of the inner labels, the last one fastest.
func (e *einsum) sum(r *run, outer, inner []string, shape []int, in []*onnxio.Array) (*onnxio.Array, error) {
	for _, x := range in {
		if x.Type != in[0].Type || !x.Type.IsFloat() && !isInteger(x.Type) {
			return nil, typeError(x)
		}
	}
	if len(in) == 1 && len(inner) == 0 { // a transpose or diagonal
		strides := make([]int, len(outer))
		for d, name := range outer {
			strides[d] = e.stride[0][name]
		}
		return r.strided(in[0], shape, strides, 0)
	}
	if isInteger(in[0].Type) {
		return sumProducts(r, e.walk(outer, inner), onnxio.Int64, shape, in, func(x *onnxio.Array) ([]int64, error) {
			return x.Ints(), nil
		})
	}
	return sumProducts(r, e.walk(outer, inner), onnxio.Double, shape, in, func(x *onnxio.Array) ([]float64, error) {
		v, err := r.cast(x, onnxio.Double)
		if err != nil {
			return nil, err
		}
		return v.Data.([]float64), nil
	})
}

// walk plans the way through all combinations of the labels, the last inner one fastest: of the operands, and after them
// of the result, which stands still along inner labels.
func (e *einsum) walk(outer, inner []string) *walk {
	result, step := map[string]int{}, 1
	for _, name := range slices.Backward(outer) {
		result[name] = step
		step *= e.size[name]
	}
	all := append(slices.Clone(e.stride), result)
	w := &walk{n: 1, step: make([]int, len(all))}
	var dims []int
	var moves [][]int
	for _, name := range slices.Backward(slices.Concat(outer, inner)) {
		size, move := e.size[name], make([]int, len(all))
		for k, strides := range all {
			move[k] = strides[name]
		}
		m := len(dims) - 1
		switch {
		case size == 1:
		case m >= 0 && continues(move, moves[m], dims[m]):
			dims[m] *= size
		default:
			dims, moves = append(dims, size), append(moves, move)
		}
	}
	if len(dims) > 0 {
		w.n, w.step, w.dims, w.moves = dims[0], moves[0], dims[1:], moves[1:]
	}
	return w
}

// sumProducts adds the product of the operands' elements to the element of the result, along w, in elements T of type t;
// read returns an operand's. The result has the type of the operands.
func sumProducts[T int64 | float64](r *run, w *walk, t onnxio.DataType, shape []int, in []*onnxio.Array, read func(*onnxio.Array) ([]T, error)) (*onnxio.Array, error) {
	data := make([][]T, len(in))
	for i, x := range in {
		var err error
		if data[i], err = read(x); err != nil {
			return nil, err
		}
	}
	out, err := r.new(t, shape...)
	if err != nil {
		return nil, err
	}
	dst, c := out.Data.([]T), len(in)
	w.each(func(_ int, at []int) {
		for i := range w.n {
			p := data[0][at[0]+i*w.step[0]]
			for k := 1; k < c; k++ {
				p *= data[k][at[k]+i*w.step[k]]
			}
			dst[at[c]+i*w.step[c]] += p
		}
	})
	return r.cast(out, in[0].Type)
}
