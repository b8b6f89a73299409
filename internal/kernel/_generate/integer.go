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
	for _, rows := range []int{6, 4, 3, 2, 1} {
		makePairTile(rows)
	}
	makePackPairs("packPairsU1AVX2", 1, VPMOVZXBW)
	makePackPairs("packPairsS1AVX2", 1, VPMOVSXBW)
	makePackPairs("packPairsU2AVX2", 2, nil)
	makeWiden("widenUAVX2", VPMOVZXBW)
	makeWiden("widenSAVX2", VPMOVSXBW)
	makePackQuads("packQuads1AVX512", 1)
	makePackQuads("packQuads2AVX512", 2)
	for _, l := range widths {
		makeRequantize(l, false)
		makeRequantize(l, true)
		makeQuantize(l, false)
		makeQuantize(l, true)
		makeDequantize(l, "dequantizeU", VPMOVZXBD)
		makeDequantize(l, "dequantizeS", VPMOVSXBD)
	}
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

// makePairTile generates a tile of int32 sums over pairs of int16 (VPMADDWD), to which bytes of either kind are widened:
//
//	dst[i*ldc + j] = start + sum over q < k, t < 2 of a[i*lda + 2q + t] * b[32q + 2j + t]
//
// for i < rows and j < 16. Products of widened bytes are at most 2^15 in size, so that no pair overflows; VPMADDUBSW
// saturates (255*127 twice is beyond int16) and would need VPMADDWD behind it all the same.
func makePairTile(rows int) {
	name := fmt.Sprintf("tile%dx16PairsAVX2", rows)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s computes an integer tile of %d rows: see _generate/integer.go.", name, rows))
	Pragma("noescape")
	t := &tile{rows: rows, vectors: 2, integer: true}
	t.load()
	t.start()
	b0, b1, x, y := YMM(), YMM(), YMM(), YMM()
	step := func(o int) {
		VMOVDQU(Mem{Base: t.b, Disp: 64 * o}, b0)
		VMOVDQU(Mem{Base: t.b, Disp: 64*o + 32}, b1)
		for i, row := range t.acc {
			m := Mem{Base: t.bases[i/3], Disp: 4 * o}
			if i%3 > 0 {
				m.Index, m.Scale = t.lda, uint8(i%3)
			}
			VPBROADCASTD(m, x)
			VPMADDWD(b0, x, y)
			VPADDD(y, row[0], row[0])
			VPMADDWD(b1, x, x)
			VPADDD(x, row[1], row[1])
		}
	}
	advance := func(n int) {
		for _, base := range t.bases {
			ADDQ(Imm(uint64(4*n)), base)
		}
		ADDQ(U32(64*n), t.b)
	}
	const unroll = 4
	SUBQ(Imm(unroll), t.k)
	JL(LabelRef("tail"))
	Label("many")
	for o := range unroll {
		step(o)
	}
	advance(unroll)
	SUBQ(Imm(unroll), t.k)
	JGE(LabelRef("many"))
	Label("tail")
	ADDQ(Imm(unroll), t.k)
	JE(LabelRef("store"))
	Label("one")
	step(0)
	advance(1)
	DECQ(t.k)
	JNE(LabelRef("one"))
	t.store()
	VZEROUPPER()
	RET()
}

