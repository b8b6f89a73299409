// Package kernel computes the inner loops of neural networks on plain slices: matrix products, convolutions,
// pooling, softmax and recurrent cells. It knows neither graphs nor files.
//
// Every element of a result is summed by one goroutine in one fixed order, so that results do not depend on the
// number of threads. Go may fuse x*y + z into one rounding on some processors: the last bit of a sum may differ
// between machines, never between runs on one machine. Callers guarantee the lengths that each contract states;
// a slice that is too short panics.
package kernel

import (
	"sync"
	"sync/atomic"
)

// Parallel calls f(0) ... f(n-1), spread over at most threads goroutines, and returns when all are done. Which
// goroutine makes which call is not fixed, so f(i) must write only what belongs to i. A panic of f is raised
// again in the caller's goroutine.
func Parallel(threads, n int, f func(i int)) {
	if threads > n {
		threads = n
	}
	if threads <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[any]
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				failed.CompareAndSwap(nil, &p)
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	for range threads - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if p := failed.Load(); p != nil {
		panic(*p)
	}
}

// parallelWork is the number of multiply-adds below which starting a goroutine costs more than it saves
// (about 5 microseconds of one core).
const parallelWork = 1 << 14

// threadsFor returns how many of threads are worth using for work multiply-adds.
func threadsFor(threads, work int) int {
	return max(1, min(threads, work/parallelWork))
}

// scratch lends float32 buffers that are reused between calls.
var scratch = sync.Pool{New: func() any { return new([]float32) }}

// borrow returns a buffer of n float32 of any content; the caller gives the pointer back to scratch.
func borrow(n int) *[]float32 {
	p := scratch.Get().(*[]float32)
	if cap(*p) < n {
		*p = make([]float32, n)
	}
	*p = (*p)[:n]
	return p
}
