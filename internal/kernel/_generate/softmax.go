package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmaxKernel is the making of a loop over whole rows that lie one after another. Every row is gone through three
// times: for its largest value, for e^(x - largest) and 16 sums of these in float64 as sums has them, and to multiply by
// the reciprocal of the sum. AVX-512 takes two rows at once, which hides the latency of one row's reductions behind the
// other's work.
type softmaxKernel struct {
	lanes
	dst, from       []reg.GPVirtual // of each row
	at, whole, rest reg.GPVirtual   // an element's place in a row, elements that fill sixteens, and the others
	least           reg.VecVirtual
	mask            Op // of the elements behind the last sixteen: AVX-512 has it in a register, AVX2 in memory
}

// softmax generates dst = softmax of rows of n elements, neither of which is 0. Where rows come in pairs, a last one
// without another is its own partner: vectors of both are read before one is written.
func (l lanes) softmax() {
	TEXT("softmax"+l.suffix, NOSPLIT, "func(dst, x *float32, rows, n int)")
	Doc("softmax" + l.suffix + " writes the softmax of rows: see _generate/softmax.go.")
	Pragma("noescape")
	pair := l.count / 8
	s := &softmaxKernel{lanes: l, at: GP64(), whole: GP64(), rest: GP64()}
	for range pair {
		s.dst, s.from = append(s.dst, GP64()), append(s.from, GP64())
	}
	Load(Param("dst"), s.dst[0])
	Load(Param("x"), s.from[0])
	rows, n := Load(Param("rows"), GP64()), GP64()
	Load(Param("n"), n)
	MOVQ(n, s.whole)
	ANDQ(I32(-16), s.whole)
	MOVQ(n, s.rest)
	ANDQ(U32(15), s.rest)
	s.tail()
	s.least = l.bits(0xff800000)
	e := newExp(l)
	apart, none := n, GP64()
	if pair == 2 {
		apart = GP64()
		MOVQ(n, apart)
		XORQ(none, none)
	}
	Label("row")
	if pair == 2 {
		CMPQ(rows, U32(1))
		CMOVQEQ(none, apart)
		LEAQ(Mem{Base: s.dst[0], Index: apart, Scale: 4}, s.dst[1])
		LEAQ(Mem{Base: s.from[0], Index: apart, Scale: 4}, s.from[1])
	}
	top := s.largest()
	factor := s.exponentials(e, top)
	s.pass("scale", func(i int, masked bool) {
		for r, x := range s.loadAll(s.dst, i, masked) {
			VMULPS(factor[r], x, x)
			s.store(x, s.dst[r], i, masked)
		}
	})
	LEAQ(Mem{Base: s.dst[pair-1], Index: n, Scale: 4}, s.dst[0])
	LEAQ(Mem{Base: s.from[pair-1], Index: n, Scale: 4}, s.from[0])
	SUBQ(U32(pair), rows)
	JGT(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// tail prepares the mask of the elements behind the last sixteen.
func (s *softmaxKernel) tail() {
	if s.count == 16 {
		s.mask = lowBits(s.rest)
		return
	}
	table := GLOBL("firstLanes", RODATA|NOPTR) // -1 sixteen times, then 0 sixteen times
	for i := range 32 {
		DATA(4*i, I32(-1+i/16))
	}
	base, skipped := GP64(), GP64()
	LEAQ(table, base)
	MOVQ(U32(16), skipped)
	SUBQ(s.rest, skipped)
	LEAQ(Mem{Base: base, Index: skipped, Scale: 4}, base)
	s.mask = Mem{Base: base}
}

// pass generates a loop over the elements of the rows: body takes vector i of sixteen elements, masked where they do not
// fill it.
func (s *softmaxKernel) pass(name string, body func(i int, masked bool)) {
	XORQ(s.at, s.at)
	Label(name)
	CMPQ(s.at, s.whole)
	JE(LabelRef(name + "Tail"))
	for i := range 16 / s.count {
		body(i, false)
	}
	ADDQ(U32(16), s.at)
	JMP(LabelRef(name))
	Label(name + "Tail")
	for i := range 16 / s.count {
		CMPQ(s.rest, U32(i*s.count))
		JE(LabelRef(name + "Done"))
		if i > 0 {
			JLT(LabelRef(name + "Done"))
		}
		body(i, true)
	}
	Label(name + "Done")
}

// place is where vector i of a row begins.
func (s *softmaxKernel) place(row reg.GPVirtual, i int) Mem {
	return Mem{Base: row, Index: s.at, Scale: 4, Disp: i * s.bytes()}
}

// lanesOf loads the mask of vector i, with AVX2.
func (s *softmaxKernel) lanesOf(i int) reg.VecVirtual {
	mask, m := s.make(), s.mask.(Mem)
	m.Disp = i * s.bytes()
	VMOVUPS(m, mask)
	return mask
}

// load reads vector i of a row; lanes that are masked off hold -Inf.
func (s *softmaxKernel) load(row reg.GPVirtual, i int, masked bool) reg.VecVirtual {
	x, m := s.make(), s.place(row, i)
	switch {
	case !masked:
		VMOVUPS(m, x)
	case s.count == 16:
		VMOVAPS(s.least, x)
		VMOVUPS(m, s.mask, x)
	default:
		mask := s.lanesOf(i)
		VMASKMOVPS(m, mask, x)
		VBLENDVPS(mask, x, s.least, x)
	}
	return x
}

// loadAll reads vector i of all rows.
func (s *softmaxKernel) loadAll(rows []reg.GPVirtual, i int, masked bool) (list []reg.VecVirtual) {
	for _, row := range rows {
		list = append(list, s.load(row, i, masked))
	}
	return list
}

// store writes vector i of a row, but for the lanes that are masked off.
func (s *softmaxKernel) store(x reg.VecVirtual, row reg.GPVirtual, i int, masked bool) {
	m := s.place(row, i)
	switch {
	case !masked:
		VMOVUPS(x, m)
	case s.count == 16:
		VMOVUPS(x, s.mask, m)
	default:
		VMASKMOVPS(x, s.lanesOf(i), m)
	}
}

// largest returns the largest value of each row, in all lanes. NaN is passed over: it comes back with e^NaN.
func (s *softmaxKernel) largest() []reg.VecVirtual {
	top := make([]reg.VecVirtual, len(s.from))
	for r := range top {
		top[r] = s.make()
		VMOVAPS(s.least, top[r])
	}
	s.pass("largest", func(i int, masked bool) {
		for r, t := range top {
			VMAXPS(t, s.load(s.from[r], i, masked), t) // the second source where one is NaN: t
		}
	})
	for _, t := range top {
		for step := s.count / 2; step > 0; step /= 2 {
			other := s.make()
			s.exchange(step, t, other)
			VMAXPS(other, t, t)
		}
	}
	return top
}

// exchange writes to y the lanes of x, those that are step apart in each other's place.
func (s *softmaxKernel) exchange(step int, x, y reg.VecVirtual) {
	switch {
	case step == 8:
		VSHUFF32X4(Imm(0x4e), x, x, y)
	case step == 4 && s.count == 16:
		VSHUFF32X4(Imm(0xb1), x, x, y)
	case step == 4:
		VPERM2F128(Imm(1), x, x, y)
	case step == 2:
		VPERMILPS(Imm(0x4e), x, y)
	default:
		VPERMILPS(Imm(0xb1), x, y)
	}
}

// exponentials writes e^(x - top) to dst and returns the reciprocals of their sums, in all lanes.
func (s *softmaxKernel) exponentials(e *expKernel, top []reg.VecVirtual) []reg.VecVirtual {
	sums := make([][]reg.VecVirtual, len(top))
	for r := range sums {
		sums[r] = make([]reg.VecVirtual, 32/s.count)
		for i := range sums[r] {
			sums[r][i] = s.make()
			s.zero(sums[r][i])
		}
	}
	s.pass("exp", func(i int, masked bool) {
		for r, x := range s.loadAll(s.from, i, masked) {
			VSUBPS(top[r], x, x)
			e.apply(x)
			s.store(x, s.dst[r], i, masked)
			s.add(x, sums[r][2*i], sums[r][2*i+1])
		}
	})
	factor := make([]reg.VecVirtual, len(top))
	for r := range factor {
		factor[r] = s.reciprocal(e, sums[r])
	}
	return factor
}

func (s *softmaxKernel) zero(v reg.VecVirtual) {
	if s.count == 16 {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// add adds the lower half of x to low and the upper one to high, in float64.
func (s *softmaxKernel) add(x, low, high reg.VecVirtual) {
	v, w := s.make(), s.make()
	if s.count == 16 {
		half := YMM()
		VCVTPS2PD(x.AsY(), v)
		VEXTRACTF64X4(Imm(1), x, half)
		VCVTPS2PD(half, w)
	} else {
		half := XMM()
		VCVTPS2PD(x.AsX(), v)
		VEXTRACTF128(Imm(1), x, half)
		VCVTPS2PD(half, w)
	}
	VADDPD(v, low, low)
	VADDPD(w, high, high)
}

// reciprocal adds up 16 sums in pairs, halves first, and returns 1 by the total, rounded to float32, in all lanes.
func (s *softmaxKernel) reciprocal(e *expKernel, sums []reg.VecVirtual) reg.VecVirtual {
	for n := len(sums) / 2; n > 0; n /= 2 {
		for i := range n {
			VADDPD(sums[n+i], sums[i], sums[i])
		}
	}
	total, high := sums[0], XMM()
	if s.count == 16 {
		half := YMM()
		VEXTRACTF64X4(Imm(1), total, half)
		VADDPD(half, total.AsY(), total.AsY())
		VEXTRACTF64X2(Imm(1), total.AsY(), high)
	} else {
		VEXTRACTF128(Imm(1), total, high)
	}
	VADDPD(high, total.AsX(), total.AsX())
	VPERMILPD(Imm(1), total.AsX(), high)
	VADDSD(high, total.AsX(), total.AsX())
	one, factor := XMM(), s.make()
	VCVTSS2SD(e.one.AsX(), e.one.AsX(), one)
	VDIVSD(total.AsX(), one, one)
	VCVTSD2SS(one, one, one)
	VBROADCASTSS(one, factor)
	return factor
}
