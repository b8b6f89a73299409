package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Loops over codes that exist already: what they decode to, what they cost, what moving them would cost. The frame of a
// loop stands in quantize.go.

// look returns the elements of a table at the given indices.
type look func(idx reg.VecVirtual) reg.VecVirtual

// bySize generates a loop twice: for codes of which some are above 15, and, where the parameter small is not 0, for others.
func (l lanes) bySize(table reg.Register, loop func(look look, label string)) {
	small := Load(Param("small"), GP64())
	TESTQ(small, small)
	JNE(LabelRef("small"))
	loop(l.large(table), "loop")
	finish()
	Label("small")
	loop(l.sixteen(table), "loopSmall")
	finish()
}

// large looks in a table of 256: AVX-512 keeps it in registers.
func (l lanes) large(table reg.Register) look {
	if l.count == 16 {
		all := l.load(table, 0, 16)
		return func(idx reg.VecVirtual) reg.VecVirtual { return looked(all, idx) }
	}
	return l.gathered(table)
}

// gathered looks in a table in memory.
func (l lanes) gathered(table reg.Register) look {
	if l.count == 16 {
		return func(idx reg.VecVirtual) reg.VecVirtual {
			v, m := l.make(), K()
			KXNORW(m, m, m)
			VGATHERDPS(Mem{Base: table, Index: idx, Scale: 4}, m, v)
			return v
		}
	}
	ones := l.make()
	VPCMPEQD(ones, ones, ones)
	return func(idx reg.VecVirtual) reg.VecVirtual {
		v, mask := l.make(), l.make()
		VMOVAPS(ones, mask)
		VGATHERDPS(mask, Mem{Base: table, Index: idx, Scale: 4}, v)
		return v
	}
}

// sixteen looks at the first 16 elements, in registers.
func (l lanes) sixteen(table reg.Register) look {
	all := l.load(table, 0, blockOf/l.count)
	return func(idx reg.VecVirtual) reg.VecVirtual {
		v := l.make()
		VPERMPS(all[0], idx, v)
		if len(all) == 2 {
			w, up := l.make(), l.make()
			VPERMPS(all[1], idx, w)
			VPSLLD(Imm(28), idx, up) // bit 3 to the sign
			VBLENDVPS(up, w, v, v)
		}
		return v
	}
}

// codes returns vector k of the codes of a turn, as 32-bit integers.
func (l lanes) codes(p reg.Register, k int) reg.VecVirtual {
	c := l.make()
	VPMOVZXBD(Mem{Base: p, Disp: k * l.count}, c)
	return c
}

// value returns table[code]*scale of vector k of a turn.
func (l lanes) value(look look, codes reg.Register, k int, scale reg.VecVirtual) reg.VecVirtual {
	v := look(l.codes(codes, k))
	VMULPS(scale, v, v)
	return v
}

// decode: dst = table[code]*scale.
func (l lanes) decode() {
	at, n := l.begin("decode", "dst *float32, codes *uint8, n int, table *float32, small int, scale float32", "dst", "codes", "table")
	scale := l.float("scale")
	l.bySize(at[2], func(look look, loop string) {
		Label(loop)
		for k := range l.steps() {
			VMOVUPS(l.value(look, at[1], k, scale), l.at(at[0], k))
		}
		turns(loop, n, at, 4, 1)
	})
}

// project: 16 sums of x times the value of its code.
func (l lanes) project() {
	at, n := l.begin("project", "x *float32, codes *uint8, n int, table *float32, small int, scale float32, out *float64", "x", "codes", "table", "out")
	scale, sums := l.float("scale"), l.accumulators()
	l.bySize(at[2], func(look look, loop string) {
		Label(loop)
		for k := range l.steps() {
			x := l.make()
			v0, v1 := l.widened(l.value(look, at[1], k, scale))
			VMOVUPS(l.at(at[0], k), x)
			x0, x1 := l.widened(x)
			VFMADD231PD(x0, v0, sums[2*k])
			VFMADD231PD(x1, v1, sums[2*k+1])
		}
		turns(loop, n, at, 4, 1)
		l.store(sums, at[3], 0)
	})
}

// codeErrors: 16 sums of x less the value of its code, then 16 of the squares.
func (l lanes) codeErrors() {
	at, n := l.begin("codeErrors", "x *float32, codes *uint8, n int, table *float32, small int, scale float32, out *float64", "x", "codes", "table", "out")
	scale, sums, squares := l.float("scale"), l.accumulators(), l.accumulators()
	l.bySize(at[2], func(look look, loop string) {
		Label(loop)
		for k := range l.steps() {
			x := l.make()
			v0, v1 := l.widened(l.value(look, at[1], k, scale))
			VMOVUPS(l.at(at[0], k), x)
			x0, x1 := l.widened(x)
			for i, d := range []reg.VecVirtual{x0, x1} {
				VSUBPD([]reg.VecVirtual{v0, v1}[i], d, d)
				VADDPD(d, sums[2*k+i], sums[2*k+i])
				VMULPD(d, d, d)
				VADDPD(d, squares[2*k+i], squares[2*k+i])
			}
		}
		turns(loop, n, at, 4, 1)
		l.store(sums, at[3], 0)
		l.store(squares, at[3], 128)
	})
}

