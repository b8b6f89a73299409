package kernel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Parallel calls f(0) ... f(n-1), spread over at most threads goroutines, and returns when all are done. Which
// goroutine makes which call is not fixed, so f(i) must write only what belongs to i. A panic of f is raised
// again in the caller's goroutine.
//
// The goroutines are those of one pool, as many as there are processors: a Parallel inside of f, or one beside another,
// gets those that are free, and makes the other calls itself.
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
	helpers := workers()
	threads = min(threads, len(helpers)+1)
	j := &job{f: f, shares: make([]share, threads)}
	for i := range j.shares {
		j.shares[i].next.Store(int64(i * n / threads))
		j.shares[i].end = int64((i + 1) * n / threads)
	}
	given := 0
	for i := 0; i < len(helpers) && given < threads-1; i++ {
		if helpers[i].give(j) {
			given++
		}
	}
	j.work(0)
	for _, w := range helpers {
		if w.mail.Load() == j && w.mail.CompareAndSwap(j, nil) {
			given-- // it never got to it
		}
	}
	for spin := 0; j.finished.Load() < int64(given); spin++ {
		pause(spin)
	}
	if p := j.failed.Load(); p != nil {
		panic(*p)
	}
}

// job is one call of Parallel. Its indices are cut into a share for each thread; who is through with his own goes on with
// those of others. The same thread gets the same share of every job of the same size, as a rule: what it wrote it finds in
// its cache.
type job struct {
	f        func(i int)
	shares   []share
	started  atomic.Int64 // helpers that have taken a share
	finished atomic.Int64 // helpers that are done
	failed   atomic.Pointer[any]
}

// share is a run of indices; next is the first that nobody has taken.
type share struct {
	next atomic.Int64
	end  int64
	_    [6]int64 // a cache line each
}

// work makes calls until none is left, those of share own first.
func (j *job) work(own int) {
	defer func() {
		if p := recover(); p != nil {
			j.failed.CompareAndSwap(nil, &p)
		}
	}()
	for k := range j.shares {
		s := &j.shares[(own+k)%len(j.shares)]
		for i := s.next.Add(1) - 1; i < s.end; i = s.next.Add(1) - 1 {
			j.f(int(i))
		}
	}
}

// worker is a goroutine of the pool. It looks for mail for a while before it goes to sleep: waking it up takes as long
// as a small layer.
type worker struct {
	mail   atomic.Pointer[job]
	busy   atomic.Bool
	asleep atomic.Bool
	wake   chan struct{}
}

// awake is how long a worker looks for mail before it sleeps: longer than most of what one thread does alone in between.
const awake = time.Millisecond

// workers starts the pool on first use: a worker for every processor but the caller's.
var workers = sync.OnceValue(func() []*worker {
	list := make([]*worker, max(1, runtime.GOMAXPROCS(0)-1))
	for i := range list {
		list[i] = &worker{wake: make(chan struct{}, 1)}
		go list[i].run()
	}
	return list
})

// give hands a job to a worker that has none, and wakes it where need be.
func (w *worker) give(j *job) bool {
	if w.busy.Load() || !w.mail.CompareAndSwap(nil, j) {
		return false
	}
	if w.asleep.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// run does the jobs that come.
func (w *worker) run() {
	for {
		w.busy.Store(true)
		if j := w.mail.Swap(nil); j != nil {
			j.work(int(j.started.Add(1)) % len(j.shares))
			j.finished.Add(1)
		}
		w.busy.Store(false)
		if w.look() {
			continue
		}
		w.asleep.Store(true)
		if w.mail.Load() == nil {
			<-w.wake
		}
		w.asleep.Store(false)
	}
}

// look waits for mail and reports whether some came in time.
func (w *worker) look() bool {
	start := time.Now()
	for spin := 0; ; spin++ {
		if w.mail.Load() != nil {
			return true
		}
		if spin%64 == 63 && time.Since(start) > awake {
			return false
		}
		pause(spin)
	}
}

// pause lets some time pass, and others run every so often.
func pause(spin int) {
	if spin%1024 == 1023 {
		runtime.Gosched()
		return
	}
	for range 8 {
		spinHint.Load()
	}
}

// spinHint is read to pass time.
var spinHint atomic.Int32
