package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// quietStep is the least time between two lines of progress where stderr is no terminal.
const quietStep = 30 * time.Second

// progress shows how far a phase is: a bar with rate and remaining time on a terminal, elsewhere a line per phase and
// then at most one every 30 s; nothing under --quiet.
type progress struct {
	mu      sync.Mutex
	w       io.Writer
	bars    *mpb.Progress // nil where stderr is no terminal
	bar     *mpb.Bar
	phase   string
	last    time.Time
	silent  bool
	stopped bool
}

func (s *session) newProgress() *progress {
	p := &progress{w: s.stderr, silent: s.quiet}
	if !p.silent && isTerminal(s.stderr) {
		p.bars = mpb.New(mpb.WithOutput(s.stderr), mpb.WithWidth(40))
	}
	return p
}

// update says that done of total steps of a phase are done.
func (p *progress) update(phase string, done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent || p.stopped {
		return
	}
	if p.bars == nil {
		p.line(phase, done, total)
		return
	}
	if phase != p.phase {
		p.endBar()
		p.phase = phase
		p.bar = p.bars.AddBar(int64(total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(phase+" ")),
			mpb.AppendDecorators(decor.CountersNoUnit("%d/%d "), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "")))
	}
	p.bar.SetCurrent(int64(done))
}

// line writes a phase's first step and then one step every quietStep.
func (p *progress) line(phase string, done, total int) {
	now := time.Now()
	if phase == p.phase && now.Sub(p.last) < quietStep {
		return
	}
	if phase != p.phase {
		p.phase = phase
		p.last = now
		fmt.Fprintf(p.w, "bq: note: %s\n", escape(phase))
		return
	}
	p.last = now
	fmt.Fprintf(p.w, "bq: note: %s, %d of %d\n", escape(phase), done, total)
}

func (p *progress) endBar() {
	if p.bar != nil && !p.bar.Completed() {
		p.bar.Abort(true)
	}
	p.bar = nil
}

// stop takes the bar away; later updates do nothing.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	p.endBar()
	if p.bars != nil {
		p.bars.Wait()
	}
}
