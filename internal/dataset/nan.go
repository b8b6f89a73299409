package dataset

import (
	"fmt"
	"maps"
	"slices"

	"bq/onnxio"
)

// NaNError says that a sample holds a NaN, with which nothing can be fitted or judged.
type NaNError struct{ Sample, Input string }

// Error says it in one line, without the program's prefix.
func (e *NaNError) Error() string {
	return fmt.Sprintf("feeding %s: NaN in input %s", e.Sample, onnxio.Quote(e.Input))
}

// CheckNaN returns a *NaNError for the first input by name, of what is fed on a sample of that name, that holds a NaN. Infinities may
// be meant, as in masks.
func CheckNaN(sample string, feeds map[string]*onnxio.Array) error {
	for _, input := range slices.Sorted(maps.Keys(feeds)) {
		if hasNaN(feeds[input]) {
			return &NaNError{sample, input}
		}
	}
	return nil
}

func hasNaN(a *onnxio.Array) bool {
	switch d := a.Data.(type) {
	case []float32:
		return slices.ContainsFunc(d, func(v float32) bool { return v != v })
	case []float64:
		return slices.ContainsFunc(d, func(v float64) bool { return v != v })
	}
	return false
}
