package kernel_test

import (
	"fmt"

	"bq/internal/kernel"
)

func ExampleSoftmax() {
	x := []float32{1, 1, 5, 5}
	y := make([]float32, 4)
	kernel.Softmax(y, x, 2, 2, 1) // two rows of two
	fmt.Println(y)
	// Output: [0.5 0.5 0.5 0.5]
}

func ExampleNormalize() {
	x := []float32{1, 3}
	y := make([]float32, 2)
	mean, factor := kernel.Normalize(y, x, 0)
	fmt.Println(y, mean, factor)
	// Output: [-1 1] 2 1
}

func ExampleMaxPool() {
	w := &kernel.Window{In: [3]int{1, 2, 4}, Out: [3]int{1, 1, 2}, Kernel: [3]int{1, 2, 2}, Stride: [3]int{1, 2, 2},
		Dilation: [3]int{1, 1, 1}}
	y := make([]float32, 2)
	kernel.MaxPool(y, nil, []float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, w, false, 1)
	fmt.Println(y)
	// Output: [6 8]
}

func ExamplePanels() {
	p := kernel.NewPanels([]float32{1, 2, 3, 4}, 2, 2)
	y := make([]float32, 2)
	p.Times(y, []float32{10, 1})
	fmt.Println(y)
	// Output: [12 34]
}

func ExampleStrided() {
	x, y := []float32{1, 2, 3, 4, 5, 6}, make([]float32, 6)
	kernel.Strided(y, x, []int{3, 2}, []int{1, 3}, 0, 1) // the transpose of [2, 3]
	fmt.Println(y)
	// Output: [1 4 2 5 3 6]
}

func ExampleLSTMCell() {
	h, c := []float32{0}, []float32{2}
	kernel.LSTMCell(h, c, []float32{0, 0, 0, 0}, make([]float32, 4)) // every gate half open, no candidate
	fmt.Println(c)
	// Output: [1]
}
