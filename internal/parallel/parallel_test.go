package parallel

import (
	"context"
	"errors"
	"runtime"
	"slices"
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
