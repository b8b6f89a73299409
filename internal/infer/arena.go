package infer

import (
	"slices"
	"unsafe"

	"bq/onnxio"
)

// An arena holds the values of one Run at a time. Memory is lent in blocks from few large chunks, by best fit, and taken
// back when the last value in it dies, so that a run needs little more than what is alive at its peak and later runs
// need no new memory at all. A Program keeps the arenas of its runs for the runs that follow.

// handle names a block of an arena; 0 stands for memory that is not the arena's: constants, feeds, results, small values.
type handle int32

const (
	blockAlign = 64       // bytes: a cache line and the widest vector
	smallValue = 2 << 10  // bytes below which a value is allocated by itself
	firstChunk = 64 << 10 // bytes
	chunkShare = 8        // a new chunk has at least 1/chunkShare of the bytes there are
	joinWaste  = 2        // chunks are joined where they exceed the peak by more than 1/joinWaste of it
)

// arena is not safe for concurrent use: each Run has its own.
type arena struct {
	chunks  []chunk
	blocks  []block // by handle; the first is none
	unused  []handle
	total   int // bytes of all chunks
	live    int // bytes lent
	peak    int // most bytes lent at a time
	settled int // peak for which the chunks were joined
	poison  bool
}

// chunk is a piece of memory and the parts of it that are not lent, in ascending order, none touching the next.
type chunk struct {
	data  []uint64
	holes []hole
}

type hole struct{ at, size int } // bytes

// block is a lent piece of a chunk. refs counts the slots of frames whose values lie in it.
type block struct {
	start unsafe.Pointer // nil where the handle is unused
	bytes int            // as asked for
	chunk int
	hole  hole
	refs  int
}

// lend returns a block of n bytes, n > 0, of any content, that no slot refers to yet.
func (a *arena) lend(n int) handle {
	size := (n + blockAlign - 1) &^ (blockAlign - 1)
	c, i := a.fit(size)
	if i < 0 {
		c, i = a.grow(size), 0
	}
	holes := a.chunks[c].holes
	part := hole{holes[i].at, size}
	if holes[i].at, holes[i].size = part.at+size, holes[i].size-size; holes[i].size == 0 {
		a.chunks[c].holes = slices.Delete(holes, i, i+1)
	}
	a.live += size
	a.peak = max(a.peak, a.live)
	b := block{start: unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.chunks[c].data)), part.at), bytes: n, chunk: c, hole: part}
	if k := len(a.unused) - 1; k >= 0 {
		h := a.unused[k]
		a.unused = a.unused[:k]
		a.blocks[h] = b
		return h
	}
	if len(a.blocks) == 0 {
		a.blocks = append(a.blocks, block{})
	}
	a.blocks = append(a.blocks, b)
	return handle(len(a.blocks) - 1)
}

// fit returns the chunk and the place of the smallest hole that has size bytes, -1 where there is none.
func (a *arena) fit(size int) (c, i int) {
	best, c, i := 0, -1, -1
	for k := range a.chunks {
		for j, h := range a.chunks[k].holes {
			if h.size >= size && (i < 0 || h.size < best) {
				best, c, i = h.size, k, j
			}
		}
	}
	return c, i
}

// grow adds a chunk of at least size bytes and returns its number.
func (a *arena) grow(size int) int {
	size = max(size, firstChunk, a.total/chunkShare&^(blockAlign-1))
	a.chunks = append(a.chunks, chunk{data: make([]uint64, size/8), holes: []hole{{0, size}}})
	a.total += size
	if a.poison {
		spoil(a.chunks[len(a.chunks)-1].data)
	}
	return len(a.chunks) - 1
}

// giveBack takes a block back.
func (a *arena) giveBack(h handle) {
	b := &a.blocks[h]
	if a.poison {
		spoil(unsafe.Slice((*uint64)(b.start), b.hole.size/8))
	}
	holes := a.chunks[b.chunk].holes
	i, _ := slices.BinarySearchFunc(holes, b.hole.at, func(h hole, at int) int { return h.at - at })
	before := i > 0 && holes[i-1].at+holes[i-1].size == b.hole.at
	after := i < len(holes) && b.hole.at+b.hole.size == holes[i].at
	switch {
	case before && after:
		holes[i-1].size += b.hole.size + holes[i].size
		holes = slices.Delete(holes, i, i+1)
	case before:
		holes[i-1].size += b.hole.size
	case after:
		holes[i] = hole{b.hole.at, b.hole.size + holes[i].size}
	default:
		holes = slices.Insert(holes, i, b.hole)
	}
	a.chunks[b.chunk].holes = holes
	a.live -= b.hole.size
	*b = block{}
	a.unused = append(a.unused, h)
}

