package convert

import (
	"context"
	"fmt"
	"io"
	"testing"

	"bq/onnxio"
)

// BenchmarkConvert converts, without data, a model of 16 layers of 512 x 512 weights: bytes are those of the weights.
func BenchmarkConvert(b *testing.B) {
	m := newBuilder(13).input("x", 1, 512)
	last := "x"
	for i := range 16 {
		w, y := fmt.Sprintf("w%d", i), fmt.Sprintf("y%d", i)
		m.floats(w, normal(uint64(i), 512*512), 512, 512).node("MatMul", []string{last, w}, y)
		last = y
	}
	raw := m.output(last, 1, 512).m.Bytes()
	parsed, err := onnxio.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	f := &onnxio.File{Model: parsed, Bytes: raw}
	for _, bits := range []int{8, 4, 2} {
		b.Run(fmt.Sprintf("bits=%d", bits), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := Convert(context.Background(), f, io.Discard, Options{Bits: bits, Threads: 2}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRestore restores ten thousand small tensors behind codes: its time is linear in their number.
func BenchmarkRestore(b *testing.B) {
	m := newBuilder(13).input("x", 1, 16)
	last := "x"
	for i := range 10000 {
		w, y := fmt.Sprintf("w%d", i), fmt.Sprintf("y%d", i)
		m.floats(w, normal(uint64(i), 256), 16, 16).node("MatMul", []string{last, w}, y)
		last = y
	}
	raw := m.output(last, 1, 16).m.Bytes()
	parsed, err := onnxio.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	_, p, err := open(&onnxio.File{Model: parsed, Bytes: raw}, Options{Bits: 4})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := Restore(p.File, FormQDQ); err != nil {
			b.Fatal(err)
		}
	}
}
