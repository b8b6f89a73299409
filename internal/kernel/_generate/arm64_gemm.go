package main

import "fmt"

// A NEON tile computes what those of gemm.go do, from the same arguments. Its columns are whole: 12, 8, 4, 2 or 1; tiles
// of other numbers are made of several. The 8x12 tile holds its sums in 24 registers, three of b and five for elements
// of a, which are loaded one by one into element 0 (no arithmetic unit takes part in that): 11 loads for 24 FMLA, where
// processors with two units of each could do 24.

// The shapes of tiles.
var (
	neonRows = []int{8, 4, 2, 1}
	neonCols = []int{12, 8, 4, 2, 1}
)

// neonTile is a tile in the making.
type neonTile struct {
	*neon
	rows, cols                     int
	args, dst, ldc, lda, b, ldb, k gp
	a                              []gp // rows of a
	acc                            [][]vec
	right, left                    []vec // a row of b; elements of a
}

// vectors returns how many registers a row takes.
func (t *neonTile) vectors() int { return (t.cols + 3) / 4 }

func (n *neon) gemmKernels() {
	for _, cols := range neonCols {
		for _, rows := range neonRows {
			n.tile(rows, cols)
		}
	}
	n.dots()
}

// tile generates the tile of the given shape.
func (n *neon) tile(rows, cols int) {
	n.function(fmt.Sprintf("tile%dx%dNEON", rows, cols), "t *tileArgs", fmt.Sprintf("computes a tile of %d rows and %d columns", rows, cols))
	t := &neonTile{neon: n, rows: rows, cols: cols, args: n.load("t")[0]}
	field := func(offset int) gp {
		r := n.gp()
		n.op("MOVD %d(%s), %s", offset, t.args, r)
		return r
	}
	t.dst, t.ldc, t.lda, t.b, t.ldb, t.k = field(argDst), field(argLdc), field(argLda), field(argB), field(argLdb), field(argK)
	t.a = []gp{field(argA)}
	for i := 1; i < rows; i++ {
		t.a = append(t.a, n.gp())
		n.op("ADD %s, %s, %s", t.lda, t.a[i-1], t.a[i])
	}
	for range rows {
		t.acc = append(t.acc, n.list(t.vectors()))
	}
	t.right, t.left = n.list(t.vectors()), n.list(5)
	t.start()
	t.sum()
	t.store()
	n.op("RET")
}

// row loads a row of columns from an address, or stores it there.
func (t *neonTile) row(v []vec, at gp, store bool) {
	move := func(op string, v vec, offset int) {
		if store {
			t.op("%s %s, %d(%s)", op, v.f(), offset, at)
		} else {
			t.op("%s %d(%s), %s", op, offset, at, v.f())
		}
	}
	switch t.cols {
	case 1:
		move("FMOVS", v[0], 0)
		return
	case 2:
		move("FMOVD", v[0], 0)
		return
	}
	i := 0
	for ; i+2 <= len(v); i += 2 {
		if store {
			t.op("FSTPQ (%s, %s), %d(%s)", v[i].f(), v[i+1].f(), 16*i, at)
		} else {
			t.op("FLDPQ %d(%s), (%s, %s)", 16*i, at, v[i].f(), v[i+1].f())
		}
	}
	if i < len(v) {
		move("FMOVQ", v[i], 16*i)
	}
}

// start fills the accumulators from nothing, from dst or from the bias.
func (t *neonTile) start() {
	m := t.mark()
	flags, from := t.gp(), t.gp()
	t.op("MOVWU %d(%s), %s", argFlags, t.args, flags)
	t.op("TBNZ $0, %s, fromDst", flags)
	t.op("TBNZ $1, %s, fromBias", flags)
	for _, row := range t.acc {
		for _, v := range row {
			t.clear(v)
		}
	}
	t.op("B sum")
	t.label("fromBias")
	t.op("MOVD %d(%s), %s", argBias, t.args, from)
	for i, row := range t.acc {
		x := t.left[i%len(t.left)]
		t.op("FMOVS %d(%s), %s", 4*i, from, x.f())
		for _, v := range row {
			t.spread(v, x.at(0))
		}
	}
	t.op("B sum")
	t.label("fromDst")
	t.op("MOVD %s, %s", t.dst, from)
	for i, row := range t.acc {
		t.row(row, from, false)
		if i < t.rows-1 {
			t.op("ADD %s, %s", t.ldc, from)
		}
	}
	t.release(m)
}

