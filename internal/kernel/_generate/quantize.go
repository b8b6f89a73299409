package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Loops of the quantizer over n elements, n a multiple of 16. Their results decide stored bytes, so each gives the bits
// of the plain form: divisions are divisions, products are rounded before they are added, and sums of float64 are kept
// in 16 lanes, element i in lane i mod 16, whatever the width of the vectors. A fused multiply-add is used only where
// the product is exact: that of two float32 in float64.

const blockOf = 16 // elements of one turn of a loop

// quantizeKernels generates all of them.
func quantizeKernels() {
	for _, l := range widths {
		l.minMax()
		l.dot()
		l.cellIndex()
		l.assign16()
		l.assign256()
		l.roundClamp()
		l.decode()
		l.project()
		l.codeErrors()
		l.cheapMoves()
		l.gridErrors()
	}
}

// begin opens a function and loads its pointers and n.
func (l lanes) begin(name, signature string, pointers ...string) (at []reg.Register, n reg.Register) {
	TEXT(name+l.suffix, NOSPLIT, "func("+signature+")")
	Doc(name + l.suffix + " is a loop of the quantizer: see _generate/quantize.go.")
	Pragma("noescape")
	for _, p := range pointers {
		at = append(at, Load(Param(p), GP64()))
	}
	return at, Load(Param("n"), GP64())
}

// turns closes the loop: the pointers move on by 16 elements of the given sizes.
func turns(label string, n reg.Register, at []reg.Register, sizes ...int) {
	for i, p := range at[:len(sizes)] {
		ADDQ(U32(blockOf*sizes[i]), p)
	}
	SUBQ(U32(blockOf), n)
	JNE(LabelRef(label))
}

func finish() {
	VZEROUPPER()
	RET()
}

// steps is how many vectors of float32 a turn takes.
func (l lanes) steps() int { return blockOf / l.count }

// at returns vector k of a turn behind p.
func (l lanes) at(p reg.Register, k int) Mem { return Mem{Base: p, Disp: k * l.bytes()} }

// zero clears x.
func (l lanes) zero(x reg.VecVirtual) {
	if l.count == 16 {
		VPXORD(x, x, x)
	} else {
		VPXOR(x, x, x)
	}
}

// store writes sums to out.
func (l lanes) store(sums []reg.VecVirtual, out reg.Register, disp int) {
	for i, s := range sums {
		VMOVUPD(s, Mem{Base: out, Disp: disp + i*l.bytes()})
	}
}

// widened converts the lower and upper half of x to float64; the lower may stay in half a register.
func (l lanes) widened(x reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = l.make(), l.make()
	if l.count == 16 {
		h := YMM()
		VEXTRACTF64X4(Imm(1), x, h)
		VCVTPS2PD(x.(interface{ AsY() reg.Register }).AsY(), low)
		VCVTPS2PD(h, high)
		return low, high
	}
	h := XMM()
	VEXTRACTF128(Imm(1), x, h)
	VCVTPS2PD(x.(interface{ AsX() reg.Register }).AsX(), low)
	VCVTPS2PD(h, high)
	return low, high
}

// minMax: out holds 16 least, 16 largest and 16 sums of 0*x, which are NaN where a value is not finite.
func (l lanes) minMax() {
	at, n := l.begin("minMax", "x *float32, n int, out *float32", "x", "out")
	zero := l.bits(0)
	var low, high, nan []reg.VecVirtual
	for range l.steps() {
		a, b, c := l.make(), l.make(), l.make()
		low, high, nan = append(low, a), append(high, b), append(nan, c)
	}
	for k := range low {
		VMOVUPS(l.at(at[0], k), low[k])
		VMOVAPS(low[k], high[k])
		l.zero(nan[k])
	}
	Label("loop")
	for k := range low {
		x := l.make()
		VMOVUPS(l.at(at[0], k), x)
		VMINPS(x, low[k], low[k])
		VMAXPS(x, high[k], high[k])
		VFMADD231PS(x, zero, nan[k])
	}
	turns("loop", n, at, 4)
	for k := range low {
		VMOVUPS(low[k], l.at(at[1], k))
		VMOVUPS(high[k], Mem{Base: at[1], Disp: 64 + k*l.bytes()})
		VMOVUPS(nan[k], Mem{Base: at[1], Disp: 128 + k*l.bytes()})
	}
	finish()
}

// dot: 16 sums of x*y.
func (l lanes) dot() {
	at, n := l.begin("dot", "x, y *float32, n int, out *float64", "x", "y", "out")
	sums := l.accumulators()
	Label("loop")
	for k := range l.steps() {
		x, y := l.make(), l.make()
		VMOVUPS(l.at(at[0], k), x)
		VMOVUPS(l.at(at[1], k), y)
		x0, x1 := l.widened(x)
		y0, y1 := l.widened(y)
		VFMADD231PD(x0, y0, sums[2*k])
		VFMADD231PD(x1, y1, sums[2*k+1])
	}
	turns("loop", n, at, 4, 4)
	l.store(sums, at[2], 0)
	finish()
}

