package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A tile computes rows of a matrix product, with a and b read in place:
//
//	dst[i*ldc + j] = clamp(start + sum over p < k of a[i*lda + p] * b[p*ldb + j], low, high)
//
// for i < rows and the columns j of mask. start is what stands in dst, or bias[i], or zero. The sum is taken in the
// order of p by fused multiply-adds, in registers. The arguments stand in a struct, whose layout a test compares with
// these offsets; strides count bytes.
const (
	argDst = 8 * iota
	argLdc
	argA
	argLda
	argB
	argLdb
	argK
	argBias
	argFlags // low half: 1 to start from dst, 2 to start from bias; high half: mask, a bit per column
	argClamp // low and high
)

// tile is one kernel being generated.
type tile struct {
	rows, vectors int // accumulators: vectors per row
	wide          bool
	integer       bool // int32 sums of bytes: see integer.go
	signedLeft    bool // of an integer tile: a is signed, b unsigned
	dst, ldc      reg.GPVirtual
	lda, b, ldb   reg.GPVirtual
	k, bias       reg.GPVirtual
	flags         reg.GPVirtual
	args          reg.Register
	bases         []reg.Register // rows 0, 3, 6, ... of a
	acc           [][]reg.VecVirtual
	masks         []reg.OpmaskVirtual
}

func (t *tile) vec() reg.VecVirtual {
	if t.wide {
		return ZMM()
	}
	return YMM()
}

func (t *tile) bytes() int {
	if t.wide {
		return 64
	}
	return 32
}

// makeTile generates a kernel of rows x vectors registers.
func makeTile(rows, vectors int, wide bool) {
	t := &tile{rows: rows, vectors: vectors, wide: wide}
	name := fmt.Sprintf("tile%dx%dAVX2", rows, vectors*8)
	if wide {
		name = fmt.Sprintf("tile%dx%dAVX512", rows, vectors*16)
	}
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s computes a tile of %d rows: see _generate/gemm.go.", name, rows))
	Pragma("noescape")
	t.load()
	t.start()
	t.sum()
	t.store()
	VZEROUPPER()
	RET()
}

func (t *tile) load() {
	t.args = Load(Param("t"), GP64())
	field := func(offset int) reg.GPVirtual {
		r := GP64()
		MOVQ(Mem{Base: t.args, Disp: offset}, r)
		return r
	}
	t.dst, t.ldc, t.lda, t.b, t.k = field(argDst), field(argLdc), field(argLda), field(argB), field(argK)
	t.ldb = field(argLdb)
	a := field(argA)
	t.bases = []reg.Register{a}
	for i := 3; i < t.rows; i += 3 {
		p := GP64()
		LEAQ(Mem{Base: t.bases[len(t.bases)-1], Index: t.lda, Scale: 2}, p)
		ADDQ(t.lda, p)
		t.bases = append(t.bases, p)
	}
	if t.wide {
		mask := GP32()
		MOVL(Mem{Base: t.args, Disp: argFlags + 4}, mask)
		for range t.vectors {
			m := K()
			KMOVW(mask, m)
			SHRL(Imm(16), mask)
			t.masks = append(t.masks, m)
		}
	}
}

// start fills the accumulators.
func (t *tile) start() {
	t.acc = make([][]reg.VecVirtual, t.rows)
	for i := range t.acc {
		t.acc[i] = make([]reg.VecVirtual, t.vectors)
		for j := range t.acc[i] {
			t.acc[i][j] = t.vec()
		}
	}
	flags := GP32()
	MOVL(Mem{Base: t.args, Disp: argFlags}, flags)
	TESTL(U32(1), flags)
	JNE(LabelRef("fromDst"))
	if !t.integer {
		TESTL(U32(2), flags)
		JNE(LabelRef("fromBias"))
	}
	for _, row := range t.acc {
		for _, r := range row {
			if t.wide {
				VPXORD(r, r, r)
			} else {
				VXORPS(r, r, r)
			}
		}
	}
	JMP(LabelRef("sum"))
	if !t.integer {
		t.startFromBias()
	}
	Label("fromDst")
	from := GP64()
	MOVQ(t.dst, from)
	for i, row := range t.acc {
		for j, r := range row {
			m := Mem{Base: from, Disp: t.bytes() * j}
			if t.wide {
				VMOVUPS_Z(m, t.masks[j], r)
			} else {
				VMOVUPS(m, r)
			}
		}
		if i < t.rows-1 {
			ADDQ(t.ldc, from)
		}
	}
	Label("sum")
}

// startFromBias fills each row of accumulators with its bias.
func (t *tile) startFromBias() {
	Label("fromBias")
	bias := GP64()
	MOVQ(Mem{Base: t.args, Disp: argBias}, bias)
	for i, row := range t.acc {
		VBROADCASTSS(Mem{Base: bias, Disp: 4 * i}, row[0])
		for _, r := range row[1:] {
			VMOVAPS(row[0], r)
		}
	}
	JMP(LabelRef("sum"))
}

// multiply adds the product of a broadcast element of a and a vector of b to r.
func (t *tile) multiply(x, b, r reg.VecVirtual) {
	switch {
	case !t.integer:
		VFMADD231PS(b, x, r)
	case t.signedLeft:
		VPDPBUSD(x, b, r)
	default:
		VPDPBUSD(b, x, r)
	}
}

