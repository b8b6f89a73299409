package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products with codebooks: see codebook.go for the layout of the codes. The arguments stand in a struct, whose layout a
// test compares with these offsets.
const (
	bookDst = 8 * iota
	bookCodes
	bookTable
	bookTableStep // bytes from row to row: 0, or the size of a table
	bookScales
	bookX
	bookRows
	bookGroups // of a row
	bookRun    // groups of one scale
)

func codebookKernels() {
	for _, wide := range []bool{true, false} {
		for _, fine := range []bool{false, true} {
			makeCodebookDots(wide, fine)
			makeCodebookRows(wide, fine)
		}
	}
	makeByteDots("byteDots4VNNI", 4, true, false)
	makeByteDots("byteDots1VNNI", 1, true, false)
	makeByteDots("byteDots2NarrowAVX2", 2, false, true)
	makeByteDots("byteDots1NarrowAVX2", 1, false, true)
	makeByteDots("byteDots2AVX2", 2, false, false)
	makeByteDots("byteDots1AVX2", 1, false, false)
	makeByteRows(true)
	makeByteRows(false)
}

// bookName returns the name of a kernel for codebooks of floats.
func bookName(name string, wide, fine bool) string {
	if fine {
		name += "Fine"
	}
	if wide {
		return name + "AVX512"
	}
	return name + "AVX2"
}

// codebook looks codes up in a table of 16 floats.
type codebook struct {
	wide      bool
	args      reg.Register
	low, high reg.VecVirtual // the table; all of it in low where wide
	codes     reg.VecVirtual // of a group
	vec       func() reg.VecVirtual
}

func newCodebook(name string, wide bool) *codebook {
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Pragma("noescape")
	c := &codebook{wide: wide, vec: YMM}
	if wide {
		c.vec = ZMM
	}
	c.args = Load(Param("t"), GP64())
	c.low, c.codes = c.vec(), c.vec()
	if !wide {
		c.high = c.vec()
	}
	return c
}

func (c *codebook) bytes() int {
	if c.wide {
		return 64
	}
	return 32
}

func (c *codebook) loadTable(at reg.Register) {
	VMOVUPS(Mem{Base: at}, c.low)
	if !c.wide {
		VMOVUPS(Mem{Base: at, Disp: 32}, c.high)
	}
}

func (c *codebook) zero(v reg.VecVirtual) {
	if c.wide {
		VPXORD(v, v, v)
	} else {
		VXORPS(v, v, v)
	}
}

// weights returns the entries of nibble i of each lane. VPERMPS sees the low four bits of a lane, or the low three of
// AVX2, where the fourth chooses between the halves of the table.
func (c *codebook) weights(i int) reg.VecVirtual {
	index, w := c.codes, c.vec()
	if i > 0 {
		index = c.vec()
		VPSRLD(Imm(uint64(4*i)), c.codes, index)
	}
	VPERMPS(c.low, index, w)
	if c.wide {
		return w
	}
	high, choice := c.vec(), c.codes
	VPERMPS(c.high, index, high)
	if i < 7 {
		choice = c.vec()
		VPSLLD(Imm(uint64(28-4*i)), c.codes, choice)
	}
	VBLENDVPS(choice, high, w, w)
	return w
}

