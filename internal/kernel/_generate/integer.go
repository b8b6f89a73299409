package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An integer tile is a tile of int32 sums over bytes, four of them at a time (VPDPBUSD):
//
//	dst[i*ldc + j] = start + sum over q < k, t < 4 of a[i*lda + 4q + t] * b[q*ldb + 4j + t]
//
// for i < rows and the columns j of mask. One of a and b is unsigned, the other signed. The arguments are those of a
// tile without bias and bounds; start is what stands in dst, or zero.
func integerKernels() {
	for _, signedLeft := range []bool{true, false} {
		for _, rows := range []int{12, 8, 6, 4, 3, 2, 1} {
			makeIntegerTile(rows, signedLeft)
		}
	}
	makePackQuads("packQuads1AVX512", 1)
	makePackQuads("packQuads2AVX512", 2)
	makeRequantize(false)
	makeRequantize(true)
	makeQuantize()
	makeDequantize("dequantizeUAVX512", VPMOVZXBD)
	makeDequantize("dequantizeSAVX512", VPMOVSXBD)
}

func makeIntegerTile(rows int, signedLeft bool) {
	name := fmt.Sprintf("tile%dx32SU", rows)
	if !signedLeft {
		name = fmt.Sprintf("tile%dx32US", rows)
	}
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s computes an integer tile of %d rows: see _generate/integer.go.", name, rows))
	Pragma("noescape")
	t := &tile{rows: rows, vectors: 2, wide: true, integer: true, signedLeft: signedLeft}
	t.load()
	t.start()
	t.sum()
	t.store()
	VZEROUPPER()
	RET()
}

