package packing_test

import (
	"bytes"
	"fmt"
	"log"

	"bq/packing"
)

// A file with one kept and one quantized tensor, written and read back.
func Example() {
	var file bytes.Buffer
	w := packing.NewWriter(&file, packing.Meta{{Key: "made_by", Value: []byte("example")}})
	if err := w.Graph([]byte("the graph, in any encoding")); err != nil {
		log.Fatal(err)
	}
	for _, t := range []packing.Tensor{
		{Name: "bias", Type: 1, Shape: []int64{1}, Note: "bias", Data: []byte{0, 0, 128, 63}},
		{Name: "weight", Type: 1, Shape: []int64{2, 2}, Quant: &packing.Quant{
			Method: "affine", Bits: 2, Layout: packing.Layout{Outer: 1, Channels: 2, Inner: 2},
			Scales: []float32{0.5, 10}, Codes: []uint8{0, 1, 2, 3}}},
	} {
		if err := w.Tensor(&t); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		log.Fatal(err)
	}

	f, err := packing.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		log.Fatal(err)
	}
	i, _ := f.Lookup("weight")
	t, err := f.Tensor(i)
	if err != nil {
		log.Fatal(err)
	}
	values := make([]float32, 4)
	t.Quant.Dequantize(values)
	fmt.Println(t.Name, t.Shape, values)
	// Output: weight [2 2] [-1 -0.5 0 10]
}

func ExampleQuant_Dequantize() {
	q := packing.Quant{Bits: 1, Layout: packing.Layout{Outer: 1, Channels: 1, Inner: 3},
		Scales: []float32{2}, Levels: []float32{-1, 1.5}, Codes: []uint8{0, 1, 1}}
	values := make([]float32, 3)
	q.Dequantize(values)
	fmt.Println(values)
	// Output: [-2 3 3]
}

func ExampleCheck() {
	var file bytes.Buffer
	w := packing.NewWriter(&file, nil)
	if err := w.Tensor(&packing.Tensor{Name: "w", Shape: []int64{4}, Data: []byte{1, 2, 3, 4}}); err != nil {
		log.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		log.Fatal(err)
	}
	file.Bytes()[9] ^= 1
	_, faults := packing.Check(bytes.NewReader(file.Bytes()), int64(file.Len()))
	fmt.Println(faults[0])
	// Output: R27 at 8: data of "w": checksum 8c711e8a, want 29308cf4
}
