package kernel

// The element-wise loops below write dst[i] = a[i*sa] op b[i*sb], where sa and sb are 1, or 0 for an operand that
// stands still (a broadcast scalar).

// Add adds.
func Add[T float32 | float64](dst, a, b []T, sa, sb int) {
	switch {
	case sa == 1 && sb == 1:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	case sb == 0:
		v := b[0]
		for i := range dst {
			dst[i] = a[i*sa] + v
		}
	default:
		v := a[0]
		for i := range dst {
			dst[i] = v + b[i]
		}
	}
}

// Sub subtracts b from a.
func Sub[T float32 | float64](dst, a, b []T, sa, sb int) {
	switch {
	case sa == 1 && sb == 1:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	case sb == 0:
		v := b[0]
		for i := range dst {
			dst[i] = a[i*sa] - v
		}
	default:
		v := a[0]
		for i := range dst {
			dst[i] = v - b[i]
		}
	}
}

// Mul multiplies.
func Mul[T float32 | float64](dst, a, b []T, sa, sb int) {
	switch {
	case sa == 1 && sb == 1:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	case sb == 0:
		v := b[0]
		for i := range dst {
			dst[i] = a[i*sa] * v
		}
	default:
		v := a[0]
		for i := range dst {
			dst[i] = v * b[i]
		}
	}
}

// Div divides a by b.
func Div[T float32 | float64](dst, a, b []T, sa, sb int) {
	switch {
	case sa == 1 && sb == 1:
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	case sb == 0:
		v := b[0]
		for i := range dst {
			dst[i] = a[i*sa] / v
		}
	default:
		v := a[0]
		for i := range dst {
			dst[i] = v / b[i]
		}
	}
}

// Clamp writes x limited to lo..hi; NaN stays NaN. Where lo > hi the result is hi.
func Clamp(dst, x []float32, lo, hi float32) {
	for i, v := range x {
		if v < lo {
			v = lo
		}
		if v > hi {
			v = hi
		}
		dst[i] = v
	}
}

// Affine writes x*scale + shift.
func Affine(dst, x []float32, scale, shift float32) {
	for i, v := range x {
		dst[i] = v*scale + shift
	}
}
