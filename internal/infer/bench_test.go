package infer

import (
	"testing"

	"bq/onnxio"
)

// BenchmarkModel runs whole models at batch 1 on one thread, on the inputs of their golden sets.
func BenchmarkModel(b *testing.B) {
	for _, name := range []string{"mobilenet-v1-0.75-224-imagenet", "squeezenet-imagenet-fp32", "cifar10-resnet20",
		"mlperf-tiny-kws-dscnn", "charrnn-shakespeare-lstm", "yolox-nano"} {
		b.Run("name="+name, func(b *testing.B) {
			p := loadModel(b, name, 1)
			files := openZip(b, "zoo/golden.zip")
			inputs, err := readSet(files, name, "input")
			if err != nil {
				b.Fatal(err)
			}
			feeds, err := feedsOf(p, inputs)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := p.Run(feeds, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompile decodes the weights of a model and binds its nodes.
func BenchmarkCompile(b *testing.B) {
	m := smallConvNet()
	for b.Loop() {
		if _, err := Compile(m); err != nil {
			b.Fatal(err)
		}
	}
}

// smallConvNet is Conv 3x3 -> Relu -> GlobalAveragePool -> Flatten -> Gemm, with weights of all ones.
func smallConvNet() *onnxio.Model {
	m := modelOf(13,
		newNode("Conv", "x w", "c", ints("pads", 1, 1, 1, 1)),
		newNode("Relu", "c", "r"),
		newNode("GlobalAveragePool", "r", "p"),
		newNode("Flatten", "p", "f"),
		newNode("Gemm", "f v", "y"))
	m.Graph.Inputs = []*onnxio.ValueInfo{input("x", onnxio.Float, -1, 1, 4, 4)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	m.Graph.Initializers = []*onnxio.Tensor{
		onnxio.NewTensor("w", onnxio.Floats(filled(9, 1), 1, 1, 3, 3)),
		onnxio.NewTensor("v", onnxio.Floats(filled(2, 1), 1, 2)),
	}
	return m
}

func filled(n int, v float32) []float32 {
	d := make([]float32, n)
	for i := range d {
		d[i] = v
	}
	return d
}

// BenchmarkOperator runs one node of each family on one thread, at sizes that real models have.
func BenchmarkOperator(b *testing.B) {
	f := func(shape ...int) *onnxio.Array {
		a := onnxio.NewArray(onnxio.Float, shape...)
		for i := range a.F32() {
			a.F32()[i] = float32(i%17) / 8
		}
		return a
	}
	for _, c := range []struct {
		name, op string
		opset    int64
		in       []*onnxio.Array
		attrs    []*onnxio.Attribute
	}{
		{"Attention", "Attention", 23, []*onnxio.Array{f(1, 8, 64, 32), f(1, 8, 64, 32), f(1, 8, 64, 32)}, nil},
		{"LayerNormalization", "LayerNormalization", 17, []*onnxio.Array{f(128, 384), f(384), f(384)}, nil},
		{"BatchNormalization", "BatchNormalization", 15, []*onnxio.Array{f(1, 64, 56, 56), f(64), f(64), f(64), f(64)}, nil},
		{"CumSum", "CumSum", 14, []*onnxio.Array{f(64, 1024), longs([]int{}, 1)}, nil},
		{"LSTM", "LSTM", 14, []*onnxio.Array{f(32, 1, 64), f(1, 256, 64), f(1, 256, 64)}, []*onnxio.Attribute{integerAttr("hidden_size", 64)}},
		{"Resize", "Resize", 13, []*onnxio.Array{f(1, 32, 20, 20), nil, f(4)}, []*onnxio.Attribute{text("mode", "linear")}},
		{"TopK", "TopK", 11, []*onnxio.Array{f(16, 1024), longs([]int{1}, 8)}, nil},
		{"Gather", "Gather", 13, []*onnxio.Array{f(1000, 256), longs([]int{4}, 7, 500, 3, 999)}, nil},
		{"RandomNormalLike", "RandomNormalLike", 13, []*onnxio.Array{f(64, 1024)}, nil},
		{"Dropout", "Dropout", 13, []*onnxio.Array{f(64, 1024), floats([]int{}, 0.5), truths(true)}, nil},
	} {
		if c.op == "Resize" {
			copy(c.in[2].F32(), []float32{1, 1, 2, 2})
		}
		b.Run("op="+c.name, func(b *testing.B) {
			b.SetBytes(arrayBytes(c.in[0]))
			for b.Loop() {
				if _, err := runNode(c.opset, c.op, c.in, 1, c.attrs...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
