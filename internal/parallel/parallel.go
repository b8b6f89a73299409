// Package parallel spreads work over goroutines so that what comes out does not depend on how many there are.
package parallel

import (
	"context"
	"sync"
)

// lookahead is how many results per goroutine may wait for the result before them.
const lookahead = 4

// InOrder calls work for 0 to n-1 from up to threads goroutines, and take with each result in the order of the
// indices, one call at a time. A bounded number of results wait for those before them. It returns the first error in
// that order, or the context's.
func InOrder[T any](ctx context.Context, threads, n int, work func(i int) (T, error), take func(i int, v T) error) error {
	threads = max(1, min(threads, n))
	q := &queue{ctx: ctx, n: n, window: lookahead * threads, pending: map[int]func() error{}}
	q.changed = sync.NewCond(&q.mu)
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			for i, ok := q.start(); ok; i, ok = q.start() {
				v, err := work(i)
				q.finish(i, func() error {
					if err != nil {
						return err
					}
					return take(i, v)
				})
			}
		})
	}
	wg.Wait()
	return q.err
}

// Each is InOrder for work without a result to take.
func Each(ctx context.Context, threads, n int, work func(i int) error, done func(count int)) error {
	return InOrder(ctx, threads, n, func(i int) (struct{}, error) { return struct{}{}, work(i) },
		func(i int, _ struct{}) error { done(i + 1); return nil })
}

// queue hands out indices and takes their results one after the other.
type queue struct {
	ctx     context.Context
	n       int
	window  int
	mu      sync.Mutex
	changed *sync.Cond
	next    int // index to hand out
	done    int // index whose result is taken next
	taking  bool
	pending map[int]func() error
	err     error
}

// start returns the next index, false where there is none or an error has come up. It waits while too many results
// wait.
func (q *queue) start() (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && q.next < q.n && q.next-q.done >= q.window {
		q.changed.Wait()
	}
	if q.err == nil {
		q.err = q.ctx.Err()
	}
	if q.err != nil || q.next == q.n {
		q.changed.Broadcast()
		return 0, false
	}
	q.next++
	return q.next - 1, true
}

// finish leaves the result of index i, and takes all results whose turn has come unless another goroutine does.
func (q *queue) finish(i int, take func() error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending[i] = take
	if q.taking {
		return
	}
	q.taking = true
	for f := q.pending[q.done]; f != nil && q.err == nil; f = q.pending[q.done] {
		delete(q.pending, q.done)
		q.mu.Unlock()
		err := f()
		q.mu.Lock()
		if q.err == nil {
			q.err = err
		}
		q.done++
		q.changed.Broadcast()
	}
	q.taking = false
}
