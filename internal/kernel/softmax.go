package kernel

import "math"

// Softmax writes exp(x - max) / sum exp(x - max) along rows of n elements that stand stride apart: element i of row
// (o, s) is x[(o*n + i)*stride + s]. Within 4 ulp; the sum of a contiguous row is taken in float64. A row that holds NaN
// or +Inf gives NaN; so does a row of nothing but -Inf. dst may be x.
func Softmax(dst, x []float32, outer, n, stride int) {
	if stride == 1 {
		if size := outer * n; size > 0 {
			softmaxRows(dst[:size], x[:size], n)
		}
		return
	}
	eachBand(outer, n, stride, func(b *band) {
		b.exponentials(dst, x)
		for i := range n {
			row := b.row(dst, i)
			spans.div(row, row, b.sum, 1, 1)
		}
	})
}

// softmaxRows is Softmax of contiguous rows of n elements, n not 0.
func softmaxRows(dst, x []float32, n int) {
	if n < use.shortRow() {
		softmaxShort(dst, x, len(x)/n, n)
		return
	}
	done := 0
	if whole := levels[use].softmax; whole != nil && n <= longRow {
		done = whole(dst, x, n)
	}
	for i := done; i < len(x); i += n {
		softmaxRow(dst[i:i+n], x[i:i+n])
	}
}

// longRow is the length beyond which rows are taken one at a time: their own work hides what a row begins and ends with.
const longRow = 1 << 10

// shortRow is the length below which rows are taken many at a time: they do not fill a vector.
func (l level) shortRow() int {
	if l == avx512 { // masks make up for half a vector
		return 9
	}
	return 16
}

// softmaxShort is Softmax of outer contiguous rows of n elements.
func softmaxShort(dst, x []float32, outer, n int) {
	const most = 1024
	each := most / max(1, n)
	for o := 0; o < outer && n > 0; o += each {
		block := dst[o*n : min(outer, o+each)*n]
		for i := 0; i < len(block); i += n {
			row := x[o*n+i:][:n]
			top := row[0]
			for _, v := range row[1:] {
				top = max(top, v)
			}
			for k, v := range row {
				block[i+k] = v - top
			}
		}
		spans.exp(block, block)
		for i := 0; i < len(block); i += n {
			row := block[i:][:n]
			var sum float64
			for _, v := range row {
				sum += float64(v)
			}
			factor := float32(1 / sum)
			for k := range row {
				row[k] *= factor
			}
		}
	}
}

func softmaxRow(dst, x []float32) {
	sum := levels[use].expSum(dst, x, Largest(x))
	if len(x) > 0 {
		spans.affine(dst, dst, float32(1/sum), 0)
	}
}

// LogSoftmax writes x - max - log(sum exp(x - max)), with rows as in Softmax.
func LogSoftmax(dst, x []float32, outer, n, stride int) {
	if stride == 1 {
		for o := range outer {
			logSoftmaxRow(dst[o*n:(o+1)*n], x[o*n:(o+1)*n])
		}
		return
	}
	eachBand(outer, n, stride, func(b *band) {
		kept := borrow(n * len(b.sum))
		defer scratch.Put(kept)
		for i := range n {
			copy((*kept)[i*len(b.sum):], b.row(x, i))
		}
		b.exponentials(dst, x)
		for i, v := range b.sum {
			b.sum[i] = float32(math.Log(float64(v)))
		}
		for i := range n {
			row := b.row(dst, i)
			spans.sub(row, (*kept)[i*len(b.sum):][:len(b.sum)], b.top, 1, 1)
			spans.sub(row, row, b.sum, 1, 1)
		}
	})
}

func logSoftmaxRow(dst, x []float32) {
	if len(x) == 0 {
		return
	}
	exp := borrow(len(x))
	defer scratch.Put(exp)
	top := Largest(x)
	sum := levels[use].expSum(*exp, x, top)
	spans.affine(dst, x, 1, -top)
	spans.affine(dst, dst, 1, -float32(math.Log(sum)))
}

// bandWidth is how many rows that lie beside one another are taken together: with the states of a band they stay in the
// first level cache.
const bandWidth = 256

// band is up to bandWidth rows whose elements stand stride apart, side by side.
type band struct {
	base, n, stride int
	top, sum        []float32 // of each row
}

// row returns element i of each row.
func (b *band) row(x []float32, i int) []float32 {
	return x[b.base+i*b.stride:][:len(b.top)]
}

// exponentials writes e^(x - top) to dst, top being the largest of each row, and adds them up in the order of i.
func (b *band) exponentials(dst, x []float32) {
	copy(b.top, b.row(x, 0))
	for i := 1; i < b.n; i++ {
		Larger(b.top, b.top, b.row(x, i), 1, 1)
	}
	clear(b.sum)
	for i := range b.n {
		row := b.row(dst, i)
		spans.sub(row, b.row(x, i), b.top, 1, 1)
		spans.exp(row, row)
		spans.add(b.sum, b.sum, row, 1, 1)
	}
}

// eachBand cuts the rows of a value into bands; none where rows are empty.
func eachBand(outer, n, stride int, f func(b *band)) {
	if n == 0 {
		return
	}
	state := borrow(2 * bandWidth)
	defer scratch.Put(state)
	for o := range outer {
		for s := 0; s < stride; s += bandWidth {
			size := min(bandWidth, stride-s)
			f(&band{base: o*n*stride + s, n: n, stride: stride, top: (*state)[:size], sum: (*state)[bandWidth:][:size]})
		}
	}
}
