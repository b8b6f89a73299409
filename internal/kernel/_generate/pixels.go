package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Convolutions of codes whose channels lie side by side: see pixels.go. A tile is rows pixels by 16*vectors outputs:
//
//	dst[p*step + o] = limit(round((bias[o] + sum over taps t, bytes c of src[offsets[p] + taps[t] + c] * w[t][c][o]) * factor[o] + shift[o])) + zero
//
// Weights of four bytes of each of the outputs stand side by side, as VPDPBUSD multiplies them. The arguments stand in
// memory, where the pointers to pixels move on.
func pixelKernels() {
	for vectors := 1; vectors <= 4; vectors++ {
		for rows := 1; rows <= pixelRows(vectors); rows++ {
			makePixelTile(rows, vectors)
		}
	}
	for _, bytes := range []bool{true, false} {
		makePixelDeep3(bytes)
		makePixelDeep(bytes)
	}
	makePixelSum()
	makePixelMax()
	makeLookUp()
	makeLookUpAVX2()
	makeUnpack()
	for _, l := range widths {
		for _, product := range []bool{false, true} {
			makeCodeSum(l, "U", product, VPMOVZXBD)
			makeCodeSum(l, "S", product, VPMOVSXBD)
		}
	}
}

// pixelRows is how many pixels the largest tile has: accumulators, weights and a broadcast fit in 32 registers, pointers
// to the pixels in those for integers.
func pixelRows(vectors int) int {
	if vectors == 4 {
		return 6
	}
	return 8
}

// Arguments of the kernels on pixels, in bytes: struct pixelArgs.
const (
	pixelDst     = 8 * iota
	pixelStep    // bytes from a pixel to the next in dst
	pixelSrc     // where offsets count from
	pixelOffsets // of the pixels
	pixelWeights
	pixelTaps // offsets of the taps
	pixelEnd  // of the taps
	pixelBytes
	pixelBias
	pixelFactor
	pixelShift
	pixelBounds // low and high less the zero point, in float32, and the zero point
	pixelCount  // tiles, or pixels
	pixelIndex  // of depthwise kernels: the table that brings taps side by side
	pixelAlong  // from tap to tap
	pixelDown   // from row to row
)

// pixelFinish makes bytes of sums.
type pixelFinish struct{ low, high, zero reg.VecVirtual }

func loadPixelFinish(t, tmp reg.Register) pixelFinish {
	f := pixelFinish{ZMM(), ZMM(), ZMM()}
	MOVQ(Mem{Base: t, Disp: pixelBounds}, tmp)
	VBROADCASTSS(Mem{Base: tmp}, f.low)
	VBROADCASTSS(Mem{Base: tmp, Disp: 4}, f.high)
	VPBROADCASTD(Mem{Base: tmp, Disp: 8}, f.zero)
	return f
}

func (f pixelFinish) store(sum reg.VecVirtual, factor, shift Op, m Mem) {
	VCVTDQ2PS(sum, sum)
	VMULPS(factor, sum, sum)
	VADDPS(shift, sum, sum)
	VMAXPS(f.low, sum, sum)
	VMINPS(f.high, sum, sum)
	VCVTPS2DQ(sum, sum)
	VPADDD(f.zero, sum, sum)
	VPMOVDB(sum, m)
}

