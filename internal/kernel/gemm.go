package kernel

// Blocking of the matrix product (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM
// TOMS 34(3), 2008): a block of blockK rows and blockN columns of b is packed into panels of tileN columns that
// stay in the second-level cache; tileM rows of a are packed beside it and stay in the first.
const (
	tileM  = 2
	tileN  = 4
	blockK = 256
	blockN = 128
	blockM = 64 // rows of one unit of parallel work
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

// row fills dst with b[p][j : j+len(dst)].
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

// Gemm adds the product of a [m, k] and b [k, n] to dst [m, n], row-major with ldc values from row to row.
// Element (i, j) gains ((s0 + s1) + ...) where each s is the sum over blockK consecutive p of a[i,p]*b[p,j] in
// ascending order. NaN and Inf spread as IEEE 754 says; zeros are not skipped.
func Gemm(dst []float32, ldc, m, n, k int, a, b Matrix, threads int) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	switch {
	case m == 1:
		gemv(dst, 1, n, k, a.Data, a.ColStride, b.T(), threads)
	case n == 1:
		gemv(dst, ldc, m, k, b.Data, b.RowStride, a, threads)
	default:
		gemmRows(dst, ldc, m, n, k, a, b.row, threads)
	}
}

// gemmRows is Gemm with b given row by row: row(dst, p, j) fills dst with b[p][j : j+len(dst)]. Convolutions make
// their im2col rows there, so that the matrix never stands in memory as a whole.
func gemmRows(dst []float32, ldc, m, n, k int, a Matrix, row func(dst []float32, p, j int), threads int) {
	threads = threadsFor(threads, m*n*k)
	cols := (n + blockN - 1) / blockN
	rows := 1
	if cols < 2*threads { // too few column blocks to keep every thread busy: cut the rows too
		rows = min((m+blockM-1)/blockM, 2*threads)
	}
	each := (m + rows - 1) / rows
	each += each % tileM
	Parallel(threads, rows*cols, func(i int) {
		i0, j0 := i/cols*each, i%cols*blockN
		if i0 < m {
			gemmBlock(dst, ldc, i0, min(m, i0+each), j0, min(n, j0+blockN), k, a, row)
		}
	})
}

// gemmBlock computes rows i0..i1 and columns j0..j1 of the product.
func gemmBlock(dst []float32, ldc, i0, i1, j0, j1, k int, a Matrix, row func(dst []float32, p, j int)) {
	panels := (j1 - j0 + tileN - 1) / tileN
	buf := borrow(panels*tileN*blockK + tileM*blockK + panels*tileN)
	defer scratch.Put(buf)
	b, rest := (*buf)[:panels*tileN*blockK], (*buf)[panels*tileN*blockK:]
	pa, line := rest[:tileM*blockK], rest[tileM*blockK:]
	clear(line)
	for p0 := 0; p0 < k; p0 += blockK {
		kc := min(blockK, k-p0)
		for p := range kc {
			row(line[:j1-j0], p0+p, j0)
			packRow(b, line, p, kc)
		}
		for i := i0; i < i1; i += tileM {
			mr := min(tileM, i1-i)
			packA(pa, a, i, mr, p0, kc)
			for q := range panels {
				j := j0 + q*tileN
				c := tile(pa[:tileM*kc], b[q*tileN*kc:(q+1)*tileN*kc])
				addTile(dst[i*ldc+j:], ldc, mr, min(tileN, j1-j), &c)
			}
		}
	}
}

// packRow writes row p of a block of kc rows into its panels: panel q holds columns 4q..4q+3, row by row.
func packRow(b, line []float32, p, kc int) {
	for at := p * tileN; len(line) >= tileN; at += kc * tileN {
		*(*[tileN]float32)(b[at:]) = [tileN]float32(line)
		line = line[tileN:]
	}
}