// sum adds the products.
func (t *tile) sum() {
	b := make([]reg.VecVirtual, t.vectors)
	for j := range b {
		b[j] = t.vec()
	}
	total := 16
	if t.wide {
		total = 32
	}
	spare := make([]reg.VecVirtual, min(4, total-t.rows*t.vectors-t.vectors))
	for i := range spare {
		spare[i] = t.vec()
	}
	step := func(o int) {
		for j := range b {
			m := Mem{Base: t.b, Disp: t.bytes() * j}
			if t.wide {
				VMOVUPS_Z(m, t.masks[j], b[j])
			} else {
				VMOVUPS(m, b[j])
			}
		}
		ADDQ(t.ldb, t.b)
		for i, row := range t.acc {
			x := spare[i%len(spare)]
			m := Mem{Base: t.bases[i/3], Disp: 4 * o}
			if i%3 > 0 {
				m.Index, m.Scale = t.lda, uint8(i%3)
			}
			VBROADCASTSS(m, x)
			for j, r := range row {
				t.multiply(x, b[j], r)
			}
		}
	}
	advance := func(n int) {
		for _, base := range t.bases {
			ADDQ(U32(4*n), base)
		}
	}
	const unroll = 4
	SUBQ(U32(unroll), t.k)
	JL(LabelRef("tail"))
	Label("many")
	for o := range unroll {
		step(o)
	}
	advance(unroll)
	SUBQ(U32(unroll), t.k)
	JGE(LabelRef("many"))
	Label("tail")
	ADDQ(U32(unroll), t.k)
	JE(LabelRef("store"))
	Label("one")
	step(0)
	advance(1)
	DECQ(t.k)
	JNE(LabelRef("one"))
}

// store clamps and writes the sums. A NaN stays: MAXPS and MINPS return their second source where one is NaN.
func (t *tile) store() {
	Label("store")
	low, high := t.vec(), t.vec()
	if !t.integer {
		VBROADCASTSS(Mem{Base: t.args, Disp: argClamp}, low)
		VBROADCASTSS(Mem{Base: t.args, Disp: argClamp + 4}, high)
	}
	for i, row := range t.acc {
		for j, r := range row {
			if !t.integer {
				VMAXPS(r, low, r)
				VMINPS(r, high, r)
			}
			m := Mem{Base: t.dst, Disp: t.bytes() * j}
			if t.wide {
				VMOVUPS(r, t.masks[j], m)
			} else {
				VMOVUPS(r, m)
			}
		}
		if i < t.rows-1 {
			ADDQ(t.ldc, t.dst)
		}
	}
}

// makeDots generates the dot products of a vector with four others:
//
//	dst[i] = sum over p < k of x[p] * w[i*stride + p]
//
// for i < 4; k counts elements and is a multiple of the lanes, stride bytes. Lane l sums the p with p mod lanes = l; the
// lanes are then added in halves.
func makeDots(wide bool) {
	name, lanes := "dot4AVX2", 8
	if wide {
		name, lanes = "dot4AVX512", 16
	}
	TEXT(name, NOSPLIT, "func(dst, x, w *float32, stride, k int)")
	Doc(name + " computes four dot products: see _generate/gemm.go.")
	Pragma("noescape")
	t := &tile{wide: wide}
	dst, x, w := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("w"), GP64())
	stride, k := Load(Param("stride"), GP64()), Load(Param("k"), GP64())
	third := GP64()
	LEAQ(Mem{Base: w, Index: stride, Scale: 2}, third)
	rows := []Mem{{Base: w}, {Base: w, Index: stride, Scale: 1}, {Base: third}, {Base: third, Index: stride, Scale: 1}}
	acc := make([]reg.VecVirtual, 4)
	for i := range acc {
		acc[i] = t.vec()
		if wide {
			VPXORD(acc[i], acc[i], acc[i])
		} else {
			VXORPS(acc[i], acc[i], acc[i])
		}
	}
	v := t.vec()
	Label("loop")
	VMOVUPS(Mem{Base: x}, v)
	for i, m := range rows {
		VFMADD231PS(m, v, acc[i])
	}
	for _, p := range []reg.Register{x, w, third} {
		ADDQ(U32(4*lanes), p)
	}
	SUBQ(U32(lanes), k)
	JNE(LabelRef("loop"))
	half := make([]reg.VecVirtual, 4)
	for i, r := range acc {
		if wide {
			h := YMM()
			VEXTRACTF64X4(Imm(1), r, h)
			VADDPS(h, r.AsY(), r.AsY())
		}
		half[i] = XMM()
		VEXTRACTF128(Imm(1), r.AsY(), half[i])
		VADDPS(r.AsX(), half[i], half[i])
	}
	VHADDPS(half[1], half[0], half[0])
	VHADDPS(half[3], half[2], half[2])
	VHADDPS(half[2], half[0], half[0])
	VMOVUPS(half[0], Mem{Base: dst})
	VZEROUPPER()
	RET()
}

func gemmKernels() {
	for vectors := 2; vectors >= 1; vectors-- {
		for _, rows := range []int{12, 8, 6, 4, 3, 2, 1} {
			makeTile(rows, vectors, true)
		}
	}
	for _, rows := range []int{6, 4, 3, 2, 1} {
		makeTile(rows, 2, false)
	}
	makeDots(true)
	makeDots(false)
}
