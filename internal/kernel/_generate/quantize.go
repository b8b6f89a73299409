package main

import (
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
