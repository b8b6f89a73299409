package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A strip correlates one padded plane with one kernel, in a strip of as many columns as a vector has lanes:
//
//	dst[i*dstPitch + j] = clamp(bias + sum over t < taps of w[t] * src[i*srcPitch + offset[t] + j*step], low, high)
//
// for i < rows. step is 1 or 2. Sources may be read beyond the strip, up to a vector further; only the columns of mask
// are stored. Pitches and offsets count bytes.
const (
	stripDst = 8 * iota
	stripDstPitch
	stripSrc
	stripSrcPitch
	stripRows
	stripTaps
	stripOffsets
	stripWeights
	stripClamp // low and high
	stripBias  // bias and mask
)

type strip struct {
	wide bool
	step int
	mask reg.OpmaskVirtual
	lane reg.VecVirtual // AVX2: all ones in the lanes that are stored
	even reg.VecVirtual // AVX-512, step 2: indices of the even elements of two vectors
}

func (s *strip) vec() reg.VecVirtual {
	if s.wide {
		return ZMM()
	}
	return YMM()
}

// depthwiseKernels generates the strips.
func depthwiseKernels() {
	evens := GLOBL("evenElements", RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(2*i))
	}
	lanes := GLOBL("firstLanes", RODATA|NOPTR) // from 4*(8-n) on: n lanes of ones, then zeros
	for i := range 8 {
		DATA(4*i, U32(0xffffffff))
	}
	for i := range 8 {
		DATA(32+4*i, U32(0))
	}
	for _, wide := range []bool{true, false} {
		for step := 1; step <= 2; step++ {
			makeStrip(wide, step, evens, lanes)
		}
		makeStrip3x3(wide, lanes)
	}
}