// rows loops over the rows: body sees the table loaded.
func (c *codebook) rows(body func()) {
	table := bitField(c.args, bookTable)
	Label("row")
	c.loadTable(table)
	ADDQ(Mem{Base: c.args, Disp: bookTableStep}, table)
	body()
	DECQ(Mem{Base: c.args, Disp: bookRows})
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// makeCodebookDots generates dot products of x with rows of weights:
//
//	dst[i] = sum over the runs of a row of scale * sum over k of table[code] * x[k]
//
// A run is of run groups, or where fine of 32 codes. Lanes are summed apart and added at the end.
func makeCodebookDots(wide, fine bool) {
	name := bookName("codebookDots", wide, fine)
	c := newCodebook(name, wide)
	Doc(name + " multiplies rows of codes with a vector: see _generate/codebook.go.")
	codes, scales, dst := bitField(c.args, bookCodes), bitField(c.args, bookScales), bitField(c.args, bookDst)
	var acc [4]reg.VecVirtual
	for i := range acc {
		acc[i] = c.vec()
	}
	scale, total := c.vec(), c.vec()
	c.rows(func() {
		x, left, n := bitField(c.args, bookX), bitField(c.args, bookGroups), GP64()
		if fine {
			for _, r := range acc {
				c.zero(r)
			}
			Label("group")
			c.load(codes)
			each := 32 * 4 / c.bytes() // vectors of one scale
			for s := range 8 / each {
				var sum reg.VecVirtual
				for i := s * each; i < (s+1)*each; i++ {
					w, m := c.weights(i), Mem{Base: x, Disp: c.bytes() * i}
					if sum == nil {
						sum = c.vec()
						VMULPS(m, w, sum)
					} else {
						VFMADD231PS(m, w, sum)
					}
				}
				VBROADCASTSS(Mem{Base: scales, Disp: 4 * s}, scale)
				VFMADD231PS(sum, scale, acc[s])
			}
			ADDQ(Imm(uint64(4*8/each)), scales)
			ADDQ(U32(uint32(8*c.bytes())), x)
			DECQ(left)
			JNE(LabelRef("group"))
			c.add(acc)
			VMOVAPS(acc[0], total)
		} else {
			c.zero(total)
			Label("run")
			c.takeRun(left, n)
			for _, r := range acc {
				c.zero(r)
			}
			Label("group")
			c.load(codes)
			for i := range 8 {
				VFMADD231PS(Mem{Base: x, Disp: c.bytes() * i}, c.weights(i), acc[i%4])
			}
			ADDQ(U32(uint32(8*c.bytes())), x)
			DECQ(n)
			JNE(LabelRef("group"))
			c.add(acc)
			VBROADCASTSS(Mem{Base: scales}, scale)
			ADDQ(Imm(4), scales)
			VFMADD231PS(acc[0], scale, total)
			TESTQ(left, left)
			JNE(LabelRef("run"))
		}
		half := XMM()
		if wide {
			y := YMM()
			VEXTRACTF64X4(Imm(1), total, y)
			VADDPS(y, total.AsY(), total.AsY())
		}
		VEXTRACTF128(Imm(1), total.AsY(), half)
		VADDPS(total.AsX(), half, half)
		VHADDPS(half, half, half)
		VHADDPS(half, half, half)
		VMOVSS(half, Mem{Base: dst})
		ADDQ(Imm(4), dst)
	})
}

// load loads the codes of a group.
func (c *codebook) load(at reg.Register) {
	VMOVUPS(Mem{Base: at}, c.codes)
	ADDQ(U32(uint32(c.bytes())), at)
}

// takeRun sets n to the groups of the next scale and takes them from left.
func (c *codebook) takeRun(left, n reg.GPVirtual) {
	MOVQ(Mem{Base: c.args, Disp: bookRun}, n)
	CMPQ(left, n)
	CMOVQLT(left, n)
	SUBQ(n, left)
}

// add adds four vectors in pairs into the first.
func (c *codebook) add(acc [4]reg.VecVirtual) {
	VADDPS(acc[1], acc[0], acc[0])
	VADDPS(acc[3], acc[2], acc[2])
	VADDPS(acc[2], acc[0], acc[0])
}

// makeCodebookRows writes rows of weights: dst[k] = scale * table[code], all codes of all groups of a row after another.
func makeCodebookRows(wide, fine bool) {
	name := bookName("codebookRows", wide, fine)
	c := newCodebook(name, wide)
	Doc(name + " writes rows of weights: see _generate/codebook.go.")
	codes, scales, dst := bitField(c.args, bookCodes), bitField(c.args, bookScales), bitField(c.args, bookDst)
	scale := c.vec()
	c.rows(func() {
		left, n := bitField(c.args, bookGroups), GP64()
		each := 8
		if fine {
			each = 32 * 4 / c.bytes()
		} else {
			Label("run")
			c.takeRun(left, n)
			VBROADCASTSS(Mem{Base: scales}, scale)
			ADDQ(Imm(4), scales)
		}
		Label("group")
		c.load(codes)
		for i := range 8 {
			if fine && i%each == 0 {
				VBROADCASTSS(Mem{Base: scales, Disp: 4 * (i / each)}, scale)
			}
			w := c.weights(i)
			VMULPS(scale, w, w)
			VMOVUPS(w, Mem{Base: dst, Disp: c.bytes() * i})
		}
		ADDQ(U32(uint32(8*c.bytes())), dst)
		if fine {
			ADDQ(Imm(uint64(4*8/each)), scales)
			DECQ(left)
			JNE(LabelRef("group"))
			return
		}
		DECQ(n)
		JNE(LabelRef("group"))
		TESTQ(left, left)
		JNE(LabelRef("run"))
	})
}

// byteTable looks codes up in tables of 16 bytes.
type byteTable struct {
	vec  func() reg.VecVirtual
	mask reg.VecVirtual
	wide bool
}

func newByteTable(wide bool) *byteTable {
	b := &byteTable{vec: YMM, wide: wide}
	if wide {
		b.vec = ZMM
	}
	b.mask = b.vec()
	broadcastByte(b.mask, 15)
	return b
}

func (b *byteTable) bytes() int {
	if b.wide {
		return 64
	}
	return 32
}

// table loads the table at m into all quarters of a vector.
func (b *byteTable) table(m Mem) reg.VecVirtual {
	v := b.vec()
	if b.wide {
		VBROADCASTI32X4(m, v)
	} else {
		VBROADCASTI128(m, v)
	}
	return v
}

// weights returns the entries of the low and of the high nibbles of the bytes at m.
func (b *byteTable) weights(m Mem, table reg.VecVirtual) (w [2]reg.VecVirtual) {
	codes := b.vec()
	w = [2]reg.VecVirtual{b.vec(), b.vec()}
	if b.wide {
		VMOVDQU64(m, codes)
		VPANDD(b.mask, codes, w[0])
		VPSRLW(Imm(4), codes, codes)
		VPANDD(b.mask, codes, w[1])
	} else {
		VMOVDQU(m, codes)
		VPAND(b.mask, codes, w[0])
		VPSRLW(Imm(4), codes, codes)
		VPAND(b.mask, codes, w[1])
	}
	VPSHUFB(w[0], table, w[0])
	VPSHUFB(w[1], table, w[1])
	return w
}

// makeByteDots generates dot products of unsigned bytes x with as many rows of weights as count says:
//
//	dst[i] = sum over k of table[code] * x[k]
//
// Where narrow, all entries are of -64..64, so that VPMADDUBSW, which adds two products, does not saturate: 2*255*64 is
// 32,640. Else AVX2 widens both, by even and odd bytes.
func makeByteDots(name string, count int, wide, narrow bool) {
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(name + " multiplies rows of codes with a vector of bytes: see _generate/codebook.go.")
	Pragma("noescape")
	args := Load(Param("t"), GP64())
	b := newByteTable(wide)
	codes, at := []reg.GPVirtual{bitField(args, bookCodes)}, bitField(args, bookTable)
	groups, x := bitField(args, bookGroups), bitField(args, bookX)
	pitch := GP64()
	MOVQ(groups, pitch)
	SHLQ(Imm(uint64(4+b.bytes()/32)), pitch) // a group has 32 or 64 bytes
	tables, acc := make([]reg.VecVirtual, count), make([][2]reg.VecVirtual, count)
	for i := range tables {
		tables[i] = b.table(Mem{Base: at})
		if i < count-1 {
			ADDQ(Mem{Base: args, Disp: bookTableStep}, at)
			p := GP64()
			LEAQ(Mem{Base: codes[i], Index: pitch, Scale: 1}, p)
			codes = append(codes, p)
		}
		for j := range acc[i] {
			acc[i][j] = b.vec()
			if wide {
				VPXORD(acc[i][j], acc[i][j], acc[i][j])
			} else {
				VPXOR(acc[i][j], acc[i][j], acc[i][j])
			}
		}
	}
	var ones, low reg.VecVirtual
	switch {
	case narrow:
		ones = b.vec()
		VPCMPEQW(ones, ones, ones)
		VPSRLW(Imm(15), ones, ones)
	case !wide:
		low = b.vec()
		VPCMPEQW(low, low, low)
		VPSRLW(Imm(8), low, low)
	}
	i := GP64()
	XORQ(i, i)
	Label("group")
	for r := range count {
		w := b.weights(Mem{Base: codes[r], Index: i, Scale: 1}, tables[r])
		for j := range w {
			m, v, sum := Mem{Base: x, Index: i, Scale: 2, Disp: b.bytes() * j}, b.vec(), acc[r][j]
			switch {
			case wide:
				VMOVDQU64(m, v)
				VPDPBUSD(w[j], v, sum)
			case narrow:
				VMOVDQU(m, v)
				VPMADDUBSW(w[j], v, v)
				VPMADDWD(ones, v, v)
				VPADDD(v, sum, sum)
			default:
				odd := b.vec()
				VMOVDQU(m, v)
				VPSRLW(Imm(8), v, odd)
				VPAND(low, v, v)
				even := b.vec()
				VPSLLW(Imm(8), w[j], even)
				VPSRAW(Imm(8), even, even)
				VPSRAW(Imm(8), w[j], w[j])
				VPMADDWD(even, v, v)
				VPMADDWD(w[j], odd, odd)
				VPADDD(v, sum, sum)
				VPADDD(odd, sum, sum)
			}
		}
	}
	ADDQ(Imm(uint64(b.bytes())), i)
	DECQ(groups)
	JNE(LabelRef("group"))
	storeSums(acc, wide, bitField(args, bookDst))
	VZEROUPPER()
	RET()
}

// storeSums adds up the lanes of each pair of vectors and stores one number for it.
func storeSums(acc [][2]reg.VecVirtual, wide bool, dst reg.GPVirtual) {
	for r := range acc {
		sum, half := acc[r][0], XMM()
		VPADDD(acc[r][1], sum, sum)
		if wide {
			y := YMM()
			VEXTRACTI64X4(Imm(1), sum, y)
			VPADDD(y, sum.AsY(), sum.AsY())
		}
		VEXTRACTI128(Imm(1), sum.AsY(), half)
		VPADDD(sum.AsX(), half, half)
		VPHADDD(half, half, half)
		VPHADDD(half, half, half)
		VMOVD(half, Mem{Base: dst, Disp: 4 * r})
	}
}

// makeByteRows writes rows of weights as bytes: dst[k] = table[code], all codes of all groups of a row after another.
func makeByteRows(wide bool) {
	name := "byteRowsAVX2"
	if wide {
		name = "byteRowsAVX512"
	}
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(name + " writes rows of weights: see _generate/codebook.go.")
	Pragma("noescape")
	args := Load(Param("t"), GP64())
	b := newByteTable(wide)
	codes, table, dst := bitField(args, bookCodes), bitField(args, bookTable), bitField(args, bookDst)
	Label("row")
	entries := b.table(Mem{Base: table})
	ADDQ(Mem{Base: args, Disp: bookTableStep}, table)
	groups := bitField(args, bookGroups)
	Label("group")
	for j, w := range b.weights(Mem{Base: codes}, entries) {
		m := Mem{Base: dst, Disp: b.bytes() * j}
		if wide {
			VMOVDQU64(w, m)
		} else {
			VMOVDQU(w, m)
		}
	}
	ADDQ(Imm(uint64(b.bytes())), codes)
	ADDQ(U32(uint32(2*b.bytes())), dst)
	DECQ(groups)
	JNE(LabelRef("group"))
	DECQ(Mem{Base: args, Disp: bookRows})
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}
