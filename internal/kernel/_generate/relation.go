package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// relationKernels generates dst[i] = a[i] rel b[i] as bytes of 0 and 1, for floats and for integers of 32 bits.
func relationKernels() {
	for _, l := range widths {
		for i, name := range []string{"equal", "less", "lessEqual"} {
			l.relation(name+"Floats", l.floatRelation(i))
			l.relation(name+"Ints", l.intRelation(i))
		}
	}
}

// compared is a comparison of two vectors: the lanes in which it holds, or does not hold where inverse, are all ones.
type compared struct {
	do      func(a, b reg.VecVirtual, m reg.Register)
	inverse bool
}

// floatRelation compares floats; with NaN nothing holds (Intel SDM, VCMPPS, predicates EQ_OQ, LT_OQ and LE_OQ).
func (l lanes) floatRelation(i int) compared {
	predicate := []Constant{Imm(0), Imm(0x11), Imm(0x12)}[i]
	return compared{do: func(a, b reg.VecVirtual, m reg.Register) { VCMPPS(predicate, b, a, m) }}
}

func (l lanes) intRelation(i int) compared {
	if l.count == 16 { // predicates EQ, LT and LE of VPCMPD
		return compared{do: func(a, b reg.VecVirtual, m reg.Register) { VPCMPD(Imm(uint64(i)), b, a, m) }}
	}
	return []compared{
		{do: func(a, b reg.VecVirtual, m reg.Register) { VPCMPEQD(b, a, m) }},
		{do: func(a, b reg.VecVirtual, m reg.Register) { VPCMPGTD(a, b, m) }},
		{do: func(a, b reg.VecVirtual, m reg.Register) { VPCMPGTD(b, a, m) }, inverse: true},
	}[i]
}

// relation generates a loop over n elements, n a multiple of 16 and not 0; steps of 0 instead of 1 let one operand stand
// still.
func (l lanes) relation(name string, c compared) {
	TEXT(name+l.suffix, NOSPLIT, "func(dst, a, b *byte, n, stepA, stepB int)")
	Doc(name + l.suffix + " compares elements: see _generate/relation.go.")
	Pragma("noescape")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	stepA, stepB := Load(Param("stepA"), GP64()), Load(Param("stepB"), GP64())
	bits, lane, ones := GP32(), XMM(), XMM()
	MOVL(U32(0x01010101), bits)
	VMOVD(bits, lane)
	VPBROADCASTD(lane, ones)
	still := l.make()
	VBROADCASTSS(Mem{Base: a}, still)
	TESTQ(stepA, stepA)
	JE(LabelRef("stillA"))
	VBROADCASTSS(Mem{Base: b}, still)
	TESTQ(stepB, stepB)
	JE(LabelRef("stillB"))
	moving := func(p reg.Register) func(i int) reg.VecVirtual {
		return func(i int) reg.VecVirtual {
			x := l.make()
			VMOVUPS(Mem{Base: p, Disp: i * l.bytes()}, x)
			return x
		}
	}
	standing := func(int) reg.VecVirtual { return still }
	loop := func(label string, left, right func(i int) reg.VecVirtual, moved ...Op) {
		Label(label)
		x := l.bytesOf(c, left, right, ones)
		VMOVDQU(x, Mem{Base: dst})
		for _, p := range moved {
			ADDQ(U32(64), p)
		}
		ADDQ(U32(16), dst)
		SUBQ(U32(16), n)
		JNE(LabelRef(label))
		VZEROUPPER()
		RET()
	}
	ra, rb := a.(reg.Register), b.(reg.Register)
	loop("both", moving(ra), moving(rb), a, b)
	loop("stillB", moving(ra), standing, a)
	loop("stillA", standing, moving(rb), b)
}

// bytesOf compares sixteen elements and returns a byte for each.
func (l lanes) bytesOf(c compared, left, right func(i int) reg.VecVirtual, ones reg.VecVirtual) reg.VecVirtual {
	x := XMM()
	if l.count == 16 {
		m := K()
		c.do(left(0), right(0), m)
		VMOVDQU8_Z(ones, m, x)
		return x
	}
	low, high, upper := YMM(), YMM(), XMM()
	c.do(left(0), right(0), low)
	c.do(left(1), right(1), high)
	VPACKSSDW(high, low, low) // quarters 0 and 2 of the sixteen in its lower half
	VPERMQ(Imm(0xd8), low, low)
	VEXTRACTI128(Imm(1), low, upper)
	VPACKSSWB(upper, low.AsX(), x)
	if c.inverse {
		VPANDN(ones, x, x)
	} else {
		VPAND(ones, x, x)
	}
	return x
}
