package kernel

import "unsafe"

// blockArgs is a blockRun as the kernels take it: _generate/blocks.go counts on this layout. Pitches count bytes.
type blockArgs struct {
	dst       *float32
	dstPitch  int
	src       *float32
	step      int
	table     *tap
	taps      int
	weights   *float32
	bias      *float32
	add       *float32
	runs      int
	low, high float32
	rows      int
	srcSkip   int
	dstSkip   int
	apart     int // for the kernel's own use
}

// blockKernel is a kernel for so many pixels.
type blockKernel func(t *uint64)

// The kernels by number of pixels, from 1 on.
var (
	denseAVX512 = [4][]blockKernel{
		{dense1x1AVX512, dense2x1AVX512, dense3x1AVX512, dense4x1AVX512, dense5x1AVX512, dense6x1AVX512, dense7x1AVX512,
			dense8x1AVX512, dense9x1AVX512, dense10x1AVX512, dense11x1AVX512, dense12x1AVX512, dense13x1AVX512, dense14x1AVX512},
		{dense1x2AVX512, dense2x2AVX512, dense3x2AVX512, dense4x2AVX512, dense5x2AVX512, dense6x2AVX512, dense7x2AVX512,
			dense8x2AVX512, dense9x2AVX512, dense10x2AVX512, dense11x2AVX512, dense12x2AVX512},
		{dense1x3AVX512, dense2x3AVX512, dense3x3AVX512, dense4x3AVX512, dense5x3AVX512, dense6x3AVX512, dense7x3AVX512,
			dense8x3AVX512, dense9x3AVX512},
		{dense1x4AVX512, dense2x4AVX512, dense3x4AVX512, dense4x4AVX512, dense5x4AVX512, dense6x4AVX512, dense7x4AVX512},
	}
	denseAVX2 = []blockKernel{dense1x1AVX2, dense2x1AVX2, dense3x1AVX2, dense4x1AVX2, dense5x1AVX2, dense6x1AVX2}

	deepAVX512 = []blockKernel{deep1AVX512, deep2AVX512, deep3AVX512, deep4AVX512, deep5AVX512, deep6AVX512, deep7AVX512, deep8AVX512}
	deepAVX2   = []blockKernel{deep1AVX2, deep2AVX2, deep3AVX2, deep4AVX2}

	highestAVX512 = []blockKernel{highest1AVX512, highest2AVX512, highest3AVX512, highest4AVX512, highest5AVX512,
		highest6AVX512, highest7AVX512, highest8AVX512}
	highestAVX2 = []blockKernel{highest1AVX2, highest2AVX2, highest3AVX2, highest4AVX2}
)

// kernels returns the kernels for the run.
func (b *blockRun) kernels() []blockKernel {
	wide := use == avx512
	switch {
	case b.kind == dense && wide:
		return denseAVX512[b.blocks-1]
	case b.kind == dense:
		return denseAVX2
	case b.kind == deep && wide:
		return deepAVX512
	case b.kind == deep:
		return deepAVX2
	case wide:
		return highestAVX512
	}
	return highestAVX2
}

// run computes the run, each row cut into tiles of nearly the same number of pixels.
func (b *blockRun) run() {
	if use == plain || b.pixels == 0 || b.lines == 0 || len(b.taps) == 0 {
		b.runPlain()
		return
	}
	b.check()
	list := b.kernels()
	a := blockArgs{
		dstPitch: 4 * b.dstPitch, step: 4 * b.step, table: &b.taps[0], taps: len(b.taps), low: b.low, high: b.high,
	}
	if len(b.weights) > 0 {
		a.weights = &b.weights[0]
	}
	if b.bias != nil {
		a.bias = &b.bias[0]
	}
	tiles := (b.pixels + len(list) - 1) / len(list)
	size := (b.pixels + tiles - 1) / tiles
	large := b.pixels - (size-1)*tiles // tiles of that size; the others have a pixel less
	b.tiles(&a, list[size-1], 0, size, large)
	if large < tiles {
		b.tiles(&a, list[size-2], large*size, size-1, tiles-large)
	}
}

// tiles runs a kernel for so many pixels so many times from pixel p of every line on.
func (b *blockRun) tiles(a *blockArgs, f blockKernel, p, size, runs int) {
	a.dst, a.src, a.runs = &b.dst[p*Block], &b.src[p*b.step], runs
	if b.add != nil {
		a.add = &b.add[p*Block]
	}
	done := runs * size
	a.rows, a.srcSkip, a.dstSkip = b.lines, 4*(b.pitch-done*b.step), 4*(b.dstLine-done*Block)
	f((*uint64)(unsafe.Pointer(a)))
}