// makePackQuads packs a run of up to 32 columns of byte rows, four rows at a time, as integer tiles read them:
//
//	dst[q*128 + 4j + t] = src[offset[4q+t] + j*step]
//
// for q < quads and the columns j of mask. Nothing else is read or written.
func makePackQuads(name string, step int) {
	TEXT(name, NOSPLIT, "func(dst, src *byte, offsets *int, quads int, mask uint64)")
	Doc(name + " interleaves four rows of bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, src, offsets := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("offsets"), GP64())
	quads, mask := Load(Param("quads"), GP64()), GP64()
	Load(Param("mask"), mask)
	low, high, all := K(), K(), K()
	KMOVW(mask.As32(), low)
	half := GP64()
	MOVQ(mask, half)
	SHRQ(Imm(16), half)
	KMOVW(half.As32(), high)
	if step == 1 {
		KMOVD(mask.As32(), all)
	} else {
		spread, even := GP64(), GP64()
		MOVQ(U64(0x5555555555555555), spread)
		PDEPQ(spread, mask, even)
		KMOVQ(even, all)
	}
	at := GP64()
	Label("quad")
	x := make([]reg.VecVirtual, 4)
	for t := range x {
		MOVQ(Mem{Base: offsets, Disp: 8 * t}, at)
		m := Mem{Base: src, Index: at, Scale: 1}
		x[t] = YMM()
		if step == 1 {
			VMOVDQU8_Z(m, all, x[t])
		} else {
			z := ZMM()
			VMOVDQU8_Z(m, all, z)
			VPMOVWB(z, x[t])
		}
	}
	a, b, c, d := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLBW(x[1], x[0], a)
	VPUNPCKHBW(x[1], x[0], b)
	VPUNPCKLBW(x[3], x[2], c)
	VPUNPCKHBW(x[3], x[2], d)
	e, f, g, h := YMM(), YMM(), YMM(), YMM()
	VPUNPCKLWD(c, a, e)
	VPUNPCKHWD(c, a, f)
	VPUNPCKLWD(d, b, g)
	VPUNPCKHWD(d, b, h)
	out := make([]reg.VecVirtual, 4)
	for i, pair := range [][2]reg.VecVirtual{{e, f}, {g, h}, {e, f}, {g, h}} {
		out[i] = ZMM()
		if i < 2 {
			VPERM2I128(Imm(0x20), pair[1], pair[0], out[i].AsY())
		} else {
			VPERM2I128(Imm(0x31), pair[1], pair[0], out[i].AsY())
		}
	}
	VINSERTI64X4(Imm(1), out[1].AsY(), out[0], out[0])
	VINSERTI64X4(Imm(1), out[3].AsY(), out[2], out[2])
	VMOVDQU32(out[0], low, Mem{Base: dst})
	VMOVDQU32(out[2], high, Mem{Base: dst, Disp: 64})
	ADDQ(Imm(32), offsets)
	ADDQ(U32(128), dst)
	DECQ(quads)
	JNE(LabelRef("quad"))
	VZEROUPPER()
	RET()
}

// quantizer is what requantize and quantize share: division, rounding, zero point, saturation.
type quantizer struct{ out, most, least, zero, low, high reg.VecVirtual }

// broadcastInt loads an integer parameter into all lanes.
func broadcastInt(name string) reg.VecVirtual {
	v, r := ZMM(), GP32()
	Load(Param(name), r)
	VPBROADCASTD(r, v)
	return v
}

// broadcastFloat loads a float parameter into all lanes.
func broadcastFloat(name string) reg.VecVirtual {
	v, x := ZMM(), XMM()
	Load(Param(name), x)
	VBROADCASTSS(x, v)
	return v
}

func newQuantizer() quantizer {
	q := quantizer{out: broadcastFloat("out"), most: ZMM(), least: ZMM(), zero: broadcastInt("zero"), low: broadcastInt("low"), high: ZMM()}
	r := GP32()
	MOVL(U32(255), r)
	VPBROADCASTD(r, q.high)
	VPADDD(q.low, q.high, q.high)
	MOVL(U32(0x4b800000), r) // 2^24: what converts to int32 without overflow
	VPBROADCASTD(r, q.most)
	MOVL(U32(0xcb800000), r)
	VPBROADCASTD(r, q.least)
	return q
}

// store quantizes x and writes 16 bytes.
func (q quantizer) store(x reg.VecVirtual, dst reg.Register) {
	VDIVPS(q.out, x, x)
	VMINPS(q.most, x, x)
	VMAXPS(q.least, x, x)
	VCVTPS2DQ(x, x)
	VPADDD(q.zero, x, x)
	VPMAXSD(q.low, x, x)
	VPMINSD(q.high, x, x)
	VPMOVDB(x, Mem{Base: dst})
}

// makeRequantize turns int32 sums into bytes:
//
//	dst[i] = saturate(round(float32(sums[i] + bias) * first * second / out) + zero)
//
// rounded after each operation, ties to even. n is a multiple of 16. The bounds are low and low+255. second is one for all,
// or where columns is set one for each sum.
func makeRequantize(columns bool) {
	name, params := "requantizeAVX512", "first, second"
	if columns {
		name, params = "requantizeColumnsAVX512", "second *float32, first"
	}
	TEXT(name, NOSPLIT, "func(dst *byte, sums *int32, n int, bias int32, "+params+", out float32, zero, low int32)")
	Doc(name + " turns sums into bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, sums, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	bias, first, q := broadcastInt("bias"), broadcastFloat("first"), newQuantizer()
	var second Op
	var at reg.Register
	if columns {
		at = Load(Param("second"), GP64())
		second = Mem{Base: at}
	} else {
		second = broadcastFloat("second")
	}
	Label("loop")
	x := ZMM()
	VMOVDQU32(Mem{Base: sums}, x)
	VPADDD(bias, x, x)
	VCVTDQ2PS(x, x)
	VMULPS(first, x, x)
	VMULPS(second, x, x)
	if columns {
		ADDQ(Imm(64), at)
	}
	q.store(x, dst)
	ADDQ(Imm(64), sums)
	ADDQ(Imm(16), dst)
	SUBQ(Imm(16), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// makeQuantize: dst[i] = saturate(round(x[i] / out) + zero); n is a multiple of 16. NaN gives low.
func makeQuantize() {
	TEXT("quantizeAVX512", NOSPLIT, "func(dst *byte, x *float32, n int, out float32, zero, low int32)")
	Doc("quantizeAVX512 turns floats into bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	q := newQuantizer()
	Label("loop")
	x := ZMM()
	VMOVUPS(Mem{Base: from}, x)
	q.store(x, dst)
	ADDQ(Imm(64), from)
	ADDQ(Imm(16), dst)
	SUBQ(Imm(16), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// makeDequantize: dst[i] = float32(x[i] - zero) * scale; n is a multiple of 16.
func makeDequantize(name string, widen func(...Op)) {
	TEXT(name, NOSPLIT, "func(dst *float32, x *byte, n int, scale float32, zero int32)")
	Doc(name + " turns bytes into floats: see _generate/integer.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	scale, zero := broadcastFloat("scale"), broadcastInt("zero")
	Label("loop")
	x := ZMM()
	widen(Mem{Base: from}, x)
	VPSUBD(zero, x, x)
	VCVTDQ2PS(x, x)
	VMULPS(scale, x, x)
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(Imm(16), from)
	ADDQ(Imm(64), dst)
	SUBQ(Imm(16), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
