package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// functions generates the element-wise functions.
func (l lanes) functions() {
	l.unary("erf", "", func() func(x reg.VecVirtual) { e := newErf(l); return e.apply })
	l.unary("gelu", "", func() func(x reg.VecVirtual) {
		e, half, root := newErf(l), l.constant(0x3f000000), l.constant(0x3f3504f3) // 1/2, 1/sqrt 2
		return func(x reg.VecVirtual) {
			y := l.make()
			VMULPS(half, x, y)
			VMULPS(root, x, x)
			e.apply(x)
			VFMADD213PS(y, y, x) // y*erf + y
		}
	})
	l.unary("fastGelu", "", func() func(x reg.VecVirtual) {
		s := newSigmoid(l)
		cube, scale := l.constant(0x3d372713), l.constant(0x3fcc422a) // 0.044715, 2 sqrt(2/pi)
		return func(x reg.VecVirtual) {
			y := l.make()
			VMULPS(x, x, y)
			VMULPS(cube, y, y)
			VADDPS(s.e.one, y, y)
			VMULPS(x, y, y)
			VMULPS(scale, y, y)
			s.apply(y)
			VMULPS(y, x, x)
		}
	})
	l.unary("mish", "", l.mish)
	l.unary("elu", ", positive, negative float32", l.elu)
	sign, magnitude := uint32(0x80000000), uint32(0x7fffffff)
	l.unary("sqrt", "", func() func(x reg.VecVirtual) { return func(x reg.VecVirtual) { VSQRTPS(x, x) } })
	l.unary("abs", "", func() func(x reg.VecVirtual) { return l.and(magnitude) })
	l.unary("neg", "", func() func(x reg.VecVirtual) { return l.xor(sign) })
	l.unary("reciprocal", "", func() func(x reg.VecVirtual) {
		one := l.bits(0x3f800000)
		return func(x reg.VecVirtual) { VDIVPS(x, one, x) }
	})
	l.binary("larger", l.chosen(VMAXPS))
	l.binary("smaller", l.chosen(VMINPS))
	for i, name := range []string{"nearest", "floor", "ceil"} {
		l.unary(name, "", func() func(x reg.VecVirtual) {
			return func(x reg.VecVirtual) { l.round(Imm(uint64(i)), x, x) }
		})
	}
}

// chosen makes max or min an operation in which NaN wins.
func (l lanes) chosen(op func(...Op)) func(...Op) {
	return func(ops ...Op) {
		b, a, dst := ops[0], ops[1].(reg.VecVirtual), ops[2].(reg.VecVirtual)
		kept := l.make()
		VMOVAPS(a, kept)
		op(b, kept, dst)
		l.blend(unordered, kept, kept, kept, dst)
	}
}

func (l lanes) round(mode Constant, x, y reg.VecVirtual) {
	if l.count == 16 {
		VRNDSCALEPS(mode, x, y)
		return
	}
	VROUNDPS(mode, x, y)
}

func (l lanes) and(bits uint32) func(x reg.VecVirtual) {
	c := l.constant(bits)
	return func(x reg.VecVirtual) {
		if l.count == 16 {
			VPANDD(c, x, x)
		} else {
			VANDPS(c, x, x)
		}
	}
}

func (l lanes) xor(bits uint32) func(x reg.VecVirtual) {
	c := l.constant(bits)
	return func(x reg.VecVirtual) {
		if l.count == 16 {
			VPXORD(c, x, x)
		} else {
			VXORPS(c, x, x)
		}
	}
}

// erfKernel: x + x P(x^2) for |x| <= 475/512, else 1 - e^Q(|x|) with the sign of x; minimax polynomials for float32.
type erfKernel struct {
	e                     *expKernel
	sign, magnitude, edge Op
	near, even, odd, far  []Op
}

