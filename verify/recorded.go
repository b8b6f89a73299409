package verify

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"bq/internal/dataset"
	"bq/onnxio"
)

// engineTolerance is how far the reference may be from the outputs that a test set records, relative to the largest:
// ten times what different summation orders of float32 give on deep models.
const engineTolerance = 1e-3

// checkSample checks what is fed, and the reference against what the data record.
func checkSample(s *dataset.Sample, got map[string]*onnxio.Array) error {
	if err := dataset.CheckNaN(s.Name, s.Feeds); err != nil {
		return err
	}
	return checkRecorded(s, got)
}

// checkRecorded compares what the reference makes of a sample with what the data record, where they do. Of several
// outputs that differ the first by name is told.
func checkRecorded(s *dataset.Sample, got map[string]*onnxio.Array) error {
	for _, name := range slices.Sorted(maps.Keys(s.Outputs)) {
		if err := nearRecorded(got[name], s.Outputs[name]); err != nil {
			return fmt.Errorf("checking the float engine against recorded output %s of %s: %w", onnxio.Quote(name), s.Name, err)
		}
	}
	return nil
}

// nearRecorded wants got, nil where there is none, to have the type, shape and values of want: floats within
// engineTolerance of the largest finite one, NaN and each infinity where want has it, all other types exactly.
func nearRecorded(got, want *onnxio.Array) error {
	switch {
	case got == nil:
		return errors.New("the model does not give it")
	case got.Type != want.Type:
		return fmt.Errorf("type %v, want %v", got.Type, want.Type)
	case !slices.Equal(got.Shape, want.Shape):
		return fmt.Errorf("shape %v, want %v", got.Shape, want.Shape)
	}
	switch w := want.Data.(type) {
	case []float32:
		return near(got.F32(), w)
	case []float64:
		g, _ := got.Data.([]float64)
		return near(g, w)
	case []string:
		g, _ := got.Data.([]string)
		return equal(g, w, "%q")
	case []bool:
		g, _ := got.Data.([]bool)
		return equal(g, w, "%v")
	case []uint64:
		g, _ := got.Data.([]uint64)
		return equal(g, w, "%v")
	}
	return equal(got.Ints(), want.Ints(), "%v")
}

// near compares floats, in float64.
func near[T float32 | float64](got, want []T) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	largest, off := 0.0, 0.0
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if g-g != 0 || w-w != 0 { // NaN or infinite
			if g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
				return fmt.Errorf("value %d is %v, want %v", i, g, w)
			}
			continue
		}
		largest, off = max(largest, math.Abs(w)), max(off, math.Abs(g-w))
	}
	if !(off <= engineTolerance*largest) {
		return fmt.Errorf("off by %.3g, the largest value is %.3g", off, largest)
	}
	return nil
}

// equal compares values exactly; format is how one is shown.
func equal[T comparable](got, want []T, format string) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("value %d is "+format+", want "+format, i, got[i], want[i])
		}
	}
	return nil
}
