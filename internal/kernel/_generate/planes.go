package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products on bit planes: see planes.go for what they compute. The arguments stand in a struct, whose layout a test
// compares with these offsets; strides and offsets count bytes.
const (
	bitDst = 8 * iota
	bitLdc
	bitScalars
	bitPitch // from row to row of the scalars
	bitVectors
	bitOffsets // of the vectors of each step
	bitSteps
	bitTable // of nibbles; or the list of pairs of planes
	bitMost  // steps that bytes can add up; or the number of pairs
)

func planesKernels() {
	for _, rows := range []int{8, 4, 2, 1} {
		makeCountTile(rows)
	}
	for _, rows := range []int{4, 2, 1} {
		makeNibbleTile(rows)
	}
	makePackRowBits()
	makePackPlaneBits()
	makePackNibbles()
	makeJoinNibbles()
}

// bitField loads a field of the arguments.
func bitField(args reg.Register, offset int) reg.GPVirtual {
	r := GP64()
	MOVQ(Mem{Base: args, Disp: offset}, r)
	return r
}

// makeCountTile generates a tile of sums by population counts, 16 columns wide:
//
//	dst[i*ldc + j] = sum over pairs of 2^weight * sum over q < steps of
//	    popcount(scalars[i*pitch + first + 8q] & vectors[second + offsets[q] + 8j])
//
// The list holds three numbers for each pair: first, second and whether the sum so far is doubled before it is added, so
// that pairs of falling weight come out right.
func makeCountTile(rows int) {
	name := fmt.Sprintf("count%dx16AVX512", rows)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s counts the common bits of %d rows: see _generate/planes.go.", name, rows))
	Pragma("noescape")
	args := Load(Param("t"), GP64())
	pitch, list, pairs := bitField(args, bitPitch), bitField(args, bitTable), bitField(args, bitMost)
	acc := make([][2]reg.VecVirtual, rows)
	for i := range acc {
		for j := range acc[i] {
			acc[i][j] = ZMM()
			VPXORQ(acc[i][j], acc[i][j], acc[i][j])
		}
	}
	Label("pair")
	flag := GP64()
	MOVQ(Mem{Base: list, Disp: 16}, flag)
	TESTQ(flag, flag)
	JE(LabelRef("same"))
	for _, row := range acc {
		for _, r := range row {
			VPADDQ(r, r, r)
		}
	}
	Label("same")
	s, v, offsets, q := bitField(args, bitScalars), bitField(args, bitVectors), bitField(args, bitOffsets), bitField(args, bitSteps)
	ADDQ(Mem{Base: list}, s)
	ADDQ(Mem{Base: list, Disp: 8}, v)
	bases := []reg.GPVirtual{s}
	for i := 3; i < rows; i += 3 {
		p := GP64()
		LEAQ(Mem{Base: bases[len(bases)-1], Index: pitch, Scale: 2}, p)
		ADDQ(pitch, p)
		bases = append(bases, p)
	}
	at := GP64()
	Label("step")
	MOVQ(Mem{Base: offsets}, at)
	b := []reg.VecVirtual{ZMM(), ZMM()}
	for j := range b {
		VMOVDQU64(Mem{Base: v, Index: at, Scale: 1, Disp: 64 * j}, b[j])
	}
	for i, row := range acc {
		m := Mem{Base: bases[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = pitch, uint8(i%3)
		}
		x, y := ZMM(), ZMM()
		VPBROADCASTQ(m, x)
		VPANDQ(b[0], x, y)
		VPANDQ(b[1], x, x)
		VPOPCNTQ(y, y)
		VPOPCNTQ(x, x)
		VPADDQ(y, row[0], row[0])
		VPADDQ(x, row[1], row[1])
	}
	for _, p := range bases {
		ADDQ(Imm(8), p)
	}
	ADDQ(Imm(8), offsets)
	DECQ(q)
	JNE(LabelRef("step"))
	ADDQ(Imm(24), list)
	DECQ(pairs)
	JNE(LabelRef("pair"))
	dst, ldc := bitField(args, bitDst), bitField(args, bitLdc)
	for _, row := range acc {
		VPMOVQD(row[0], Mem{Base: dst})
		VPMOVQD(row[1], Mem{Base: dst, Disp: 32})
		ADDQ(ldc, dst)
	}
	VZEROUPPER()
	RET()
}

// makeNibbleTile generates a tile of sums that are looked up, 64 columns wide:
//
//	dst[i*ldc + j] = sum over q < steps of table[scalars[i*pitch + q] + vectors[offsets[q] + j]]
//
// Scalars are multiples of 16, vectors are less than 16: PSHUFB takes one row of the table for a whole vector. Sums of up
// to most steps fit bytes, those of all steps 16 bits.
func makeNibbleTile(rows int) {
	name := fmt.Sprintf("nibbles%dx64AVX2", rows)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s looks up the sums of %d rows: see _generate/planes.go.", name, rows))
	Pragma("noescape")
	args := Load(Param("t"), GP64())
	words := AllocLocal(128 * rows) // sums of the even, then of the odd columns of each half
	zero := YMM()
	VPXOR(zero, zero, zero)
	for i := range 4 * rows {
		VMOVDQU(zero, words.Offset(32*i))
	}
	scalars := []reg.GPVirtual{bitField(args, bitScalars)}
	pitch := bitField(args, bitPitch)
	for range rows - 1 {
		p := GP64()
		LEAQ(Mem{Base: scalars[len(scalars)-1], Index: pitch, Scale: 1}, p)
		scalars = append(scalars, p)
	}
	v, offsets, table := bitField(args, bitVectors), bitField(args, bitOffsets), bitField(args, bitTable)
	q := GP64()
	XORQ(q, q)
	acc := make([][2]reg.VecVirtual, rows)
	for i := range acc {
		acc[i] = [2]reg.VecVirtual{YMM(), YMM()}
	}
	Label("chunk")
	end := bitField(args, bitMost)
	ADDQ(q, end)
	CMPQ(end, Mem{Base: args, Disp: bitSteps})
	JLE(LabelRef("zero"))
	MOVQ(Mem{Base: args, Disp: bitSteps}, end)
	Label("zero")
	for _, row := range acc {
		for _, r := range row {
			VPXOR(r, r, r)
		}
	}
	at, nibble := GP64(), GP64()
	Label("step")
	MOVQ(Mem{Base: offsets, Index: q, Scale: 8}, at)
	index := []reg.VecVirtual{YMM(), YMM()}
	for j := range index {
		VMOVDQU(Mem{Base: v, Index: at, Scale: 1, Disp: 32 * j}, index[j])
	}
	for i, row := range acc {
		x, y := YMM(), YMM()
		MOVBQZX(Mem{Base: scalars[i], Index: q, Scale: 1}, nibble)
		VBROADCASTI128(Mem{Base: table, Index: nibble, Scale: 1}, x)
		VPSHUFB(index[0], x, y)
		VPADDB(y, row[0], row[0])
		VPSHUFB(index[1], x, x)
		VPADDB(x, row[1], row[1])
	}
	INCQ(q)
	CMPQ(q, end)
	JLT(LabelRef("step"))
	low := YMM()
	VPCMPEQW(low, low, low)
	VPSRLW(Imm(8), low, low)
	for i, row := range acc {
		for j, r := range row {
			even, odd := YMM(), YMM()
			VPAND(low, r, even)
			VPSRLW(Imm(8), r, odd)
			for k, x := range []reg.VecVirtual{even, odd} {
				m := words.Offset(32 * (4*i + 2*j + k))
				VPADDW(m, x, x)
				VMOVDQU(x, m)
			}
		}
	}
	CMPQ(q, Mem{Base: args, Disp: bitSteps})
	JLT(LabelRef("chunk"))
	widenWords(words, rows, bitField(args, bitDst), bitField(args, bitLdc))
	VZEROUPPER()
	RET()
}

// widenWords stores rows of 64 sums, which words holds by even and odd columns of each half.
func widenWords(words Mem, rows int, dst, ldc reg.GPVirtual) {
	for i := range rows {
		for j := range 2 {
			even, first, second := YMM(), YMM(), YMM()
			m := words.Offset(32 * (4*i + 2*j))
			VMOVDQU(m, even)
			odd := YMM()
			VMOVDQU(m.Offset(32), odd)
			VPUNPCKLWD(odd, even, first)  // columns 0-7 and 16-23
			VPUNPCKHWD(odd, even, second) // columns 8-15 and 24-31
			for k, x := range []reg.VecVirtual{first, second} {
				y, high := YMM(), XMM()
				VEXTRACTI128(Imm(1), x, high)
				VPMOVZXWD(x.AsX(), y)
				VMOVDQU(y, Mem{Base: dst, Disp: 128*j + 32*k})
				VPMOVZXWD(high, y)
				VMOVDQU(y, Mem{Base: dst, Disp: 128*j + 32*k + 64})
			}
		}
		ADDQ(ldc, dst)
	}
}

// broadcastByte fills all lanes of a vector with a byte.
func broadcastByte(v reg.VecVirtual, b uint8) {
	r, x := GP32(), XMM()
	MOVL(U32(uint32(b)), r)
	VMOVD(r, x)
	VPBROADCASTB(x, v)
}

// makePackRowBits collects bits 0 and 1 of bytes:
//
//	bit i of dst[q] = bit 0 of src[64q + i]; bit i of second[q] = bit 1
//
// for q < words. Where second is dst, it keeps bits 0.
func makePackRowBits() {
	TEXT("packRowBitsAVX512", NOSPLIT, "func(dst, second *uint64, src *byte, words int)")
	Doc("packRowBitsAVX512 turns rows of codes into bit planes: see _generate/planes.go.")
	Pragma("noescape")
	dst, second := Load(Param("dst"), GP64()), Load(Param("second"), GP64())
	src, words := Load(Param("src"), GP64()), Load(Param("words"), GP64())
	one, two := ZMM(), ZMM()
	broadcastByte(one, 1)
	broadcastByte(two, 2)
	Label("word")
	x, a, b := ZMM(), K(), K()
	VMOVDQU64(Mem{Base: src}, x)
	VPTESTMB(x, two, b)
	VPTESTMB(x, one, a)
	KMOVQ(b, Mem{Base: second})
	KMOVQ(a, Mem{Base: dst})
	ADDQ(Imm(64), src)
	ADDQ(Imm(8), dst)
	ADDQ(Imm(8), second)
	DECQ(words)
	JNE(LabelRef("word"))
	VZEROUPPER()
	RET()
}

// makePackPlaneBits collects bits 0 and 1 of up to 64 rows of bytes, a word for each column:
//
//	bit c of dst[j] = bit 0 of src[c*pitch + j]; bit c of second[j] = bit 1
//
// for c < rows and j < n. Where second is dst, it keeps bits 0. Nothing beyond column n is read or written.
func makePackPlaneBits() {
	TEXT("packPlaneBitsAVX512", NOSPLIT, "func(dst, second *uint64, src *byte, pitch, rows, n int)")
	Doc("packPlaneBitsAVX512 turns planes of codes into bit planes: see _generate/planes.go.")
	Pragma("noescape")
	dst, second := Load(Param("dst"), GP64()), Load(Param("second"), GP64())
	src, pitch := Load(Param("src"), GP64()), Load(Param("pitch"), GP64())
	rows, n := Load(Param("rows"), GP64()), Load(Param("n"), GP64())
	one, r := ZMM(), GP64()
	MOVQ(U32(1), r)
	VPBROADCASTQ(r, one)
	last, c := GP64(), GP64()
	MOVQ(rows, last)
	DECQ(last)
	IMULQ(pitch, last)
	ADDQ(src, last)
	mask, k := GP64(), K()
	Label("columns")
	MOVQ(I64(-1), mask)
	CMPQ(n, Imm(8))
	JGE(LabelRef("full"))
	MOVQ(U32(1), mask)
	SHLXQ(n, mask, mask)
	DECQ(mask)
	Label("full")
	KMOVB(mask.As32(), k)
	a, b := ZMM(), ZMM()
	VPXORQ(a, a, a)
	VPXORQ(b, b, b)
	from := GP64()
	MOVQ(last, from)
	MOVQ(rows, c)
	Label("row")
	x := ZMM()
	VPMOVZXBQ_Z(Mem{Base: from}, k, x)
	VPADDQ(a, a, a)
	VPADDQ(b, b, b)
	VPTERNLOGQ(Imm(0xf8), one, x, a) // a | x&1
	VPSRLQ(Imm(1), x, x)
	VPTERNLOGQ(Imm(0xf8), one, x, b)
	SUBQ(pitch, from)
	DECQ(c)
	JNE(LabelRef("row"))
	VMOVDQU64(b, k, Mem{Base: second})
	VMOVDQU64(a, k, Mem{Base: dst})
	ADDQ(Imm(8), last)
	ADDQ(Imm(64), dst)
	ADDQ(Imm(64), second)
	SUBQ(Imm(8), n)
	JG(LabelRef("columns"))
	VZEROUPPER()
	RET()
}

// makePackNibbles joins two codes of two bits each, or four of one bit, in the upper half of a byte:
//
//	dst[q] = 16*src[2q] + 64*src[2q+1], or 16*src[4q] + 32*src[4q+1] + 64*src[4q+2] + 128*src[4q+3]
//
// of the low two bits, or one bit, of src, of which n bytes are read: a multiple of 32.
func makePackNibbles() {
	for bits := 1; bits <= 2; bits++ {
		name := fmt.Sprintf("packNibbles%dAVX2", bits)
		TEXT(name, NOSPLIT, "func(dst, src *byte, n int)")
		Doc(name + " joins codes: see _generate/planes.go.")
		Pragma("noescape")
		dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
		mask, weights, four := YMM(), YMM(), YMM()
		r, x := GP32(), XMM()
		broadcastByte(mask, uint8(1<<bits-1))
		MOVL(U32(uint32(16|16<<bits<<8)), r) // pairs of 16 and 32, or of 16 and 64
		VMOVD(r, x)
		VPBROADCASTW(x, weights)
		if bits == 1 {
			MOVL(U32(1|4<<16), r)
			VMOVD(r, x)
			VPBROADCASTD(x, four)
		}
		Label("loop")
		y, high := YMM(), XMM()
		VPAND(Mem{Base: src}, mask, y)
		VPMADDUBSW(weights, y, y)
		if bits == 1 {
			VPMADDWD(four, y, y)
			VPACKSSDW(y, y, y)
		}
		VPACKUSWB(y, y, y)
		VEXTRACTI128(Imm(1), y, high)
		if bits == 1 {
			VMOVD(y.AsX(), Mem{Base: dst})
			VMOVD(high, Mem{Base: dst, Disp: 4})
		} else {
			VMOVQ(y.AsX(), Mem{Base: dst})
			VMOVQ(high, Mem{Base: dst, Disp: 8})
		}
		ADDQ(Imm(32), src)
		ADDQ(Imm(uint64(8*bits)), dst)
		SUBQ(Imm(32), n)
		JNE(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
}

// makeJoinNibbles joins the codes of rows of bytes:
//
//	dst[j] = sum over r < rows of (src[r*pitch + j] & mask) << (r*width)
//
// for j < n, a multiple of 32. The sums are below 16.
func makeJoinNibbles() {
	TEXT("joinNibblesAVX2", NOSPLIT, "func(dst, src *byte, pitch, rows, width, mask, n int)")
	Doc("joinNibblesAVX2 joins the codes of rows: see _generate/planes.go.")
	Pragma("noescape")
	dst, last, pitch := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("pitch"), GP64())
	rows, n := Load(Param("rows"), GP64()), Load(Param("n"), GP64())
	r, shift, mask := GP64(), XMM(), YMM()
	Load(Param("width"), r)
	VMOVQ(r, shift)
	Load(Param("mask"), r)
	VMOVQ(r, mask.AsX())
	VPBROADCASTB(mask.AsX(), mask)
	MOVQ(rows, r)
	DECQ(r)
	IMULQ(pitch, r)
	ADDQ(r, last)
	Label("columns")
	from, left, sum := GP64(), GP64(), YMM()
	MOVQ(last, from)
	MOVQ(rows, left)
	VPXOR(sum, sum, sum)
	Label("row")
	x := YMM()
	VPAND(Mem{Base: from}, mask, x)
	VPSLLW(shift, sum, sum)
	VPOR(x, sum, sum)
	SUBQ(pitch, from)
	DECQ(left)
	JNE(LabelRef("row"))
	VMOVDQU(sum, Mem{Base: dst})
	ADDQ(Imm(32), last)
	ADDQ(Imm(32), dst)
	SUBQ(Imm(32), n)
	JNE(LabelRef("columns"))
	VZEROUPPER()
	RET()
}
