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
