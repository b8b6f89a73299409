package shape

import "testing"

// BenchmarkInfer infers the real models with the most nodes and values, with their symbols open.
func BenchmarkInfer(b *testing.B) {
	for _, name := range []string{"gtcrn", "stories260k-llama-lm", "libtashkeel-tract", "ppocr-en-number-rec", "silero-vad-v5", "yolox-nano"} {
		b.Run(name, func(b *testing.B) {
			m := openZoo(b, name)
			for b.Loop() {
				if _, err := Infer(m, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkArithmetic is one step of what a chain of convolutions does to a symbolic height.
func BenchmarkArithmetic(b *testing.B) {
	h := Symbol("H")
	for b.Loop() {
		addInt(floorDiv(addInt(h, -1), 2), 1)
	}
}
