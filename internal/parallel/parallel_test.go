package parallel

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestResultsComeInOrder(t *testing.T) {
	for _, threads := range []int{0, 1, 2, 7, 100} {
		var got []int
		err := InOrder(context.Background(), threads, 50, func(i int) (int, error) {
			for range (i * 37) % 11 {
				runtime.Gosched()
			}
			return i * i, nil
		}, func(i, v int) error {
			if v != i*i {
				t.Errorf("result of %d is %d", i, v)
			}
			got = append(got, i)
			return nil
		})
		want := make([]int, 50)
		for i := range want {
			want[i] = i
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d threads: order %v, %v", threads, got, err)
		}
	}
}

func TestFirstErrorInOrderIsReturned(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	for _, threads := range []int{1, 4} {
		taken := 0
		err := InOrder(context.Background(), threads, 20, func(i int) (int, error) {
			switch i {
			case 7:
				for range 1000 {
					runtime.Gosched()
				}
				return 0, first
			case 8:
				return 0, second
			}
			return 0, nil
		}, func(int, int) error { taken++; return nil })
		if err != first || taken != 7 {
			t.Errorf("%d threads: error %v after %d results, want %v after 7", threads, err, taken, first)
		}
	}
}

func TestErrorOfTakeStopsTheWork(t *testing.T) {
	stop := errors.New("stop")
	var started atomic.Int64
	err := InOrder(context.Background(), 2, 1000, func(int) (int, error) { started.Add(1); return 0, nil },
		func(i, _ int) error {
			if i == 3 {
				return stop
			}
			return nil
		})
	if err != stop || started.Load() > 3+1+2*lookahead+2 {
		t.Errorf("error %v after %d starts", err, started.Load())
	}
}

func TestCancelledContextStopsTheWork(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	err := Each(ctx, 2, 1000, func(i int) error {
		if i == 5 {
			cancel()
		}
		return nil
	}, func(int) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	if err := Each(ctx, 2, 0, nil, nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("no work: %v", err)
	}
}

// A panic stops the work like an error of the same index, and says where it came from.
func TestPanicsAreErrorsWithTheirIndex(t *testing.T) {
	boom := func(i, at int) {
		if i == at {
			var none []int
			_ = none[i]
		}
	}
	for _, threads := range []int{1, 4} {
		taken := 0
		run := func(inWork, inTake int) error {
			taken = 0
			return InOrder(context.Background(), threads, 20, func(i int) (int, error) { boom(i, inWork); return i, nil },
				func(i, _ int) error { boom(i, inTake); taken++; return nil })
		}
		for _, err := range []error{run(7, -1), run(-1, 7)} {
			var p *PanicError
			var cause runtime.Error
			if !errors.As(err, &p) || p.Index != 7 || taken != 7 || !errors.As(err, &cause) {
				t.Fatalf("%d threads: error %v after %d results, want a panic at 7", threads, err, taken)
			}
			if text := err.Error(); !strings.HasPrefix(text, "working on item 7: panic: runtime error: index out of range [7] with length 0 (bq/internal/parallel.TestPanics") ||
				!strings.Contains(text, "parallel_test.go:") || strings.Contains(text, "\n") {
				t.Errorf("error %s", text)
			}
		}
	}
	err := Each(context.Background(), 1, 1, func(int) error { panic("a word") }, func(int) {})
	if err == nil || !strings.HasPrefix(err.Error(), "working on item 0: panic: a word (bq/internal/parallel.Test") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkInOrder(b *testing.B) {
	for b.Loop() {
		if err := Each(context.Background(), 2, 1000, func(int) error { return nil }, func(int) {}); err != nil {
			b.Fatal(err)
		}
	}
}
