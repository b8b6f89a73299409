package convert

import (
	"bytes"
	"fmt"
	"testing"

	"bq/onnxio"
)

// TestSpared: of a chain of convolutions, in which one channel of one value is 60 times as large as the others and counts for
// nothing, that value stays float: with its range, the others would have four levels. A table repeats it.
func TestSpared(t *testing.T) {
	const layers, odd, large = 18, 9, 60
	b := newBuilder(13).input("x", 1, 8, 4, 4)
	in := "x"
	for k := range layers {
		w := normal(uint64(k), 64)
		for i := range w {
			if w[i] /= 20; i%9 == 0 {
				w[i]++ // near the identity
			}
			if k == odd && i < 8 {
				w[i] *= large
			}
			if k == odd+1 && i%8 == 0 {
				w[i] = 0
			}
		}
		name := fmt.Sprint("w", k)
		b.floats(name, w, 8, 8, 1, 1).node("Conv", []string{in, name}, fmt.Sprint("c", k))
		if in = fmt.Sprint("c", k); k < layers-1 {
			b.node("Relu", []string{in}, fmt.Sprint("r", k))
			in = fmt.Sprint("r", k)
		}
	}
	f := b.output(in, 1, 8, 4, 4).file(t)
	o := Options{Bits: 8, ActBits: 8, Samples: samplesOf(t, f.Model, onnxio.Floats(normal(3, 32*128), 32, 8, 4, 4)), Threads: 2, Record: true}
	r, p, raw := converted(t, f, o)
	if len(r.Spared) == 0 || r.Spared[0].Name != fmt.Sprint("r", odd) || r.Spared[0].Share < 0.5 {
		t.Fatalf("spared %+v, want r%d, which causes most of the noise", r.Spared, odd)
	}
	about, err := ReadAbout(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range about.Activations {
		if a.Name == r.Spared[0].Name {
			t.Errorf("%s is coded", a.Name)
		}
	}
	again, _, same := converted(t, f, Options{Bits: 8, ActBits: 8, Table: r.Table, Threads: 1})
	if !bytes.Equal(raw, same) || len(again.Spared) != len(r.Spared) || again.Spared[0] != r.Spared[0] {
		t.Errorf("the table repeats %+v, want %+v and the same bytes", again.Spared, r.Spared)
	}
}
