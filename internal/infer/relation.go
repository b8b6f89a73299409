package infer

import "cmp"

// relation is a comparison of two elements; anything compared with NaN is false.
type relation int

const (
	relEqual relation = iota
	relLess
	relLessEqual
	relGreater
	relGreaterEqual
)

// compare returns the loop of a relation. The loops choose the relation and which operand stands still once, not for
// every element.
func compare[T number | string](rel relation) spanFunc[T, bool] {
	switch rel {
	case relEqual:
		return equalSpan[T]
	case relLess:
		return lessSpan[T]
	case relLessEqual:
		return lessEqualSpan[T]
	case relGreater:
		return func(dst []bool, a, b []T, sa, sb int) { lessSpan(dst, b, a, sb, sa) }
	}
	return func(dst []bool, a, b []T, sa, sb int) { lessEqualSpan(dst, b, a, sb, sa) }
}

func equalSpan[T comparable](dst []bool, a, b []T, sa, sb int) {
	switch {
	case sa == 0 && sb == 0:
		fillWith(dst, a[0] == b[0])
	case sa == 0:
		equalSpan(dst, b, a, sb, sa)
	case sb == 0:
		y := b[0]
		for i, x := range a[:len(dst)] {
			dst[i] = x == y
		}
	default:
		b = b[:len(dst)]
		for i, x := range a[:len(dst)] {
			dst[i] = x == b[i]
		}
	}
}

func lessSpan[T cmp.Ordered](dst []bool, a, b []T, sa, sb int) {
	switch {
	case sa == 0 && sb == 0:
		fillWith(dst, a[0] < b[0])
	case sa == 0:
		x := a[0]
		for i, y := range b[:len(dst)] {
			dst[i] = x < y
		}
	case sb == 0:
		y := b[0]
		for i, x := range a[:len(dst)] {
			dst[i] = x < y
		}
	default:
		b = b[:len(dst)]
		for i, x := range a[:len(dst)] {
			dst[i] = x < b[i]
		}
	}
}

func lessEqualSpan[T cmp.Ordered](dst []bool, a, b []T, sa, sb int) {
	switch {
	case sa == 0 && sb == 0:
		fillWith(dst, a[0] <= b[0])
	case sa == 0:
		x := a[0]
		for i, y := range b[:len(dst)] {
			dst[i] = x <= y
		}
	case sb == 0:
		y := b[0]
		for i, x := range a[:len(dst)] {
			dst[i] = x <= y
		}
	default:
		b = b[:len(dst)]
		for i, x := range a[:len(dst)] {
			dst[i] = x <= b[i]
		}
	}
}
