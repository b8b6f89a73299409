// Package kernel computes the inner loops of neural networks on plain slices: matrix products, convolutions,
// pooling, softmax and recurrent cells. It knows neither graphs nor files.
//
// Every element of a result is summed by one goroutine in one fixed order, so that results do not depend on the
// number of threads. Go may fuse x*y + z into one rounding on some processors: the last bit of a sum may differ
// between machines, never between runs on one machine. Callers guarantee the lengths that each contract states;
// a slice that is too short panics.
package kernel

import "sync"

// parallelWork is the number of multiply-adds below which starting a goroutine costs more than it saves
// (about 5 microseconds of one core).
const parallelWork = 1 << 14

// threadsFor returns how many of threads are worth using for work multiply-adds.
func threadsFor(threads, work int) int {
	return max(1, min(threads, work/parallelWork))
}

// scratch lends float32 buffers that are reused between calls.
var scratch = sync.Pool{New: func() any { return new([]float32) }}

// scratchInts lends buffers of integers.
var scratchInts = sync.Pool{New: func() any { return new([]int) }}

// borrowInts returns a buffer of n integers of any content; the caller gives the pointer back to scratchInts.
func borrowInts(n int) *[]int {
	p := scratchInts.Get().(*[]int)
	if cap(*p) < n {
		*p = make([]int, n)
	}
	*p = (*p)[:n]
	return p
}

// borrow returns a buffer of n float32 of any content; the caller gives the pointer back to scratch.
func borrow(n int) *[]float32 {
	p := scratch.Get().(*[]float32)
	if cap(*p) < n {
		*p = make([]float32, n)
	}
	*p = (*p)[:n]
	return p
}