// step adds the products of row p of b, o rows behind where the pointers to a stand. Elements of a are loaded four rows
// before they are used.
func (t *neonTile) step(o int) {
	ahead := len(t.left) - 1
	element := func(i int) {
		if i < t.rows {
			t.op("FMOVS %d(%s), %s", 4*o, t.a[i], t.left[i%len(t.left)].f())
		}
	}
	t.row(t.right, t.b, false)
	t.op("ADD %s, %s", t.ldb, t.b)
	for i := range ahead {
		element(i)
	}
	for i, row := range t.acc {
		for j, v := range row {
			t.scaled("fmla", v, t.right[j], t.left[i%len(t.left)].at(0))
		}
		element(i + ahead)
	}
}

// sum adds all products, four rows of b at a time.
func (t *neonTile) sum() {
	const unroll = 4
	advance := func(n int) {
		for _, a := range t.a {
			t.op("ADD $%d, %s", 4*n, a)
		}
	}
	t.label("sum")
	t.op("SUBS $%d, %s", unroll, t.k)
	t.op("BLT tail")
	t.label("many")
	for o := range unroll {
		t.step(o)
	}
	advance(unroll)
	t.op("SUBS $%d, %s", unroll, t.k)
	t.op("BGE many")
	t.label("tail")
	t.op("ADDS $%d, %s", unroll, t.k)
	t.op("BEQ store")
	t.label("one")
	t.step(0)
	advance(1)
	t.op("SUBS $1, %s", t.k)
	t.op("BNE one")
}

// store bounds and writes the sums.
func (t *neonTile) store() {
	t.label("store")
	low, high, mask := t.left[0], t.left[1], t.left[2]
	t.op("FMOVS %d(%s), %s", argClamp, t.args, low.f())
	t.op("FMOVS %d(%s), %s", argClamp+4, t.args, high.f())
	t.spread(low, low.at(0))
	t.spread(high, high.at(0))
	for i, row := range t.acc {
		for _, v := range row {
			t.clamp(v, low, high, mask)
		}
		t.row(row, t.dst, true)
		if i < t.rows-1 {
			t.op("ADD %s, %s", t.ldc, t.dst)
		}
	}
}

// dots generates the dot products of a vector with four others:
//
//	dst[i] = sum over p < k of x[p] * w[i*stride + p]
//
// for i < 4; k counts elements and is a multiple of 8, not 0; stride counts bytes. Lane l of eight sums the p with
// p mod 8 = l; the halves are then added, and the lanes of these in pairs.
func (n *neon) dots() {
	n.function("dot4NEON", "dst, x, w *float32, stride, k int", "computes four dot products")
	args := n.load("dst", "x", "w", "stride", "k")
	dst, x, stride, k := args[0], args[1], args[3], args[4]
	rows := []gp{args[2]}
	for i := 1; i < 4; i++ {
		rows = append(rows, n.gp())
		n.op("ADD %s, %s, %s", stride, rows[i-1], rows[i])
	}
	acc := n.list(8)
	for _, v := range acc {
		n.clear(v)
	}
	n.label("loop")
	v := n.list(2)
	n.op("FLDPQ.P 32(%s), (%s, %s)", x, v[0].f(), v[1].f())
	for i, r := range rows {
		w := n.list(2)
		n.op("FLDPQ.P 32(%s), (%s, %s)", r, w[0].f(), w[1].f())
		n.fma(acc[2*i], w[0], v[0])
		n.fma(acc[2*i+1], w[1], v[1])
	}
	n.op("SUBS $8, %s", k)
	n.op("BNE loop")
	for i := range rows {
		n.three("fadd", acc[2*i], acc[2*i], acc[2*i+1])
	}
	n.three("faddp", acc[0], acc[0], acc[2])
	n.three("faddp", acc[4], acc[4], acc[6])
	n.three("faddp", acc[0], acc[0], acc[4])
	n.op("FMOVQ %s, (%s)", acc[0].f(), dst)
	n.op("RET")
}
