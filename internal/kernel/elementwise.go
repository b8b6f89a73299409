package kernel

// The element-wise loops below write dst[i] = a[i*sa] op b[i*sb], where sa and sb are 1, or 0 for an operand that
// stands still (a broadcast scalar).

// Add adds.
func Add[T float32 | float64](dst, a, b []T, sa, sb int) {
	if d, x, y, ok := floats(dst, a, b); ok {
		spans.add(d, x, y, sa, sb)
		return
	}
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
	if d, x, y, ok := floats(dst, a, b); ok {
		spans.sub(d, x, y, sa, sb)
		return
	}
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
	if d, x, y, ok := floats(dst, a, b); ok {
		spans.mul(d, x, y, sa, sb)
		return
	}
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
	if d, x, y, ok := floats(dst, a, b); ok {
		spans.div(d, x, y, sa, sb)
		return
	}
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

// floats returns slices of float32 as what they are; false for float64.
func floats[T float32 | float64](dst, a, b []T) (d, x, y []float32, ok bool) {
	d, ok = any(dst).([]float32)
	if ok {
		x, y = any(a).([]float32), any(b).([]float32)
	}
	return d, x, y, ok
}
