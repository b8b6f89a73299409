package main

// packKernels generates the copying of n columns of each row, as into a panel, step 1 or 2 elements apart:
//
//	dst[p*stride + j] = src[offsets[p] + j*step]
//
// Offsets and stride count bytes. With step 2, an element behind the last may be read. Rows and n are not 0. And it
// generates the transpose of four rows.
func (n *neon) packKernels() {
	n.packRows()
	n.packEvens()
	n.transpose()
}

// packing is what both copies begin and go on with.
type packing struct {
	*neon
	dst, src, offsets, rows, count, stride, from, to, left gp
}

func (n *neon) newPacking(name string) *packing {
	n.function(name, "dst, src *float32, offsets *int, rows, n, stride int", "copies a run of columns into a panel")
	r := n.load("dst", "src", "offsets", "rows", "n", "stride")
	p := &packing{n, r[0], r[1], r[2], r[3], r[4], r[5], n.gp(), n.gp(), n.gp()}
	n.label("row")
	n.op("MOVD.P 8(%s), %s", p.offsets, p.from)
	n.op("ADD %s, %s", p.src, p.from)
	n.op("MOVD %s, %s", p.dst, p.to)
	n.op("ADD %s, %s", p.stride, p.dst)
	n.op("SUBS $4, %s, %s", p.count, p.left)
	n.op("BLT rest")
	n.label("four")
	return p
}

func (p *packing) end() {
	p.op("SUBS $1, %s", p.rows)
	p.op("BNE row")
	p.op("RET")
}

func (n *neon) packRows() {
	p := n.newPacking("packRowsNEON")
	v := n.vec()
	n.op("FMOVQ.P 16(%s), %s", p.from, v.f())
	n.op("FMOVQ.P %s, 16(%s)", v.f(), p.to)
	n.op("SUBS $4, %s", p.left)
	n.op("BGE four")
	n.label("rest") // what is left, less four: its two lowest bits count
	n.op("TBZ $1, %s, below2", p.left)
	n.op("FMOVD.P 8(%s), %s", p.from, v.f())
	n.op("FMOVD.P %s, 8(%s)", v.f(), p.to)
	n.label("below2")
	n.op("TBZ $0, %s, next", p.left)
	n.op("FMOVS (%s), %s", p.from, v.f())
	n.op("FMOVS %s, (%s)", v.f(), p.to)
	n.label("next")
	p.end()
}

func (n *neon) packEvens() {
	p := n.newPacking("packEvensNEON")
	v := n.list(2)
	n.op("VLD2.P 32(%s), [%s, %s]", p.from, v[0].s4(), v[1].s4())
	n.op("FMOVQ.P %s, 16(%s)", v[0].f(), p.to)
	n.op("SUBS $4, %s", p.left)
	n.op("BGE four")
	n.label("rest")
	n.op("ADDS $4, %s", p.left)
	n.op("BEQ next")
	n.label("one")
	n.op("FMOVS.P 8(%s), %s", p.from, v[0].f())
	n.op("FMOVS.P %s, 4(%s)", v[0].f(), p.to)
	n.op("SUBS $1, %s", p.left)
	n.op("BNE one")
	n.label("next")
	p.end()
}

// transpose generates dst[j*ldd + i] = x[i*ldx + j] for 4 rows i and n columns j, n a multiple of 4 and not 0. Leading
// dimensions count bytes.
func (n *neon) transpose() {
	n.function("transpose4NEON", "dst, x *float32, n, ldd, ldx int", "transposes four rows")
	args := n.load("dst", "x", "n", "ldd", "ldx")
	dst, count, ldd, ldx := args[0], args[2], args[3], args[4]
	rows := []gp{args[1]}
	for i := 1; i < 4; i++ {
		rows = append(rows, n.gp())
		n.op("ADD %s, %s, %s", ldx, rows[i-1], rows[i])
	}
	r, t, c := n.list(4), n.list(4), n.list(4)
	n.label("loop")
	for i, p := range rows {
		n.op("FMOVQ.P 16(%s), %s", p, r[i].f())
	}
	for i := range 2 { // columns 0 and 2, then 1 and 3, of two rows each
		n.op("VTRN%d %s, %s, %s", i+1, r[1].s4(), r[0].s4(), t[i].s4())
		n.op("VTRN%d %s, %s, %s", i+1, r[3].s4(), r[2].s4(), t[2+i].s4())
	}
	for i := range 4 {
		n.op("VZIP%d %s, %s, %s", i/2+1, t[2+i%2].d2(), t[i%2].d2(), c[i].d2())
	}
	for _, v := range c {
		n.op("FMOVQ %s, (%s)", v.f(), dst)
		n.op("ADD %s, %s", ldd, dst)
	}
	n.op("SUBS $4, %s", count)
	n.op("BNE loop")
	n.op("RET")
}
