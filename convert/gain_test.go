package convert

import (
	"testing"

	"bq/onnxio"
)

// A search by whole bits comes to a weight several times: where it would not shrink at the bits of the last round, codes of an earlier
// one are not what stands for it.
func TestAWeightThatWouldNotShrinkHasNoCodes(t *testing.T) {
	half := func(w []float32, shape ...int) *onnxio.Array {
		return &onnxio.Array{Type: onnxio.Float16, Shape: shape, Data: w}
	}
	f := newBuilder(13).input("x", 1, 16).constant("w", half(normal(1, 256), 16, 16)).constant("v", half(normal(2, 16*128), 16, 128)).
		node("MatMul", []string{"x", "w"}, "a").node("MatMul", []string{"a", "v"}, "y").output("y", 1, 128).file(t)
	kept := 0
	for bpw := 5.0; bpw < 9; bpw += 0.25 {
		r, p, err := open(f, Options{Budget: Budget{BudgetBPW, bpw}, Method: Method{name: "lloyd"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Tensors {
			i, ok := p.Lookup(v.Name)
			if !ok {
				t.Fatal(v.Name)
			}
			if v.Reason == Gain {
				kept++
			}
			if e := p.Entries()[i]; e.Quantized != v.Quantized() {
				t.Errorf("%v bits a weight: %s is kept (%s), and quantized in the file: %v", bpw, v.Name, v.Reason, e.Quantized)
			}
		}
	}
	if kept == 0 {
		t.Error("no weight that would not shrink")
	}
}
