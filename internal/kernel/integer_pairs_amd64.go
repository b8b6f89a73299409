package kernel

import "unsafe"

// Products of bytes without VNNI: both operands are widened to int16 and multiplied by pairs (AVX2 VPMADDWD), which is
// exact whatever the bytes are.

// pairBlock is how many pairs of rows are packed at a time: a panel of them fills half of the first level cache.
const pairBlock = 256

// pairWidth is the number of columns of a panel of pairs.
const pairWidth = 16

// pairProduct is an integerProduct whose left operand is widened: rows of whole pairs, filled up with zeros.
type pairProduct struct {
	*integerProduct
	left []int16 // [m, 2*pairs]
	n    int     // pairs
}

// pairs readies the product; the right operand repeats its first row where the rows are odd.
func (p *integerProduct) pairs(b *byteColumns) (block blockFunc, release func()) {
	if len(b.offsets)%2 != 0 {
		b.offsets = append(b.offsets, b.offsets[0])
	}
	q, release := newPairProduct(p)
	return q.block, release
}

// newPairProduct widens the left operand.
func newPairProduct(p *integerProduct) (q *pairProduct, release func()) {
	q = &pairProduct{integerProduct: p, n: (p.k + 1) / 2}
	if p.filters != nil {
		q.left = p.filters.pairs[2*p.first*q.n : 2*(p.first+p.m)*q.n]
		return q, func() {}
	}
	buf := borrow(p.m * q.n)
	q.left = unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(*buf))), 2*p.m*q.n)
	widenRows(q.left, p.left, p.m, p.k, p.signedLeft)
	return q, func() { scratch.Put(buf) }
}

// widenRows widens rows of k bytes and fills them up to whole pairs with zeros.
func widenRows(dst []int16, x []uint8, rows, k int, signed bool) {
	whole := (k + 1) / 2 * 2
	for i := range rows {
		row := dst[i*whole:][:whole]
		row[whole-1] = 0
		widen(row, x[i*k:(i+1)*k], signed)
	}
}

// widen copies bytes, of int8 where signed.
func widen(dst []int16, x []uint8, signed bool) {
	n := len(x) &^ 15
	switch {
	case n == 0:
	case signed:
		_ = dst[n-1]
		widenSAVX2(&dst[0], &x[0], n)
	default:
		_ = dst[n-1]
		widenUAVX2(&dst[0], &x[0], n)
	}
	for i := n; i < len(x); i++ {
		dst[i] = widened(x[i], signed)
	}
}

// block computes rows i0..i1 and columns j0..j1 of the product.
func (p *pairProduct) block(b *byteColumns, i0, i1, j0, j1 int, seen []int32) {
	panels := (j1 - j0 + pairWidth - 1) / pairWidth
	var packed []int16
	if p.packed == nil {
		buf := borrow(panels * pairWidth * min(p.n, pairBlock))
		defer scratch.Put(buf)
		packed = unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(*buf))), 2*len(*buf))
	}
	for q0 := 0; q0 < p.n; q0 += pairBlock {
		n := min(pairBlock, p.n-q0)
		if p.packed == nil {
			b.packPairs(packed, q0, n, j0, j1, !p.signedLeft)
		} else {
			packed = p.packed.pairs[2*(q0*((p.integerProduct.n+pairWidth-1)/pairWidth*pairWidth)+j0*n):]
		}
		for panel := range panels {
			j := j0 + panel*pairWidth
			if seen != nil {
				all := pairProduct{integerProduct: &integerProduct{dst: seen, ldc: len(seen)}, left: p.ones.pairs, n: p.n}
				all.tile(packed[2*panel*pairWidth*n:], 0, 1, j-j0, min(pairWidth, j1-j), q0, n)
			}
			for i := i0; i < i1; i += 6 {
				p.tile(packed[2*panel*pairWidth*n:], i, min(6, i1-i), j, min(pairWidth, j1-j), q0, n)
			}
		}
	}
}

// packPairs packs columns j0..j1 of n pairs of rows into panels. What lies beyond j1 in the last one is left as it is.
func (b *byteColumns) packPairs(buf []int16, q0, n, j0, j1 int, signed bool) {
	for j := j0; j < j1; {
		panel, at, in := (j-j0)/pairWidth, (j-j0)%pairWidth, j%b.run
		cols := min(j1-j, b.run-in, pairWidth-at)
		b.packPiece(buf[2*panel*pairWidth*n:][:2*pairWidth*n], b.offsets[2*q0:2*(q0+n)], j/b.run*b.pitch+in*b.step, at, cols, signed)
		j += cols
	}
}

