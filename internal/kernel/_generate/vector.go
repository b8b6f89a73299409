package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Vectors are the loops of pooling, of normalization and of the functions beside those of span.go.

// vectorKernels generates all of them.
func vectorKernels() {
	for _, l := range widths {
		for _, step := range []int{1, 2} {
			l.taps("tapMax", step, l.keepLargest)
			l.taps("tapSum", step, func(acc, x reg.VecVirtual) { VADDPS(x, acc, acc) })
		}
		l.largest()
		l.expSum()
		l.softmax()
		l.sums("sums", "", func() func(v reg.VecVirtual) { return func(reg.VecVirtual) {} })
		l.sums("squares", ", mean float64", func() func(v reg.VecVirtual) {
			mean := l.double("mean")
			return func(v reg.VecVirtual) {
				VSUBPD(mean, v, v)
				VMULPD(v, v, v)
			}
		})
		l.normalize()
		l.mix()
		l.gemv()
		l.functions()
	}
	transpose()
}

// blend writes to dst the lanes of x where a compares to b as the predicate says (Intel SDM, VCMPPS, table of predicates).
func (l lanes) blend(predicate uint64, b Op, a, x, dst reg.VecVirtual) {
	if l.count == 16 {
		m := K()
		VCMPPS(Imm(predicate), b, a, m)
		VMOVAPS(x, m, dst)
		return
	}
	m := YMM()
	VCMPPS(Imm(predicate), b, a, m)
	VBLENDVPS(m, x, dst, dst)
}

const (
	less      = 1
	unordered = 3
	greater   = 30
)

// keepLargest: acc = max(acc, x), where NaN wins and the first of equals stays: MAXPS returns its second source for both.
func (l lanes) keepLargest(acc, x reg.VecVirtual) {
	VMAXPS(acc, x, acc)
	l.blend(unordered, x, x, x, acc)
}

// taps generates dst[i] = x[i*step + offset 0] op x[i*step + offset 1] op ... With AVX-512, n is any number
// and only what is named is read where step is 1; else n is a multiple of 8. With step 2, up to lanes elements behind the
// last are read too.
func (l lanes) taps(name string, step int, op func(acc, x reg.VecVirtual)) {
	if step == 2 {
		name += "Even"
	}
	TEXT(name+l.suffix, NOSPLIT, "func(dst, x *float32, n int, offsets *int, taps int)")
	Doc(name + l.suffix + " joins taps of a row: see _generate/vector.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	offsets, taps := Load(Param("offsets"), GP64()), Load(Param("taps"), GP64())
	load := l.loader(step)
	at, k := GP64(), GP64()
	acc, x := l.make(), l.make()
	body := func(label string, load func(m Mem, x reg.VecVirtual)) {
		MOVQ(Mem{Base: offsets}, at)
		load(Mem{Base: from, Index: at, Scale: 4}, acc)
		MOVQ(U32(1), k)
		Label(label)
		CMPQ(k, taps)
		JE(LabelRef(label + "Done"))
		MOVQ(Mem{Base: offsets, Index: k, Scale: 8}, at)
		load(Mem{Base: from, Index: at, Scale: 4}, x)
		op(acc, x)
		INCQ(k)
		JMP(LabelRef(label))
		Label(label + "Done")
	}
	Label("loop")
	CMPQ(n, U32(l.count))
	JLT(LabelRef("tail"))
	body("taps", load)
	VMOVUPS(acc, Mem{Base: dst})
	ADDQ(U32(l.bytes()*step), from)
	ADDQ(U32(l.bytes()), dst)
	SUBQ(U32(l.count), n)
	JMP(LabelRef("loop"))
	Label("tail")
	if l.count == 16 {
		TESTQ(n, n)
		JE(LabelRef("done"))
		mask := lowBits(n)
		body("last", func(m Mem, x reg.VecVirtual) {
			if step == 1 {
				VMOVUPS_Z(m, mask, x)
			} else {
				load(m, x)
			}
		})
		VMOVUPS(acc, mask, Mem{Base: dst})
		Label("done")
	}
	VZEROUPPER()
	RET()
}

// lowBits returns a mask of the n lowest lanes, n below 16.
func lowBits(n reg.Register) reg.OpmaskVirtual {
	bits, k := GP64(), K()
	MOVQ(U64(0xffffffff), bits)
	BZHIQ(n, bits, bits)
	KMOVW(bits.As32(), k)
	return k
}

// loader returns what loads every element, or every second one.
func (l lanes) loader(step int) func(m Mem, x reg.VecVirtual) {
	if step == 1 {
		return func(m Mem, x reg.VecVirtual) { VMOVUPS(m, x) }
	}
	if l.count == 8 {
		return func(m Mem, x reg.VecVirtual) { // 0 1 2 3 | 4 5 6 7 and 8 ... 15 to 0 2 8 10 | 4 6 12 14 to 0 2 4 6 | 8 ...
			VMOVUPS(m, x)
			m.Disp += 32
			VSHUFPS(Imm(0x88), m, x, x)
			VPERMPD(Imm(0xd8), x, x)
		}
	}
	if evenTable == nil {
		m := GLOBL("evenLanes", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(2*i))
		}
		evenTable = &m
	}
	even := ZMM()
	VMOVUPS(*evenTable, even)
	return func(m Mem, x reg.VecVirtual) {
		VMOVUPS(m, x)
		m.Disp += 64
		VPERMT2PS(m, even, x)
	}
}

