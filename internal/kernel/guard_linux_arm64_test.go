package kernel

import "testing"

// No kernel touches memory behind its operands.
func TestKernelsStayInside(t *testing.T) {
	for n := 1; n < 40; n++ {
		x, y, dst := guarded(t, n, 1), guarded(t, n, 2), guarded(t, n, 3)
		for _, f := range []func(dst, x []float32){Exp, Sigmoid, SiLU, Tanh, Erf, Gelu, FastGelu, Mish, Sqrt, Abs, Round, RoundHalfOf} {
			f(dst, x)
		}
		Clamp(dst, x, 0, 1)
		Elu(dst, x, 1, 1)
		Mix(dst, x, y, 1, 2)
		for _, steps := range [][2]int{{1, 1}, {1, 0}, {0, 1}, {0, 0}} {
			Add(dst, x[:1+(n-1)*steps[0]], y[:1+(n-1)*steps[1]], steps[0], steps[1])
		}
		Largest(x)
		Total(x)
		Squares(x, 1)
		Normalize(dst, x, 1)
		Softmax(dst, x, 1, n, 1)
		if n > 7 {
			levels[use].tapMax(dst[:n-7], x, []int{0, 3, 7})
		}
		for step := 1; step <= 2; step++ {
			if n <= maxRun {
				packRun(guarded(t, n, 1), guarded(t, (n-1)*step+1, 2), []int{0}, n, n, step)
			}
		}
	}
	most, width := use.blocking()
	for rows := 1; rows <= most; rows++ {
		for cols := 1; cols <= width; cols++ {
			for _, k := range []int{0, 1, 7} {
				tl := tile{dst: guarded(t, rows*cols, 1), a: guarded(t, rows*k, 2), b: guarded(t, k*cols, 3), ldc: cols, lda: k, ldb: cols,
					rows: rows, cols: cols, k: k, from: fromBias, bias: guarded(t, rows, 4), high: 1}
				tl.run()
			}
		}
	}
	for cols := 1; cols <= use.lanes(); cols++ {
		for rows := 1; rows < 8; rows++ {
			for step := 1; step <= 2; step++ {
				s := strip{dst: guarded(t, rows*cols, 1), src: guarded(t, rows*20+40+stripSlack, 2), w: guarded(t, 9, 3), dstPitch: cols, srcPitch: 20,
					rows: rows, cols: cols, step: step, offsets: []int{0, 4, 8, 80, 84, 88, 160, 164, 168}, three: step == 1, high: 1}
				s.run()
			}
		}
	}
}

// RoundHalfOf is RoundHalf of a copy.
func RoundHalfOf(dst, x []float32) {
	copy(dst, x)
	RoundHalf(dst)
}
