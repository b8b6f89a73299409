package main

import "fmt"

// NEON strips compute what those of depthwise.go do, from the same arguments, eight columns in two vectors. The mask is
// the number of columns.

// neonStrip is a strip in the making.
type neonStrip struct {
	*neon
	args, dst, dstPitch, src, srcPitch, rows, cols gp
	low, high, bias                                vec
}

// stripVectors is how many vectors a row of a strip takes.
const stripVectors = 2

func (n *neon) stripKernels() {
	n.strip3x3()
	n.strip(1)
	n.strip(2)
}

func (n *neon) newStrip(name, does string) *neonStrip {
	n.function(name, "s *stripArgs", does)
	s := &neonStrip{neon: n, args: n.load("s")[0]}
	s.dst, s.dstPitch, s.src, s.srcPitch, s.rows = s.field(stripDst), s.field(stripDstPitch), s.field(stripSrc), s.field(stripSrcPitch), s.field(stripRows)
	s.cols = n.gp()
	n.op("MOVWU %d(%s), %s", stripBias+4, s.args, s.cols)
	s.low, s.high, s.bias = s.number(stripClamp), s.number(stripClamp+4), s.number(stripBias)
	return s
}

// field loads an argument of eight bytes.
func (s *neonStrip) field(offset int) gp {
	r := s.gp()
	s.op("MOVD %d(%s), %s", offset, s.args, r)
	return r
}

// number broadcasts an argument of type float32.
func (s *neonStrip) number(offset int) vec {
	v := s.vec()
	s.op("FMOVS %d(%s), %s", offset, s.args, v.f())
	s.spread(v, v.at(0))
	return v
}

// groups generates the loop over rows: four at a time, then two, then one.
func (s *neonStrip) groups(sum func(label string, rows int, acc [][]vec)) {
	group := func(label string, rows int) {
		m := s.mark()
		acc := make([][]vec, rows)
		for i := range acc {
			acc[i] = s.list(stripVectors)
			for _, v := range acc[i] {
				s.copy(v, s.bias)
			}
		}
		sum(label, rows, acc)
		s.store(label, acc)
		s.release(m)
	}
	s.op("SUBS $4, %s", s.rows)
	s.op("BLT pair")
	s.label("four")
	group("four", 4)
	s.op("SUBS $4, %s", s.rows)
	s.op("BGE four")
	s.label("pair")
	s.op("TBZ $1, %s, single", s.rows)
	group("pair", 2)
	s.label("single")
	s.op("TBZ $0, %s, end", s.rows)
	group("single", 1)
	s.label("end")
	s.op("RET")
}

// store bounds and writes the rows, and moves on. Of eight columns it writes those that there are: four, two and one of
// them, each time from the lowest elements, where the rest is moved to then.
func (s *neonStrip) store(label string, acc [][]vec) {
	m := s.mark()
	mask, to := s.vec(), s.gp()
	for _, row := range acc {
		for _, v := range row {
			s.clamp(v, s.low, s.high, mask)
		}
	}
	write := func(each func(i int)) {
		s.op("MOVD %s, %s", s.dst, to)
		for i := range acc {
			each(i)
			if i < len(acc)-1 {
				s.op("ADD %s, %s", s.dstPitch, to)
			}
		}
	}
	done := label + "Done"
	s.op("TBZ $3, %s, %sPart", s.cols, label)
	write(func(i int) { s.op("FSTPQ (%s, %s), (%s)", acc[i][0].f(), acc[i][1].f(), to) })
	s.op("ADD %s, %s", s.dstPitch, to)
	s.op("MOVD %s, %s", to, s.dst)
	s.op("B %s", done)
	s.label(label + "Part")
	begin := s.gp()
	s.op("MOVD %s, %s", s.dst, begin)
	s.op("TBZ $2, %s, %sBelow4", s.cols, label)
	write(func(i int) { s.op("FMOVQ %s, (%s)", acc[i][0].f(), to); s.copy(acc[i][0], acc[i][1]) })
	s.op("ADD $16, %s", s.dst)
	s.label(label + "Below4")
	s.op("TBZ $1, %s, %sBelow2", s.cols, label)
	write(func(i int) {
		s.op("FMOVD %s, (%s)", acc[i][0].f(), to)
		s.op("VDUP %s, %s", acc[i][0].double(1), acc[i][0].d2())
	})
	s.op("ADD $8, %s", s.dst)
	s.label(label + "Below2")
	s.op("TBZ $0, %s, %sNext", s.cols, label)
	write(func(i int) { s.op("FMOVS %s, (%s)", acc[i][0].f(), to) })
	s.label(label + "Next")
	s.op("MOVD %s, %s", begin, s.dst)
	for range acc {
		s.op("ADD %s, %s", s.dstPitch, s.dst)
	}
	s.label(done)
	for range acc {
		s.op("ADD %s, %s", s.srcPitch, s.src)
	}
	s.release(m)
}

