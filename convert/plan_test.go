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

// A plan with samples is the conversion: its bytes and its drift. What the weights do alone is known for all of them.
func TestForecastsComeTrue(t *testing.T) {
	f, o := twoLayers(t)
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, budget := range []Budget{{}, {BudgetBPW, 4}, {BudgetSize, 9000}, {BudgetDrift, 0.02}} {
		o.Budget = budget
		plan, err := p.Forecast(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Alone(plan, o); err != nil {
			t.Fatal(err)
		}
		r, _, b := converted(t, f, o)
		if drift := r.Drift[0].Drift(); plan.Bytes != int64(len(b)) || *plan.Drift != drift {
			t.Errorf("%v: %d bytes, drift %v; convert makes %d, %v", budget, plan.Bytes, *plan.Drift, len(b), drift)
		}
		if plan.Codes+plan.Scales+plan.Kept+plan.Graph+plan.Container != plan.Bytes || len(plan.Alone) != 2 || plan.Taken != 90 || plan.Given != 90 {
			t.Errorf("%v: parts do not add up, %d weights alone, %d of %d samples", budget, len(plan.Alone), plan.Taken, plan.Given)
		}
		for name, v := range plan.Alone {
			if v == nil || !(*v > 0) || *v > 2**plan.Drift {
				t.Errorf("%v: %s alone %v", budget, name, v)
			}
		}
	}
}

// rehearsedTimes bounds how far the drift of a conversion with fewer samples is from that with all: what plan says.
const rehearsedTimes = 3

// Where a conversion would take long, fewer samples take part, and the plan says so.
func TestPlanWithFewerSamples(t *testing.T) {
	f, o := twoLayers(t)
	o.Budget = Budget{BudgetBPW, 4}
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	p.most = 1.2e4 * (passRuns + 2) * 40 // products of a run: 16 x 128 + 128 x 64 = 10,240
	plan, err := p.Forecast(o)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Taken != 46 || plan.Given != 90 || plan.Result.Calibration != 46 { // 40 x 12,000 / 10,240 = 46.9
		t.Errorf("%d of %d samples, %d calibrate", plan.Taken, plan.Given, plan.Result.Calibration)
	}
	if want := int64(44 * 2 * liveValues * 4 * 128); plan.MoreBytes != want {
		t.Errorf("%d bytes more, want %d", plan.MoreBytes, want)
	}
	r, _, b := converted(t, f, o)
	if off := float64(plan.Bytes)/float64(len(b)) - 1; math.Abs(off) > 0.01 {
		t.Errorf("%d bytes, convert makes %d", plan.Bytes, len(b))
	}
	if drift := r.Drift[0].Drift(); *plan.Drift > rehearsedTimes*drift || *plan.Drift < drift/rehearsedTimes {
		t.Errorf("drift %v, convert reaches %v", *plan.Drift, drift)
	}
	p.most = 1
	if plan, err = p.Forecast(o); err != nil || plan.Taken != leastRehearsed {
		t.Errorf("%d samples, want %d, %v", plan.Taken, leastRehearsed, err)
	}
}

// curveTimes bounds how far a curve is from the conversions to its rates, near the rate that it was scaled at.
const curveTimes = 2

func TestPlanForADriftAndCurve(t *testing.T) {
	f, o := twoLayers(t)
	p, err := NewPlanner(context.Background(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Budget = Budget{BudgetDrift, 1e-30}
	var reach *ReachError
	if _, err := p.Forecast(o); !errors.As(err, &reach) || reach.Kind != BudgetDrift {
		t.Errorf("an impossible drift: %v", err)
	}
	o.Budget = Budget{BudgetBPW, 4}
	plan, err := p.Forecast(o)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := p.Curve(o)
	if err != nil || len(curve) < 4 {
		t.Fatalf("%d points, %v", len(curve), err)
	}
	for i, v := range curve {
		if i > 0 && (v.Bytes <= curve[i-1].Bytes || *v.Drift >= *curve[i-1].Drift) {
			t.Errorf("point %d: %d bytes, drift %v after %d, %v", i, v.Bytes, *v.Drift, curve[i-1].Bytes, *curve[i-1].Drift)
		}
		if v.BPW < 2.9 || v.BPW > 6.1 {
			continue
		}
		o.Budget = Budget{BudgetBPW, math.Round(v.BPW)}
		r, _, _ := converted(t, f, o)
		drift := r.Drift[0].Drift()
		if *v.Drift > curveTimes*drift || *v.Drift < drift/curveTimes {
			t.Errorf("%.2f bits: drift %v, convert reaches %v", v.BPW, *v.Drift, drift)
		}
		if o.Budget.Value == 4 && math.Abs(*v.Drift / *plan.Drift - 1) > 1e-9 {
			t.Errorf("the curve has %v at the point of the plan, %v", *v.Drift, *plan.Drift)
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
	o.Budget = Budget{BudgetDrift, 1e-30}
	var reach *ReachError
	if _, err := p.Forecast(o); !errors.As(err, &reach) || reach.Kind != BudgetDrift || !(reach.Nearest > 1e-30) {
		t.Errorf("an impossible drift: %v", err)
	}
	o.Budget.Value = 0.05
	if plan, err = p.Forecast(o); err != nil || *plan.Drift > 0.05 || *plan.Drift < 0.01 {
		t.Errorf("drift %+v, %v, want a little below 0.05", plan, err)
	}
}
