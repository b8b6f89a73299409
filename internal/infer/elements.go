package infer

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"bq/onnxio"
)

// bindBitCast: the bits of the input, little-endian, as elements of another type of the same width.
func bindBitCast(b *binding) runFunc {
	to := onnxio.DataType(b.int("to", 0))
	if !to.HasArray() || to == onnxio.String {
		b.refuse("element type %v", to)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		if x.Type == onnxio.String || x.Type.Bits() != to.Bits() {
			return nil, fmt.Errorf("bits of %v as %v", x.Type, to)
		}
		if _, err := r.new(to, x.Shape...); err != nil {
			return nil, err
		}
		t := onnxio.NewTensor("", x)
		t.Type = to
		return one(t.Array())
	}
}

// bindDet: the determinant of every matrix of X [..., M, M], by elimination with the largest pivot in float64.
func bindDet(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		rank := len(x.Shape)
		if rank < 2 || x.Shape[rank-1] != x.Shape[rank-2] || !x.Type.IsFloat() {
			return nil, fmt.Errorf("determinant of %v %v", x.Type, x.Shape)
		}
		d, err := r.cast(x, onnxio.Double)
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Double, x.Shape[:rank-2]...)
		if err != nil {
			return nil, err
		}
		n, src := x.Shape[rank-1], d.Data.([]float64)
		for i := range out.Data.([]float64) {
			out.Data.([]float64)[i] = determinant(append([]float64{}, src[i*n*n:(i+1)*n*n]...), n)
		}
		return one(r.cast(out, x.Type))
	}
}

// determinant overwrites the n by n matrix m.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		best := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[best*n+k]) {
				best = i
			}
		}
		if m[best*n+k] == 0 {
			return 0
		}
		if best != k {
			det = -det
			for j := range n {
				m[k*n+j], m[best*n+j] = m[best*n+j], m[k*n+j]
			}
		}
		det *= m[k*n+k]
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= f * m[k*n+j]
			}
		}
	}
	return det
}

// bindCompress: the entries along an axis, or the elements, at which condition is true; what is longer than condition
// is dropped.
func bindCompress(b *binding) runFunc {
	attr, whole := b.int("axis", 0), !b.has("axis")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, axis := in[0], attr
		cond, ok := in[1].Data.([]bool)
		if !ok || len(in[1].Shape) != 1 {
			return nil, typeError(in[1])
		}
		if whole {
			x, axis = x.Reshaped(x.Len()), 0
		}
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		places := []int64{}
		for i, c := range cond {
			if c && i >= x.Shape[a] {
				return nil, fmt.Errorf("condition of %d for %d entries", len(cond), x.Shape[a])
			}
			if c {
				places = append(places, int64(i))
			}
		}
		return one(r.gather(x, onnxio.Int64s(places, len(places)), int64(a)))
	}
}

// bindReverseSequence: along time_axis, the first sequence_lens[i] entries of batch entry i in reverse order.
func bindReverseSequence(b *binding) runFunc {
	batch, time := b.int("batch_axis", 1), b.int("time_axis", 0)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x := in[0]
		n, err := axisOf(batch, len(x.Shape))
		if err != nil {
			return nil, err
		}
		t, err := axisOf(time, len(x.Shape))
		if err != nil {
			return nil, err
		}
		lengths := intsOf(in[1])
		if n == t || len(lengths) != x.Shape[n] {
			return nil, fmt.Errorf("reversing axis %d of %v by %v lengths along %d", t, x.Shape, in[1].Shape, n)
		}
		for _, l := range lengths {
			if l < 0 || l > x.Shape[t] {
				return nil, fmt.Errorf("reversing %d of %d entries", l, x.Shape[t])
			}
		}
		strides, index := rowStrides(x.Shape), make([]int, x.Len())
		for i := range index {
			k, l := i/strides[t]%x.Shape[t], lengths[i/strides[n]%x.Shape[n]]
			if index[i] = i; k < l {
				index[i] = i + (l-1-2*k)*strides[t]
			}
		}
		return one(r.take(x, x.Shape, index))
	}
}

// bindCenterCropPad: the middle of the input cut or padded with zeros to shape, along axes or all dimensions; what is
// odd goes to the end.
func bindCenterCropPad(b *binding) runFunc {
	axes, some := b.ints("axes"), b.has("axes")
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, shape := in[0], intsOf(in[1])
		rank, axes := len(x.Shape), axes
		if !some {
			axes = make([]int, rank)
			for i := range axes {
				axes[i] = i
			}
		}
		if len(shape) != len(axes) {
			return nil, fmt.Errorf("shape %v for axes %v of %v", shape, axes, x.Shape)
		}
		pads := make([]int, 2*rank)
		for i, v := range axes {
			a, err := axisOf(int64(v), rank)
			if err != nil {
				return nil, err
			}
			if shape[i] < 0 {
				return nil, fmt.Errorf("shape %v", shape)
			}
			total := shape[i] - x.Shape[a]
			pads[a] = total / 2
			pads[rank+a] = total - total/2
		}
		return one(r.pad(x, pads, "constant", nil))
	}
}