// packA writes rows i..i+mr of a, columns p0..p0+kc, column by column; missing rows of the tile are zero.
func packA(pa []float32, a Matrix, i, mr, p0, kc int) {
	r0 := a.Data[i*a.RowStride+p0*a.ColStride:]
	if mr == 1 {
		for p := range kc {
			pa[2*p], pa[2*p+1] = r0[p*a.ColStride], 0
		}
		return
	}
	r1 := a.Data[(i+1)*a.RowStride+p0*a.ColStride:]
	for p := range kc {
		pa[2*p], pa[2*p+1] = r0[p*a.ColStride], r1[p*a.ColStride]
	}
}

// tile multiplies a panel of two rows by a panel of four columns: eight running sums that stay in registers.
func tile(a, b []float32) (c [tileM * tileN]float32) {
	var c0, c1, c2, c3, d0, d1, d2, d3 float32
	for len(a) >= 4 && len(b) >= 8 {
		a0, a1 := a[0], a[1]
		c0 += a0 * b[0]
		c1 += a0 * b[1]
		c2 += a0 * b[2]
		c3 += a0 * b[3]
		d0 += a1 * b[0]
		d1 += a1 * b[1]
		d2 += a1 * b[2]
		d3 += a1 * b[3]
		a0, a1 = a[2], a[3]
		c0 += a0 * b[4]
		c1 += a0 * b[5]
		c2 += a0 * b[6]
		c3 += a0 * b[7]
		d0 += a1 * b[4]
		d1 += a1 * b[5]
		d2 += a1 * b[6]
		d3 += a1 * b[7]
		a, b = a[4:], b[8:]
	}
	if len(a) >= 2 && len(b) >= 4 {
		a0, a1 := a[0], a[1]
		c0 += a0 * b[0]
		c1 += a0 * b[1]
		c2 += a0 * b[2]
		c3 += a0 * b[3]
		d0 += a1 * b[0]
		d1 += a1 * b[1]
		d2 += a1 * b[2]
		d3 += a1 * b[3]
	}
	return [...]float32{c0, c1, c2, c3, d0, d1, d2, d3}
}

// addTile adds the mr by nr corner of c to dst.
func addTile(dst []float32, ldc, mr, nr int, c *[tileM * tileN]float32) {
	for i := range mr {
		row := dst[i*ldc:][:nr]
		for j := range row {
			row[j] += c[i*tileN+j]
		}
	}
}

// gemv adds w·x to dst: dst[i*step] += sum over p of w[i,p] * x[p*xs], w [n, k].
func gemv(dst []float32, step, n, k int, x []float32, xs int, w Matrix, threads int) {
	if xs != 1 {
		buf := borrow(k)
		defer scratch.Put(buf)
		for p := range k {
			(*buf)[p] = x[p*xs]
		}
		x = *buf
	}
	x = x[:k]
	const chunk = 256
	threads = threadsFor(threads, n*k)
	Parallel(threads, (n+chunk-1)/chunk, func(c int) {
		i0, i1 := c*chunk, min(n, (c+1)*chunk)
		if w.RowStride == 1 && step == 1 {
			axpyColumns(dst[i0:i1], x, w, i0)
			return
		}
		for i := i0; i < i1; i++ {
			dst[i*step] += dotStrided(x, w.Data[i*w.RowStride:], w.ColStride)
		}
	})
}

// axpyColumns adds to dst the columns of w, weighted by x, when the columns are contiguous; four columns a pass.
func axpyColumns(dst, x []float32, w Matrix, i0 int) {
	col := func(p int) []float32 { return w.Data[p*w.ColStride+i0:][:len(dst)] }
	p := 0
	for ; p+4 <= len(x); p += 4 {
		w0, w1, w2, w3 := col(p), col(p+1), col(p+2), col(p+3)
		x0, x1, x2, x3 := x[p], x[p+1], x[p+2], x[p+3]
		for i := range dst {
			dst[i] += (x0*w0[i] + x1*w1[i]) + (x2*w2[i] + x3*w3[i])
		}
	}
	for ; p < len(x); p++ {
		w0 := col(p)
		for i := range dst {
			dst[i] += x[p] * w0[i]
		}
	}
}

func dotStrided(x, w []float32, stride int) float32 {
	if stride == 1 {
		return Dot(x, w[:len(x)])
	}
	var s float32
	for p, v := range x {
		s += v * w[p*stride]
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
