package balance_test

import (
	"fmt"

	"bq/balance"
)

// A weight matrix of two output channels, 3 bits, one scale per channel and one codebook for both.
func ExampleQuantize() {
	w := []float32{
		-0.5, -0.25, 0.125, 0.5, // channel 0
		-4, -1, 2, 4, // channel 1
	}
	l := balance.Layout{Outer: 1, Channels: 2, Inner: 4}
	q, err := balance.Quantize(w, nil, l, balance.Spec{Bits: 3, Method: balance.Lloyd})
	if err != nil {
		fmt.Println(err)
		return
	}
	decoded := make([]float32, len(w))
	q.Dequantize(decoded)
	fmt.Println("scales ", q.Scales)
	fmt.Println("decoded", decoded)
	// Output:
	// scales  [0.5 4]
	// decoded [-0.5 -0.25 0.125 0.5 -4 -1 2 4]
}

// Four bins of two values each, with their means.
func ExampleBalancedCodebook() {
	x := []float32{1, 2, 3, 4, 5, 6, 7, 100}
	cb, err := balance.BalancedCodebook(x, nil, 2, 1, balance.LevelMeans)
	if err != nil {
		fmt.Println(err)
		return
	}
	codes := make([]uint8, len(x))
	cb.Assign(codes, x)
	fmt.Println(cb.Edges, cb.Levels, codes)
	// Output: [3 5 7] [1.5 3.5 5.5 53.5] [0 0 1 1 2 2 3 3]
}

// Lloyd rounds move the levels to where the squared error is least.
func ExampleCodebook_Lloyd() {
	x := []float32{0, 0, 1, 1, 9, 9, 10, 10}
	start := balance.Codebook{Edges: []float32{0.5}, Levels: []float32{0, 1}}
	cb, err := start.Lloyd(x, nil, 30)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f\n", cb.Levels)
	// Output: [0.50 9.50]
}

func ExampleSelect() {
	x := []float32{30, 10, 20, 50, 40}
	dst := make([]float32, 2)
	balance.Select(dst, x, []int{0, 2})
	fmt.Println(dst)
	// Output: [10 30]
}

func ExampleQuantiles() {
	dst := make([]float32, 3)
	balance.Quantiles(dst, []float32{8, 1, 4, 2}, []float64{0, 0.25, 0.5})
	fmt.Println(dst)
	// Output: [1 1.75 3]
}

// The range of an activation, collected in two parts, and the parameters of its 8-bit code.
func ExampleHistogram() {
	var h balance.Histogram
	h.Add([]float32{0, 1, 2, 3})
	h.Add([]float32{4, 5.1})
	lo, hi := h.PercentileRange(1)
	scale, zero := balance.ActivationParams(lo, hi, 8)
	fmt.Println(lo, hi, scale, zero)
	// Output: 0 5.1 0.02 0
}

// Of two inputs that are mostly alike, the second weight takes back what rounding did to the first.
func ExampleFeedback() {
	h := []float64{2, 1, 1, 2} // E[x x^T]
	f, err := balance.NewFeedback(h, 2, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	codes := make([]int16, 2)
	f.Run([]float64{0.4, 0.4}, 1, 1, func(row, column int, x float64) float64 {
		codes[column] = balance.Nearest(x, 1)
		return float64(codes[column])
	})
	fmt.Println(codes)
	// Output: [0 1]
}

// Integers of any width, and the step of each channel.
func ExampleFromIntegers() {
	l := balance.Layout{Outer: 1, Channels: 2, Inner: 3}
	q, err := balance.FromIntegers([]int16{-1, 0, 1, 300, 0, -2}, l, []float32{0.5, 0.125})
	if err != nil {
		fmt.Println(err)
		return
	}
	decoded := make([]float32, 6)
	q.Dequantize(decoded)
	fmt.Println(q.Bits, decoded)
	// Output: 10 [-0.5 0 0.5 37.5 0 -0.25]
}

// With a price on bits, a value is coded as a smaller integer than the nearest.
func ExamplePrices_Choose() {
	p := balance.NewPrices(balance.TallyOf([]int16{0, 0, 0, 0, 1, 1, -1}))
	for _, lambda := range []float64{0, 0.2, 2} {
		fmt.Print(p.Choose(1.6, 1, 1, lambda), " ")
	}
	// Output: 2 1 0
}
