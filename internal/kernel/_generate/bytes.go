package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// Depthwise convolutions of bytes gather the taps of an output side by side. A vector stands for 16 outputs of four taps
// (VPERMB, VPDPBUSD), or for two times four outputs of two taps that are widened to int16 (VPSHUFB, VPMADDWD):
//
//	dst[to(v) + i] = saturate(round(float32(bias + sum over groups g and taps t of
//	    w[g][t] * src[from(v) + offset(g) + shuffle(v)[i][t]]) * first * second / out) + zero)
//
// rounded after each operation, ties to even. from, the same of the upper half, and to stand in vectors, 24 bytes each;
// shuffles follow each other step bytes apart, so that a step of 0 is one for all. Vectors of the source are read whole.
func byteKernels() {
	for _, l := range widths {
		makeByteDeep(l)
	}
	for _, step := range []int{1, 2} {
		makeByteMax("byteMaxU", step, VPMAXUB)
		makeByteMax("byteMaxS", step, VPMAXSB)
	}
}

func makeByteDeep(l lanes) {
	name := "byteDeep" + l.suffix
	TEXT(name, NOSPLIT, "func(dst, src *byte, vectors *int, n int, shuffles *byte, step int, offsets *int, weights *uint32, groups int, bias int32, first, second, out float32, zero, low int32)")
	Doc(name + " convolves one plane: see _generate/bytes.go.")
	Pragma("noescape")
	dst, src, vectors, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("vectors"), GP64()), Load(Param("n"), GP64())
	shuffles, offsets, weights := Load(Param("shuffles"), GP64()), Load(Param("offsets"), GP64()), Load(Param("weights"), GP64())
	step, groups := Load(Param("step"), GP64()), Load(Param("groups"), GP64())
	bias, first, second, q := l.integer("bias"), l.float("first"), l.float("second"), newQuantizer(l)
	low, high, at, g := GP64(), GP64(), GP64(), GP64()
	sum, x, idx := l.make(), l.make(), l.make()
	Label("vector")
	MOVQ(Mem{Base: vectors}, low)
	ADDQ(src, low)
	if l.count == 8 {
		MOVQ(Mem{Base: vectors, Disp: 8}, high)
		ADDQ(src, high)
	}
	VMOVUPS(Mem{Base: shuffles}, idx)
	VMOVAPS(bias, sum)
	XORQ(g, g)
	Label("group")
	MOVQ(Mem{Base: offsets, Index: g, Scale: 8}, at)
	w := Mem{Base: weights, Index: g, Scale: 4}
	if l.count == 16 {
		VPERMB(Mem{Base: low, Index: at, Scale: 1}, idx, x)
		VPDPBUSD_BCST(w, x, sum)
	} else {
		y := YMM()
		VMOVDQU(Mem{Base: low, Index: at, Scale: 1}, x.AsX())
		VINSERTI128(Imm(1), Mem{Base: high, Index: at, Scale: 1}, x, x)
		VPSHUFB(idx, x, x)
		VPBROADCASTD(w, y)
		VPMADDWD(y, x, x)
		VPADDD(x, sum, sum)
	}
	INCQ(g)
	CMPQ(g, groups)
	JNE(LabelRef("group"))
	VCVTDQ2PS(sum, sum)
	VMULPS(first, sum, sum)
	VMULPS(second, sum, sum)
	MOVQ(Mem{Base: vectors, Disp: 16}, at)
	ADDQ(dst, at)
	q.store(sum, at)
	ADDQ(step, shuffles)
	ADDQ(Imm(24), vectors)
	DECQ(n)
	JNE(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// makeByteMax joins taps of a row by their maximum: dst[i] = max over t < taps of x[i*step + offsets[t]], for i < n, n a
// multiple of 32 for step 1, of 16 for step 2; the bytes of steps of 2 that no output reads are read all the same.
func makeByteMax(name string, step int, most func(...Op)) {
	name = fmt.Sprintf("%s%dAVX2", name, step)
	TEXT(name, NOSPLIT, "func(dst, x *byte, n int, offsets *int, taps int)")
	Doc(name + " joins taps of a row: see _generate/bytes.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	offsets, taps := Load(Param("offsets"), GP64()), Load(Param("taps"), GP64())
	at, t, y := GP64(), GP64(), YMM()
	even := YMM()
	if step == 2 {
		VPCMPEQW(even, even, even)
		VPSRLW(Imm(8), even, even)
	}
	Label("vector")
	MOVQ(Mem{Base: offsets}, at)
	VMOVDQU(Mem{Base: from, Index: at, Scale: 1}, y)
	MOVQ(U32(1), t)
	JMP(LabelRef("more"))
	Label("tap")
	MOVQ(Mem{Base: offsets, Index: t, Scale: 8}, at)
	most(Mem{Base: from, Index: at, Scale: 1}, y, y)
	INCQ(t)
	Label("more")
	CMPQ(t, taps)
	JLT(LabelRef("tap"))
	if step == 1 {
		VMOVDQU(y, Mem{Base: dst})
	} else {
		high := XMM()
		VPAND(even, y, y)
		VEXTRACTI128(Imm(1), y, high)
		VPACKUSWB(high, y.AsX(), high)
		VMOVDQU(high, Mem{Base: dst})
	}
	ADDQ(Imm(32), from)
	ADDQ(Imm(uint64(32/step)), dst)
	SUBQ(Imm(uint64(32/step)), n)
	JNE(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
