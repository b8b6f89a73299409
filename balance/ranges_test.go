package balance

import (
	"math"
	"testing"
)

// A histogram of values at 0, 1, ..., 15 and a few at 60: what each rule takes, by hand.
func TestRangeRules(t *testing.T) {
	var h Histogram
	var x []float32
	for i := range 16000 {
		x = append(x, float32(i%16)+0.5)
	}
	x = append(x, 63.5)
	if h.Add(x) != 0 {
		t.Fatal("values that are not finite")
	}
	for _, c := range []struct {
		rule      RangeRule
		bits      int
		low, high float32 // bounds of the upper end
	}{
		{RangeMinMax, 8, 63.5, 63.5},
		{RangeP9999, 8, 15.5, 16},    // one of 16,001 lies outside of 99.99 %
		{RangeP99999, 8, 63, 63.5},   // none does of 99.999 %
		{RangeMSE, 3, 15, 24},        // at 3 bits one value 48 away costs 2,300, a step of 9 in place of 2.3 costs 16,000 times 6
		{RangeMSE, 8, 40, 63.5},      // at 8 bits steps are small whatever the range
		{RangeBalanced, 3, 15, 32},   // the clip of one value, up to 48^2, is below a quarter of 16,000 roundings
		{RangeBalanced, 8, 40, 63.5}, // a quarter of 16,000 * .0625/12 is 21: less than 5 may be cut
	} {
		lo, hi := h.Range(c.rule, c.bits)
		if lo != 0 || hi < c.low || hi > c.high {
			t.Errorf("%v at %d bits: [%v, %v], want an end from %v to %v", c.rule, c.bits, lo, hi, c.low, c.high)
		}
	}
}

// Ranges of nothing, of zeros and of one sign.
func TestRangesAtTheEdges(t *testing.T) {
	for _, rule := range RangeRules {
		var none, zeros, negative, both Histogram
		zeros.Add([]float32{0, 0})
		negative.Add([]float32{-1, -2, -3, -4})
		both.Add([]float32{-4, -1, 0, 1, 4})
		if lo, hi := none.Range(rule, 8); lo != 0 || hi != 0 {
			t.Errorf("%v of nothing: [%v, %v]", rule, lo, hi)
		}
		if lo, hi := zeros.Range(rule, 8); lo != 0 || hi != 0 {
			t.Errorf("%v of zeros: [%v, %v]", rule, lo, hi)
		}
		if lo, hi := negative.Range(rule, 8); hi > 0 || lo < -4 || lo > -3 {
			t.Errorf("%v of -1 to -4: [%v, %v]", rule, lo, hi)
		}
		if lo, hi := both.Range(rule, 8); lo < -4 || lo > -3 || hi > 4 || hi < 3 {
			t.Errorf("%v of -4 to 4: [%v, %v]", rule, lo, hi)
		}
		if rule.String() == "" {
			t.Errorf("rule %d has no name", rule)
		}
	}
}

// The divergence of codes that hold one bin each is none; of one code for bins of 1 and 3 counts the sum of p log(p/q), and a count
// cut off is added at the end: by hand.
func TestDivergence(t *testing.T) {
	all := bars{{0.125, 0.25, 1}, {0.375, 0.25, 3}}
	if got := all.divergence(0, 255, 8); math.Abs(got-(0.25*math.Log(0.5)+0.75*math.Log(1.5))) > 1e-12 {
		t.Errorf("one code: %v", got)
	}
	if got := all.divergence(0, 1, 8); math.Abs(got) > 1e-12 {
		t.Errorf("two codes: %v", got)
	}
	all = append(all, bar{9, 1, 4})
	want := 0.125*math.Log(0.125/0.25) + 0.875*math.Log(0.875/0.75)
	if got := all.divergence(0, 1, 8); math.Abs(got-want) > 1e-12 {
		t.Errorf("half of it cut off: %v, want %v", got, want)
	}
}