// makeStrip3x3 generates the strip of a 3x3 kernel of step 1 on planes of pitch srcPitch: offsets are not read. Four rows
// at a time share their loads: each input row meets up to three of them.
func makeStrip3x3(wide bool, lanes Mem) {
	name := "strip3x3" + map[bool]string{true: "AVX512", false: "AVX2"}[wide]
	TEXT(name, NOSPLIT, "func(s *uint64)")
	Doc(name + " correlates a strip of a plane with a 3x3 kernel: see _generate/depthwise.go.")
	Pragma("noescape")
	args := Load(Param("s"), GP64())
	field := func(offset int) reg.GPVirtual {
		r := GP64()
		MOVQ(Mem{Base: args, Disp: offset}, r)
		return r
	}
	s := &strip{wide: wide, step: 1}
	dst, dstPitch, src, srcPitch, rows, weights := field(stripDst), field(stripDstPitch), field(stripSrc), field(stripSrcPitch), field(stripRows), field(stripWeights)
	s.loadMask(args, lanes)
	w := make([]reg.VecVirtual, 9)
	for t := range w {
		w[t] = s.vec()
		VBROADCASTSS(Mem{Base: weights, Disp: 4 * t}, w[t])
	}
	group := func(n int) {
		acc := make([]reg.VecVirtual, n)
		for o := range acc {
			acc[o] = s.vec()
			VBROADCASTSS(Mem{Base: args, Disp: stripBias}, acc[o])
		}
		row := GP64()
		MOVQ(src, row)
		for r := range n + 2 {
			for kw := range 3 {
				x := s.vec()
				VMOVUPS(Mem{Base: row, Disp: 4 * kw}, x)
				for kh := range 3 {
					if o := r - kh; o >= 0 && o < n {
						VFMADD231PS(x, w[3*kh+kw], acc[o])
					}
				}
			}
			ADDQ(srcPitch, row)
		}
		low, high := s.vec(), s.vec()
		VBROADCASTSS(Mem{Base: args, Disp: stripClamp}, low)
		VBROADCASTSS(Mem{Base: args, Disp: stripClamp + 4}, high)
		for _, a := range acc {
			VMAXPS(a, low, a)
			VMINPS(a, high, a)
			s.store(a, dst)
			ADDQ(dstPitch, dst)
		}
		if n == 4 {
			LEAQ(Mem{Base: src, Index: srcPitch, Scale: 4}, src)
		} else {
			ADDQ(srcPitch, src)
		}
	}
	SUBQ(Imm(4), rows)
	JL(LabelRef("single"))
	Label("four")
	group(4)
	SUBQ(Imm(4), rows)
	JGE(LabelRef("four"))
	Label("single")
	ADDQ(Imm(4), rows)
	JE(LabelRef("end"))
	Label("one")
	group(1)
	DECQ(rows)
	JNE(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}

// loadMask prepares the mask of the columns that are stored.
func (s *strip) loadMask(args reg.Register, lanes Mem) {
	count := GP32()
	MOVL(Mem{Base: args, Disp: stripBias + 4}, count)
	if s.wide {
		s.mask = K()
		KMOVW(count, s.mask)
		return
	}
	table, at := GP64(), GP64()
	MOVL(count, at.As32())
	NEGQ(at)
	ADDQ(Imm(8), at)
	LEAQ(lanes, table)
	s.lane = YMM()
	VMOVUPS(Mem{Base: table, Index: at, Scale: 4}, s.lane)
}

// store writes the columns of the mask.
func (s *strip) store(v reg.VecVirtual, dst reg.Register) {
	if s.wide {
		VMOVUPS(v, s.mask, Mem{Base: dst})
	} else {
		VMASKMOVPS(v, s.lane, Mem{Base: dst})
	}
}

func makeStrip(wide bool, step int, evens, lanes Mem) {
	name := map[bool]string{true: "AVX512", false: "AVX2"}[wide]
	name = map[int]string{1: "strip1", 2: "strip2"}[step] + name
	TEXT(name, NOSPLIT, "func(s *uint64)")
	Doc(name + " correlates a strip of a plane: see _generate/depthwise.go.")
	Pragma("noescape")
	args := Load(Param("s"), GP64())
	field := func(offset int) reg.GPVirtual {
		r := GP64()
		MOVQ(Mem{Base: args, Disp: offset}, r)
		return r
	}
	s := &strip{wide: wide, step: step}
	dst, dstPitch, src, srcPitch := field(stripDst), field(stripDstPitch), field(stripSrc), field(stripSrcPitch)
	rows, offsets, weights := field(stripRows), field(stripOffsets), field(stripWeights)
	low, high, bias := s.vec(), s.vec(), s.vec()
	VBROADCASTSS(Mem{Base: args, Disp: stripClamp}, low)
	VBROADCASTSS(Mem{Base: args, Disp: stripClamp + 4}, high)
	VBROADCASTSS(Mem{Base: args, Disp: stripBias}, bias)
	s.loadMask(args, lanes)
	if wide && step == 2 {
		s.even = ZMM()
		VMOVUPS(evens, s.even)
	}
	SUBQ(Imm(4), rows)
	JL(LabelRef("single"))
	Label("four")
	s.group(4, args, dst, dstPitch, src, srcPitch, offsets, weights, low, high, bias, "four")
	SUBQ(Imm(4), rows)
	JGE(LabelRef("four"))
	Label("single")
	ADDQ(Imm(4), rows)
	JE(LabelRef("end"))
	Label("one")
	s.group(1, args, dst, dstPitch, src, srcPitch, offsets, weights, low, high, bias, "one")
	DECQ(rows)
	JNE(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}

// group computes n rows and moves on.
func (s *strip) group(n int, args, dst, dstPitch, src, srcPitch, offsets, weights reg.Register, low, high, bias reg.VecVirtual, label string) {
	acc := make([]reg.VecVirtual, n)
	for i := range acc {
		acc[i] = s.vec()
		VMOVAPS(bias, acc[i])
	}
	t, at := GP64(), GP64()
	taps := GP64()
	MOVQ(Mem{Base: args, Disp: stripTaps}, taps)
	XORQ(t, t)
	bases := make([]reg.Register, n)
	bases[0] = src
	for i := 1; i < n; i++ {
		b := GP64()
		LEAQ(Mem{Base: bases[i-1], Index: srcPitch, Scale: 1}, b)
		bases[i] = b
	}
	Label(label + "Taps")
	w := s.vec()
	VBROADCASTSS(Mem{Base: weights, Index: t, Scale: 4}, w)
	MOVQ(Mem{Base: offsets, Index: t, Scale: 8}, at)
	for i := range acc {
		m := Mem{Base: bases[i], Index: at, Scale: 1}
		if s.step == 1 {
			VFMADD231PS(m, w, acc[i])
			continue
		}
		x := s.vec()
		VMOVUPS(m, x)
		if s.wide {
			m.Disp = 64
			VPERMT2PS(m, s.even, x)
		} else {
			m.Disp = 32
			VSHUFPS(Imm(0x88), m, x, x)
			VPERMPD(Imm(0xd8), x, x)
		}
		VFMADD231PS(x, w, acc[i])
	}
	INCQ(t)
	CMPQ(t, taps)
	JL(LabelRef(label + "Taps"))
	for i := range acc {
		VMAXPS(acc[i], low, acc[i])
		VMINPS(acc[i], high, acc[i])
		s.store(acc[i], dst)
		ADDQ(dstPitch, dst)
	}
	if n == 4 {
		LEAQ(Mem{Base: src, Index: srcPitch, Scale: 4}, src)
	} else {
		ADDQ(srcPitch, src)
	}
}
