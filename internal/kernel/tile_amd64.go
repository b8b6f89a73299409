package kernel

import "unsafe"

// tileArgs is a tile as the kernels take it: _generate/gemm.go counts on this layout. Strides count bytes.
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
	mask      uint32 // a bit for each column
	low, high float32
}

// fits[r] is the largest kernel of at most r rows; a tile of other rows is made of several.
var fits = [...]int{0, 1, 2, 3, 4, 4, 6, 6, 8, 8, 8, 8, 12}

// call runs the kernel of the given rows. The calls are direct, so that the arguments stay on the stack.
func (t *tileArgs) call(rows int, half bool) {
	p := (*uint64)(unsafe.Pointer(t))
	switch {
	case use == avx2:
		callAVX2(p, rows)
	case half:
		callHalf(p, rows)
	default:
		callAVX512(p, rows)
	}
}

func callAVX512(p *uint64, rows int) {
	switch rows {
	case 12:
		tile12x32AVX512(p)
	case 8:
		tile8x32AVX512(p)
	case 6:
		tile6x32AVX512(p)
	case 4:
		tile4x32AVX512(p)
	case 3:
		tile3x32AVX512(p)
	case 2:
		tile2x32AVX512(p)
	case 1:
		tile1x32AVX512(p)
	}
}

func callHalf(p *uint64, rows int) {
	switch rows {
	case 12:
		tile12x16AVX512(p)
	case 8:
		tile8x16AVX512(p)
	case 6:
		tile6x16AVX512(p)
	case 4:
		tile4x16AVX512(p)
	case 3:
		tile3x16AVX512(p)
	case 2:
		tile2x16AVX512(p)
	case 1:
		tile1x16AVX512(p)
	}
}

func callAVX2(p *uint64, rows int) {
	switch rows {
	case 6:
		tile6x16AVX2(p)
	case 4:
		tile4x16AVX2(p)
	case 3:
		tile3x16AVX2(p)
	case 2:
		tile2x16AVX2(p)
	case 1:
		tile1x16AVX2(p)
	}
}

// run computes the tile.
func (t *tile) run() {
	if use == plain {
		t.runPlain()
		return
	}
	t.check()
	if use == avx2 && t.cols < 16 {
		t.runEdge()
		return
	}
	args := tileArgs{
		dst: &t.dst[0], ldc: 4 * t.ldc, lda: 4 * t.lda, ldb: 4 * t.ldb, k: t.k, from: t.from, low: t.low, high: t.high,
		mask: uint32(1<<t.cols - 1),
	}
	if t.k > 0 {
		args.a, args.b = &t.a[0], &t.b[0]
	}
	if t.from == fromBias {
		args.bias = &t.bias[0]
	}
	most, _ := use.blocking()
	for i := 0; ; {
		rows := fits[min(t.rows-i, most)]
		args.call(rows, t.cols <= 16)
		if i += rows; i == t.rows {
			return
		}
		args.dst = &t.dst[i*t.ldc]
		if t.k > 0 {
			args.a = &t.a[i*t.lda]
		}
		if t.from == fromBias {
			args.bias = &t.bias[i]
		}
	}
}

// runEdge computes a tile of fewer columns than the AVX2 kernels have, which know no masks, on copies that are full.
func (t *tile) runEdge() {
	const width = 16
	buf := borrow((t.rows + t.k) * width)
	defer scratch.Put(buf)
	full := *t
	full.cols, full.ldc, full.ldb = width, width, width
	full.dst, full.b = (*buf)[:t.rows*width], (*buf)[t.rows*width:]
	for i := range t.rows {
		line := full.dst[i*width:][:width]
		clear(line)
		if t.from == fromDst {
			copy(line, t.dst[i*t.ldc:][:t.cols])
		}
	}
	for p := range t.k {
		line := full.b[p*width:][:width]
		clear(line[copy(line, t.b[p*t.ldb:][:t.cols]):])
	}
	full.run()
	for i := range t.rows {
		copy(t.dst[i*t.ldc:][:t.cols], full.dst[i*width:])
	}
}

// dots sets dst[i] to the sum of x[p] * w[i*stride + p], for four rows of w.
func dots(dst *[4]float32, x, w []float32, stride int) {
	lanes := 8
	if use == avx512 {
		lanes = 16
	}
	n := len(x) / lanes * lanes
	if use == plain || n == 0 {
		dotsPlain(dst, x, w, stride)
		return
	}
	_ = w[3*stride+len(x)-1]
	if use == avx512 {
		dot4AVX512(&dst[0], &x[0], &w[0], 4*stride, n)
	} else {
		dot4AVX2(&dst[0], &x[0], &w[0], 4*stride, n)
	}
	for p := n; p < len(x); p++ {
		for i := range dst {
			dst[i] += x[p] * w[i*stride+p]
		}
	}
}
