package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Spans are element-wise loops over n elements, n a multiple of the lanes of a vector.

// lanes is a width of vectors in the making.
type lanes struct {
	suffix string
	count  int
	make   func() reg.VecVirtual
}

var widths = []lanes{{"AVX512", 16, ZMM}, {"AVX2", 8, YMM}}

func (l lanes) bytes() int { return 4 * l.count }

// float broadcasts a parameter.
func (l lanes) float(name string) reg.VecVirtual {
	v := l.make()
	VBROADCASTSS(memory(name), v)
	return v
}

// memory is where a parameter stands. Load would take MOVSS or MOVSD to read a float: of the time before AVX, they cost
// some processors a hundred nanoseconds where the upper halves of registers are in use.
func memory(name string) Mem {
	c, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return c.Addr
}

// bits broadcasts 32 bits.
func (l lanes) bits(v uint32) reg.VecVirtual {
	x, r, lane := l.make(), GP32(), XMM()
	MOVL(U32(v), r)
	VMOVD(r, lane)
	VPBROADCASTD(lane, x)
	return x
}

// tables are the constants that AVX2 kernels read from memory, as they have too few registers to hold them.
var tables = map[uint32]Mem{}

// constant is a value in all lanes, as an operand that may be the first source of an instruction.
func (l lanes) constant(v uint32) Op {
	if l.count == 16 {
		return l.bits(v)
	}
	if m, ok := tables[v]; ok {
		return m
	}
	m := GLOBL(fmt.Sprintf("lanes%08x", v), RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(v))
	}
	tables[v] = m
	return m
}

// spanKernels generates all spans.
func spanKernels() {
	for _, l := range widths {
		l.unary("clamp", ", low, high float32", func() func(x reg.VecVirtual) {
			low, high := l.float("low"), l.float("high")
			return func(x reg.VecVirtual) { // NaN stays: MAXPS and MINPS return their second source then
				VMAXPS(x, low, x)
				VMINPS(x, high, x)
			}
		})
		l.unary("leaky", ", slope float32", func() func(x reg.VecVirtual) {
			slope, zero := l.float("slope"), l.bits(0)
			return func(x reg.VecVirtual) {
				low := l.make()
				VMINPS(x, zero, low) // NaN stays in both halves
				VMAXPS(x, zero, x)
				VMULPS(slope, low, low)
				VADDPS(low, x, x)
			}
		})
		l.unary("affine", ", scale, shift float32", func() func(x reg.VecVirtual) {
			scale, shift := l.float("scale"), l.float("shift")
			return func(x reg.VecVirtual) {
				VMULPS(scale, x, x)
				VADDPS(shift, x, x)
			}
		})
		l.unary("hardSigmoid", ", scale, shift float32", func() func(x reg.VecVirtual) {
			scale, shift, zero, one := l.float("scale"), l.float("shift"), l.bits(0), l.bits(0x3f800000)
			return func(x reg.VecVirtual) {
				VMULPS(scale, x, x)
				VADDPS(shift, x, x)
				VMAXPS(x, zero, x)
				VMINPS(x, one, x)
			}
		})
		l.unary("hardSwish", ", scale, shift float32", func() func(x reg.VecVirtual) {
			scale, shift, zero, one := l.float("scale"), l.float("shift"), l.bits(0), l.bits(0x3f800000)
			return func(x reg.VecVirtual) {
				y := l.make()
				VMULPS(scale, x, y)
				VADDPS(shift, y, y)
				VMAXPS(y, zero, y)
				VMINPS(y, one, y)
				VMULPS(y, x, x)
			}
		})
		l.unary("exp", "", func() func(x reg.VecVirtual) {
			e := newExp(l)
			return e.apply
		})
		l.unary("sigmoid", "", func() func(x reg.VecVirtual) { s := newSigmoid(l); return s.apply })
		l.unary("silu", "", func() func(x reg.VecVirtual) {
			s := newSigmoid(l)
			return func(x reg.VecVirtual) {
				y := l.make()
				VMOVAPS(x, y)
				s.apply(y)
				VMULPS(y, x, x)
			}
		})
		l.unary("tanh", "", func() func(x reg.VecVirtual) { h := newTanh(l); return h.apply })
		for _, op := range []struct {
			name string
			do   func(...Op)
		}{{"add", VADDPS}, {"sub", VSUBPS}, {"mul", VMULPS}, {"div", VDIVPS}} {
			l.binary(op.name, op.do)
		}
	}
}

