package convert

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"bq/internal/dataset"
	"bq/onnxio"
)

// A NaN in a sample that fits, and one in a sample that is held out (every fourth), ends a conversion, a plan and a calibration by
// name.
func TestNaNInData(t *testing.T) {
	for _, sample := range []int{4, 7} {
		f, o := twoLayers(t)
		x := normal(2, 16*40)
		x[16*sample+3] = float32(math.NaN())
		o.Samples = samplesOf(t, f.Model, onnxio.Floats(x, 40, 16))
		var nan *dataset.NaNError
		if _, err := Convert(context.Background(), f, &bytes.Buffer{}, o); !errors.As(err, &nan) || nan.Input != "x" || !strings.HasSuffix(nan.Sample, map[int]string{4: "[4]", 7: "[7]"}[sample]) {
			t.Errorf("convert, sample %d: %v", sample, err)
		}
		p, err := NewPlanner(context.Background(), f, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Forecast(o); !errors.As(err, &nan) {
			t.Errorf("plan, sample %d: %v", sample, err)
		}
		if _, err := Calibrate(context.Background(), f, CalibrateOptions{Samples: o.Samples, Threads: 1}); err == nil || !strings.Contains(err.Error(), "NaN") {
			t.Errorf("calibrate, sample %d: %v", sample, err)
		}
	}
}
