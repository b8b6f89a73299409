package convert

import (
	"slices"
	"testing"

	"bq/balance"
	"bq/onnxio"
)

// TestSpan: ranges of few samples are made wider by a part of 1 over their number, but not beyond what a Clip left.
func TestSpan(t *testing.T) {
	ramp := onnxio.Floats([]float32{-1, 0, 1, 2, 3, 4}, 1, 6)
	for _, c := range []struct {
		samples   int
		most      float32
		low, high float32
	}{{4, 0, -1.25, 5}, {4, 4.5, -1.25, 4.5}, {1, 0, -2, 8}, {12, 0, -1, 4}} {
		k := &converter{Options: Options{ActBits: 8}, rule: balance.RangeMinMax}
		r, err := k.span(placed{name: "x", most: c.most}, slices.Repeat([]*onnxio.Array{ramp}, c.samples))
		if err != nil || r.low != c.low || r.high != c.high || r.shifts != nil {
			t.Errorf("%d samples, at most %v: %+v, %v, want %v to %v", c.samples, c.most, r, err, c.low, c.high)
		}
	}
}

// TestShifts: by how many bits the largest magnitude of a channel is below that of all, where steps so much finer are normal numbers.
func TestShifts(t *testing.T) {
	values := func(most float32) []*onnxio.Array {
		return []*onnxio.Array{onnxio.Floats([]float32{most, 0, -most / 2, most / 8, most / 5, 0, most * 0x1p-20, 0, 0, 0}, 1, 5, 2)}
	}
	if got, rank := shiftsOf(values(3)); !slices.Equal(got, []int8{0, 1, 2, MaxShift, 0}) || rank != 3 {
		t.Errorf("shifts %v of rank %d", got, rank)
	}
	if got, _ := shiftsOf(values(1e-21)); got != nil {
		t.Errorf("shifts %v of values near 0", got)
	}
	if got, _ := shiftsOf([]*onnxio.Array{onnxio.Floats([]float32{1, .6, -.7}, 1, 3)}); got != nil {
		t.Errorf("shifts %v of channels that are alike", got)
	}
}

// TestInt8Steps: where codes are to be int8 no step is below the largest weight over int8Reach, and a tensor of one group keeps its one step.
func TestInt8Steps(t *testing.T) {
	whole := balance.PerTensor(4)
	p := &stepPlan{layout: whole, multiplier: 1, reference: 1e-6, elements: 4}
	p.fitInt8([]float32{1, -3, 2, 0}, whole)
	if l, steps := p.steps(1); l.Groups() != 1 || !slices.Equal(steps, []float32{balance.RoundSoleStep(3. / int8Reach)}) {
		t.Errorf("%d groups, steps %v", l.Groups(), steps)
	}
	if _, steps := p.steps(1e6); !slices.Equal(steps, []float32{balance.RoundSoleStep(1)}) {
		t.Errorf("coarse steps are %v", steps)
	}
}
