package infer

import (
	"errors"
	"strings"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// TestZeroPointTypes gives operators on bytes zero points of the other 8-bit type, whose bits would mean another number.
func TestZeroPointTypes(t *testing.T) {
	u := func(shape []int, v ...uint8) *onnxio.Array {
		return &onnxio.Array{Type: onnxio.Uint8, Shape: shape, Data: v}
	}
	scale, zu, zs := floats(nil, 1), u([]int{}, 200), sign8([]int{}, -56)
	a, w := u([]int{1, 2}, 1, 2), sign8([]int{2, 1}, 3, 4)
	image, kern := u([]int{1, 1, 1, 2}, 1, 2), sign8([]int{1, 1, 1, 1}, 3)
	for _, c := range []struct {
		op string
		in arrays
		ok bool
	}{
		{"MatMulInteger", arrays{a, w, zu, zs}, true},
		{"MatMulInteger", arrays{a, w, zs}, false},
		{"MatMulInteger", arrays{a, w, zu, zu}, false},
		{"MatMulInteger", arrays{w.Reshaped(1, 2), w, zu}, false},
		{"ConvInteger", arrays{image, kern, zu, zs}, true},
		{"ConvInteger", arrays{image, kern, zs}, false},
		{"ConvInteger", arrays{image, kern, zu, zu}, false},
		{"QLinearMatMul", arrays{a, scale, zu, w, scale, zs, scale, zu}, true},
		{"QLinearMatMul", arrays{a, scale, zs, w, scale, zs, scale, zu}, false},
		{"QLinearMatMul", arrays{a, scale, zu, w, scale, zu, scale, zu}, false},
		{"QLinearConv", arrays{image, scale, zu, kern, scale, zs, scale, zu}, true},
		{"QLinearConv", arrays{image, scale, zs, kern, scale, zs, scale, zu}, false},
		{"QLinearConv", arrays{image, scale, zu, kern, scale, zu, scale, zu}, false},
	} {
		_, err := runNode(10, c.op, c.in, 1)
		switch {
		case c.ok && err != nil:
			t.Errorf("%s: %v", c.op, err)
		case !c.ok && (err == nil || !strings.Contains(err.Error(), "zero point of type") || errors.Is(err, errPanic)):
			t.Errorf("%s with a zero point of the other type: %v", c.op, err)
		}
	}
}

// TestZeroPointTypesOfPrepared does the same for weights that were prepared.
func TestZeroPointTypesOfPrepared(t *testing.T) {
	b, ok := signedWeights(sign8([]int{2, 1}, 3, 4), nil, 1, false)
	if !ok {
		t.Fatal("signed bytes are not taken")
	}
	one := [3]int{1, 1, 1}
	w := &kernel.Window{In: one, Kernel: one, Out: one, Stride: one, Dilation: one}
	r := &run{}
	if _, err := r.matmulBytes(bytesOf(1, 2), sign8([]int{1}, 1), b, 2, 1); err == nil {
		t.Error("a product takes a zero point of the other type")
	}
	if _, err := r.convolveBytes(bytesOf(1, 2), sign8([]int{1}, 1), b, 1, 2, 1, 1, w); err == nil {
		t.Error("a convolution takes a zero point of the other type")
	}
}
