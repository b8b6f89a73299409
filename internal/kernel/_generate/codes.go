package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// makeLookUp: dst[i] = table[x[i]]; n is a multiple of 64.
func makeLookUp() {
	TEXT("lookUpVBMI", NOSPLIT, "func(dst, x *byte, n int, table *byte)")
	Doc("lookUpVBMI looks bytes up in a table: see _generate/codes.go.")
	Pragma("noescape")
	dst, from, n, table := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64()), Load(Param("table"), GP64())
	var part [4]reg.VecVirtual
	for i := range part {
		part[i] = ZMM()
		VMOVDQU32(Mem{Base: table, Disp: 64 * i}, part[i])
	}
	low, high, upper := ZMM(), ZMM(), K()
	Label("loop")
	VMOVDQU32(Mem{Base: from}, low)
	VMOVDQA32(low, high)
	VPMOVB2M(low, upper)
	VPERMI2B(part[1], part[0], low)
	VPERMI2B(part[3], part[2], high)
	VMOVDQU8(high, upper, low)
	VMOVDQU32(low, Mem{Base: dst})
	ADDQ(Imm(64), from)
	ADDQ(Imm(64), dst)
	SUBQ(Imm(64), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// makeCodeSum: dst[i] = round(a[i]*first + (b[i]*second + fixed)), each rounded once, or round((a[i]-zeroA)*(b[i]-zeroB)*first) + zero, limited
// to low..high less the zero point before it is rounded; n is a multiple of the lanes.
func makeCodeSum(l lanes, kind string, product bool, widen func(...Op)) {
	name, params := "codeSum"+kind+l.suffix, "first, second, fixed, low, high float32"
	if product {
		name, params = "codeProduct"+kind+l.suffix, "first, low, high float32, zeroA, zeroB, zero int32"
	}
	TEXT(name, NOSPLIT, "func(dst, a, b *byte, n int, "+params+")")
	Doc(name + " combines codes: see _generate/codes.go.")
	Pragma("noescape")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	first, low, high := l.float("first"), l.float("low"), l.float("high")
	var second, fixed, zeroA, zeroB, zero reg.VecVirtual
	if product {
		zeroA, zeroB, zero = l.integer("zeroA"), l.integer("zeroB"), l.integer("zero")
	} else {
		second, fixed = l.float("second"), l.float("fixed")
	}
	l.loop(n, func() {
		x, y := l.make(), l.make()
		widen(Mem{Base: a}, x)
		widen(Mem{Base: b}, y)
		if product {
			VPSUBD(zeroA, x, x)
			VPSUBD(zeroB, y, y)
			VPMULLD(y, x, x)
			VCVTDQ2PS(x, x)
			VMULPS(first, x, x)
		} else {
			VCVTDQ2PS(x, x)
			VCVTDQ2PS(y, y)
			VFMADD213PS(fixed, second, y) // y*second + fixed
			VFMADD213PS(y, first, x)
		}
		VMAXPS(low, x, x)
		VMINPS(high, x, x)
		VCVTPS2DQ(x, x)
		if product {
			VPADDD(zero, x, x)
		}
		l.storeBytes(x, dst)
	}, map[int][]reg.Register{1: {dst, a, b}})
}

// makeUnpack looks the values of codes of four bits up, n bytes of them: the low nibbles of 64 bytes are the codes of 64
// values, the high nibbles those of the next 64. n is a multiple of 64.
func makeUnpack() {
	TEXT("unpackNibbles", NOSPLIT, "func(dst *int8, codes *byte, n int, table *int8)")
	Doc("unpackNibbles turns codes into bytes: see _generate/codes.go.")
	Pragma("noescape")
	dst, codes, n, at := Load(Param("dst"), GP64()), Load(Param("codes"), GP64()), Load(Param("n"), GP64()), Load(Param("table"), GP64())
	table, mask, low, high := ZMM(), ZMM(), ZMM(), ZMM()
	VBROADCASTI32X4(Mem{Base: at}, table)
	four := GP32()
	MOVL(U32(0x0f0f0f0f), four)
	VPBROADCASTD(four, mask)
	Label("loop")
	VMOVDQU32(Mem{Base: codes}, low)
	VPSRLD(Imm(4), low, high)
	VPANDD(mask, low, low)
	VPANDD(mask, high, high)
	VPSHUFB(low, table, low)
	VPSHUFB(high, table, high)
	VMOVDQU32(low, Mem{Base: dst})
	VMOVDQU32(high, Mem{Base: dst, Disp: 64})
	ADDQ(Imm(64), codes)
	ADDQ(U32(128), dst)
	SUBQ(Imm(64), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// makeLookUpAVX2: dst[i] = table[x[i]]; n is a multiple of 32. PSHUFB looks up in one of 16 rows of the table at a time, and
// gives zero for bytes of others, whose upper bit a saturating addition sets.
func makeLookUpAVX2() {
	TEXT("lookUpAVX2", NOSPLIT, "func(dst, x *byte, n int, table *byte)")
	Doc("lookUpAVX2 looks bytes up in a table: see _generate/codes.go.")
	Pragma("noescape")
	dst, from, n, table := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64()), Load(Param("table"), GP64())
	l := widths[1]
	row, above := l.bits(0x10101010), l.bits(0x70707070)
	x, y, at, found := YMM(), YMM(), YMM(), YMM()
	Label("loop")
	VMOVDQU(Mem{Base: from}, x)
	VPXOR(y, y, y)
	for r := range 16 {
		VBROADCASTI128(Mem{Base: table, Disp: 16 * r}, found)
		VPADDUSB(above, x, at)
		VPSHUFB(at, found, found)
		VPOR(found, y, y)
		if r < 15 {
			VPSUBB(row, x, x)
		}
	}
	VMOVDQU(y, Mem{Base: dst})
	ADDQ(Imm(32), from)
	ADDQ(Imm(32), dst)
	SUBQ(Imm(32), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
