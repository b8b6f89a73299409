package kernel

// tile is one tile of a matrix product, up to tileRows by panelWidth elements:
//
//	dst[i*ldc + j] = clamp(start + sum over p < k of a[i*lda + p] * b[p*ldb + j], low, high)
//
// start is what stands in dst, bias[i], or zero. The sum is taken in the order of p. A NaN is not clamped.
type tile struct {
	dst, a, b     []float32
	ldc, lda, ldb int
	rows, cols, k int
	from          start
	bias          []float32
	low, high     float32
}

// start says what a sum starts from.
type start uint32

const (
	fromZero start = iota
	fromDst
	fromBias
)

// check panics where a slice is too short for the tile: the kernels in assembly do not see lengths.
func (t *tile) check() {
	_ = t.dst[(t.rows-1)*t.ldc+t.cols-1]
	if t.k > 0 {
		_ = t.a[(t.rows-1)*t.lda+t.k-1]
		_ = t.b[(t.k-1)*t.ldb+t.cols-1]
	}
	if t.from == fromBias {
		_ = t.bias[t.rows-1]
	}
}

// blocking returns the rows of a full tile and the columns of a panel.
func (l level) blocking() (rows, width int) {
	switch l {
	case avx512:
		return 12, 32
	case avx2:
		return 6, 16
	case neon:
		return 8, 12
	}
	return 2, 4
}

// runPlain computes the tile in Go, two rows by four columns at a time.
func (t *tile) runPlain() {
	t.check()
	if t.k == 0 {
		t.a, t.lda = nil, 0
	}
	for i := 0; i < t.rows; i += 2 {
		for j := 0; j < t.cols; j += 4 {
			if i+2 <= t.rows && j+4 <= t.cols {
				t.plain2x4(i, j)
				continue
			}
			for y := i; y < min(i+2, t.rows); y++ {
				for x := j; x < min(j+4, t.cols); x++ {
					t.plain1x1(y, x)
				}
			}
		}
	}
}

func (t *tile) first(i, j int) float32 {
	switch t.from {
	case fromDst:
		return t.dst[i*t.ldc+j]
	case fromBias:
		return t.bias[i]
	}
	return 0
}

func (t *tile) put(i, j int, v float32) {
	if v < t.low {
		v = t.low
	}
	if v > t.high {
		v = t.high
	}
	t.dst[i*t.ldc+j] = v
}

func (t *tile) plain1x1(i, j int) {
	s := t.first(i, j)
	a := t.a[i*t.lda:]
	for p := range t.k {
		s += a[p] * t.b[p*t.ldb+j]
	}
	t.put(i, j, s)
}

// plain2x4 keeps eight running sums in registers.
func (t *tile) plain2x4(i, j int) {
	c0, c1, c2, c3 := t.first(i, j), t.first(i, j+1), t.first(i, j+2), t.first(i, j+3)
	d0, d1, d2, d3 := t.first(i+1, j), t.first(i+1, j+1), t.first(i+1, j+2), t.first(i+1, j+3)
	a0, a1 := t.a[i*t.lda:][:t.k], t.a[(i+1)*t.lda:][:t.k]
	for p, x := range a0 {
		y := a1[p]
		b := (*[4]float32)(t.b[p*t.ldb+j:])
		c0 += x * b[0]
		c1 += x * b[1]
		c2 += x * b[2]
		c3 += x * b[3]
		d0 += y * b[0]
		d1 += y * b[1]
		d2 += y * b[2]
		d3 += y * b[3]
	}
	for x, v := range [4]float32{c0, c1, c2, c3} {
		t.put(i, j+x, v)
	}
	for x, v := range [4]float32{d0, d1, d2, d3} {
		t.put(i+1, j+x, v)
	}
}