// scaled loads vector k of x, divides it by scale and limits it to -limit..limit; NaN stays.
func (l lanes) scaled(p reg.Register, k int, scale, low, high reg.VecVirtual) reg.VecVirtual {
	x := l.make()
	VMOVUPS(l.at(p, k), x)
	VDIVPS(scale, x, x)
	VMAXPS(x, low, x)
	VMINPS(x, high, x)
	return x
}

// limits returns -limit and limit.
func (l lanes) limits() (low, high reg.VecVirtual) {
	high, low = l.float("limit"), l.make()
	zero := l.bits(0)
	VSUBPS(high, zero, low)
	return low, high
}

// cellIndex: dst = min(int((v/(|v|+knee)*half + half)*256), last), v = x/scale.
func (l lanes) cellIndex() {
	at, n := l.begin("cellIndex", "dst *uint32, x *float32, n int, scale, limit float32, knee, half float64, last uint32", "dst", "x")
	scale := l.float("scale")
	low, high := l.limits()
	knee, half := l.double("knee"), l.double("half")
	last, x4, r := l.make(), XMM(), GP32()
	Load(Param("last"), r)
	VMOVD(r, x4)
	VPBROADCASTD(x4, last)
	magnitude, m4, r8 := l.make(), XMM(), GP64()
	MOVQ(U64(0x7fffffffffffffff), r8)
	VMOVQ(r8, m4)
	VPBROADCASTQ(m4, magnitude)
	parts, p4 := l.make(), XMM()
	MOVQ(U64(0x4070000000000000), r8) // 256
	VMOVQ(r8, p4)
	VPBROADCASTQ(p4, parts)
	Label("loop")
	for k := range l.steps() {
		x0, x1 := l.widened(l.scaled(at[1], k, scale, low, high))
		for i, x := range []reg.VecVirtual{x0, x1} {
			a := l.make()
			if l.count == 16 {
				VPANDQ(magnitude, x, a)
			} else {
				VPAND(magnitude, x, a)
			}
			VADDPD(knee, a, a)
			VDIVPD(a, x, x)
			VMULPD(half, x, x)
			VADDPD(half, x, x)
			VMULPD(parts, x, x)
			place := Mem{Base: at[0], Disp: k*l.bytes() + i*l.bytes()/2}
			if l.count == 16 {
				c := YMM()
				VCVTTPD2DQ(x, c)
				VPMINSD(last.(interface{ AsY() reg.Register }).AsY(), c, c)
				VMOVDQU(c, place)
			} else {
				c := XMM()
				VCVTTPD2DQY(x, c)
				VPMINSD(last.(interface{ AsX() reg.Register }).AsX(), c, c)
				VMOVDQU(c, place)
			}
		}
	}
	turns("loop", n, at, 4, 4)
	finish()
}

// bytesOut writes the lowest bytes of the lanes of x.
func (l lanes) bytesOut(x reg.VecVirtual, p reg.Register, k int) {
	place := Mem{Base: p, Disp: k * l.count}
	if l.count == 16 {
		VPMOVDB(x, place)
		return
	}
	h, low := XMM(), x.(interface{ AsX() reg.Register }).AsX()
	VEXTRACTI128(Imm(1), x, h)
	VPACKUSDW(h, low, low)
	VPACKUSWB(low, low, low)
	VMOVQ(low, place)
}

// The edges stand as a heap: the children of node i are 2i and 2i+1, the root is node 1, and node 0 is not used. A walk
// of d steps from the root ends at 2^d + bin.

// step moves idx from nodes whose edges are given to their children: idx = 2*idx + (x >= edge), false for NaN.
func (l lanes) step(idx, x reg.VecVirtual, edge Op, one reg.VecVirtual) {
	const notLess = 13
	if l.count == 16 {
		m := K()
		VCMPPS(Imm(notLess), edge, x, m)
		VPADDD(idx, idx, idx)
		VPADDD(one, idx, m, idx)
		return
	}
	m := l.make()
	VCMPPS(Imm(notLess), edge, x, m)
	VPADDD(idx, idx, idx)
	VPSUBD(m, idx, idx)
}

// assign16: heaps of 16 nodes, in registers.
func (l lanes) assign16() {
	at, n := l.begin("assign16", "dst *uint8, x *float32, n int, heap *float32, scale, limit float32", "dst", "x", "heap")
	scale := l.float("scale")
	low, high := l.limits()
	one, fifteen := l.bits(1), l.bits(15)
	heap := l.load(at[2], 0, blockOf/l.count)
	Label("loop")
	for k := range l.steps() {
		x := l.scaled(at[1], k, scale, low, high)
		idx, edge := l.make(), l.make()
		VMOVAPS(one, idx)
		for d := range 4 {
			nodes := heap[0]
			if d == 3 {
				nodes = heap[len(heap)-1]
			}
			VPERMPS(nodes, idx, edge)
			l.step(idx, x, edge, one)
		}
		if l.count == 16 {
			VPANDD(fifteen, idx, idx)
		} else {
			VPAND(fifteen, idx, idx)
		}
		l.bytesOut(idx, at[0], k)
	}
	turns("loop", n, at, 1, 4)
	finish()
}

