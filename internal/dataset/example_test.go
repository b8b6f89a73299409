package dataset_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"bq/internal/dataset"
	"bq/onnxio"
)

// A model with one input x [N, 2] is fed from the rows of an array.
func ExampleOpen() {
	folder, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(folder)
	var file bytes.Buffer
	dataset.WriteNPZ(&file, []dataset.Named{
		{Name: "x", Array: onnxio.Floats([]float32{0.5, 1, 1.5, 2, 2.5, 3}, 3, 2)},
		{Name: "labels", Array: onnxio.Int64s([]int64{4, 0, 2}, 3)},
	})
	path := filepath.Join(folder, "data.npz")
	os.WriteFile(path, file.Bytes(), 0o666)

	x := dataset.Input{Name: "x", Type: onnxio.Float, HasShape: true, Shape: []onnxio.Dim{{Param: "N"}, {Known: true, Value: 2}}}
	set, err := dataset.Open([]dataset.Input{x}, dataset.Options{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range set.Len() {
		s, _ := set.Sample(i)
		fmt.Println(s.Name, s.Feeds["x"].Shape, s.Feeds["x"].F32(), s.Labels)
	}
	info, _ := set.Describe()
	fmt.Printf("%s, range %v to %v, mean %v\n", info.Kind, info.Fed[0].Min, info.Fed[0].Max, info.Fed[0].Mean)
	// Output:
	// data.npz[0] [1 2] [0.5 1] [4]
	// data.npz[1] [1 2] [1.5 2] [0]
	// data.npz[2] [1 2] [2.5 3] [2]
	// npz, range 0.5 to 3, mean 1.75
}

// Wrong flags are told apart from wrong files, with the way out.
func ExampleUsageError() {
	_, err := dataset.Open([]dataset.Input{{Name: "x", Type: onnxio.Float}}, dataset.Options{Path: "x", Synthetic: 1})
	_, usage := err.(*dataset.UsageError)
	fmt.Println(usage, err)
	// Output: true opening data: --data and --synthetic exclude each other
}

// Samples of 150,528 float32 (a picture of 224 x 224) from a stored and from a compressed array.
func BenchmarkSample(b *testing.B) {
	x := dataset.Input{Name: "x", Type: onnxio.Float, HasShape: true, Shape: []onnxio.Dim{{Param: "N"}, {Known: true, Value: 150528}}}
	path := filepath.Join(b.TempDir(), "x.npz")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := dataset.WriteNPZ(f, []dataset.Named{{Name: "x", Array: onnxio.NewArray(onnxio.Float, 16, 150528)}}); err != nil {
		b.Fatal(err)
	}
	set, err := dataset.Open([]dataset.Input{x}, dataset.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * 150528)
	for i := 0; b.Loop(); i++ {
		if _, err := set.Sample(i % set.Len()); err != nil {
			b.Fatal(err)
		}
	}
}
