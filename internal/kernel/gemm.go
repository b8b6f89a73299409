package kernel

import "math"

// Blocking of the matrix product (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
// TOMS 34(3), 2008): a block of blockK rows and blockN columns of b, in panels as wide as a tile, stays in the second
// level cache while the rows of a pass over it.
const (
	blockK = 256
	blockN = 384
	blockM = 48 // rows of one unit of parallel work, where there are too few columns
)

// Matrix is a view of float32 values: element (i, j) stands at Data[i*RowStride + j*ColStride]. A transpose is the
// view with its strides exchanged.
type Matrix struct {
	Data                 []float32
	RowStride, ColStride int
}

// RowMajor views data as a matrix of rows of cols values.
func RowMajor(data []float32, cols int) Matrix { return Matrix{data, cols, 1} }

// T returns the transposed view.
func (m Matrix) T() Matrix { return Matrix{m.Data, m.ColStride, m.RowStride} }

// row fills dst with m[p][j : j+len(dst)].
func (m Matrix) row(dst []float32, p, j int) {
	src := m.Data[p*m.RowStride+j*m.ColStride:]
	if m.ColStride == 1 {
		copy(dst, src)
		return
	}
	for i := range dst {
		dst[i] = src[i*m.ColStride]
	}
}

// Epilogue says what a product starts from and how its elements are bounded. The zero value starts from zero and
// bounds nothing.
type Epilogue struct {
	Add       bool      // start from what stands in dst
	Bias      []float32 // else, where not nil, from the bias of each row
	Columns   []float32 // else, where not nil, from the bias of each column
	Clamp     bool      // bound the result to [Low, High]; NaN stays NaN
	Low, High float32
}

// bounds returns what results are clamped to.
func (e *Epilogue) bounds() (low, high float32) {
	if e.Clamp {
		return e.Low, e.High
	}
	return float32(math.Inf(-1)), float32(math.Inf(1))
}

// clamp bounds values that are stored already.
func (e *Epilogue) clamp(dst []float32) {
	if e.Clamp {
		for i, v := range dst {
			if v < e.Low {
				dst[i] = e.Low
			}
			if v > e.High {
				dst[i] = e.High
			}
		}
	}
}

// Gemm adds the product of a [m, k] and b [k, n] to dst [m, n], row-major with ldc values from row to row: Product
// that starts from dst.
func Gemm(dst []float32, ldc, m, n, k int, a, b Matrix, threads int) {
	if k > 0 {
		Product(dst, ldc, m, n, k, a, b, Epilogue{Add: true}, threads)
	}
}

// Product writes the product of a [m, k] and b [k, n] to dst [m, n], row-major with ldc values from row to row, in the
// way of e. Each element is summed in ascending order of the inner index, in blocks of blockK that are added up, or, for
// one row or column, in an order that depends on k alone. NaN and Inf spread as IEEE 754 says; zeros are not skipped.
func Product(dst []float32, ldc, m, n, k int, a, b Matrix, e Epilogue, threads int) {
	if m == 0 || n == 0 {
		return
	}
	switch {
	case n == 1 || m == 1 && b.ColStride != 1:
		vectorProduct(dst, ldc, m, n, k, a, b, e, threads)
	case b.ColStride == 1 && m <= directRows:
		g := &product{dst: dst, ldc: ldc, m: m, n: n, k: k, a: a, e: e, direct: b}
		g.run(threads)
	case b.ColStride == 1:
		g := &product{dst: dst, ldc: ldc, m: m, n: n, k: k, a: a, e: e, columns: matrixColumns(b, k, n)}
		g.run(threads)
	default:
		g := &product{dst: dst, ldc: ldc, m: m, n: n, k: k, a: a, e: e, row: b.row}
		g.run(threads)
	}
}

// directRows is the number of rows up to which b is read where it stands: packing it takes as long as using it so often.
const directRows = 8

// Packed is a right operand in the layout that products read: panels of tile width, each with all its rows. It belongs
// to the instruction set of the process that packed it.
type Packed struct {
	data  []float32
	k, n  int
	width int
}

// Pack lays out b [k, n] once for many products.
func Pack(b Matrix, k, n int) *Packed {
	_, width := use.blocking()
	panels := (n + width - 1) / width
	p := &Packed{data: make([]float32, panels*width*k), k: k, n: n, width: width}
	line := make([]float32, panels*width)
	for i := range k {
		b.row(line[:n], i, 0)
		for q := range panels {
			copy(p.data[(q*k+i)*width:][:width], line[q*width:])
		}
	}
	return p
}

