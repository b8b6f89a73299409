package convert

import (
	"context"
	"fmt"
	"sync"

	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// stepFunc sees the value of a marked output for all samples, in sample order, and may replace elements of values.
type stepFunc func(n *onnxio.Node, output string, values []*onnxio.Array) error

// sampleError is the error of the run of one sample, by its place among the feeds.
type sampleError struct {
	sample int
	err    error
}

// Error says what the run said.
func (e *sampleError) Error() string { return e.err.Error() }

// Unwrap returns the error of the run.
func (e *sampleError) Unwrap() error { return e.err }

// lockstep runs p on all feeds at once and stops every run at each marked output, so that a figure over all samples
// can be taken, and applied, before any run goes on: one pass fits every layer on inputs that carry what the layers
// before it do. It needs memory for the live values of all samples; threads bounds how many compute at a time.
func lockstep(ctx context.Context, p *infer.Program, feeds []map[string]*onnxio.Array, threads int, marked func(n *onnxio.Node, output string) bool, step stepFunc) error {
	l := &meeting{ctx: ctx, step: step, running: len(feeds), values: make([]*onnxio.Array, len(feeds)), tokens: make(chan struct{}, max(1, threads))}
	l.cond = sync.NewCond(&l.mu)
	var wg sync.WaitGroup
	for i := range feeds {
		wg.Go(func() {
			// a panic of the step, and the fault of a mapped model that has shrunk, is an error
			l.leave(i, parallel.Each(ctx, 1, 1, func(int) error { return l.run(i, p, feeds[i], marked) }, func(int) {}))
		})
	}
	wg.Wait()
	return l.err
}

// meeting is the place where the runs of a lockstep wait for each other.
type meeting struct {
	ctx     context.Context
	step    stepFunc
	tokens  chan struct{}
	mu      sync.Mutex
	cond    *sync.Cond
	running int
	waiting int
	round   int
	node    *onnxio.Node
	output  string
	values  []*onnxio.Array
	err     error
}

// run runs p on the feeds of sample i. It holds a token, but where it waits for others.
func (l *meeting) run(i int, p *infer.Program, feeds map[string]*onnxio.Array, marked func(n *onnxio.Node, output string) bool) error {
	l.tokens <- struct{}{}
	held := true
	defer func() {
		if held {
			<-l.tokens
		}
	}()
	_, err := p.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
		if !marked(n, output) {
			return nil, l.failure()
		}
		<-l.tokens
		held = false
		v, err := l.meet(i, n, output, v)
		l.tokens <- struct{}{}
		held = true
		return v, err
	})
	return err
}

func (l *meeting) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.ctx.Err() != nil {
		l.err = l.ctx.Err()
		l.cond.Broadcast()
	}
	return l.err
}

// meet waits until every run has come to the same node, and returns what step made of v. The last to come steps.
func (l *meeting) meet(i int, n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && (l.running < len(l.values) || l.waiting > 0 && l.node != n) {
		l.err = fmt.Errorf("calibrating: the samples take different ways through the graph at %s", onnxio.Quote(n.Name))
		l.cond.Broadcast()
	}
	l.node, l.output, l.values[i] = n, output, v
	round := l.round
	if l.waiting++; l.waiting == l.running && l.err == nil {
		l.advance()
	}
	for l.err == nil && l.round == round {
		l.cond.Wait()
	}
	v = l.values[i]
	l.values[i] = nil
	return v, l.err
}

// advance steps and lets all runs go on.
func (l *meeting) advance() {
	l.err = l.step(l.node, l.output, l.values)
	l.waiting = 0
	l.round++
	l.cond.Broadcast()
}

// leave takes a finished run out of the count. A run that ends while others wait has taken another way through the
// graph than they.
func (l *meeting) leave(i int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if l.err == nil && err != nil {
		l.err = &sampleError{i, err}
	}
	if l.err == nil && l.waiting > 0 {
		l.err = fmt.Errorf("calibrating: a sample ends before %s, where others wait", onnxio.Quote(l.node.Name))
	}
	l.cond.Broadcast()
}
