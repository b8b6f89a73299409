package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Images whose channels lie in blocks of 16 hold the 16 channels of a pixel side by side. The kernels below compute, for
// runs of pixels that stand step apart in the source and side by side in the result, sums over taps: places in the source
// that are given as offsets from the pixel. A dense kernel reads single channels and makes F blocks of channels of them,
//
//	dst[f][p][l] = clamp(start + sum over taps t, channels c of t, of src[p*step + offset(t) + c] * w[t][c][f][l], low, high)
//
// a deep kernel keeps every channel to itself:
//
//	dst[p][l] = clamp(start + sum over taps t of src[p*step + offset(t) + l] * w[t][l], low, high), or the maximum
//
// start is what stands in dst, or the bias of the block; what stands at add is added where it is given. The sums are taken
// in the order of the taps by fused multiply-adds, in registers. The arguments stand in a struct, whose layout a test
// compares with these offsets; strides count bytes.
const (
	blockDst      = 8 * iota
	blockDstPitch // between blocks of the result
	blockSrc
	blockStep
	blockTable // of offset and number of channels, 16 bytes each; a deep kernel reads the offset alone
	blockTaps
	blockWeights
	blockBias // F blocks, nil to start from dst
	blockAdd  // nil for none; laid out as dst
	blockRuns // tiles, side by side
	blockClamp
	blockRows    // rows of tiles
	blockSrcSkip // from behind the last tile of a row to the first of the next, in the source
	blockDstSkip // and in the result
	blockApart   // for the kernel: how far add lies from dst, which no collector takes for a pointer
)

// blockTile is a kernel of pixels x blocks accumulators (twice as many of half the width below AVX-512).
type blockTile struct {
	pixels, blocks int
	wide           bool
	args           reg.Register
	dst, src, step reg.GPVirtual
	runs           reg.GPVirtual
	bases          []reg.Register // pixels 0, 3, 6, ... of the source
	acc            [][]reg.VecVirtual
}

func (t *blockTile) vec() reg.VecVirtual {
	if t.wide {
		return ZMM()
	}
	return YMM()
}

// parts is how many vectors a block has, bytes how long each is.
func (t *blockTile) parts() int { return map[bool]int{true: 1, false: 2}[t.wide] }
func (t *blockTile) bytes() int { return 64 / t.parts() }

func (t *blockTile) field(offset int) reg.GPVirtual {
	r := GP64()
	MOVQ(Mem{Base: t.args, Disp: offset}, r)
	return r
}

// at is pixel p of the source, disp bytes on.
func (t *blockTile) at(p, disp int) Mem {
	m := Mem{Base: t.bases[p/3], Disp: disp}
	if p%3 > 0 {
		m.Index, m.Scale = t.step, uint8(p%3)
	}
	return m
}

// begin opens the kernel and the loop over tiles.
func (t *blockTile) begin(name string) {
	level := map[bool]string{true: "AVX512", false: "AVX2"}[t.wide]
	TEXT(name+level, NOSPLIT, "func(t *uint64)")
	Doc(fmt.Sprintf("%s%s computes tiles of %d pixels: see _generate/blocks.go.", name, level, t.pixels))
	Pragma("noescape")
	t.args = Load(Param("t"), GP64())
	t.dst, t.src, t.step = t.field(blockDst), t.field(blockSrc), t.field(blockStep)
	t.acc = make([][]reg.VecVirtual, t.pixels)
	for p := range t.acc {
		t.acc[p] = make([]reg.VecVirtual, t.blocks*t.parts())
		for j := range t.acc[p] {
			t.acc[p][j] = t.vec()
		}
	}
	for i := 0; i < t.pixels; i += 3 {
		t.bases = append(t.bases, GP64())
	}
	apart := t.field(blockAdd)
	SUBQ(t.dst, apart)
	MOVQ(apart, Mem{Base: t.args, Disp: blockApart})
	t.runs = GP64()
	Label("row")
	MOVQ(Mem{Base: t.args, Disp: blockRuns}, t.runs)
	Label("tile")
}

