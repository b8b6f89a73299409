package convert

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"bq/onnxio"
)

// pairs is a product of x [n, 2] with a weight [2, 200], large enough to be quantized.
func pairs(t *testing.T) *onnxio.File {
	t.Helper()
	return newBuilder(13).input("x", 1, 2).output("y", 1, 200).floats("w", normal(1, 400), 2, 200).
		node("MatMul", []string{"x", "w"}, "y").file(t)
}

func calibrated(f *onnxio.File, x *onnxio.Array, t *testing.T, o CalibrateOptions) (*Table, error) {
	t.Helper()
	o.Samples, o.MadeBy = samplesOf(t, f.Model, x), "a test"
	o.Threads = max(1, o.Threads)
	return Calibrate(context.Background(), f, o)
}

// Samples (1, 2), (3, -4), (0, 0): sums, channel means and the mean square of the inputs by hand.
func TestCalibrateByHand(t *testing.T) {
	table, err := calibrated(pairs(t), onnxio.Floats([]float32{1, 2, 3, -4, 0, 0}, 3, 2), t, CalibrateOptions{NoAlone: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Values) != 1 || len(table.Weights) != 1 || table.Data.Samples != 3 {
		t.Fatalf("%d values, %d weights, %d samples", len(table.Values), len(table.Weights), table.Data.Samples)
	}
	v := table.Values[0]
	if v.Name != "x" || v.Count != 6 || v.Min != -4 || v.Max != 3 || v.Sum != 2 || v.Mean() != 2.0/6 || v.Axis != -1 {
		t.Errorf("value %+v", v)
	}
	if v.Means[0] != 4.0/3 || v.Means[1] != -2.0/3 {
		t.Errorf("means %v", v.Means)
	}
	// variances 10/3 - 16/9 = 14/9 and 20/3 - 4/9 = 56/9
	if math.Abs(v.Deviations[0]-math.Sqrt(14.0/9)) > 1e-12 || math.Abs(v.Deviations[1]-math.Sqrt(56.0/9)) > 1e-12 {
		t.Errorf("deviations %v", v.Deviations)
	}
	w := table.Weights[0]
	if w.Importance == nil || math.Abs(*w.Importance-5) > 1e-12 || w.Sensitivity != nil || len(w.Alone) != 0 { // (1+4+9+16)/6
		t.Errorf("weight %+v", w)
	}
}

func TestDriftAloneFallsWithTheBits(t *testing.T) {
	f := pairs(t)
	table, err := calibrated(f, onnxio.Floats(normal(2, 40), 20, 2), t, CalibrateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := table.Weights[0]
	if w.Sensitivity == nil || len(w.Alone) != 4 || !(*w.Sensitivity > 0) {
		t.Fatalf("weight %+v", w)
	}
	for i, a := range w.Alone[1:] {
		octaves := math.Log2(w.Alone[i].Drift / a.Drift)
		if bits := float64(2 * (a.Bits - w.Alone[i].Bits)); octaves < 0.6*bits || octaves > 1.5*bits {
			t.Errorf("from %d to %d bits the drift falls by %.1f octaves, want about %v", w.Alone[i].Bits, a.Bits, octaves, bits)
		}
	}
	again, err := calibrated(f, onnxio.Floats(normal(2, 40), 20, 2), t, CalibrateOptions{Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	if string(encoded(t, table)) != string(encoded(t, again)) {
		t.Error("another number of threads gives another table")
	}
}

func TestCalibrateNamesValueAndSample(t *testing.T) {
	for what, bad := range map[string]float32{"NaN": float32(math.NaN()), "infinity": float32(math.Inf(-1))} {
		_, err := calibrated(pairs(t), onnxio.Floats([]float32{1, 2, 3, bad}, 2, 2), t, CalibrateOptions{})
		var value *NonFiniteError
		if !errors.As(err, &value) || !strings.HasPrefix(err.Error(), `calibrating "x": `+what+` in sample 1 (`) {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func TestCalibrateWithoutWeights(t *testing.T) {
	f := newBuilder(13).input("x", 1, 2).output("y", 1, 2).floats("w", []float32{1, 2, 3, 4}, 2, 2).node("MatMul", []string{"x", "w"}, "y").file(t)
	_, err := calibrated(f, onnxio.Floats([]float32{1, 2}, 1, 2), t, CalibrateOptions{})
	var nothing *NothingError
	if !errors.As(err, &nothing) || nothing.Kept[Small] != 1 {
		t.Errorf("error %v, want one that nothing is to be quantized", err)
	}
}
