package shape

// The functions of this file tell, for tensors whose elements are followed, where an operator that only moves elements
// takes each from.

// strided returns the places offset + sum of i[d]*strides[d] of every index i of a row-major tensor of that shape.
func strided(shape, strides []int64, offset int64) []int {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	at := make([]int, n)
	for i := range at {
		left, place := int64(i), offset
		for d := len(shape) - 1; d >= 0; d-- {
			place += left % shape[d] * strides[d]
			left /= shape[d]
		}
		at[i] = int(place)
	}
	return at
}

// rowStrides returns the strides of a row-major tensor.
func rowStrides(shape []int64) []int64 {
	strides := make([]int64, len(shape))
	step := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= shape[i]
	}
	return strides
}

// spread returns, for every element of a tensor of shape to, the place of the element of a tensor of shape from that
// broadcasting puts there.
func spread(from, to []int64) []int {
	strides := make([]int64, len(to))
	for i, s := range rowStrides(from) {
		if from[i] != 1 {
			strides[len(to)-len(from)+i] = s
		}
	}
	return strided(to, strides, 0)
}

// moved returns the shape of v in numbers where its elements are followed, and those of a result whose elements would
// be followed too; false where they are not.
func (v *value) moved(shape []Dim) (from, to []int64, ok bool) {
	if !v.hasElements() {
		return nil, nil, false
	}
	if _, small := followed(shape); !small {
		return nil, nil, false
	}
	from, ok = v.sizes()
	to, ok2 := Info{Ranked: true, Shape: shape}.sizes()
	return from, to, ok && ok2
}

// permuted returns the elements of v with its dimensions in the order perm.
func (v *value) permuted(shape []Dim, perm []int64) *value {
	from, to, ok := v.moved(shape)
	if !ok {
		return &value{Info: tensorOf(v.Type, shape...)}
	}
	strides := make([]int64, len(to))
	for i, s := range rowStrides(from) {
		for k, p := range perm {
			if p == int64(i) {
				strides[k] = s
			}
		}
	}
	return v.picked(shape, strided(to, strides, 0))
}

// gathered returns the entries of v along axis a that places name.
func (v *value) gathered(shape []Dim, a int, places []int64) *value {
	from, _, ok := v.moved(shape)
	if !ok {
		return &value{Info: tensorOf(v.Type, shape...)}
	}
	if n, _ := followed(shape); n == 0 {
		return v.picked(shape, nil)
	}
	outer, inner := int64(1), int64(1)
	for i, d := range from {
		if i < a {
			outer *= d
		} else if i > a {
			inner *= d
		}
	}
	at := []int{}
	for o := range outer {
		for _, p := range places {
			for k := range inner {
				at = append(at, int((o*from[a]+p)*inner+k))
			}
		}
	}
	return v.picked(shape, at)
}

// joined returns the elements of parts one after another along axis a; ok is false where those of one are not known.
func joined(parts []*value, shape []Dim, a int) (all *value, ok bool) {
	all = &value{Info: tensorOf(parts[0].Type, shape...)}
	sizes, ok := all.sizes()
	if _, small := followed(shape); !small || !ok {
		return nil, false
	}
	outer := int64(1)
	for _, d := range sizes[:a] {
		outer *= d
	}
	whole, real := true, true
	for _, p := range parts {
		whole, real = whole && p.ints != nil, real && p.floats != nil
	}
	for o := range outer {
		for _, p := range parts {
			n := int64(max(len(p.ints), len(p.floats))) / outer
			if whole {
				all.ints = append(all.ints, p.ints[o*n:(o+1)*n]...)
			}
			if real {
				all.floats = append(all.floats, p.floats[o*n:(o+1)*n]...)
			}
		}
	}
	if outer == 0 {
		all.ints, all.floats = nil, nil
	}
	return all, whole || real
}
