package kernel

// tileArgs is a tile as the kernels take it: _generate/arm64_gemm.go counts on this layout. Strides count bytes.
type tileArgs struct {
	dst       *float32
	ldc       int
	a         *float32
	lda       int
	b         *float32
	ldb       int
	k         int
	bias      *float32
	from      start
	_         uint32
	low, high float32
}

// wholeRows[r] and wholeCols[c] are the rows and columns of the largest kernel that fits; a tile is made of several.
var (
	wholeRows = [...]int{0, 1, 2, 2, 4, 4, 4, 4, 8}
	wholeCols = [...]int{0, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 12}
)

// run computes the tile. Every kernel adds up an element in the same order: how a tile is cut does not show.
func (t *tile) run() {
	if use != neon {
		t.runPlain()
		return
	}
	t.check()
	args := tileArgs{ldc: 4 * t.ldc, lda: 4 * t.lda, ldb: 4 * t.ldb, k: t.k, from: t.from, low: t.low, high: t.high}
	for j := 0; j < t.cols; {
		cols := wholeCols[t.cols-j]
		for i := 0; i < t.rows; {
			rows := wholeRows[min(t.rows-i, 8)]
			part := args
			part.dst = &t.dst[i*t.ldc+j]
			if t.k > 0 {
				part.a, part.b = &t.a[i*t.lda], &t.b[j]
			}
			if t.from == fromBias {
				part.bias = &t.bias[i]
			}
			part.call(rows, cols)
			i += rows
		}
		j += cols
	}
}

// call runs the kernel of a shape. The calls are direct, so that the arguments stay on the stack.
func (t *tileArgs) call(rows, cols int) {
	switch rows<<4 | cols {
	case 8<<4 | 12:
		tile8x12NEON(t)
	case 4<<4 | 12:
		tile4x12NEON(t)
	case 2<<4 | 12:
		tile2x12NEON(t)
	case 1<<4 | 12:
		tile1x12NEON(t)
	case 8<<4 | 8:
		tile8x8NEON(t)
	case 4<<4 | 8:
		tile4x8NEON(t)
	case 2<<4 | 8:
		tile2x8NEON(t)
	case 1<<4 | 8:
		tile1x8NEON(t)
	case 8<<4 | 4:
		tile8x4NEON(t)
	case 4<<4 | 4:
		tile4x4NEON(t)
	case 2<<4 | 4:
		tile2x4NEON(t)
	case 1<<4 | 4:
		tile1x4NEON(t)
	case 8<<4 | 2:
		tile8x2NEON(t)
	case 4<<4 | 2:
		tile4x2NEON(t)
	case 2<<4 | 2:
		tile2x2NEON(t)
	case 1<<4 | 2:
		tile1x2NEON(t)
	case 8<<4 | 1:
		tile8x1NEON(t)
	case 4<<4 | 1:
		tile4x1NEON(t)
	case 2<<4 | 1:
		tile2x1NEON(t)
	case 1<<4 | 1:
		tile1x1NEON(t)
	}
}

// dots sets dst[i] to the sum of x[p] * w[i*stride + p], for four rows of w.
func dots(dst *[4]float32, x, w []float32, stride int) {
	n := len(x) &^ 7
	if use != neon || n == 0 {
		dotsPlain(dst, x, w, stride)
		return
	}
	_ = w[3*stride+len(x)-1]
	dot4NEON(&dst[0], &x[0], &w[0], 4*stride, n)
	for p := n; p < len(x); p++ {
		for i := range dst {
			dst[i] += x[p] * w[i*stride+p]
		}
	}
}