// largest generates the largest value of each lane; NaN wins. n is a multiple of the lanes and not 0.
func (l lanes) largest() {
	TEXT("largest"+l.suffix, NOSPLIT, "func(dst, x *float32, n int)")
	Doc("largest" + l.suffix + " writes the largest value of each lane: see _generate/vector.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	acc, x := l.make(), l.make()
	VMOVUPS(Mem{Base: from}, acc)
	Label("loop")
	VMOVUPS(Mem{Base: from}, x)
	l.keepLargest(acc, x)
	ADDQ(U32(l.bytes()), from)
	SUBQ(U32(l.count), n)
	JNE(LabelRef("loop"))
	VMOVUPS(acc, Mem{Base: dst})
	VZEROUPPER()
	RET()
}

// double broadcasts a parameter of float64.
func (l lanes) double(name string) reg.VecVirtual {
	v := l.make()
	VBROADCASTSD(memory(name), v)
	return v
}

// widen converts the float32 at m, half a vector of them, to float64.
func (l lanes) widen(m Mem, v reg.VecVirtual) { VCVTPS2PD(m, v) }

// accumulators returns registers for 16 sums of float64, set to 0.
func (l lanes) accumulators() []reg.VecVirtual {
	list := make([]reg.VecVirtual, 32/l.count)
	for i := range list {
		list[i] = l.bits(0)
	}
	return list
}

// sums generates 16 sums in float64 of f(x): sum i is of the elements i, 16+i, 32+i and so on. n is a multiple of 16.
func (l lanes) sums(name, params string, prepare func() func(v reg.VecVirtual)) {
	TEXT(name+l.suffix, NOSPLIT, "func(dst *float64, x *float32, n int"+params+")")
	Doc(name + l.suffix + " adds up 16 sums in float64: see _generate/vector.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	f := prepare()
	acc := l.accumulators()
	v := l.make()
	Label("loop")
	for i, a := range acc {
		l.widen(Mem{Base: from, Disp: i * l.bytes() / 2}, v)
		f(v)
		VADDPD(v, a, a)
	}
	ADDQ(U32(64), from)
	SUBQ(U32(16), n)
	JNE(LabelRef("loop"))
	for i, a := range acc {
		VMOVUPD(a, Mem{Base: dst, Disp: i * l.bytes()})
	}
	VZEROUPPER()
	RET()
}

// normalize generates dst[i] = (x[i] - mean) * factor in float64, rounded once. n is a multiple of 16.
func (l lanes) normalize() {
	TEXT("normalize"+l.suffix, NOSPLIT, "func(dst, x *float32, n int, mean, factor float64)")
	Doc("normalize" + l.suffix + " shifts and scales in float64: see _generate/vector.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	mean, factor := l.double("mean"), l.double("factor")
	v := l.make()
	Label("loop")
	for i := range 32 / l.count {
		l.widen(Mem{Base: from, Disp: i * l.bytes() / 2}, v)
		VSUBPD(mean, v, v)
		VMULPD(factor, v, v)
		if l.count == 16 {
			y := YMM()
			VCVTPD2PS(v, y)
			VMOVUPS(y, Mem{Base: dst, Disp: i * 32})
		} else {
			y := XMM()
			VCVTPD2PSY(v, y)
			VMOVUPS(y, Mem{Base: dst, Disp: i * 16})
		}
	}
	ADDQ(U32(64), from)
	ADDQ(U32(64), dst)
	SUBQ(U32(16), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// mix generates dst[i] = a[i]*wa + b[i]*wb, rounded three times. n is a multiple of the lanes.
func (l lanes) mix() {
	TEXT("mix"+l.suffix, NOSPLIT, "func(dst, a, b *float32, n int, wa, wb float32)")
	Doc("mix" + l.suffix + " adds two weighted rows: see _generate/vector.go.")
	Pragma("noescape")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	wa, wb := l.float("wa"), l.float("wb")
	x, y := l.make(), l.make()
	Label("loop")
	VMULPS(Mem{Base: a}, wa, x)
	VMULPS(Mem{Base: b}, wb, y)
	VADDPS(y, x, x)
	VMOVUPS(x, Mem{Base: dst})
	for _, p := range []Op{a, b, dst} {
		ADDQ(U32(l.bytes()), p)
	}
	SUBQ(U32(l.count), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// gemv generates dst[q*width + j] = sum over p < k of x[p] * w[(q*k + p)*width + j] for q < panels and j < width, eight
// vectors: as many sums as hide the latency of an addition. k is not 0.
func (l lanes) gemv() {
	TEXT("gemv"+l.suffix, NOSPLIT, "func(dst, x, w *float32, k, panels int)")
	Doc("gemv" + l.suffix + " multiplies panels by a vector: see _generate/vector.go.")
	Pragma("noescape")
	dst, x, w := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("w"), GP64())
	k, panels := Load(Param("k"), GP64()), Load(Param("panels"), GP64())
	at, left := GP64(), GP64()
	acc := make([]reg.VecVirtual, 8)
	for i := range acc {
		acc[i] = l.make()
	}
	v := l.make()
	Label("panel")
	for _, a := range acc {
		if l.count == 16 {
			VPXORD(a, a, a)
		} else {
			VXORPS(a, a, a)
		}
	}
	MOVQ(x, at)
	MOVQ(k, left)
	Label("loop")
	VBROADCASTSS(Mem{Base: at}, v)
	for i, a := range acc {
		VFMADD231PS(Mem{Base: w, Disp: i * l.bytes()}, v, a)
	}
	ADDQ(U32(4), at)
	ADDQ(U32(8*l.bytes()), w)
	DECQ(left)
	JNE(LabelRef("loop"))
	for i, a := range acc {
		VMOVUPS(a, Mem{Base: dst, Disp: i * l.bytes()})
	}
	ADDQ(U32(8*l.bytes()), dst)
	DECQ(panels)
	JNE(LabelRef("panel"))
	VZEROUPPER()
	RET()
}

// expSum generates dst[i] = e^(x[i] - top) and 16 sums of these in float64, as sums. n is a multiple of 16.
func (l lanes) expSum() {
	TEXT("expSum"+l.suffix, NOSPLIT, "func(sums *float64, dst, x *float32, n int, top float32)")
	Doc("expSum" + l.suffix + " writes e^(x-top) and adds up 16 sums: see _generate/vector.go.")
	Pragma("noescape")
	sums := Load(Param("sums"), GP64())
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	top, e, acc := l.float("top"), newExp(l), l.accumulators()
	x := l.make()
	Label("loop")
	for i := range 16 / l.count {
		VMOVUPS(Mem{Base: from, Disp: i * l.bytes()}, x)
		VSUBPS(top, x, x)
		e.apply(x)
		VMOVUPS(x, Mem{Base: dst, Disp: i * l.bytes()})
		for k := range 2 { // read back what was written: halves of a vector are cheapest to get so
			v := l.make()
			l.widen(Mem{Base: dst, Disp: i*l.bytes() + k*l.bytes()/2}, v)
			VADDPD(v, acc[2*i+k], acc[2*i+k])
		}
	}
	ADDQ(U32(64), from)
	ADDQ(U32(64), dst)
	SUBQ(U32(16), n)
	JNE(LabelRef("loop"))
	for i, a := range acc {
		VMOVUPD(a, Mem{Base: sums, Disp: i * l.bytes()})
	}
	VZEROUPPER()
	RET()
}

// transpose generates dst[j*ldd + i] = x[i*ldx + j] for 8 rows i and n columns j, n a multiple of 8: eights by unpacking
// pairs, pairs of pairs and halves (Intel Optimization Reference Manual, 8x8 transpose). Leading dimensions count bytes.
func transpose() {
	TEXT("transpose8AVX2", NOSPLIT, "func(dst, x *float32, n, ldd, ldx int)")
	Doc("transpose8AVX2 transposes eight rows: see _generate/vector.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	ldd, ldx := Load(Param("ldd"), GP64()), Load(Param("ldx"), GP64())
	third := GP64()
	at := func(base, ld reg.Register, i int) Mem { // i below 4
		if i == 3 {
			return Mem{Base: base, Index: third, Scale: 1}
		}
		if i == 0 {
			return Mem{Base: base}
		}
		return Mem{Base: base, Index: ld, Scale: uint8(i)}
	}
	Label("loop")
	rows, pairs, quads := make([]reg.VecVirtual, 8), make([]reg.VecVirtual, 8), make([]reg.VecVirtual, 8)
	low := GP64()
	LEAQ(Mem{Base: from, Index: ldx, Scale: 4}, low)
	LEAQ(Mem{Base: ldx, Index: ldx, Scale: 2}, third)
	for i := range 8 {
		rows[i] = YMM()
		base := from.(reg.Register)
		if i >= 4 {
			base = low
		}
		VMOVUPS(at(base, ldx, i%4), rows[i])
	}
	for i := 0; i < 8; i += 2 {
		pairs[i], pairs[i+1] = YMM(), YMM()
		VUNPCKLPS(rows[i+1], rows[i], pairs[i])
		VUNPCKHPS(rows[i+1], rows[i], pairs[i+1])
	}
	for i := 0; i < 8; i += 4 { // columns i, 4+i of four rows in quads
		for k := range 2 {
			quads[i+2*k], quads[i+2*k+1] = YMM(), YMM()
			VSHUFPS(Imm(0x44), pairs[i+2+k], pairs[i+k], quads[i+2*k])
			VSHUFPS(Imm(0xee), pairs[i+2+k], pairs[i+k], quads[i+2*k+1])
		}
	}
	out := GP64()
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 4}, out)
	LEAQ(Mem{Base: ldd, Index: ldd, Scale: 2}, third)
	for i := range 4 {
		y := YMM()
		VPERM2F128(Imm(0x20), quads[4+i], quads[i], y)
		VMOVUPS(y, at(dst.(reg.Register), ldd, i))
		VPERM2F128(Imm(0x31), quads[4+i], quads[i], y)
		VMOVUPS(y, at(out, ldd, i))
	}
	ADDQ(U32(32), from)
	LEAQ(Mem{Base: dst, Index: ldd, Scale: 8}, dst)
	SUBQ(U32(8), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// evenTable holds the indices of the even elements of two vectors.
var evenTable *Mem
