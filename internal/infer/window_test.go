package infer

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bq/internal/kernel"
	"bq/onnxio"
)

// By the formulas of the operators Conv and ConvTranspose: what is not given, explicit pads, automatic ones, and for the
// transposed window the output that stands as In.
func TestWindow(t *testing.T) {
	rows := []struct {
		name     string
		op       string
		in, size []int
		attrs    []*onnxio.Attribute
		want     kernel.Window
	}{
		{"defaults", "Conv", []int{5, 6}, []int{3, 2}, nil,
			kernel.Window{In: [3]int{1, 5, 6}, Kernel: [3]int{1, 3, 2}, Out: [3]int{1, 3, 5}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}}},
		{"one dimension", "Conv", []int{7}, []int{3}, []*onnxio.Attribute{ints("strides", 2), ints("pads", 1, 2)},
			kernel.Window{In: [3]int{1, 1, 7}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 4}, Stride: [3]int{1, 1, 2}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 0, 1}}},
		{"three dimensions", "Conv", []int{4, 5, 6}, []int{1, 2, 3}, []*onnxio.Attribute{ints("dilations", 1, 2, 2), ints("pads", 0, 1, 2, 3, 0, 1)},
			kernel.Window{In: [3]int{4, 5, 6}, Kernel: [3]int{1, 2, 3}, Out: [3]int{7, 4, 5}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 2, 2}, Pad: [3]int{0, 1, 2}}},
		// ceil(5/2) = 3 outputs need (3-1)*2 + 2 = 6 positions, one more than there are: behind with SAME_UPPER.
		{"same upper", "Conv", []int{5}, []int{2}, []*onnxio.Attribute{ints("strides", 2), text("auto_pad", "SAME_UPPER")},
			kernel.Window{In: [3]int{1, 1, 5}, Kernel: [3]int{1, 1, 2}, Out: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 2}, Dilation: [3]int{1, 1, 1}}},
		{"same lower", "Conv", []int{5}, []int{2}, []*onnxio.Attribute{ints("strides", 2), text("auto_pad", "SAME_LOWER")},
			kernel.Window{In: [3]int{1, 1, 5}, Kernel: [3]int{1, 1, 2}, Out: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 2}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 0, 1}}},
		{"valid", "Conv", []int{5}, []int{2}, []*onnxio.Attribute{text("auto_pad", "VALID")},
			kernel.Window{In: [3]int{1, 1, 5}, Kernel: [3]int{1, 1, 2}, Out: [3]int{1, 1, 4}, Stride: [3]int{1, 1, 1}, Dilation: [3]int{1, 1, 1}}},
		// 2*(3-1) + 1 + (3-1)*1 + 1 - 1 - 0 = 7
		{"transposed", "ConvTranspose", []int{3}, []int{3}, []*onnxio.Attribute{ints("strides", 2), ints("output_padding", 1), ints("pads", 1, 0)},
			kernel.Window{In: [3]int{1, 1, 7}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 2}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 0, 1}}},
		// 10 of 3*(3-1) + 3 = 9: nothing is cut off.
		{"transposed, output given", "ConvTranspose", []int{3}, []int{3}, []*onnxio.Attribute{ints("strides", 3), ints("output_shape", 10)},
			kernel.Window{In: [3]int{1, 1, 10}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 3}, Dilation: [3]int{1, 1, 1}}},
		// 6 of 9: of the 3 that go, 2 stand before where nothing else is said.
		{"transposed, output cut", "ConvTranspose", []int{3}, []int{3}, []*onnxio.Attribute{ints("strides", 3), ints("output_shape", 6)},
			kernel.Window{In: [3]int{1, 1, 6}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 3}, Stride: [3]int{1, 1, 3}, Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 0, 2}}},
	}
	for _, row := range rows {
		got, err := Window(newNode(row.op, "x w", "y", row.attrs...), row.in, row.size)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if *got != row.want {
			t.Errorf("%s: got %+v, want %+v", row.name, *got, row.want)
		}
	}
}

// The kernels, over the window, make of a node's operands what running the node makes of them.
func TestWindowIsThatOfTheNode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		dims, op := 1+i%3, []string{"Conv", "ConvTranspose"}[i/3%2]
		attrs, in, size := randomSlide(rng, op, dims)
		x, w := arrayOf(rng, append([]int{2, 2}, in...)), arrayOf(rng, append([]int{2, 2}, size...))
		out, runErr := runNode(18, op, []*onnxio.Array{x, w}, 1, attrs...)
		k, err := Window(newNode(op, "x w", "y", attrs...), in, size)
		if runErr != nil {
			continue // a node that does not run needs no window
		}
		if err != nil {
			t.Fatalf("%s of %v over %v runs; its window: %v", op, size, in, err)
		}
		y := make([]float32, out[0].Len())
		if op == "Conv" {
			if want := 4 * k.OutSize(); want != len(y) {
				t.Fatalf("%s of %v over %v: %d outputs, want %d", op, size, in, want, len(y))
			}
			kernel.Conv(y, x.F32(), w.F32(), nil, 2, 2, 2, 1, k, kernel.Epilogue{}, 1)
		} else {
			if want := 4 * k.InSize(); want != len(y) {
				t.Fatalf("%s of %v over %v: %d outputs, want %d", op, size, in, want, len(y))
			}
			kernel.ConvTranspose(y, x.F32(), w.F32(), nil, 2, 2, 2, 1, k, 1)
		}
		if !slices.Equal(y, out[0].F32()) {
			t.Fatalf("%s of %v over %v: the window gives other outputs", op, size, in)
		}
	}
}

