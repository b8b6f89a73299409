package infer

import (
	"fmt"
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
	e.stride = append(e.stride, steps)
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
	data := make([][]float64, len(in))
	for i, x := range in {
		v, err := r.cast(x, onnxio.Double)
		if err != nil {
			return nil, err
		}
		data[i] = v.Data.([]float64)
	}
	out, err := r.new(onnxio.Double, shape...)
	if err != nil {
		return nil, err
	}
	dst, at := out.Data.([]float64), make([]int, len(in))
	e.loop(outer, shape, at, func(o int, at []int) {
		e.loop(inner, sums, at, func(_ int, at []int) {
			p := 1.0
			for k, d := range data {
				p *= d[at[k]]
			}
			dst[o] += p
		})
	})
	return r.cast(out, in[0].Type)
}

// loop calls f for every combination of the labels, the last one fastest, with the positions in the operands that
// lie from at on.
func (e *einsum) loop(names []string, sizes, at []int, f func(i int, at []int)) {
	at = append([]int{}, at...)
	index := make([]int, len(names))
	for i := range product(sizes) {
		f(i, at)
		for d := len(names) - 1; d >= 0; d-- {
			index[d]++
			for k, steps := range e.stride {
				at[k] += steps[names[d]]
			}
			if index[d] < sizes[d] {
				break
			}
			for k, steps := range e.stride {
				at[k] -= steps[names[d]] * sizes[d]
			}
			index[d] = 0
		}
	}
}