// cheapMoves: the indices, in order, of the elements with e >= 0 and d*(d - 2*e) <= limit, where
// e = (x - values[code]*scale)*unit and d = steps[code]*scale*unit; count is how many these are.
func (l lanes) cheapMoves() {
	TEXT("cheapMoves"+l.suffix, NOSPLIT, "func(dst *uint32, x *float32, codes *uint8, n int, values, steps *float32, small int, scale, unit, limit float32) (count int)")
	Doc("cheapMoves" + l.suffix + " is a loop of the quantizer: see _generate/quantize.go.")
	Pragma("noescape")
	m := &moves{l: l, dst: Load(Param("dst"), GP64()), x: Load(Param("x"), GP64()), codes: Load(Param("codes"), GP64()), n: Load(Param("n"), GP64())}
	values, steps := Load(Param("values"), GP64()), Load(Param("steps"), GP64())
	m.scale, m.unit, m.limit, m.zero = l.float("scale"), l.float("unit"), l.float("limit"), l.bits(0)
	m.index, m.start = GP64(), GP64()
	XORQ(m.index, m.index)
	MOVQ(m.dst, m.start)
	small := Load(Param("small"), GP64())
	TESTQ(small, small)
	JNE(LabelRef("small"))
	m.loop("loop", l.large(values), l.gathered(steps))
	Label("small")
	m.loop("loopSmall", l.sixteen(values), l.sixteen(steps))
}

// moves are the registers of cheapMoves.
type moves struct {
	l                        lanes
	dst, x, codes, n         reg.Register
	scale, unit, limit, zero reg.VecVirtual
	index, start             reg.GPVirtual
}

// loop generates the loop and the return.
func (m *moves) loop(label string, values, steps look) {
	l := m.l
	Label(label)
	for k := range l.steps() {
		c, e := l.codes(m.codes, k), l.make()
		d, v := steps(c), values(c)
		VMULPS(m.scale, d, d)
		VMULPS(m.scale, v, v)
		VMOVUPS(l.at(m.x, k), e)
		VSUBPS(v, e, e)
		VMULPS(m.unit, e, e)
		VMULPS(m.unit, d, d)
		VADDPS(e, e, v)
		VSUBPS(v, d, v)
		VMULPS(d, v, v)
		const lessOrEqual = 2
		found := GP32()
		if l.count == 16 {
			right, both := K(), K()
			VCMPPS(Imm(lessOrEqual), e, m.zero, right)
			VCMPPS(Imm(lessOrEqual), m.limit, v, right, both)
			KMOVW(both, found)
		} else {
			right := l.make()
			VCMPPS(Imm(lessOrEqual), e, m.zero, right)
			VCMPPS(Imm(lessOrEqual), m.limit, v, v)
			VANDPS(right, v, v)
			VMOVMSKPS(v, found)
		}
		m.write(found, fmt.Sprintf("%s%d", label, k))
		ADDQ(Imm(uint64(l.count)), m.index)
	}
	turns(label, m.n, []reg.Register{m.x, m.codes}, 4, 1)
	SUBQ(m.start, m.dst)
	SHRQ(Imm(2), m.dst)
	Store(m.dst, ReturnIndex(0))
	finish()
}

// write appends the index of every bit of found.
func (m *moves) write(found reg.GPVirtual, label string) {
	TESTL(found, found)
	JE(LabelRef(label + "done"))
	Label(label + "bit")
	at, rest := GP32(), GP32()
	BSFL(found, at)
	ADDL(m.index.As32(), at)
	MOVL(at, Mem{Base: m.dst})
	ADDQ(Imm(4), m.dst)
	LEAL(Mem{Base: found.As64(), Disp: -1}, rest)
	ANDL(rest, found)
	JNE(LabelRef(label + "bit"))
	Label(label + "done")
}

// gridErrors: with t = x/scale - half and r = min(max(RoundToEven(t), low), high), 16 sums of (t-r)^2, then 16 of
// those where t lies beyond low or high.
func (l lanes) gridErrors() {
	at, n := l.begin("gridErrors", "x *float32, n int, scale, half, low, high float32, out *float64", "x", "out")
	scale, half, low, high := l.float("scale"), l.float("half"), l.float("low"), l.float("high")
	sums, clipped := l.accumulators(), l.accumulators()
	Label("loop")
	for k := range l.steps() {
		t, r, c, out := l.make(), l.make(), l.make(), l.make()
		VMOVUPS(l.at(at[0], k), t)
		VDIVPS(scale, t, t)
		VSUBPS(half, t, t)
		VMAXPS(low, t, c)
		VMINPS(high, c, c)
		l.round(Imm(0), c, r)
		VSUBPS(r, t, r)
		VSUBPS(c, t, out) // 0 within the grid, the error beyond it: low and high are integers
		r0, r1 := l.widened(r)
		VFMADD231PD(r0, r0, sums[2*k])
		VFMADD231PD(r1, r1, sums[2*k+1])
		out0, out1 := l.widened(out)
		VFMADD231PD(out0, out0, clipped[2*k])
		VFMADD231PD(out1, out1, clipped[2*k+1])
	}
	turns("loop", n, at, 4)
	l.store(sums, at[1], 0)
	l.store(clipped, at[1], 128)
	finish()
}
