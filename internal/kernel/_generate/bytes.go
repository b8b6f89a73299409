package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Depthwise convolutions of bytes gather the taps of an output side by side. A vector stands for 16 outputs of four taps
// (VPERMB, VPDPBUSD), or for two times four outputs of two taps that are widened to int16 (VPSHUFB, VPMADDWD):
//
//	dst[to(v) + i] = saturate(round((float32(bias + sum over groups g and taps t of
//	    w[g][t] * src[from(v) + offset(g) + shuffle(v)[i][t]]) * first * second + shift) / out) + zero)
//
// rounded after each operation, ties to even, saturated to low..high. from, the same of the upper half, and to stand in vectors, 24 bytes each;
// shuffles follow each other step bytes apart, so that a step of 0 is one for all. Vectors of the source are read whole.
func byteKernels() {
	for _, l := range widths {
		makeByteDeep(l)
		makeFinishBytes(l, false)
		makeFinishBytes(l, true)
		makeFinishFloats(l)
		makeFinishColumns(l, true)
		makeFinishColumns(l, false)
	}
	for _, step := range []int{1, 2} {
		makeByteMax("byteMaxU", step, VPMAXUB)
		makeByteMax("byteMaxS", step, VPMAXSB)
	}
}

func makeByteDeep(l lanes) {
	name := "byteDeep" + l.suffix
	TEXT(name, NOSPLIT, "func(dst, src *byte, vectors *int, n int, shuffles *byte, step int, offsets *int, weights *uint32, groups int, bias int32, first, second, shift, out float32, zero, low, high int32)")
	Doc(name + " convolves one plane: see _generate/bytes.go.")
	Pragma("noescape")
	dst, src, vectors, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("vectors"), GP64()), Load(Param("n"), GP64())
	shuffles, offsets, weights := Load(Param("shuffles"), GP64()), Load(Param("offsets"), GP64()), Load(Param("weights"), GP64())
	step, groups := Load(Param("step"), GP64()), Load(Param("groups"), GP64())
	bias, first, second, shift, q := l.integer("bias"), l.float("first"), l.float("second"), l.float("shift"), newQuantizer(l, true)
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
	VADDPS(shift, sum, sum)
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

// finish scales sums of products of bytes:
//
//	y[i] = float32(sums[i] + bias + times*seen[i]) * first * second + shift
//
// rounded after each operation. The registers of the result may be written over.
func (l lanes) finish(bytes int, done func() func(y reg.VecVirtual, dst reg.Register)) {
	dst, sums, seen, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("seen"), GP64()), Load(Param("n"), GP64())
	bias, times, first, second, shift := l.integer("bias"), l.integer("times"), l.float("first"), l.float("second"), l.float("shift")
	store, pointers := done(), map[int][]reg.Register{4: {sums, seen}}
	pointers[bytes] = append(pointers[bytes], dst)
	l.loop(n, func() {
		x, y := l.make(), l.make()
		VMOVUPS(Mem{Base: seen}, y)
		VPMULLD(times, y, y)
		VMOVUPS(Mem{Base: sums}, x)
		VPADDD(bias, x, x)
		VPADDD(y, x, x)
		VCVTDQ2PS(x, x)
		VMULPS(first, x, x)
		VMULPS(second, x, x)
		VADDPS(shift, x, x)
		store(x, dst)
	}, pointers)
}

// makeFinishBytes: dst[i] = saturate(round(y[i] / out) + zero), ties to even, saturated to low..high; n is a multiple of
// the lanes. Where whole is set, out is 1.
func makeFinishBytes(l lanes, whole bool) {
	name := "finishBytes" + l.suffix
	if whole {
		name = "finishWhole" + l.suffix
	}
	TEXT(name, NOSPLIT, "func(dst *byte, sums, seen *int32, n int, bias, times int32, first, second, shift, out float32, zero, low, high int32)")
	Doc(name + " turns sums into bytes: see _generate/bytes.go.")
	Pragma("noescape")
	l.finish(1, func() func(y reg.VecVirtual, dst reg.Register) {
		if q := newQuantizer(l, true); whole {
			return q.round
		} else {
			return q.store
		}
	})
}

// makeFinishFloats: dst[i] = y[i] limited to low..high, a NaN as it is; n is a multiple of the lanes.
func makeFinishFloats(l lanes) {
	name := "finishFloats" + l.suffix
	TEXT(name, NOSPLIT, "func(dst *float32, sums, seen *int32, n int, bias, times int32, first, second, shift, low, high float32)")
	Doc(name + " turns sums into floats: see _generate/bytes.go.")
	Pragma("noescape")
	l.finish(4, func() func(y reg.VecVirtual, dst reg.Register) {
		low, high := l.float("low"), l.float("high")
		return func(y reg.VecVirtual, dst reg.Register) {
			VMAXPS(y, low, y)
			VMINPS(y, high, y)
			VMOVUPS(y, Mem{Base: dst})
		}
	})
}

// makeFinishColumns scales sums of products of bytes, one of each output:
//
//	y[i] = float32(times*sums[i] + more + bias[i]) * first * second[i] + shift[i]
//
// rounded after each operation, and makes bytes of them as makeFinishBytes does with an out of 1, or limits them as makeFinishFloats; n is a
// multiple of the lanes.
func makeFinishColumns(l lanes, bytes bool) {
	name, dst, params := "finishFloatColumns"+l.suffix, "float32", "first, low, high float32"
	if bytes {
		name, dst, params = "finishByteColumns"+l.suffix, "byte", "first, out float32, zero, low, high int32"
	}
	TEXT(name, NOSPLIT, "func(dst *"+dst+", sums *int32, n int, bias *int32, second, shift *float32, times, more int32, "+params+")")
	Doc(name + " turns sums of many outputs into results: see _generate/bytes.go.")
	Pragma("noescape")
	to, sums, n := Load(Param("dst"), GP64()), Load(Param("sums"), GP64()), Load(Param("n"), GP64())
	bias, second, shift := Load(Param("bias"), GP64()), Load(Param("second"), GP64()), Load(Param("shift"), GP64())
	first, times, more := l.float("first"), l.integer("times"), l.integer("more")
	pointers := map[int][]reg.Register{4: {sums, bias, second, shift}}
	var q quantizer
	var low, high reg.VecVirtual
	if bytes {
		q, pointers[1] = newQuantizer(l, true), []reg.Register{to}
	} else {
		low, high, pointers[4] = l.float("low"), l.float("high"), append(pointers[4], to)
	}
	l.loop(n, func() {
		x := l.make()
		VPMULLD(Mem{Base: sums}, times, x)
		VPADDD(more, x, x)
		VPADDD(Mem{Base: bias}, x, x)
		VCVTDQ2PS(x, x)
		VMULPS(first, x, x)
		VMULPS(Mem{Base: second}, x, x)
		VADDPS(Mem{Base: shift}, x, x)
		if bytes {
			q.round(x, to)
			return
		}
		VMAXPS(x, low, x)
		VMINPS(x, high, x)
		VMOVUPS(x, Mem{Base: to})
	}, pointers)
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