// bindTensorScatter: past_cache with update written along axis from write_indices of each batch entry on; in circular
// mode positions wrap around. Inputs past_cache, update, write_indices.
func bindTensorScatter(b *binding) runFunc {
	axis, circular := b.int("axis", -2), b.str("mode", "linear", "linear", "circular") == "circular"
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		cache, update := in[0], in[1]
		a, err := axisOf(axis, len(cache.Shape))
		if err != nil || a == 0 || len(update.Shape) != len(cache.Shape) || update.Type != cache.Type {
			return nil, fmt.Errorf("writing %v to %v along axis %d: %w", update.Shape, cache.Shape, axis, err)
		}
		for i, d := range cache.Shape {
			if i != a && update.Shape[i] != d || update.Shape[i] > d {
				return nil, fmt.Errorf("writing %v to %v along axis %d", update.Shape, cache.Shape, a)
			}
		}
		first := make([]int, cache.Shape[0])
		if in[2] != nil {
			if first = intsOf(in[2]); len(first) != cache.Shape[0] {
				return nil, fmt.Errorf("%d write_indices for %d entries", len(first), cache.Shape[0])
			}
		}
		size, rows, inner := cache.Shape[a], update.Shape[a], product(cache.Shape[a+1:])
		for _, v := range first {
			if v < 0 || !circular && v+rows > size {
				return nil, fmt.Errorf("writing %d entries from %d to a cache of %d", rows, v, size)
			}
		}
		each := product(cache.Shape[1:a])
		index := make([]int, update.Len())
		for i := range index {
			row := i / inner / max(1, rows)
			at := (first[row/each] + i/inner%rows) % size
			index[i] = (row*size+at)*inner + i%inner
		}
		return one(r.scatter(cache, update, index, "none"))
	}
}

// bindUnique: the different elements, or the different entries along an axis, in ascending order or that of their first
// occurrence; with the place of the first occurrence, the number in Y of every entry, and how often each occurs. NaNs
// count as one value above all others.
func bindUnique(b *binding) runFunc {
	attr, whole, sorted := b.int("axis", 0), !b.has("axis"), b.bool("sorted", true)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, axis := in[0], attr
		if whole {
			x, axis = x.Reshaped(x.Len()), 0
		}
		a, err := axisOf(axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		compare, err := ascending(x)
		if err != nil {
			return nil, err
		}
		first, inverse, counts := distinct(x.Shape, a, compare, sorted)
		y, err := r.gather(x, onnxio.Int64s(first, len(first)), int64(a))
		return []*onnxio.Array{y, onnxio.Int64s(first, len(first)), onnxio.Int64s(inverse, len(inverse)),
			onnxio.Int64s(counts, len(counts))}, err
	}
}

// ascending compares elements of x by position, strings too.
func ascending(x *onnxio.Array) (func(p, q int) int, error) {
	if d, ok := x.Data.([]string); ok {
		return func(p, q int) int { return strings.Compare(d[p], d[q]) }, nil
	}
	return orderOf(x, false)
}

// distinct groups the entries along axis a by equality of all their elements; compare compares elements by position.
func distinct(shape []int, a int, compare func(p, q int) int, sorted bool) (first, inverse, counts []int64) {
	n, inner, outer := shape[a], product(shape[a+1:]), product(shape[:a])
	entries := func(i, j int) int {
		for o := range outer {
			for k := range inner {
				if c := compare((o*n+i)*inner+k, (o*n+j)*inner+k); c != 0 {
					return c
				}
			}
		}
		return 0
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return entries(order[i], order[j]) < 0 })
	inverse, first = make([]int64, n), []int64{}
	for i, v := range order {
		if i == 0 || entries(order[i-1], v) != 0 {
			first, counts = append(first, int64(v)), append(counts, 0)
		}
		inverse[v] = int64(len(first) - 1)
		counts[len(counts)-1]++
	}
	if sorted {
		return first, inverse, counts
	}
	return byOccurrence(first, inverse, counts)
}

// byOccurrence puts groups in the order of their first entries.
func byOccurrence(first, inverse, counts []int64) ([]int64, []int64, []int64) {
	order := make([]int, len(first))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return first[order[i]] < first[order[j]] })
	place, newFirst, newCounts := make([]int64, len(first)), []int64{}, []int64{}
	for i, g := range order {
		place[g] = int64(i)
		newFirst, newCounts = append(newFirst, first[g]), append(newCounts, counts[g])
	}
	for i, g := range inverse {
		inverse[i] = place[g]
	}
	return newFirst, inverse, newCounts
}

// bindScatter: ScatterElements under its old name.
func bindScatter(b *binding) runFunc { return bindScatterElements(b) }
