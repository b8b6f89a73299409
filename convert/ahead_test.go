package convert

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"bq/packing"
)

// manyTensors returns a container of n kept tensors, tensor i holding i.
func manyTensors(t *testing.T, n int) *packing.File {
	t.Helper()
	var b bytes.Buffer
	w := packing.NewWriter(&b, nil)
	for i := range n {
		if err := w.Tensor(&packing.Tensor{Name: fmt.Sprint(i), Shape: []int64{1}, Data: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestReadAheadInAnyOrder(t *testing.T) {
	const n = 100
	f := manyTensors(t, n)
	for name, order := range map[string]func(i int) int{
		"in order": func(i int) int { return i }, "backwards": func(i int) int { return n - 1 - i },
		"in jumps": func(i int) int { return i * 37 % n }, "twice each": func(i int) int { return i / 2 },
		"the last first": func(i int) int { return (i + n - 1) % n },
	} {
		a := readAhead(f)
		for i := range n {
			want := order(i)
			got, err := a.get(fmt.Sprint(want))
			if err != nil || !reflect.DeepEqual(got.Data, []byte{byte(want)}) {
				t.Fatalf("%s: tensor %d: %+v, %v", name, want, got, err)
			}
		}
		if got, err := a.get("none"); got != nil || err != nil {
			t.Errorf("%s: a tensor that is not there: %+v, %v", name, got, err)
		}
		a.stop()
	}
}

// What is not asked for is not decoded, beyond a few tensors, and no goroutine stays.
func TestReadAheadStops(t *testing.T) {
	f := manyTensors(t, 1000)
	before := runtime.NumGoroutine()
	for range 10 {
		a := readAhead(f)
		if _, err := a.get("0"); err != nil {
			t.Fatal(err)
		}
		a.stop()
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1e6 {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