// ProductPacked is Product with a right operand that was packed.
func ProductPacked(dst []float32, ldc, m int, a Matrix, b *Packed, e Epilogue, threads int) {
	if m == 0 || b.n == 0 {
		return
	}
	g := &product{dst: dst, ldc: ldc, m: m, n: b.n, k: b.k, a: a, e: e, packed: b}
	g.run(threads)
}

// product is a matrix product in work. The right operand is one of five.
type product struct {
	dst     []float32
	ldc     int
	m, n, k int
	a       Matrix
	e       Epilogue

	columns *columns // packed block by block
	planes  *planes  // columns over padded planes of src, which are made block by block
	src     []float32
	row     func(dst []float32, p, j int) // fills dst with b[p][j : j+len(dst)]; packed block by block
	direct  Matrix                        // row-major, read where it stands
	packed  *Packed
}

// run cuts the product into blocks of columns, and of rows where those are too few to keep every thread busy.
func (g *product) run(threads int) {
	threads = threadsFor(threads, g.m*g.n*max(g.k, 1))
	most, width := use.blocking()
	cols, rows := (g.n+blockN-1)/blockN, 1
	if cols = (cols + threads - 1) / threads * threads; g.n < cols*2*width { // as many blocks for each thread
		cols = (g.n + blockN - 1) / blockN
		rows = max(1, min((g.m+most-1)/most, (threads+cols-1)/cols))
	}
	each := ((g.n+cols-1)/cols + width - 1) / width * width
	cols = (g.n + each - 1) / each
	high := ((g.m+rows-1)/rows + most - 1) / most * most
	rows = (g.m + high - 1) / high
	if rows*cols == 1 {
		g.block(0, g.m, 0, g.n)
		return
	}
	Parallel(threads, rows*cols, func(i int) {
		i0, j0 := i/cols*high, i%cols*each
		g.block(i0, min(g.m, i0+high), j0, min(g.n, j0+each))
	})
}

// block computes rows i0..i1 and columns j0..j1 of the product.
func (g *product) block(i0, i1, j0, j1 int) {
	_, width := use.blocking()
	panels := (j1 - j0 + width - 1) / width
	need, packs := 0, g.row != nil || g.columns != nil || g.planes != nil
	columns, line := g.columns, 0
	if g.planes != nil {
		run := g.planes.columns
		line = j0 / run
		last := (j1-1)/run + 1
		buf, ints := borrow(g.planes.partSize(line, last)), borrowInts(g.k)
		defer scratch.Put(buf)
		defer scratchInts.Put(ints)
		columns = g.planes.part(g.src, *buf, *ints, line, last)
		line *= run
	}
	if packs {
		need = panels*width*(min(blockK, g.k)+1) + width
	}
	copied := g.a.ColStride != 1 && g.k > 0
	if copied {
		need += (i1 - i0) * min(blockK, g.k)
	}
	buf := borrow(need)
	defer scratch.Put(buf)
	rest := *buf
	var left []float32
	if copied {
		n := (i1 - i0) * min(blockK, g.k)
		left, rest = rest[:n], rest[n:]
	}
	for p0 := 0; p0 == 0 || p0 < g.k; p0 += blockK {
		kc := min(blockK, g.k-p0)
		t := tile{ldc: g.ldc, k: kc, lda: g.a.RowStride, low: float32(math.Inf(-1)), high: float32(math.Inf(1))}
		if p0+kc == g.k {
			t.low, t.high = g.e.bounds()
		}
		if p0 > 0 || g.e.Add {
			t.from = fromDst
		} else if g.e.Bias != nil {
			t.from = fromBias
		}
		if copied {
			t.lda = kc
			for i := i0; i < i1; i++ {
				g.a.row(left[(i-i0)*kc:][:kc], i, p0)
			}
		}
		switch {
		case columns != nil:
			columns.pack(rest, p0, kc, j0-line, j1-line, width)
		case g.row != nil:
			g.pack(rest, p0, kc, j0, j1, panels, width)
		}
		high := i1 - i0
		if kc <= shallow {
			high, _ = use.blocking()
		}
		for top := i0; top < i1; top += high {
			part := left
			if copied {
				part = left[(top-i0)*kc:]
			}
			for q := range panels {
				j := j0 + q*width
				t.cols = min(width, j1-j)
				switch {
				case packs:
					t.b, t.ldb = rest[q*width*kc:][:width*kc], width
				case g.packed != nil:
					t.b, t.ldb = g.packed.data[(j/width*g.k+p0)*width:], width
				case kc > 0:
					t.b, t.ldb = g.direct.Data[p0*g.direct.RowStride+j:], g.direct.RowStride
				}
				g.strip(t, part, top, min(top+high, i1), p0, j)
			}
		}
	}
}