// makePackPairs packs 16 columns of byte rows, widened to int16, two rows at a time, as pair tiles read them:
//
//	dst[32q + 2j + t] = src[start + offset[2q+t] + j*step]
//
// for q < pairs and the columns j of mask, 16 int32 of all ones or zeros. All 16 columns are read, of src as of dst. widen
// is nil for steps of 2 over unsigned bytes.
func makePackPairs(name string, step int, widen func(...Op)) {
	TEXT(name, NOSPLIT, "func(dst *int16, src *byte, start int, offsets *int, pairs int, mask *int32)")
	Doc(name + " interleaves two rows of bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, src, offsets := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("offsets"), GP64())
	ADDQ(Load(Param("start"), GP64()), src)
	pairs, maskAt := Load(Param("pairs"), GP64()), Load(Param("mask"), GP64())
	masks := []reg.VecVirtual{YMM(), YMM()}
	VMOVDQU(Mem{Base: maskAt}, masks[0])
	VMOVDQU(Mem{Base: maskAt, Disp: 32}, masks[1])
	low := YMM() // the low byte of each word
	if widen == nil {
		VPCMPEQW(low, low, low)
		VPSRLW(Imm(8), low, low)
	}
	at := GP64()
	Label("pair")
	x := []reg.VecVirtual{YMM(), YMM()}
	for t := range x {
		MOVQ(Mem{Base: offsets, Disp: 8 * t}, at)
		m := Mem{Base: src, Index: at, Scale: 1}
		if widen != nil {
			widen(m, x[t])
		} else {
			VPAND(m, low, x[t])
		}
	}
	a, b := YMM(), YMM()
	VPUNPCKLWD(x[1], x[0], a)
	VPUNPCKHWD(x[1], x[0], b)
	for i, half := range []uint64{0x20, 0x31} {
		y := YMM()
		VPERM2I128(Imm(half), b, a, y)
		m := Mem{Base: dst, Disp: 32 * i}
		old := YMM()
		VMOVDQU(m, old)
		VPBLENDVB(masks[i], y, old, y)
		VMOVDQU(y, m)
	}
	ADDQ(Imm(16), offsets)
	ADDQ(Imm(64), dst)
	DECQ(pairs)
	JNE(LabelRef("pair"))
	VZEROUPPER()
	RET()
}

// makeWiden: dst[i] = x[i]; n is a multiple of 16.
func makeWiden(name string, widen func(...Op)) {
	TEXT(name, NOSPLIT, "func(dst *int16, x *byte, n int)")
	Doc(name + " widens bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	Label("loop")
	x := YMM()
	widen(Mem{Base: from}, x)
	VMOVDQU(x, Mem{Base: dst})
	ADDQ(Imm(16), from)
	ADDQ(Imm(32), dst)
	SUBQ(Imm(16), n)
	JNE(LabelRef("loop"))
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

// integer broadcasts an integer parameter.
func (l lanes) integer(name string) reg.VecVirtual {
	v, r, x := l.make(), GP32(), XMM()
	Load(Param(name), r)
	VMOVD(r, x)
	VPBROADCASTD(x, v)
	return v
}

// quantizer is what requantize and quantize share: division, rounding, zero point, saturation.
type quantizer struct {
	lanes
	out, most, least, zero, low, high reg.VecVirtual
}

// newQuantizer has the bounds low and low+255, or high where that is a parameter.
func newQuantizer(l lanes, bounded bool) quantizer {
	q := quantizer{lanes: l, out: l.float("out"), zero: l.integer("zero"), low: l.integer("low")}
	if bounded {
		q.high = l.integer("high")
	} else {
		q.high = l.bits(255)
		VPADDD(q.low, q.high, q.high)
	}
	q.most = l.bits(0x4b800000) // 2^24: what converts to int32 without overflow
	q.least = l.bits(0xcb800000)
	return q
}

// store quantizes x and writes a byte for each lane. A NaN counts as zero.
func (q quantizer) store(x reg.VecVirtual, dst reg.Register) {
	VDIVPS(q.out, x, x)
	q.round(x, dst)
}

// round is store for a scale of 1.
func (q quantizer) round(x reg.VecVirtual, dst reg.Register) {
	q.numbers(x)
	VMINPS(q.most, x, x)
	VMAXPS(q.least, x, x)
	VCVTPS2DQ(x, x)
	VPADDD(q.zero, x, x)
	VPMAXSD(q.low, x, x)
	VPMINSD(q.high, x, x)
	q.storeBytes(x, dst)
}

// numbers puts zeros in the place of NaNs.
func (l lanes) numbers(x reg.VecVirtual) {
	if l.count == 16 {
		k := K()
		VCMPPS(Imm(7), x, x, k) // ordered
		VMOVAPS_Z(x, k, x)
		return
	}
	number := YMM()
	VCMPPS(Imm(7), x, x, number)
	VANDPS(number, x, x)
}

// storeBytes stores the low byte of each lane.
func (l lanes) storeBytes(x reg.VecVirtual, dst reg.Register) {
	if l.count == 16 {
		VPMOVDB(x, Mem{Base: dst})
		return
	}
	VPSLLD(Imm(24), x, x)
	VPSRLD(Imm(24), x, x)
	VPACKUSDW(x, x, x)
	VPACKUSWB(x, x, x)
	high := XMM()
	VEXTRACTI128(Imm(1), x, high)
	VPUNPCKLDQ(high, x.AsX(), high)
	VMOVQ(high, Mem{Base: dst})
}

// loop repeats body for vectors of n elements, and moves pointers on by their bytes for each element.
func (l lanes) loop(n reg.Register, body func(), pointers map[int][]reg.Register) {
	Label("loop")
	body()
	for _, bytes := range []int{1, 4} {
		for _, p := range pointers[bytes] {
			ADDQ(Imm(uint64(bytes*l.count)), p)
		}
	}
	SUBQ(Imm(uint64(l.count)), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// makeRequantize turns int32 sums into bytes:
//
//	dst[i] = saturate(round(float32(sums[i] + bias) * first * second / out) + zero)
//
// rounded after each operation, ties to even. n is a multiple of the lanes. The bounds are low and low+255. second is one
// for all, or where columns is set one for each sum.
func makeRequantize(l lanes, columns bool) {
	name, params := "requantize"+l.suffix, "first, second"
	if columns {
		name, params = "requantizeColumns"+l.suffix, "second *float32, first"
	}
	TEXT(name, NOSPLIT, "func(dst *byte, sums *int32, n int, bias int32, "+params+", out float32, zero, low int32)")
	Doc(name + " turns sums into bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, sums, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	bias, first, q := l.integer("bias"), l.float("first"), newQuantizer(l, false)
	words := []reg.Register{sums}
	var second Op
	if columns {
		at := Load(Param("second"), GP64())
		second, words = Mem{Base: at}, append(words, at)
	} else {
		second = l.float("second")
	}
	l.loop(n, func() {
		x := l.make()
		VMOVUPS(Mem{Base: sums}, x)
		VPADDD(bias, x, x)
		VCVTDQ2PS(x, x)
		VMULPS(first, x, x)
		VMULPS(second, x, x)
		q.store(x, dst)
	}, map[int][]reg.Register{1: {dst}, 4: words})
}

// makeQuantize: dst[i] = saturate(round(x[i] / out) + zero), saturated to low..high; n is a multiple of the lanes.
//
// With reciprocal, quotients come of products with 1/out, which is rounded to nearest: q = x/out but for its last bit, and
// q + (x - q*out)/out, with what is in brackets exact, is x/out rounded to nearest (Markstein, "Computation of elementary
// functions on the IBM RISC System/6000", 1990), where out's fraction is not all ones and nothing overflows: x is limited to
// 2^24 times out before.
func makeQuantize(l lanes, reciprocal bool) {
	name := "quantize" + l.suffix
	if reciprocal {
		name = "quantizeBy" + l.suffix
	}
	TEXT(name, NOSPLIT, "func(dst *byte, x *float32, n int, out float32, zero, low, high int32)")
	Doc(name + " turns floats into bytes: see _generate/integer.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	q := newQuantizer(l, true)
	if !reciprocal {
		l.loop(n, func() {
			x := l.make()
			VMOVUPS(Mem{Base: from}, x)
			q.store(x, dst)
		}, map[int][]reg.Register{1: {dst}, 4: {from}})
		return
	}
	by, most, least := l.bits(0x3f800000), l.make(), l.make()
	VDIVPS(q.out, by, by)
	VMULPS(q.out, q.most, most)
	VMULPS(q.out, q.least, least)
	l.loop(n, func() {
		x, y := l.make(), l.make()
		VMOVUPS(Mem{Base: from}, x)
		l.numbers(x)
		VMINPS(most, x, x)
		VMAXPS(least, x, x)
		VMULPS(by, x, y)
		VFNMADD231PS(q.out, y, x) // x - y*out
		VFMADD231PS(by, x, y)
		VCVTPS2DQ(y, y)
		VPADDD(q.zero, y, y)
		VPMAXSD(q.low, y, y)
		VPMINSD(q.high, y, y)
		q.storeBytes(y, dst)
	}, map[int][]reg.Register{1: {dst}, 4: {from}})
}

// makeDequantize: dst[i] = float32(x[i] - zero) * scale; n is a multiple of the lanes.
func makeDequantize(l lanes, name string, widen func(...Op)) {
	name += l.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, x *byte, n int, scale float32, zero int32)")
	Doc(name + " turns bytes into floats: see _generate/integer.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	scale, zero := l.float("scale"), l.integer("zero")
	l.loop(n, func() {
		x := l.make()
		widen(Mem{Base: from}, x)
		VPSUBD(zero, x, x)
		VCVTDQ2PS(x, x)
		VMULPS(scale, x, x)
		VMOVUPS(x, Mem{Base: dst})
	}, map[int][]reg.Register{1: {from}, 4: {dst}})
}