// unary generates dst[i] = f(x[i]).
func (l lanes) unary(name, params string, prepare func() func(x reg.VecVirtual)) {
	TEXT(name+l.suffix, NOSPLIT, "func(dst, x *float32, n int"+params+")")
	Doc(name + l.suffix + " is an element-wise loop: see _generate/span.go.")
	Pragma("noescape")
	dst, from, n := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("n"), GP64())
	f := prepare()
	Label("loop")
	x := l.make()
	VMOVUPS(Mem{Base: from}, x)
	f(x)
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(U32(l.bytes()), from)
	ADDQ(U32(l.bytes()), dst)
	SUBQ(U32(l.count), n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// binary generates dst[i] = a[i] op b[i], where steps of 0 instead of 1 let an operand stand still.
func (l lanes) binary(name string, op func(...Op)) {
	TEXT(name+l.suffix, NOSPLIT, "func(dst, a, b *float32, n, stepA, stepB int)")
	Doc(name + l.suffix + " is an element-wise loop: see _generate/span.go.")
	Pragma("noescape")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	stepA, stepB := Load(Param("stepA"), GP64()), Load(Param("stepB"), GP64())
	x, y := l.make(), l.make()
	TESTQ(stepA, stepA)
	JE(LabelRef("still"))
	TESTQ(stepB, stepB)
	JE(LabelRef("stillB"))
	next := func() {
		ADDQ(U32(l.bytes()), dst)
		SUBQ(U32(l.count), n)
	}
	Label("both")
	VMOVUPS(Mem{Base: a}, x)
	op(Mem{Base: b}, x, x)
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(U32(l.bytes()), a)
	ADDQ(U32(l.bytes()), b)
	next()
	JNE(LabelRef("both"))
	VZEROUPPER()
	RET()
	Label("stillB")
	VBROADCASTSS(Mem{Base: b}, y)
	Label("loopB")
	VMOVUPS(Mem{Base: a}, x)
	op(y, x, x)
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(U32(l.bytes()), a)
	next()
	JNE(LabelRef("loopB"))
	VZEROUPPER()
	RET()
	Label("still")
	VBROADCASTSS(Mem{Base: a}, y)
	Label("loopA")
	op(Mem{Base: b}, y, x)
	VMOVUPS(x, Mem{Base: dst})
	ADDQ(U32(l.bytes()), b)
	next()
	JNE(LabelRef("loopA"))
	VZEROUPPER()
	RET()
}

// expKernel holds the constants of e^x: x = k ln 2 + r with |r| <= ln(2)/2, e^r by a polynomial of degree 7 (its Taylor
// coefficients, which are within 1e-8 on that interval), times 2^k in two steps, so that results below the smallest
// normal number are right too.
type expKernel struct {
	l                lanes
	least, most, one reg.VecVirtual
	log2e, hi, low   Op
	coefficients     []Op
	bias             Op
}

func newExp(l lanes) *expKernel {
	e := &expKernel{
		l: l, least: l.bits(0xc2d00000), most: l.bits(0x42b20000), // -104, 89
		log2e: l.constant(0x3fb8aa3b), hi: l.constant(0x3f318000), low: l.constant(0xb95e8083), // ln 2 = 0.693359375 - 2.12194440e-4
		one: l.bits(0x3f800000),
	}
	for _, c := range []uint32{0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000} { // 1/7!, 1/6!, ..., 1/2!
		e.coefficients = append(e.coefficients, l.constant(c))
	}
	if l.count == 8 {
		e.bias = l.constant(127)
	}
	return e
}

func (e *expKernel) apply(x reg.VecVirtual) {
	k, p := e.l.make(), e.l.make()
	VMAXPS(x, e.least, x)
	VMINPS(x, e.most, x)
	VMULPS(e.log2e, x, k)
	if e.l.count == 16 {
		VRNDSCALEPS(Imm(0), k, k)
	} else {
		VROUNDPS(Imm(0), k, k)
	}
	VFNMADD231PS(e.hi, k, x)
	VFNMADD231PS(e.low, k, x)
	VMOVUPS(e.coefficients[0], p)
	for _, c := range e.coefficients[1:] {
		VFMADD213PS(c, x, p)
	}
	VFMADD213PS(e.one, x, p)
	VFMADD213PS(e.one, x, p)
	if e.l.count == 16 {
		VSCALEFPS(k, p, x)
		return
	}
	half, rest := e.l.make(), e.l.make()
	VCVTPS2DQ(k, k)
	VPSRAD(Imm(1), k, half)
	VPSUBD(half, k, rest)
	VPADDD(e.bias, half, half)
	VPSLLD(Imm(23), half, half)
	VPADDD(e.bias, rest, rest)
	VPSLLD(Imm(23), rest, rest)
	VMULPS(half, p, p)
	VMULPS(rest, p, x)
}

// sigmoidKernel: 1 / (1 + e^-x).
type sigmoidKernel struct {
	e    *expKernel
	sign Op
}

func newSigmoid(l lanes) *sigmoidKernel { return &sigmoidKernel{newExp(l), l.constant(0x80000000)} }

func (s *sigmoidKernel) apply(x reg.VecVirtual) {
	if s.e.l.count == 16 {
		VPXORD(s.sign, x, x)
	} else {
		VXORPS(s.sign, x, x)
	}
	s.e.apply(x)
	VADDPS(s.e.one, x, x)
	VDIVPS(x, s.e.one, x)
}

// tanhKernel: for |x| < 0.625 x + x^3 P(x^2) (S. L. Moshier, Cephes, tanhf.c), else sign(x) (1 - 2 / (e^2|x| + 1)).
type tanhKernel struct {
	e                     *expKernel
	sign, magnitude, edge Op
	p                     []Op
}

func newTanh(l lanes) *tanhKernel {
	t := &tanhKernel{e: newExp(l), sign: l.constant(0x80000000), magnitude: l.constant(0x7fffffff), edge: l.constant(0x3f200000)}
	for _, c := range []uint32{0xbbbaf0ea, 0x3ca9134e, 0xbd5c1e2d, 0x3e088393, 0xbeaaaa99} {
		t.p = append(t.p, l.constant(c))
	}
	return t
}

func (t *tanhKernel) apply(x reg.VecVirtual) {
	l := t.e.l
	a, z, p, s := l.make(), l.make(), l.make(), l.make()
	if l.count == 16 {
		VPANDD(t.magnitude, x, a)
		VPANDD(t.sign, x, s)
	} else {
		VANDPS(t.magnitude, x, a)
		VANDPS(t.sign, x, s)
	}
	VMULPS(x, x, z)
	VMOVUPS(t.p[0], p)
	for _, c := range t.p[1:] {
		VFMADD213PS(c, z, p)
	}
	VMULPS(z, p, p)
	VFMADD213PS(x, x, p) // p*x + x
	y := l.make()
	VADDPS(a, a, y)
	t.e.apply(y)
	VADDPS(t.e.one, y, y)
	q := l.make()
	VDIVPS(y, t.e.one, q)
	VADDPS(q, q, q)
	VSUBPS(q, t.e.one, q)
	if l.count == 16 {
		VPORD(s, q, q)
		m := K()
		VCMPPS(Imm(1), t.edge, a, m) // a < edge
		VMOVAPS(q, x)
		VMOVAPS(p, m, x)
	} else {
		VORPS(s, q, q)
		m := YMM()
		VCMPPS(Imm(1), t.edge, a, m)
		VBLENDVPS(m, p, q, x)
	}
}