// randomSlide returns attributes, an input and a kernel shape that mostly fit each other.
func randomSlide(rng *rand.Rand, op string, dims int) (attrs []*onnxio.Attribute, in, size []int) {
	list := func(least, more, n int) []int64 {
		l := make([]int64, n)
		for i := range l {
			l[i] = int64(least + rng.IntN(more))
		}
		return l
	}
	for range dims {
		in, size = append(in, 1+rng.IntN(8)), append(size, 1+rng.IntN(3))
	}
	if rng.IntN(2) == 0 {
		attrs = append(attrs, ints("strides", list(1, 3, dims)...))
	}
	if rng.IntN(2) == 0 {
		attrs = append(attrs, ints("dilations", list(1, 2, dims)...))
	}
	switch rng.IntN(6) {
	case 0, 1:
		attrs = append(attrs, ints("pads", list(0, 3, 2*dims)...))
	case 2:
		attrs = append(attrs, text("auto_pad", "SAME_UPPER"))
	case 3:
		attrs = append(attrs, text("auto_pad", "SAME_LOWER"))
	case 4:
		attrs = append(attrs, text("auto_pad", "VALID"))
	}
	if op == "ConvTranspose" && rng.IntN(3) == 0 {
		attrs = append(attrs, ints("output_padding", list(0, 2, dims)...))
	}
	if op == "ConvTranspose" && rng.IntN(4) == 0 {
		attrs = append(attrs, ints("output_shape", list(3, 8, dims)...))
	}
	return attrs, in, size
}

// arrayOf returns whole numbers, whose sums are exact.
func arrayOf(rng *rand.Rand, shape []int) *onnxio.Array {
	x := make([]float32, product(shape))
	for i := range x {
		x[i] = float32(rng.IntN(9) - 4)
	}
	return onnxio.Floats(x, shape...)
}

func TestWindowErrors(t *testing.T) {
	const huge = math.MaxInt64
	rows := []struct {
		name, op string
		in, size []int
		attrs    []*onnxio.Attribute
		want     string
	}{
		{"kernel of another rank", "Conv", []int{5, 5}, []int{3}, nil, "sliding [3] over [5 5]"},
		{"no dimensions", "Conv", nil, nil, nil, "0 spatial dimensions"},
		{"four dimensions", "Conv", []int{2, 2, 2, 2}, []int{1, 1, 1, 1}, nil, "4 spatial dimensions"},
		{"kernel of nothing", "Conv", []int{5}, []int{0}, nil, "want positive"},
		{"input below zero", "Conv", []int{-1}, []int{1}, []*onnxio.Attribute{ints("pads", 5, 5)}, "over [-1]"},
		{"input too large", "Conv", []int{maxValueElements + 1}, []int{1}, nil, "more than"},
		{"stride 0", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{ints("strides", 0)}, "want positive"},
		{"dilation below zero", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{ints("dilations", -1)}, "want positive"},
		{"too many strides", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{ints("strides", 1, 1)}, `attribute "strides": 2 values, want 1`},
		{"too few pads", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{ints("pads", 1)}, `attribute "pads": 1 values, want 2`},
		{"no pads", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{{Name: "pads", Type: onnxio.AttrInts, Ints: []int64{}}}, `attribute "pads"`},
		{"pads below zero", "Conv", []int{5}, []int{1}, []*onnxio.Attribute{ints("pads", -1, 0)}, "padding -1 and 0"},
		{"kernel larger than input", "Conv", []int{5}, []int{3}, []*onnxio.Attribute{ints("dilations", 3)}, "extent 7 over 5"},
		{"another kernel shape", "Conv", []int{5}, []int{3}, []*onnxio.Attribute{ints("kernel_shape", 2)}, "kernel_shape [2], weights [3]"},
		{"padding of the longest", "Conv", []int{5, 5}, []int{1, 1}, []*onnxio.Attribute{ints("pads", huge, huge, huge, huge)}, "more than"},
		{"output padding of another rank", "ConvTranspose", []int{5}, []int{1}, []*onnxio.Attribute{ints("output_padding", 1, 1)}, "output_padding"},
		{"output shape of another rank", "ConvTranspose", []int{5}, []int{1}, []*onnxio.Attribute{ints("output_shape", 1, 1)}, "output_shape"},
		{"output below zero", "ConvTranspose", []int{1}, []int{1}, []*onnxio.Attribute{ints("pads", 3, 3)}, "output size -5"},
		{"output shape below zero", "ConvTranspose", []int{1}, []int{1}, []*onnxio.Attribute{ints("output_shape", -3)}, "output size -3"},
		{"output too large", "ConvTranspose", []int{5, 5}, []int{1, 1}, []*onnxio.Attribute{ints("strides", 1<<31, 1<<31)}, "more than"},
		{"everything too large", "ConvTranspose", []int{1 << 31, 1 << 31, 1 << 31}, []int{1 << 31, 1 << 31, 1 << 31},
			[]*onnxio.Attribute{ints("strides", huge, huge, huge), ints("dilations", huge, huge, huge)}, "more than"},
	}
	for _, row := range rows {
		k, err := Window(newNode(row.op, "x w", "y", row.attrs...), row.in, row.size)
		if err == nil {
			t.Errorf("%s: got %+v and no error", row.name, *k)
		} else if !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %q, want %q", row.name, err, row.want)
		}
	}
}
