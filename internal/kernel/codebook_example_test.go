package kernel_test

import (
	"fmt"

	"bq/internal/kernel"
)

func ExampleCodebook_Product() {
	values := make([]float32, 16)
	copy(values, []float32{-1, -0.25, 0.25, 1})
	codes := []uint8{0, 3, 3, 2, 1, 0} // -1 1 1 and 0.25 -0.25 -1
	weights := kernel.NewCodebook(codes, values, []float32{1, 2}, 2, 3, 0)
	dst := make([]float32, 2)
	weights.Product(dst, []float32{1, 2, 4}, 1, 1)
	fmt.Println(dst)
	// Output: [5 -8.5]
}

func ExampleByteCodebook_Product() {
	values := make([]int8, 16)
	copy(values, []int8{-128, -7, 7, 127})
	weights := kernel.NewByteCodebook([]uint8{0, 0, 3, 1}, values, 2, 2)
	dst := make([]int32, 2)
	weights.Product(dst, []uint8{255, 255}, 1, 1)
	fmt.Println(dst)
	// Output: [-65280 30600]
}

func ExampleBitWeights_Product() {
	weights := kernel.PackBits([]uint8{3, 0, 1, 1, 2, 3}, 2, 3, 2, 2)
	dst := make([]int32, 2)
	weights.Product(dst, []uint8{3, 1, 2}, 1, 1)
	fmt.Println(dst) // 3*3 + 0*1 + 1*2 and 1*3 + 2*1 + 3*2
	// Output: [11 11]
}

func ExampleBitWeights_Conv() {
	one := [3]int{1, 1, 1}
	window := &kernel.Window{In: [3]int{1, 1, 4}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 4}, Stride: one, Dilation: one, Pad: [3]int{0, 0, 1}}
	weights := kernel.PackBitsConv([]uint8{1, 2, 3}, 1, 1, 3, 2, 2)
	dst := make([]int32, 4)
	weights.Conv(dst, []uint8{1, 0, 2, 3}, 0, 1, window, 1)
	fmt.Println(dst)
	// Output: [2 7 13 8]
}