// each calls f with every accumulator and its place in memory laid out as dst, which starts at from.
func (t *blockTile) each(from reg.Register, f func(a reg.VecVirtual, p, j int, m Mem)) {
	row := GP64()
	MOVQ(from, row)
	for j := range t.blocks {
		for p := range t.pixels {
			for h := range t.parts() {
				f(t.acc[p][j*t.parts()+h], p, j*t.parts()+h, Mem{Base: row, Disp: 64*p + t.bytes()*h})
			}
		}
		if j < t.blocks-1 {
			ADDQ(Mem{Base: t.args, Disp: blockDstPitch}, row)
		}
	}
}

// start fills the accumulators.
func (t *blockTile) start() {
	bias := t.field(blockBias)
	TESTQ(bias, bias)
	JNE(LabelRef("bias"))
	t.each(t.dst, func(a reg.VecVirtual, _, _ int, m Mem) { VMOVUPS(m, a) })
	JMP(LabelRef("sum"))
	Label("bias")
	for j := range t.acc[0] {
		VMOVUPS(Mem{Base: bias, Disp: t.bytes() * j}, t.acc[0][j])
		for p := 1; p < t.pixels; p++ {
			VMOVAPS(t.acc[0][j], t.acc[p][j])
		}
	}
	Label("sum")
	add := t.field(blockAdd)
	TESTQ(add, add)
	JE(LabelRef("taps"))
	MOVQ(Mem{Base: t.args, Disp: blockApart}, add)
	ADDQ(t.dst, add)
	t.each(add, func(a reg.VecVirtual, _, _ int, m Mem) { VADDPS(m, a, a) })
	Label("taps")
}

// point moves the bases to a tap.
func (t *blockTile) point(offset Mem, third reg.Register) {
	MOVQ(offset, t.bases[0])
	ADDQ(t.src, t.bases[0])
	for i := 1; i < len(t.bases); i++ {
		LEAQ(Mem{Base: t.bases[i-1], Index: third, Scale: 1}, t.bases[i])
	}
}