// load reads count vectors from p on, beginning with the given one.
func (l lanes) load(p reg.Register, from, count int) []reg.VecVirtual {
	var all []reg.VecVirtual
	for i := range count {
		v := l.make()
		VMOVUPS(l.at(p, from+i), v)
		all = append(all, v)
	}
	return all
}

// assign256: heaps of 256 nodes. AVX-512 keeps all of it in registers; AVX2 the first 32 nodes, and reads the others.
func (l lanes) assign256() {
	at, n := l.begin("assign256", "dst *uint8, x *float32, n int, heap *float32, scale, limit float32", "dst", "x", "heap")
	scale := l.float("scale")
	low, high := l.limits()
	one := l.bits(1)
	if l.count == 16 {
		heap := l.load(at[2], 0, 16)
		Label("loop")
		x := l.scaled(at[1], 0, scale, low, high)
		idx := l.make()
		VMOVAPS(one, idx)
		for d := range 8 {
			l.step(idx, x, chosen(heap, idx, d), one)
		}
		l.bytesOut(idx, at[0], 0)
	} else {
		heap := l.load(at[2], 0, 4)
		low8, ones := l.bits(255), l.make()
		VPCMPEQD(ones, ones, ones)
		Label("loop")
		for k := range l.steps() {
			x := l.scaled(at[1], k, scale, low, high)
			idx, edge, other := l.make(), l.make(), l.make()
			VMOVAPS(one, idx)
			for d := range 8 {
				switch {
				case d < 3:
					VPERMPS(heap[0], idx, edge)
				case d == 3:
					VPERMPS(heap[1], idx, edge)
				case d == 4:
					VPERMPS(heap[2], idx, edge)
					VPERMPS(heap[3], idx, other)
					up := l.make()
					VPSLLD(Imm(28), idx, up) // bit 3 to the sign
					VBLENDVPS(up, other, edge, edge)
				default:
					mask := l.make()
					VMOVAPS(ones, mask)
					VGATHERDPS(mask, Mem{Base: at[2], Index: idx, Scale: 4}, edge)
				}
				l.step(idx, x, edge, one)
			}
			VPAND(low8, idx, idx)
			l.bytesOut(idx, at[0], k)
		}
	}
	turns("loop", n, at, 1, 4)
	finish()
}

// chosen returns the edges of nodes idx of level d of a heap in 16 registers.
func chosen(heap []reg.VecVirtual, idx reg.VecVirtual, d int) reg.VecVirtual {
	edge := ZMM()
	if d <= 4 {
		VPERMPS(heap[d/4], idx, edge)
		return edge
	}
	return looked(heap[1<<(d-4):2<<(d-4)], idx)
}

// looked returns the elements idx of a table of 32, 64, 128 or 256 in registers; higher bits of idx do not count.
func looked(table []reg.VecVirtual, idx reg.VecVirtual) reg.VecVirtual {
	found := ZMM()
	if len(table) == 2 {
		VMOVDQA32(idx, found)
		VPERMI2PS(table[1], table[0], found)
		return found
	}
	half := len(table) / 2
	found = looked(table[:half], idx)
	other := looked(table[half:], idx)
	bit, m := ZMM(), K() // the bit of idx that chooses a half, moved to the sign
	shift := 31
	for n := half * 16; n > 1; n /= 2 {
		shift--
	}
	VPSLLD(Imm(uint64(shift)), idx, bit)
	VPMOVD2M(bit, m)
	VMOVAPS(other, m, found)
	return found
}

// roundClamp: dst = RoundToEven(min(max(x/scale, low), high) - half) + half + zero.
func (l lanes) roundClamp() {
	at, n := l.begin("roundClamp", "dst *uint8, x *float32, n int, scale, low, high, half, zero float32", "dst", "x")
	scale, low, high, half, zero := l.float("scale"), l.float("low"), l.float("high"), l.float("half"), l.float("zero")
	Label("loop")
	for k := range l.steps() {
		x, c := l.scaled(at[1], k, scale, low, high), l.make()
		VSUBPS(half, x, x)
		l.round(Imm(0), x, x) // to the nearest, ties to even
		VADDPS(half, x, x)
		VADDPS(zero, x, x)
		VCVTTPS2DQ(x, c)
		l.bytesOut(c, at[0], k)
	}
	turns("loop", n, at, 1, 4)
	finish()
}

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