// shallow is the inner size up to which the rows of the result, not the panels, are gone through one after the other:
// panels are small then, and what is written decides.
const shallow = 48

// strip runs the tiles of one panel.
func (g *product) strip(t tile, left []float32, i0, i1, p0, j int) {
	most, _ := use.blocking()
	byColumn := p0 == 0 && !g.e.Add && g.e.Bias == nil && g.e.Columns != nil
	if byColumn {
		t.from = fromDst
	}
	for i := i0; i < i1; i += most {
		t.rows = min(most, i1-i)
		t.dst = g.dst[i*g.ldc+j:]
		if byColumn {
			for r := range t.rows {
				copy(t.dst[r*g.ldc:][:t.cols], g.e.Columns[j:])
			}
		}
		switch {
		case left != nil:
			t.a = left[(i-i0)*t.k:]
		case t.k > 0:
			t.a = g.a.Data[i*g.a.RowStride+p0:]
		}
		if t.from == fromBias {
			t.bias = g.e.Bias[i:]
		}
		t.run()
	}
}

// pack writes rows p0..p0+kc and columns j0..j1 of b into panels; what lies beyond j1 in the last one is left as it is.
func (g *product) pack(buf []float32, p0, kc, j0, j1, panels, width int) {
	line := buf[panels*width*kc:][:panels*width]
	for p := range kc {
		g.row(line[:j1-j0], p0+p, j0)
		at := p * width
		for q := range panels {
			copy(buf[at:][:width], line[q*width:])
			at += kc * width
		}
	}
}

// vectorProduct is Product where one of the operands is a vector that the rows of the other are multiplied with.
func vectorProduct(dst []float32, ldc, m, n, k int, a, b Matrix, e Epilogue, threads int) {
	w, count, step, x, xs := a, m, ldc, b.Data, b.RowStride // n == 1: rows of a times the column b
	if n != 1 {
		w, count, step, x, xs = b.T(), n, 1, a.Data, a.ColStride // m == 1: columns of b times the row a
	}
	if xs != 1 && k > 0 {
		buf := borrow(k)
		defer scratch.Put(buf)
		for p := range k {
			(*buf)[p] = x[p*xs]
		}
		x = *buf
	}
	x = x[:k]
	const chunk = 64
	threads = threadsFor(threads, count*max(k, 1))
	Parallel(threads, (count+chunk-1)/chunk, func(c int) {
		for i := c * chunk; i < min(count, (c+1)*chunk); i += 4 {
			var s [4]float32
			rows := min(4, count-i)
			if rows == 4 && w.ColStride == 1 && k > 0 {
				dots(&s, x, w.Data[i*w.RowStride:], w.RowStride)
			} else {
				for r := range rows {
					s[r] = dotStrided(x, w, i+r)
				}
			}
			for r := range rows {
				e.finish(&dst[(i+r)*step], s[r], i+r, n == 1)
			}
		}
	})
}

// finish stores the sum of element i of a vector, whose bias is its own where it is a column.
func (e *Epilogue) finish(dst *float32, s float32, i int, column bool) {
	switch {
	case e.Add:
		s += *dst
	case e.Bias != nil && column:
		s += e.Bias[i]
	case e.Bias != nil:
		s += e.Bias[0]
	case e.Columns != nil && column:
		s += e.Columns[0]
	case e.Columns != nil:
		s += e.Columns[i]
	}
	if e.Clamp {
		if s < e.Low {
			s = e.Low
		}
		if s > e.High {
			s = e.High
		}
	}
	*dst = s
}

// dotStrided is the dot product of x and row i of w.
func dotStrided(x []float32, w Matrix, i int) float32 {
	if len(x) == 0 {
		return 0
	}
	row := w.Data[i*w.RowStride:]
	if w.ColStride == 1 {
		return Dot(x, row)
	}
	var s float32
	for p, v := range x {
		s += v * row[p*w.ColStride]
	}
	return s
}

// Dot returns the sum of x[i]*y[i] over len(x) elements, as four sums over i mod 4 added in pairs.
func Dot(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a, b := x[i:i+4:i+4], y[i:i+4:i+4]
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
	}
	for ; i < len(x); i++ {
		s0 += x[i] * y[i]
	}
	return (s0 + s1) + (s2 + s3)
}

// dotsPlain is dots in Go.
func dotsPlain(dst *[4]float32, x, w []float32, stride int) {
	for i := range dst {
		dst[i] = Dot(x, w[i*stride:])
	}
}
