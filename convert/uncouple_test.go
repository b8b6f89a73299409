package convert

import (
	"context"
	"testing"

	"bq/onnxio"
)

// What a pass shifted in the bias of a recurrent layer does not outlive its codes: in a later pass that keeps the weights the bias is the
// model's.
func TestAPassTakesTheShiftsOfAnEarlierOneBack(t *testing.T) {
	const samples, steps, inputs, hidden = 8, 4, 8, 16
	f := newBuilder(14).input("x", steps, 1, inputs).floats("w", normal(1, 4*hidden*inputs), 1, 4*hidden, inputs).
		floats("r", normal(2, 4*hidden*hidden), 1, 4*hidden, hidden).floats("b", normal(3, 8*hidden), 1, 8*hidden).
		node("LSTM", []string{"x", "w", "r", "b"}, "y", intAttr("hidden_size", hidden)).output("y", steps, 1, 1, hidden).file(t)
	x := onnxio.Floats(normal(4, samples*steps*inputs), samples, steps, 1, inputs)
	c := &converter{Options: Options{Bits: 3, Threads: 1, Samples: samplesOf(t, f.Model, x)}, ctx: context.Background(), src: f}
	if err := c.plan(); err != nil {
		t.Fatal(err)
	}
	_, feeds, err := c.feed()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.quantizeEach(); err != nil {
		t.Fatal(err)
	}
	r, err := c.newRefit(feeds)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []bool{false, true} {
		shifted := false
		for _, j := range c.jobs {
			if kept && j.reason == "" {
				j.reason = Gain
			}
		}
		if err := r.pass(gridOf, false); err != nil {
			t.Fatal(err)
		}
		for _, j := range c.jobs {
			shifted = shifted || j.name == "b" && j.data != nil
		}
		if shifted == kept {
			t.Errorf("weights kept %v, bias shifted %v", kept, shifted)
		}
	}
}
