package kernel

import "cmp"

// The relations below write whether a[i*sa] relates to b[i*sb], where sa and sb are 1, or 0 for an operand that stands
// still. Nothing relates to NaN. float32 and int32 are compared by vectors where the processor has them.

// relation is what a loop tests.
type relation int

const (
	equal relation = iota
	less
	lessEqual
)

// Equal tests a = b.
func Equal[T comparable](dst []bool, a, b []T, sa, sb int) {
	n := relate(equal, dst, a, b, sa, sb)
	dst, a, b = dst[n:], a[n*sa:], b[n*sb:]
	switch {
	case len(dst) == 0:
	case sa == 0 && sb == 0:
		fillRow(dst, a[0] == b[0])
	case sa == 0:
		x := a[0]
		for i, y := range b[:len(dst)] {
			dst[i] = x == y
		}
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

// Less tests a < b.
func Less[T cmp.Ordered](dst []bool, a, b []T, sa, sb int) {
	n := relate(less, dst, a, b, sa, sb)
	dst, a, b = dst[n:], a[n*sa:], b[n*sb:]
	switch {
	case len(dst) == 0:
	case sa == 0 && sb == 0:
		fillRow(dst, a[0] < b[0])
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

// LessEqual tests a <= b.
func LessEqual[T cmp.Ordered](dst []bool, a, b []T, sa, sb int) {
	n := relate(lessEqual, dst, a, b, sa, sb)
	dst, a, b = dst[n:], a[n*sa:], b[n*sb:]
	switch {
	case len(dst) == 0:
	case sa == 0 && sb == 0:
		fillRow(dst, a[0] <= b[0])
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