func newErf(l lanes) *erfKernel {
	list := func(bits ...uint32) (ops []Op) {
		for _, b := range bits {
			ops = append(ops, l.table(b))
		}
		return ops
	}
	return &erfKernel{
		e: newExp(l), sign: l.table(0x80000000), magnitude: l.table(0x7fffffff), edge: l.table(0x3f6d8000),
		near: list(0xba1c7000, 0x3ba38d2c, 0xbcdb48d9, 0x3de70e22, 0xbec09380, 0x3e0375d4), // of x^10, ..., x^2, 1
		even: list(0xb7910000, 0x39c8e7d9),                                                 // of t^5, t^4
		odd:  list(0xbb7e8a1c, 0x3cc6b1a1),                                                 // of t^3, t^2
		far:  list(0xbddaae5c, 0xbf228550, 0xbe03ce86),                                     // of t^2 (to be added), t, 1
	}
}

// wide are the constants that AVX-512 kernels read from memory.
var wide = map[uint32]Mem{}

// table is a constant in memory, in all lanes.
func (l lanes) table(v uint32) Op {
	if l.count == 8 {
		return l.constant(v)
	}
	if m, ok := wide[v]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("wide%08x", v), RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(v))
	}
	wide[v] = m
	return m
}

func (e *erfKernel) apply(x reg.VecVirtual) {
	l := e.e.l
	t, s, near, far, u := l.make(), l.make(), l.make(), l.make(), l.make()
	VMOVUPS(e.magnitude, t)
	l.andInto(x, t)
	VMULPS(x, x, s)
	VMOVUPS(e.near[0], near)
	for _, c := range e.near[1:] {
		VFMADD213PS(c, s, near)
	}
	VFMADD213PS(x, x, near)
	VMOVUPS(e.even[0], far)
	VFMADD213PS(e.even[1], t, far)
	VMOVUPS(e.odd[0], u)
	VFMADD213PS(e.odd[1], t, u)
	VFMADD213PS(u, s, far)
	for _, c := range e.far {
		VFMADD213PS(c, t, far)
	}
	VFMSUB213PS(t, t, far) // t Q(t) - t
	e.e.apply(far)
	VSUBPS(far, e.e.one, far)
	VMOVUPS(e.sign, u)
	l.andInto(x, u)
	if l.count == 16 {
		VPORD(u, far, far)
	} else {
		VORPS(u, far, far)
	}
	VMOVAPS(near, x)
	l.blend(greater, e.edge, t, far, x)
}

// andInto keeps in y the bits that x has too.
func (l lanes) andInto(x, y reg.VecVirtual) {
	if l.count == 16 {
		VPANDD(x, y, y)
	} else {
		VANDPS(x, y, y)
	}
}

// mish generates x tanh(log(1 + e^x)) = x n/(n+2) with n = e^x (e^x + 2); from x = 20 on the quotient is 1.
func (l lanes) mish() func(x reg.VecVirtual) {
	e, twenty, two := newExp(l), l.constant(0x41a00000), l.bits(0x40000000)
	return func(x reg.VecVirtual) {
		y, n := l.make(), l.make()
		VMOVUPS(twenty, y)
		VMINPS(x, y, y)
		e.apply(y)
		VADDPS(two, y, n)
		VMULPS(y, n, n)
		VADDPS(two, n, y)
		VDIVPS(y, n, n)
		VMULPS(n, x, x)
	}
}

// elu generates positive*x where x > 0, else negative*(e^x - 1): by the Taylor series of e^x - 1 for x > -1/2, whose
// first term left out is below 1e-8 of the result there.
func (l lanes) elu() func(x reg.VecVirtual) {
	positive, negative, zero := l.float("positive"), l.float("negative"), l.bits(0)
	e, edge := newExp(l), l.table(0xbf000000)
	series := []Op{l.table(0x37d00d01)} // 1/8!
	for _, c := range []uint32{0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000} {
		series = append(series, l.table(c))
	}
	return func(x reg.VecVirtual) {
		near, far := l.make(), l.make()
		VMOVUPS(series[0], near)
		for _, c := range series[1:] {
			VFMADD213PS(c, x, near)
		}
		VMULPS(x, near, near)
		VFMADD213PS(x, x, near)
		VMOVAPS(x, far)
		e.apply(far)
		VSUBPS(e.one, far, far)
		l.blend(greater, edge, x, near, far)
		VMULPS(negative, far, far)
		VMULPS(positive, x, near)
		l.blend(greater, zero, x, near, far)
		VMOVAPS(far, x)
	}
}