func makePixelTile(rows, vectors int) {
	name := fmt.Sprintf("pixelTile%dx%d", rows, vectors)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels and %d outputs: see _generate/pixels.go.", name, rows, 16*vectors))
	Pragma("noescape")
	t := Load(Param("t"), GP64())
	arg := func(disp int) Mem { return Mem{Base: t, Disp: disp} }
	acc := make([][]reg.VecVirtual, rows)
	for i := range acc {
		for range vectors {
			acc[i] = append(acc[i], ZMM())
		}
	}
	var w []reg.VecVirtual
	for range vectors {
		w = append(w, ZMM())
	}
	x, at, end, wp, tap := ZMM(), GP64(), GP64(), GP64(), GP64()
	Label("tile")
	MOVQ(arg(pixelBias), tap)
	for v := range vectors {
		VMOVDQU32(Mem{Base: tap, Disp: 64 * v}, acc[0][v])
	}
	for i := 1; i < rows; i++ {
		for v := range vectors {
			VMOVDQA32(acc[0][v], acc[i][v])
		}
	}
	var pixels []reg.GPVirtual
	MOVQ(arg(pixelOffsets), tap)
	for i := range rows {
		p := GP64()
		MOVQ(Mem{Base: tap, Disp: 8 * i}, p)
		ADDQ(arg(pixelSrc), p)
		pixels = append(pixels, p)
	}
	ADDQ(U32(8*rows), tap)
	MOVQ(tap, arg(pixelOffsets))
	MOVQ(arg(pixelWeights), wp)
	MOVQ(arg(pixelTaps), tap)
	Label("tap")
	MOVQ(Mem{Base: tap}, at)
	MOVQ(arg(pixelBytes), end)
	ADDQ(at, end)
	Label("quad")
	for v := range vectors {
		VMOVDQU32(Mem{Base: wp, Disp: 64 * v}, w[v])
	}
	for i, p := range pixels {
		VPBROADCASTD(Mem{Base: p, Index: at, Scale: 1}, x)
		for v := range vectors {
			VPDPBUSD(w[v], x, acc[i][v])
		}
	}
	ADDQ(U32(64*vectors), wp)
	ADDQ(Imm(4), at)
	CMPQ(at, end)
	JNE(LabelRef("quad"))
	ADDQ(Imm(8), tap)
	CMPQ(tap, arg(pixelEnd))
	JNE(LabelRef("tap"))
	f := loadPixelFinish(t, tap)
	MOVQ(arg(pixelFactor), tap)
	for v := range vectors {
		VMOVUPS(Mem{Base: tap, Disp: 64 * v}, w[v])
	}
	MOVQ(arg(pixelShift), tap)
	MOVQ(arg(pixelDst), wp)
	for i := range acc {
		for v := range vectors {
			f.store(acc[i][v], w[v], Mem{Base: tap, Disp: 64 * v}, Mem{Base: wp, Disp: 16 * v})
		}
		ADDQ(arg(pixelStep), wp)
	}
	MOVQ(wp, arg(pixelDst))
	DECQ(arg(pixelCount))
	JNE(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// pixelDeep is what depthwise kernels hold while they go through pixels: 16 channels of each.
type pixelDeep struct {
	t, dst, offsets, src, step, p reg.GPVirtual
	index, bias, factor, shift    reg.VecVirtual
	words                         reg.VecVirtual // without VBMI: the table for words of four bytes; index turns the bytes of four
	finish                        pixelFinish
	parts                         []reg.Register // masks of the second to the fourth 16 bytes
}

func newPixelDeep(bytes bool) *pixelDeep {
	d := &pixelDeep{t: GP64(), dst: GP64(), offsets: GP64(), src: GP64(), step: GP64(), p: GP64(), index: ZMM(), bias: ZMM(), factor: ZMM(), shift: ZMM()}
	Load(Param("t"), d.t)
	for _, v := range []struct {
		at int
		to reg.VecVirtual
	}{{pixelIndex, d.index}, {pixelBias, d.bias}, {pixelFactor, d.factor}, {pixelShift, d.shift}} {
		MOVQ(d.arg(v.at), d.p)
		VMOVDQU32(Mem{Base: d.p}, v.to)
	}
	if !bytes {
		d.words = ZMM()
		MOVQ(d.arg(pixelIndex), d.p)
		VMOVDQU32(Mem{Base: d.p, Disp: 64}, d.words)
	}
	d.finish = loadPixelFinish(d.t, d.p)
	for _, bits := range []uint32{0xf0, 0xf00, 0xf000} {
		k, r := K(), GP32()
		MOVL(U32(bits), r)
		KMOVW(r, k)
		d.parts = append(d.parts, k)
	}
	MOVQ(d.arg(pixelDst), d.dst)
	MOVQ(d.arg(pixelOffsets), d.offsets)
	MOVQ(d.arg(pixelSrc), d.src)
	MOVQ(d.arg(pixelStep), d.step)
	return d
}

func (d *pixelDeep) arg(disp int) Mem { return Mem{Base: d.t, Disp: disp} }

// gather brings four taps of 16 channels side by side and adds their products.
func (d *pixelDeep) gather(taps [4]Mem, w Op, sum reg.VecVirtual) {
	x := ZMM()
	VMOVDQU(taps[0], x.AsX())
	for i, m := range taps[1:] {
		VBROADCASTI32X4(m, d.parts[i], x)
	}
	if d.words == nil {
		VPERMB(x, d.index, x)
	} else {
		VPERMD(x, d.words, x)
		VPSHUFB(d.index, x, x)
	}
	VPDPBUSD(w, x, sum)
}

// next stores a pixel and goes on to the next.
func (d *pixelDeep) next(sum reg.VecVirtual) {
	d.finish.store(sum, d.factor, d.shift, Mem{Base: d.dst})
	ADDQ(d.step, d.dst)
	ADDQ(Imm(8), d.offsets)
	DECQ(d.arg(pixelCount))
	JNE(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}

// deepSuffix tells kernels with VBMI, which moves bytes across a vector, from those without.
func deepSuffix(bytes bool) string {
	if bytes {
		return "VBMI"
	}
	return "AVX512"
}

// makePixelDeep3: depthwise kernels of 3x3 taps.
func makePixelDeep3(bytes bool) {
	name := "pixelDeep3" + deepSuffix(bytes)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(name + " convolves 16 channels of pixels with kernels of 3x3: see _generate/pixels.go.")
	Pragma("noescape")
	d := newPixelDeep(bytes)
	along, down, second, third := GP64(), GP64(), GP64(), GP64()
	w := []reg.VecVirtual{ZMM(), ZMM(), ZMM()}
	MOVQ(d.arg(pixelWeights), second)
	for i, v := range w {
		VMOVDQU32(Mem{Base: second, Disp: 64 * i}, v)
	}
	MOVQ(d.arg(pixelAlong), along)
	MOVQ(d.arg(pixelDown), down)
	at := func(row reg.Register, k uint8) Mem {
		if k == 0 {
			return Mem{Base: row}
		}
		return Mem{Base: row, Index: along, Scale: k}
	}
	Label("pixel")
	MOVQ(Mem{Base: d.offsets}, d.p)
	ADDQ(d.src, d.p)
	LEAQ(Mem{Base: d.p, Index: down, Scale: 1}, second)
	LEAQ(Mem{Base: d.p, Index: down, Scale: 2}, third)
	sum, last := ZMM(), ZMM()
	VMOVDQA32(d.bias, sum)
	d.gather([4]Mem{at(d.p, 0), at(d.p, 1), at(d.p, 2), at(second, 0)}, w[0], sum)
	d.gather([4]Mem{at(second, 1), at(second, 2), at(third, 0), at(third, 1)}, w[1], sum)
	VPMOVZXBD(at(third, 2), last)
	VPDPBUSD(w[2], last, sum)
	d.next(sum)
}

// makePixelDeep: depthwise kernels of any taps, as many as fill groups of four.
func makePixelDeep(bytes bool) {
	name := "pixelDeep" + deepSuffix(bytes)
	TEXT(name, NOSPLIT, "func(t *uint64)")
	Doc(name + " convolves 16 channels of pixels with kernels of any taps: see _generate/pixels.go.")
	Pragma("noescape")
	d := newPixelDeep(bytes)
	tap, wp := GP64(), GP64()
	at := []reg.GPVirtual{GP64(), GP64(), GP64(), GP64()}
	Label("pixel")
	MOVQ(Mem{Base: d.offsets}, d.p)
	ADDQ(d.src, d.p)
	sum := ZMM()
	VMOVDQA32(d.bias, sum)
	MOVQ(d.arg(pixelWeights), wp)
	MOVQ(d.arg(pixelTaps), tap)
	Label("tap")
	var taps [4]Mem
	for i, r := range at {
		MOVQ(Mem{Base: tap, Disp: 8 * i}, r)
		taps[i] = Mem{Base: d.p, Index: r, Scale: 1}
	}
	d.gather(taps, Mem{Base: wp}, sum)
	ADDQ(Imm(64), wp)
	ADDQ(Imm(32), tap)
	CMPQ(tap, d.arg(pixelEnd))
	JNE(LabelRef("tap"))
	d.next(sum)
}

// makePixelSum: sums[c] += x[p*step + c] over p < n, for 16 channels.
func makePixelSum() {
	TEXT("pixelSum", NOSPLIT, "func(sums *int32, x *byte, step, n int)")
	Doc("pixelSum adds up 16 channels of pixels: see _generate/pixels.go.")
	Pragma("noescape")
	to, from, step, n := Load(Param("sums"), GP64()), Load(Param("x"), GP64()), Load(Param("step"), GP64()), Load(Param("n"), GP64())
	sum, x := ZMM(), ZMM()
	VMOVDQU32(Mem{Base: to}, sum)
	Label("loop")
	VPMOVZXBD(Mem{Base: from}, x)
	VPADDD(x, sum, sum)
	ADDQ(step, from)
	DECQ(n)
	JNE(LabelRef("loop"))
	VMOVDQU32(sum, Mem{Base: to})
	VZEROUPPER()
	RET()
}

// makePixelMax: dst[p*width + c] = the largest of x[p*step + taps[t] + c] over taps t, for p < n and c < width, a multiple
// of 16.
func makePixelMax() {
	TEXT("pixelMax", NOSPLIT, "func(dst, x *byte, width, step, n int, taps, end *int)")
	Doc("pixelMax takes the largest codes of pixels: see _generate/pixels.go.")
	Pragma("noescape")
	dst, from, width := Load(Param("dst"), GP64()), Load(Param("x"), GP64()), Load(Param("width"), GP64())
	step, n, taps, end := Load(Param("step"), GP64()), Load(Param("n"), GP64()), Load(Param("taps"), GP64()), Load(Param("end"), GP64())
	c, tap, at, x, wide := GP64(), GP64(), GP64(), XMM(), YMM()
	Label("pixel")
	XORQ(c, c)
	Label("channels")
	block := func(name string, v reg.VecVirtual, bytes int) {
		LEAQ(Mem{Base: from, Index: c, Scale: 1}, at)
		first := GP64()
		MOVQ(Mem{Base: taps}, first)
		VMOVDQU(Mem{Base: at, Index: first, Scale: 1}, v)
		LEAQ(Mem{Base: taps, Disp: 8}, tap)
		JMP(LabelRef("more" + name))
		Label("tap" + name)
		MOVQ(Mem{Base: tap}, first)
		VPMAXUB(Mem{Base: at, Index: first, Scale: 1}, v, v)
		ADDQ(Imm(8), tap)
		Label("more" + name)
		CMPQ(tap, end)
		JNE(LabelRef("tap" + name))
		VMOVDQU(v, Mem{Base: dst, Index: c, Scale: 1})
		ADDQ(Imm(uint64(bytes)), c)
	}
	left := GP64()
	MOVQ(width, left)
	SUBQ(c, left)
	CMPQ(left, Imm(32))
	JLT(LabelRef("narrow"))
	block("Wide", wide, 32)
	JMP(LabelRef("check"))
	Label("narrow")
	block("Narrow", x, 16)
	Label("check")
	CMPQ(c, width)
	JLT(LabelRef("channels"))
	ADDQ(width, dst)
	ADDQ(step, from)
	DECQ(n)
	JNE(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}
