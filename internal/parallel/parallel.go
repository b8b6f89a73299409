// Package parallel spreads work over goroutines so that what comes out does not depend on how many there are.
package parallel

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// lookahead is how many results per goroutine may wait for the result before them.
const lookahead = 4

// InOrder calls work for 0 to n-1 from up to threads goroutines, and take with each result in the order of the
// indices, one call at a time. A bounded number of results wait for those before them. It returns the first error in
// that order, or the context's. A panic of work or take is an error too, a *PanicError.
func InOrder[T any](ctx context.Context, threads, n int, work func(i int) (T, error), take func(i int, v T) error) error {
	threads = max(1, min(threads, n))
	q := &queue{ctx: ctx, n: n, window: lookahead * threads, pending: map[int]func() error{}}
	q.changed = sync.NewCond(&q.mu)
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			debug.SetPanicOnFault(true) // a mapped file that shrinks is an error of the work, not the end of the program
			for i, ok := q.start(); ok; i, ok = q.start() {
				v, err := guard(i, func() (T, error) { return work(i) })
				q.finish(i, func() error {
					if err != nil {
						return err
					}
					_, err := guard(i, func() (struct{}, error) { return struct{}{}, take(i, v) })
					return err
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
		err := q.unlocked(f)
		if q.err == nil {
			q.err = err
		}
		q.done++
		q.changed.Broadcast()
	}
	q.taking = false
}

// unlocked calls f while others may use the queue, and holds the lock again afterwards, however f ends.
func (q *queue) unlocked(f func() error) error {
	q.mu.Unlock()
	defer q.mu.Lock()
	return f()
}

// PanicError is a panic of the work on one index.
type PanicError struct {
	Index int
	Value any    // what was panicked with
	Place string // function, file and line that panicked
}

// Error says it in one line.
func (e *PanicError) Error() string {
	return fmt.Sprintf("working on item %d: panic: %v (%s)", e.Index, e.Value, e.Place)
}

// Unwrap returns the value where it is an error, as that of a run-time fault is.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// guard calls f and turns a panic into an error.
func guard[T any](i int, f func() (T, error)) (v T, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = &PanicError{Index: i, Value: x, Place: panicPlace()}
		}
	}()
	return f()
}

// maxFrames bounds the search for the function that panicked: a few of the run time stand above it.
const maxFrames = 16

// panicPlace names the function that panicked, the first outside package runtime below its gopanic. It must be called
// from a deferred function, whose caller gopanic is.
func panicPlace() string {
	pcs := make([]uintptr, maxFrames)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	panicked := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf("%s, %s:%d", f.Function, filepath.Base(f.File), f.Line)
		}
		panicked = panicked || f.Function == "runtime.gopanic"
		if !more {
			return "at an unknown place"
		}
	}
}
