package kernel

import (
	"math"
	"sync"
)

// Images may hold their channels in blocks: [batch, ceil(channels/Block), spatial..., Block], so that the channels of a
// block lie side by side at every pixel. A convolution then reads and writes whole vectors without rearranging anything
// (Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", arXiv 1808.05567).
// The lanes behind the last channel hold anything; nobody reads them.

// Block is the number of channels in a block: the float32 of the widest vector.
const Block = 16

// Blocks returns how many blocks hold so many channels.
func Blocks(channels int) int { return (channels + Block - 1) / Block }

// BlocksPay reports whether there are vector kernels for images in blocks.
func BlocksPay() bool { return use == avx2 || use == avx512 }

// ToBlocks lays the planes of x [batch, channels, size] out in blocks.
func ToBlocks(dst, x []float32, batch, channels, size, threads int) {
	eachBlock(batch, channels, size, threads, func(block, plane, n int) {
		to := dst[block*size*Block:][:size*Block]
		if n < Block {
			clear(to)
		}
		levels[use].transpose(to, x[plane*size:], n, size, Block, size)
	})
}

// FromBlocks lays x in blocks out as planes dst [batch, channels, size].
func FromBlocks(dst, x []float32, batch, channels, size, threads int) {
	eachBlock(batch, channels, size, threads, func(block, plane, n int) {
		levels[use].transpose(dst[plane*size:], x[block*size*Block:], size, n, size, Block)
	})
}

// eachBlock calls f with the number of every block of a batch, of the plane of its first channel, and of its channels.
func eachBlock(batch, channels, size, threads int, f func(block, plane, n int)) {
	each := Blocks(channels)
	if size == 0 {
		return
	}
	Parallel(threadsFor(threads, batch*channels*size), batch*each, func(i int) {
		first := i % each * Block
		f(i, i/each*channels+first, min(Block, channels-first))
	})
}

// tap is a place that a kernel reads: its offset from the pixel in bytes, and how many channels from there on.
type tap struct{ offset, channels int }

// blockKind is what a blockRun does with what it reads.
type blockKind uint8

const (
	dense   blockKind = iota // sums of single channels, each times a vector
	deep                     // sums of vectors times vectors
	largest                  // maxima of vectors
)

// blockRun computes lines of pixels of some blocks: see _generate/blocks.go for the
// formulas. Slices count elements.
type blockRun struct {
	kind           blockKind
	blocks, pixels int // pixels of a line
	lines, pitch   int // pitch: between lines of src
	dstLine        int // between lines of dst
	dst            []float32
	dstPitch       int // between blocks of dst
	src            []float32
	step           int // between pixels of src
	taps           []tap
	rows           int       // channels of all taps, taps of a deep run
	weights        []float32 // [rows, blocks, Block]; none for maxima
	bias           []float32 // [blocks, Block]; nil to start from dst
	add            []float32 // laid out as dst; nil for none
	low, high      float32
}

// runPlain computes the run in Go.
func (b *blockRun) runPlain() {
	for f := range b.blocks {
		for p := range b.lines * b.pixels {
			at := f*b.dstPitch + p/b.pixels*b.dstLine + p%b.pixels*Block
			var sums [Block]float32 // add may be dst
			copy(sums[:], b.dst[at:])
			if b.bias != nil {
				copy(sums[:], b.bias[f*Block:])
			}
			if b.add != nil {
				for l, v := range b.add[at : at+Block] {
					sums[l] += v
				}
			}
			if len(b.taps) > 0 {
				b.pixel(sums[:], b.src[p/b.pixels*b.pitch+p%b.pixels*b.step:], f)
			}
			for l, v := range sums {
				if v < b.low {
					sums[l] = b.low
				}
				if v > b.high {
					sums[l] = b.high
				}
			}
			copy(b.dst[at:at+Block], sums[:])
		}
	}
}

// pixel adds the taps of one pixel to the sums of block f.
func (b *blockRun) pixel(sums, src []float32, f int) {
	row := 0
	for t, tap := range b.taps {
		x := src[tap.offset/4:]
		switch b.kind {
		case largest:
			for l, v := range x[:Block] {
				if v > sums[l] || v != v {
					sums[l] = v
				}
			}
		case deep:
			for l, w := range b.weights[t*Block : (t+1)*Block] {
				sums[l] += x[l] * w
			}
		case dense:
			for _, v := range x[:tap.channels] {
				for l, w := range b.weights[(row*b.blocks+f)*Block:][:Block] {
					sums[l] += v * w
				}
				row++
			}
		}
	}
}

// check panics where a slice is too short for the run.
func (b *blockRun) check() {
	last := b.taps[len(b.taps)-1]
	reach := last.channels
	if b.kind != dense {
		reach = Block
	}
	_ = b.src[(b.lines-1)*b.pitch+(b.pixels-1)*b.step+last.offset/4+reach-1]
	end := (b.blocks-1)*b.dstPitch + (b.lines-1)*b.dstLine + b.pixels*Block - 1
	_ = b.dst[end]
	if b.kind != largest {
		_ = b.weights[b.rows*b.blocks*Block-1]
	}
	if b.bias != nil {
		_ = b.bias[b.blocks*Block-1]
	}
	if b.add != nil {
		_ = b.add[end]
	}
}

// scratchTaps lends tables of taps.
var scratchTaps = sync.Pool{New: func() any { return new([]tap) }}

// borrowTaps returns a table of n taps of any content; the caller gives the pointer back to scratchTaps.
func borrowTaps(n int) *[]tap {
	p := scratchTaps.Get().(*[]tap)
	if cap(*p) < n {
		*p = make([]tap, n)
	}
	*p = (*p)[:n]
	return p
}

// infinity bounds nothing.
var infinity = float32(math.Inf(1))
