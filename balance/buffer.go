package balance

import "sync"

// floats and codePool lend buffers that are as large as a tensor, or as a part of it, so that coding many tensors
// allocates little more than their codes.
var floats, codePool sync.Pool

// borrow returns n elements of any content; the caller gives the pointer back to the pool.
func borrow[T any](pool *sync.Pool, n int) *[]T {
	p, _ := pool.Get().(*[]T)
	if p == nil || cap(*p) < n {
		p = new([]T)
		*p = make([]T, n)
	}
	*p = (*p)[:n]
	return p
}
