package compare

import (
	"context"
	"fmt"
	"testing"

	"bq/internal/drift"
	"bq/internal/infer"
	"bq/onnxio"
)

// faster is adder whose state grows by two a step.
func faster(t *testing.T) *infer.Program {
	t.Helper()
	_, m := adder(t, 0.5)
	m.Graph.Initializers[1] = onnxio.NewTensor("one", onnxio.Floats([]float32{2}, 1))
	p, err := infer.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a recorded reference gives is what running both models side by side gives, figure by figure, with state and
// without, whatever the threads, and again.
func TestRecordedEqualsPair(t *testing.T) {
	a, m := adder(t, 0)
	b := faster(t)
	outputs := []Output{{Name: "y", Kind: drift.Logits, Axis: -1}, {Name: "next", Kind: drift.Values}}
	for extra, samplesTaken := range map[string][]int{"": {1, 3, 4, 17}, "carry: {next: s}\n": {0, 1, 2, 3, 4, 5}} {
		set := samples(t, m, 20, extra)
		figures, err := (&Pair{A: a, B: b, Outputs: outputs}).Run(context.Background(), set, samplesTaken, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(figures)
		for _, threads := range []int{1, 3} {
			r, err := Record(context.Background(), a, outputs, set, samplesTaken, RecordBytes, threads)
			if err != nil || r.Len() != len(samplesTaken) {
				t.Fatalf("%q: %v", extra, err)
			}
			for range 2 {
				got, err := r.Against(context.Background(), b, threads)
				if err != nil || fmt.Sprint(got) != want {
					t.Errorf("%q: %+v, %v, want %s", extra, got, err, want)
				}
			}
		}
		if figures[0].MaxAbs <= 0.5 && extra != "" {
			t.Errorf("the state makes no difference: %+v", figures)
		}
	}
}

func TestRecordedErrors(t *testing.T) {
	a, m := adder(t, 0)
	outputs := []Output{{Name: "y", Kind: drift.Values}}
	set := samples(t, m, 4, "")
	if _, err := Record(context.Background(), picky(t, m), outputs, set, []int{0, 1, 2, 3}, RecordBytes, 2); err == nil {
		t.Error("a reference that fails gives a recording")
	}
	r, err := Record(context.Background(), a, outputs, set, []int{0, 1, 2, 3}, RecordBytes, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Against(context.Background(), picky(t, m), 2); err == nil {
		t.Error("a model that fails gives figures")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Against(ctx, a, 1); err == nil {
		t.Error("a cancelled run gives figures")
	}
}