// packPiece packs a run of columns into columns at... of a panel; base is where the first stands behind an offset.
func (b *byteColumns) packPiece(panel []int16, offsets []int, base, at, cols int, signed bool) {
	start := base - at*b.step // of the panel's first column, were it in the run
	n := len(offsets) / 2
	if b.step > 2 || b.step == 2 && signed || start+b.offsets[0] < 0 {
		n = 0
	}
	for n > 0 && start+max(offsets[2*n-2], offsets[2*n-1])+pairWidth*b.step > len(b.data) {
		n--
	}
	if n > 0 { // offsets rise, but for those that repeat the first: all others lie within the data too
		var mask [pairWidth]int32
		for i := range cols {
			mask[at+i] = -1
		}
		src := &b.data[0]
		switch {
		case signed:
			packPairsS1AVX2(&panel[0], src, start, &offsets[0], n, &mask[0])
		case b.step == 1:
			packPairsU1AVX2(&panel[0], src, start, &offsets[0], n, &mask[0])
		default:
			packPairsU2AVX2(&panel[0], src, start, &offsets[0], n, &mask[0])
		}
	}
	for q := n; q < len(offsets)/2; q++ {
		row := panel[2*(q*pairWidth+at):][:2*cols]
		x, y := b.data[offsets[2*q]+base:], b.data[offsets[2*q+1]+base:]
		for i := range cols {
			row[2*i], row[2*i+1] = widened(x[i*b.step], signed), widened(y[i*b.step], signed)
		}
	}
}

// tile runs the kernels of rows x cols sums.
func (p *pairProduct) tile(panel []int16, i, rows, j, cols, q0, n int) {
	lda := 2 * p.n
	_ = p.left[(i+rows-1)*lda+2*(q0+n)-1]
	_ = panel[2*pairWidth*n-1]
	args := tileArgs{ldc: 4 * p.ldc, lda: 2 * lda, b: (*float32)(unsafe.Pointer(&panel[0])), ldb: 4 * pairWidth, k: n}
	if cols < pairWidth { // the kernels know no masks
		p.edge(args, i, rows, j, cols, q0)
		return
	}
	_ = p.dst[(i+rows-1)*p.ldc+j+cols-1]
	if q0 > 0 {
		args.from = fromDst
	}
	for rows > 0 {
		r := fits[min(rows, 6)]
		part := args
		part.a, part.dst = (*float32)(unsafe.Pointer(&p.left[i*lda+2*q0])), (*float32)(unsafe.Pointer(&p.dst[i*p.ldc+j]))
		callPairs((*uint64)(unsafe.Pointer(&part)), r)
		i, rows = i+r, rows-r
	}
}

// edge runs the kernels of rows x cols sums, less than a panel has columns, beside the result.
func (p *pairProduct) edge(args tileArgs, i, rows, j, cols, q0 int) {
	var edge [6 * pairWidth]int32
	args.ldc = 4 * pairWidth
	for rows > 0 {
		r := fits[min(rows, 6)]
		part := args
		part.a, part.dst = (*float32)(unsafe.Pointer(&p.left[2*(i*p.n+q0)])), (*float32)(unsafe.Pointer(&edge[0]))
		callPairs((*uint64)(unsafe.Pointer(&part)), r)
		for y := range r {
			p.add(p.dst[(i+y)*p.ldc+j:][:cols], edge[y*pairWidth:], q0 > 0)
		}
		i, rows = i+r, rows-r
	}
}

// add stores sums, or adds them to those that stand there.
func (p *pairProduct) add(dst, sums []int32, more bool) {
	if !more {
		copy(dst, sums)
		return
	}
	for i := range dst {
		dst[i] += sums[i]
	}
}

func callPairs(t *uint64, rows int) {
	switch rows {
	case 6:
		tile6x16PairsAVX2(t)
	case 4:
		tile4x16PairsAVX2(t)
	case 3:
		tile3x16PairsAVX2(t)
	case 2:
		tile2x16PairsAVX2(t)
	case 1:
		tile1x16PairsAVX2(t)
	}
}