// end clamps and stores the tile and goes on with the next. A NaN stays: MAXPS and MINPS return their second source where
// one is NaN.
func (t *blockTile) end() {
	low, high := t.vec(), t.vec()
	VBROADCASTSS(Mem{Base: t.args, Disp: blockClamp}, low)
	VBROADCASTSS(Mem{Base: t.args, Disp: blockClamp + 4}, high)
	t.each(t.dst, func(a reg.VecVirtual, _, _ int, m Mem) {
		VMAXPS(a, low, a)
		VMINPS(a, high, a)
		VMOVUPS(a, m)
	})
	ADDQ(U32(64*t.pixels), t.dst)
	advance := GP64()
	IMUL3Q(U32(t.pixels), t.step, advance)
	ADDQ(advance, t.src)
	DECQ(t.runs)
	JNE(LabelRef("tile"))
	ADDQ(Mem{Base: t.args, Disp: blockSrcSkip}, t.src)
	ADDQ(Mem{Base: t.args, Disp: blockDstSkip}, t.dst)
	DECQ(Mem{Base: t.args, Disp: blockRows})
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// makeDense generates the dense kernel of a number of pixels and blocks.
func makeDense(pixels, blocks int, wide bool) {
	t := &blockTile{pixels: pixels, blocks: blocks, wide: wide}
	t.begin(fmt.Sprintf("dense%dx%d", pixels, blocks))
	t.start()
	weights, table, taps := t.field(blockWeights), t.field(blockTable), t.field(blockTaps)
	third, channels := GP64(), GP64()
	LEAQ(Mem{Base: t.step, Index: t.step, Scale: 2}, third)
	w := make([]reg.VecVirtual, len(t.acc[0]))
	for j := range w {
		w[j] = t.vec()
	}
	total := map[bool]int{true: 32, false: 16}[wide]
	spare := make([]reg.VecVirtual, min(4, total-pixels*len(w)-len(w)))
	for i := range spare {
		spare[i] = t.vec()
	}
	step := func(c int) {
		for j := range w {
			VMOVUPS(Mem{Base: weights, Disp: 64*blocks*c + t.bytes()*j}, w[j])
		}
		for p := range pixels {
			if wide && (len(w) == 1 || len(spare) == 0) {
				for j := range w {
					VFMADD231PS_BCST(t.at(p, 4*c), w[j], t.acc[p][j])
				}
				continue
			}
			x := spare[p%len(spare)]
			VBROADCASTSS(t.at(p, 4*c), x)
			for j := range w {
				VFMADD231PS(w[j], x, t.acc[p][j])
			}
		}
	}
	advance := func(n int) {
		ADDQ(U32(64*blocks*n), weights)
		for _, b := range t.bases {
			ADDQ(U32(4*n), b)
		}
	}
	const unroll = 4
	Label("tap")
	t.point(Mem{Base: table}, third)
	MOVQ(Mem{Base: table, Disp: 8}, channels)
	SUBQ(U32(unroll), channels)
	JL(LabelRef("few"))
	Label("many")
	for c := range unroll {
		step(c)
	}
	advance(unroll)
	SUBQ(U32(unroll), channels)
	JGE(LabelRef("many"))
	Label("few")
	ADDQ(U32(unroll), channels)
	JE(LabelRef("next"))
	Label("one")
	step(0)
	advance(1)
	DECQ(channels)
	JNE(LabelRef("one"))
	Label("next")
	ADDQ(U32(16), table)
	DECQ(taps)
	JNE(LabelRef("tap"))
	t.end()
}

// makeDeep generates a deep kernel: sums of products, or maxima, of which a NaN is the largest.
func makeDeep(pixels int, wide, largest bool) {
	t := &blockTile{pixels: pixels, blocks: 1, wide: wide}
	t.begin(fmt.Sprintf("%s%d", map[bool]string{true: "highest", false: "deep"}[largest], pixels))
	t.start()
	weights, table, taps := t.field(blockWeights), t.field(blockTable), t.field(blockTaps)
	third := GP64()
	LEAQ(Mem{Base: t.step, Index: t.step, Scale: 2}, third)
	Label("tap")
	t.point(Mem{Base: table}, third)
	for h := range t.parts() {
		w := t.vec()
		if !largest {
			VMOVUPS(Mem{Base: weights, Disp: t.bytes() * h}, w)
		}
		for p := range pixels {
			a, m := t.acc[p][h], t.at(p, t.bytes()*h)
			switch {
			case !largest:
				VFMADD231PS(m, w, a)
			case wide:
				k := K()
				VCMPPS(Imm(3), a, a, k) // unordered: a NaN stays
				KNOTW(k, k)
				VMAXPS(m, a, k, a)
			default:
				nan, x := YMM(), YMM()
				VCMPPS(Imm(3), a, a, nan)
				VMAXPS(m, a, x)
				VBLENDVPS(nan, a, x, a)
			}
		}
	}
	if !largest {
		ADDQ(U32(64), weights)
	}
	ADDQ(U32(16), table)
	DECQ(taps)
	JNE(LabelRef("tap"))
	t.end()
}

// The numbers of pixels of the kernels: as many as registers hold, and fewer for what is left.
var (
	densePixels = map[int][]int{1: {14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 2: {12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 3: {9, 8, 7, 6, 5, 4, 3, 2, 1}, 4: {7, 6, 5, 4, 3, 2, 1}}
	deepPixels  = []int{8, 7, 6, 5, 4, 3, 2, 1}
)

func blockKernels() {
	for blocks := 1; blocks <= 4; blocks++ {
		for _, p := range densePixels[blocks] {
			makeDense(p, blocks, true)
		}
	}
	for p := 6; p >= 1; p-- {
		makeDense(p, 1, false)
	}
	for _, largest := range []bool{false, true} {
		for _, p := range deepPixels {
			makeDeep(p, true, largest)
		}
		for p := 4; p >= 1; p-- {
			makeDeep(p, false, largest)
		}
	}
}
