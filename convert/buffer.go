package convert

import "sync"

// buffers lends memory for the values of one tensor after the other, so that a conversion allocates little more than the
// codes it keeps.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

// borrow returns n values of any content.
func (b *bufferPool) borrow(n int) *[]float32 {
	p, _ := b.pool.Get().(*[]float32)
	if p == nil || cap(*p) < n {
		p = new([]float32)
		*p = make([]float32, n)
	}
	*p = (*p)[:n]
	return p
}

// put takes a buffer back.
func (b *bufferPool) put(p *[]float32) { b.pool.Put(p) }