// poisonMemory makes arenas lend all values, small ones and results too, and spoil what they lend and take back; for
// tests.
var poisonMemory = false

// spoil fills memory with NaNs: tests find by it what is read before it is written, or after it was given back.
func spoil(data []uint64) {
	for i := range data {
		data[i] = 0x7fc0dead7fc0dead
	}
}

// drop takes one reference off a block.
func (a *arena) drop(h handle) {
	if b := &a.blocks[h]; b.refs > 1 {
		b.refs--
	} else {
		a.giveBack(h)
	}
}

// holds reports whether p lies in block h.
func (a *arena) holds(h handle, p unsafe.Pointer) bool {
	b := &a.blocks[h]
	return b.start != nil && uintptr(p) >= uintptr(b.start) && uintptr(p) < uintptr(b.start)+uintptr(b.bytes)
}

// find returns the block in which p lies, 0 for none.
func (a *arena) find(p unsafe.Pointer) handle {
	for h := range a.blocks {
		if a.holds(handle(h), p) {
			return handle(h)
		}
	}
	return 0
}

// owns reports whether p lies in memory of the arena, lent or not.
func (a *arena) owns(p unsafe.Pointer) bool {
	for _, c := range a.chunks {
		first := uintptr(unsafe.Pointer(unsafe.SliceData(c.data)))
		if uintptr(p) >= first && uintptr(p) < first+uintptr(8*len(c.data)) {
			return true
		}
	}
	return false
}

// reset takes all blocks back. Where chunks are much larger than what was alive at the peak, one
// chunk takes their place, so that what did not fit a hole this time may next time.
func (a *arena) reset() {
	clear(a.blocks)
	a.blocks, a.unused, a.live = a.blocks[:min(1, len(a.blocks))], a.unused[:0], 0
	if len(a.chunks) > 1 && a.peak > a.settled && a.total-a.peak > a.peak/joinWaste {
		a.chunks, a.total, a.settled = a.chunks[:0], 0, a.peak
		clear(a.chunks[:cap(a.chunks)])
		a.grow(a.peak)
		return
	}
	for i := range a.chunks {
		c := &a.chunks[i]
		c.holes = append(c.holes[:0], hole{0, 8 * len(c.data)})
	}
}

// array returns a value of n elements of type t whose elements lie in block h.
func (a *arena) array(h handle, t onnxio.DataType, n int, shape []int) *onnxio.Array {
	p, v := a.blocks[h].start, header(t, shape)
	switch t {
	case onnxio.Double:
		v.Data = unsafe.Slice((*float64)(p), n)
	case onnxio.Int8, onnxio.Int4, onnxio.Int2:
		v.Data = unsafe.Slice((*int8)(p), n)
	case onnxio.Int16:
		v.Data = unsafe.Slice((*int16)(p), n)
	case onnxio.Int32:
		v.Data = unsafe.Slice((*int32)(p), n)
	case onnxio.Int64:
		v.Data = unsafe.Slice((*int64)(p), n)
	case onnxio.Uint8, onnxio.Uint4, onnxio.Uint2:
		v.Data = unsafe.Slice((*uint8)(p), n)
	case onnxio.Uint16:
		v.Data = unsafe.Slice((*uint16)(p), n)
	case onnxio.Uint32:
		v.Data = unsafe.Slice((*uint32)(p), n)
	case onnxio.Uint64:
		v.Data = unsafe.Slice((*uint64)(p), n)
	case onnxio.Bool:
		v.Data = unsafe.Slice((*bool)(p), n)
	default:
		v.Data = unsafe.Slice((*float32)(p), n)
	}
	return v
}

// header returns an array without elements; it and its shape are one allocation where the rank is usual.
func header(t onnxio.DataType, shape []int) *onnxio.Array {
	h := &struct {
		array onnxio.Array
		dims  [6]int
	}{}
	h.array.Type = t
	h.array.Shape = append(h.dims[:0:len(h.dims)], shape...)
	h.array.Shape = h.array.Shape[:len(shape):len(shape)]
	return &h.array
}
