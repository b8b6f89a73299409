package convert

import (
	"context"
	"errors"
	"math"
	"testing"

	"bq/onnxio"
)

// Points (-2, -4), (-4, -8) as log2 of noise and drift: a line between them, beyond them in proportion to the noise.
func TestCurveByHand(t *testing.T) {
	k := &curve{noise: []float64{-2, -4}, drift: []float64{-4, -8}}
	for _, c := range []struct{ noise, want float64 }{{-2, -4}, {-3, -6}, {-4, -8}, {-1, -3}, {-6, -10}} {
		if got := math.Log2(k.at(c.noise)); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("noise 2^%v: drift 2^%v, want 2^%v", c.noise, got, c.want)
		}
	}
	if got := (&curve{}).at(-3); got != 0 {
		t.Errorf("without points: %v", got)
	}
}

// twoLayers is a model of two layers and samples for it.
func twoLayers(t *testing.T) (*onnxio.File, Options) {
	t.Helper()
	f := newBuilder(13).input("x", 1, 16).output("z", 1, 64).floats("w", normal(1, 2048), 16, 128).floats("v", normal(4, 8192), 128, 64).
		node("MatMul", []string{"x", "w"}, "a").node("Relu", []string{"a"}, "y").node("Gemm", []string{"y", "v"}, "z").file(t)
	return f, Options{Bits: 4, Threads: 1, Samples: samplesOf(t, f.Model, onnxio.Floats(normal(2, 16*120), 120, 16))}
}

// sizeOff and driftTimes bound the error of a forecast. Drift is that of one-shot codes; the conversion's layers also make up for
// each other, which white noise through random weights rewards little.
const (
	sizeOff    = 0.01
	driftTimes = 3
)

func TestForecastsComeTrue(t *testing.T) {
	f, o := twoLayers(t)
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, budget := range []Budget{{}, {BudgetBPW, 4}, {BudgetBPW, 6}} {
		o.Budget = budget
		plan, err := p.Forecast(o)
		if err != nil {
			t.Fatal(err)
		}
		r, _, b := converted(t, f, o)
		if off := float64(plan.Bytes)/float64(len(b)) - 1; math.Abs(off) > sizeOff {
			t.Errorf("%v: %d bytes, convert makes %d", budget, plan.Bytes, len(b))
		}
		if drift := r.Drift[0].Drift(); *plan.Drift < drift/driftTimes || *plan.Drift > drift*driftTimes {
			t.Errorf("%v: drift %.4g, convert reaches %.4g", budget, *plan.Drift, drift)
		}
		if plan.Codes+plan.Scales+plan.Kept+plan.Graph+plan.Container != plan.Bytes || len(plan.Alone) != 2 {
			t.Errorf("%v: parts do not add up, or %d weights alone", budget, len(plan.Alone))
		}
	}
}

func TestPlanForADrift(t *testing.T) {
	f, o := twoLayers(t)
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Budget = Budget{BudgetDrift, 0.02}
	plan, err := p.Forecast(o)
	if err != nil {
		t.Fatal(err)
	}
	if *plan.Drift > 0.02 || *plan.Drift < 0.005 {
		t.Errorf("drift %v, want a little below 0.02", *plan.Drift)
	}
	o.Budget.Value = 1e-30
	var reach *ReachError
	if _, err := p.Forecast(o); !errors.As(err, &reach) || reach.Kind != BudgetDrift {
		t.Errorf("an impossible drift: %v", err)
	}
	curve, err := p.Curve(o)
	if err != nil || len(curve) < 4 {
		t.Fatalf("%d points, %v", len(curve), err)
	}
	for i := range curve[1:] {
		if curve[i+1].Bytes <= curve[i].Bytes || *curve[i+1].Drift >= *curve[i].Drift {
			t.Errorf("point %d: %d bytes, drift %v after %d, %v", i+1, curve[i+1].Bytes, *curve[i+1].Drift, curve[i].Bytes, *curve[i].Drift)
		}
	}
}

func TestPlanWithoutDataHasTheBytesOfTheConversion(t *testing.T) {
	f, o := twoLayers(t)
	o.Samples = nil
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.Forecast(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, b := converted(t, f, o); plan.Bytes != int64(len(b)) || plan.Drift != nil {
		t.Errorf("%d bytes, drift %v, convert makes %d", plan.Bytes, plan.Drift, len(b))
	}
}

func TestPlanByATable(t *testing.T) {
	f, o := twoLayers(t)
	table, err := Calibrate(context.Background(), f, CalibrateOptions{Samples: o.Samples, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	o.Samples, o.Table = nil, table
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.Forecast(o)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, a := range plan.Alone {
		sum += *a
	}
	if len(plan.Alone) != 2 || math.Abs(sum-*plan.Drift) > 1e-12 || !(sum > 0) {
		t.Errorf("%d weights, the sum %v, the drift %v", len(plan.Alone), sum, *plan.Drift)
	}
}