// strip generates the strip of any taps. Each row takes a vector of the source for each of its own.
func (n *neon) strip(step int) {
	s := n.newStrip(fmt.Sprintf("strip%dNEON", step), "correlates a strip of a plane")
	taps, offsets, weights, at := n.gp(), n.gp(), n.gp(), n.gp()
	s.groups(func(label string, rows int, acc [][]vec) {
		n.op("MOVD %d(%s), %s", stripTaps, s.args, taps)
		n.op("MOVD %d(%s), %s", stripOffsets, s.args, offsets)
		n.op("MOVD %d(%s), %s", stripWeights, s.args, weights)
		w := n.vec()
		n.label(label + "Taps")
		n.op("MOVD.P 8(%s), %s", offsets, at)
		n.op("FMOVS.P 4(%s), %s", weights, w.f())
		n.op("ADD %s, %s", s.src, at)
		for i := range acc {
			m := n.mark()
			if step == 1 {
				x := n.list(stripVectors)
				n.op("FLDPQ (%s), (%s, %s)", at, x[0].f(), x[1].f())
				n.scaled("fmla", acc[i][0], x[0], w.at(0))
				n.scaled("fmla", acc[i][1], x[1], w.at(0))
			} else {
				x, from := n.list(4), n.gp() // evens and odds of two vectors each
				n.op("MOVD %s, %s", at, from)
				n.op("VLD2.P 32(%s), [%s, %s]", from, x[0].s4(), x[1].s4())
				n.op("VLD2 (%s), [%s, %s]", from, x[2].s4(), x[3].s4())
				n.scaled("fmla", acc[i][0], x[0], w.at(0))
				n.scaled("fmla", acc[i][1], x[2], w.at(0))
			}
			n.release(m)
			if i < len(acc)-1 {
				n.op("ADD %s, %s", s.srcPitch, at)
			}
		}
		n.op("SUBS $1, %s", taps)
		n.op("BNE %sTaps", label)
	})
}

// strip3x3 generates the strip of a 3x3 kernel of step 1 on planes of pitch srcPitch: offsets are not read. Each input
// row meets up to three output rows: 36 loads for the 72 FMLA of four rows. Weights stay in three registers.
func (n *neon) strip3x3() {
	s := n.newStrip("strip3x3NEON", "correlates a strip of a plane with a 3x3 kernel")
	weights, from := s.field(stripWeights), n.gp()
	w := n.list(3)
	n.op("FLDPQ (%s), (%s, %s)", weights, w[0].f(), w[1].f())
	n.op("FMOVS 32(%s), %s", weights, w[2].f())
	s.groups(func(label string, rows int, acc [][]vec) {
		n.op("MOVD %s, %s", s.src, from)
		pool := n.list(6)
		for r := range rows + 2 {
			for kw := range 3 {
				for j := range stripVectors {
					x := pool[kw*stripVectors+j]
					n.op("FMOVQ %d(%s), %s", 4*kw+16*j, from, x.f())
					for kh := range 3 {
						if o := r - kh; o >= 0 && o < rows {
							t := 3*kh + kw
							n.scaled("fmla", acc[o][j], x, w[t/4].at(t%4))
						}
					}
				}
			}
			if r < rows+1 {
				n.op("ADD %s, %s", s.srcPitch, from)
			}
		}
	})
}
