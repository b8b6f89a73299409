package kernel

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// PixelsPay reports whether there are vector kernels for images whose channels lie side by side.
func PixelsPay() bool { return vnni() }

// movesBytes reports whether the processor moves bytes across a vector at once.
var movesBytes = cpu.X86.HasAVX512VBMI

// pixelArgs are the arguments of the kernels on pixels: see _generate/pixels.go.
type pixelArgs struct {
	dst           *uint8
	step          int
	src           *uint8
	offsets       *int
	weights       *int8
	taps, end     *int
	bytes         int
	bias          *int32
	factor, shift *float32
	bounds        *pixelBounds
	count         int
	index         *uint8
	along, down   int
}

// vectors computes pixels by vector kernels, and reports whether it did.
func (c *PixelConv) vectors(dst, src []uint8, p *pixelPlan, offsets []int) bool {
	if !PixelsPay() {
		return false
	}
	taps, reads := p.taps[:len(p.taps)-1], 4*c.quads
	if c.deep {
		reads = len(c.bias)
	}
	_ = src[offsets[len(offsets)-1]+slices.Max(taps)+reads-1]
	_ = dst[len(offsets)*len(c.bias)-1]
	args := &pixelArgs{step: len(c.bias), src: &src[0], taps: &p.taps[0], end: &p.taps[len(taps)], bytes: 4 * c.quads, bounds: &c.bounds}
	if c.deep {
		args.index, args.along, args.down = &sideBySide[movesBytes][0], p.window.Dilation[2]*p.step, p.window.Dilation[1]*p.pitch
		c.deepVectors(args, dst, src, p, offsets)
		return true
	}
	var unpacked []int8
	if c.packed != nil {
		size := (c.taps*c.quads*4*PixelBlock*4 + 127) / 128 * 128
		buf := borrow(size / 4)
		defer scratch.Put(buf)
		unpacked = unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(*buf))), size)
	}
	for _, panel := range c.panels {
		o := panel.first * PixelBlock
		args.bias, args.factor, args.shift = &c.bias[o], &c.factor[o], &c.shift[o]
		if c.packed != nil {
			n := (c.taps*c.quads*4*PixelBlock*panel.blocks + 127) / 128 * 64
			unpackNibbles(&unpacked[0], &c.packed.codes[panel.at/2 : panel.at/2+n][0], n, &c.packed.table[0])
			args.weights = &unpacked[0]
		} else {
			args.weights = &c.weights[panel.at]
		}
		args.dst, args.offsets = &dst[o], &offsets[0]
		most := pixelRows(panel.blocks)
		tiles := (len(offsets) + most - 1) / most
		few := len(offsets) / tiles
		more := len(offsets) - few*tiles
		if args.count = more; more > 0 {
			callPixels((*uint64)(unsafe.Pointer(args)), few+1, panel.blocks)
		}
		if args.count = tiles - more; args.count > 0 {
			callPixels((*uint64)(unsafe.Pointer(args)), few, panel.blocks)
		}
	}
	return true
}

// sideBySide brings four taps of 16 channels side by side: bytes at once where the processor does that, else the bytes of
// each four words, after the words.
var sideBySide = map[bool]*[128]uint8{true: {}, false: {}}

func init() {
	for i := range 64 {
		sideBySide[true][i] = uint8(i%4*PixelBlock + i/4)
		sideBySide[false][i] = uint8(i%4*4 + i/4%4)
	}
	for i := range 16 { // the words follow in 32 bits each
		sideBySide[false][64+4*i] = uint8(i%4*4 + i/4)
	}
}

// deepVectors computes pixels of one block of channels after the other.
func (c *PixelConv) deepVectors(args *pixelArgs, dst, src []uint8, p *pixelPlan, offsets []int) {
	three := p.window.Kernel == [3]int{1, 3, 3}
	for o := 0; o < len(c.bias); o += PixelBlock {
		args.weights, args.bias, args.factor, args.shift = &c.weights[o*4*c.quads], &c.bias[o], &c.factor[o], &c.shift[o]
		args.dst, args.src, args.offsets, args.count = &dst[o], &src[o], &offsets[0], len(offsets)
		t := (*uint64)(unsafe.Pointer(args))
		switch {
		case three && movesBytes:
			pixelDeep3VBMI(t)
		case three:
			pixelDeep3AVX512(t)
		case movesBytes:
			pixelDeepVBMI(t)
		default:
			pixelDeepAVX512(t)
		}
	}
}

// pixelRows is how many pixels the largest tile of so many blocks of outputs has.
func pixelRows(blocks int) int {
	if blocks == 4 {
		return 6
	}
	return 8
}

func callPixels(t *uint64, rows, blocks int) {
	switch 10*blocks + rows {
	case 11:
		pixelTile1x1(t)
	case 12:
		pixelTile2x1(t)
	case 13:
		pixelTile3x1(t)
	case 14:
		pixelTile4x1(t)
	case 15:
		pixelTile5x1(t)
	case 16:
		pixelTile6x1(t)
	case 17:
		pixelTile7x1(t)
	case 18:
		pixelTile8x1(t)
	case 21:
		pixelTile1x2(t)
	case 22:
		pixelTile2x2(t)
	case 23:
		pixelTile3x2(t)
	case 24:
		pixelTile4x2(t)
	case 25:
		pixelTile5x2(t)
	case 26:
		pixelTile6x2(t)
	case 27:
		pixelTile7x2(t)
	case 28:
		pixelTile8x2(t)
	case 31:
		pixelTile1x3(t)
	case 32:
		pixelTile2x3(t)
	case 33:
		pixelTile3x3(t)
	case 34:
		pixelTile4x3(t)
	case 35:
		pixelTile5x3(t)
	case 36:
		pixelTile6x3(t)
	case 37:
		pixelTile7x3(t)
	case 38:
		pixelTile8x3(t)
	case 41:
		pixelTile1x4(t)
	case 42:
		pixelTile2x4(t)
	case 43:
		pixelTile3x4(t)
	case 44:
		pixelTile4x4(t)
	case 45:
		pixelTile5x4(t)
	case 46:
		pixelTile6x4(t)
	}
}

// pixelsMax writes dst[p*width + c] = the largest of x[p*step + taps[t] + c].
func pixelsMax(dst, x []uint8, width, step, n int, taps []int) {
	if use == plain {
		pixelsMaxPlain(dst, x, width, step, n, taps)
		return
	}
	_, _ = dst[n*width-1], x[(n-1)*step+slices.Max(taps)+width-1]
	taps = append(taps, 0)
	pixelMax(&dst[0], &x[0], width, step, n, &taps[0], &taps[len(taps)-1])
}

// addPixels adds n pixels to sums.
func addPixels(sums []int32, x []uint8, step, n int) {
	if use != avx512 {
		addPixelsPlain(sums, x, step, n)
		return
	}
	_ = x[(n-1)*step+len(sums)-1]
	for c := 0; c < len(sums); c += PixelBlock {
		pixelSum(&sums[c], &x[c], step, n)
	}
}
