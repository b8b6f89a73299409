package convert

import (
	"runtime"
	"sync"

	"bq/packing"
)

// ahead decodes the tensors of a container before they are asked for, on all processors, as long as they are asked for in
// the order of the file, in which sites come. Only a few wait at a time; one that is asked for out of turn is decoded then.
type ahead struct {
	file    *packing.File
	results []chan decodedTensor // by entry, of the tensors that are decoded ahead
	next    int                  // entry that is expected
	turns   chan struct{}        // a place for each tensor that waits
	stopped chan struct{}
	running sync.WaitGroup
}

type decodedTensor struct {
	tensor *packing.Tensor
	err    error
}

// waiting is how many decoded tensors may wait for each processor.
const waiting = 2

// readAhead starts decoding. stop must be called in the end.
func readAhead(f *packing.File) *ahead {
	a := &ahead{file: f, results: make([]chan decodedTensor, len(f.Entries())), stopped: make(chan struct{})}
	a.turns = make(chan struct{}, waiting*runtime.GOMAXPROCS(0))
	for i := range a.results {
		a.results[i] = make(chan decodedTensor, 1)
	}
	a.running.Go(a.run)
	return a
}

func (a *ahead) run() {
	for i, result := range a.results {
		select {
		case a.turns <- struct{}{}:
		case <-a.stopped:
			return
		}
		a.running.Go(func() {
			t, err := a.file.Tensor(i)
			result <- decodedTensor{t, err} // does not wait: the channel has a place for it
		})
	}
}

// stop ends decoding, and waits for what is under way: the file may be closed then.
func (a *ahead) stop() {
	close(a.stopped)
	a.running.Wait()
}

// get returns the tensor of that name, or nil where there is none.
func (a *ahead) get(name string) (*packing.Tensor, error) {
	i, ok := a.file.Lookup(name)
	switch {
	case !ok:
		return nil, nil
	case i != a.next:
		return a.file.Tensor(i)
	}
	d := <-a.results[i]
	a.next++
	<-a.turns
	return d.tensor, d.err
}
