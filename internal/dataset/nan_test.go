package dataset

import (
	"errors"
	"math"
	"testing"

	"bq/onnxio"
)

func TestCheckNaN(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	double := &onnxio.Array{Type: onnxio.Double, Shape: []int{2}, Data: []float64{1, nan}}
	for _, c := range []struct {
		feeds map[string]*onnxio.Array
		want  string
	}{
		{nil, ""},
		{map[string]*onnxio.Array{"a": onnxio.Floats([]float32{1, float32(inf)}, 2)}, ""},
		{map[string]*onnxio.Array{"a": onnxio.Floats(nil, 0), "i": {Type: onnxio.Int64, Shape: []int{1}, Data: []int64{1}}}, ""},
		{map[string]*onnxio.Array{"b": onnxio.Floats([]float32{1, float32(nan)}, 2), "a": double}, `feeding s[1]: NaN in input "a"`},
	} {
		err := CheckNaN("s[1]", c.feeds)
		var found *NaNError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &found) || err.Error() != c.want) {
			t.Errorf("%v: %v, want %q", c.feeds, err, c.want)
		}
	}
}
