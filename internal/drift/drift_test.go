package drift

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// tight is the tolerance of figures computed in float64 from few values: rounding only.
const tight = 1e-12

func near(a, b, tolerance float64) bool {
	return a == b || math.Abs(a-b) <= tolerance || math.IsNaN(a) && math.IsNaN(b)
}

func meter(t *testing.T, kind Kind, samples ...[2][]float32) *Meter {
	t.Helper()
	m := NewMeter(kind)
	for i, s := range samples {
		if err := m.Add(i, s[0], s[1], 1, len(s[0]), 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Two samples of two classes by hand. p = (1/2, 1/2), q = (1/4, 3/4): KL = 1/2 ln 2 + 1/2 ln(2/3) = 1/2 ln(4/3).
// The second sample is equal: KL 0. The tie of p goes to class 0, so the first sample disagrees.
func TestProbsByHand(t *testing.T) {
	f := meter(t, Probs,
		[2][]float32{{0.5, 0.5}, {0.25, 0.75}},
		[2][]float32{{0.25, 0.75}, {0.25, 0.75}},
	)
	got := f.Figures()
	half := math.Log(4.0/3) / 2
	want := map[string][2]float64{
		"KL": {got.KL, half / 2}, "KLSE": {got.KLSE, half / 2}, // sqrt(2/1 * 2*(half/2)^2)/2
		"KLMax": {got.KLMax, float64(float32(half))}, "KLP99": {got.KLP99, float64(float32(half))},
		"Agree": {got.Agree, 0.5}, "AgreeSE": {got.AgreeSE, 0.5},
		"SQNR":   {got.SQNR, 10 * math.Log10((0.25+0.25+0.0625+0.5625)/0.125)},
		"MaxAbs": {got.MaxAbs, 0.25},
		"Cosine": {got.Cosine, (0.5/math.Sqrt(0.5*0.625) + 1) / 2},
	}
	for name, v := range want {
		if !near(v[0], v[1], tight) {
			t.Errorf("%s = %v, want %v", name, v[0], v[1])
		}
	}
	if got.Rows != 2 || got.Samples != 2 || len(got.Worst) != 2 || got.Worst[0].Sample != 0 {
		t.Errorf("rows %d, samples %d, worst %v", got.Rows, got.Samples, got.Worst)
	}
	// in the order of the samples, though the second of another meter is the worse
	turned := meter(t, Probs, [2][]float32{{0.25, 0.75}, {0.25, 0.75}}, [2][]float32{{0.5, 0.5}, {0.25, 0.75}}).Figures()
	if len(turned.BySample) != 2 || turned.BySample[0] != (SampleKL{0, 0, 1 - 0.0625 - 0.5625}) || turned.BySample[1].Sample != 1 || !near(turned.BySample[1].KL, half, tight) || !near(turned.BySample[1].Spread, 0.5, tight) || turned.Worst[0].Sample != 1 {
		t.Errorf("by sample %v, worst %v", turned.BySample, turned.Worst)
	}
}

// Logits (0, ln 3) are the distribution (1/4, 3/4), whatever is added to both.
func TestLogitsAndLogProbsAgreeWithProbs(t *testing.T) {
	ln3 := float32(math.Log(3))
	want := 0.25*math.Log(0.5) + 0.75*math.Log(1.5)
	logits := meter(t, Logits, [2][]float32{{5, 5 + ln3}, {-7, -7}}).Figures()
	log := func(p float64) float32 { return float32(math.Log(p)) }
	logProbs := meter(t, LogProbs, [2][]float32{{log(0.25), log(0.75)}, {log(0.5), log(0.5)}}).Figures()
	const single = 1e-6 // inputs are rounded to float32
	if !near(logits.KL, want, single) || !near(logProbs.KL, want, single) {
		t.Errorf("KL of logits %v, of logprobs %v, want %v", logits.KL, logProbs.KL, want)
	}
	if !math.IsNaN(logits.KLSE) {
		t.Errorf("standard error of one sample %v, want NaN", logits.KLSE)
	}
}

// Labels by hand: reference right on both rows, quantized on the first; probability of the label 3/4, 3/4 and 3/4, 1/4.
func TestLabelsByHand(t *testing.T) {
	m := NewMeter(Probs)
	add := func(i int, ref, got []float32, label int64) {
		if err := m.Add(i, ref, got, 1, 2, 1, []int64{label}); err != nil {
			t.Fatal(err)
		}
	}
	add(0, []float32{0.25, 0.75}, []float32{0.25, 0.75}, 1)
	add(1, []float32{0.75, 0.25}, []float32{0.25, 0.75}, 0)
	add(2, []float32{0.75, 0.25}, []float32{0.25, 0.75}, -1)
	f := m.Figures()
	if f.Labelled != 2 || f.Top1Ref != 1 || f.Top1Got != 0.5 || !near(f.Top1DropSE, 0.5, tight) {
		t.Errorf("labelled %d, top-1 %v and %v, se %v; want 2, 1, 0.5, 0.5", f.Labelled, f.Top1Ref, f.Top1Got, f.Top1DropSE)
	}
	if !near(f.NLLRef, -math.Log(0.75), tight) || !near(f.NLLGot, -(math.Log(0.75)+math.Log(0.25))/2, tight) {
		t.Errorf("nll %v and %v", f.NLLRef, f.NLLGot)
	}
}

// Rows of one sample are one cluster: sample 0 has two rows of agreement 0, sample 1 one of 1. The mean over rows is
// 1/3; deviations y - r*n: -2/3 and 2/3; se = sqrt(2/1 * 8/9) / 3 = 4/9.
func TestRowsOfASampleAreOneCluster(t *testing.T) {
	m := NewMeter(Logits)
	if err := m.Add(0, []float32{1, 1, 0, 0}, []float32{0, 0, 1, 1}, 1, 2, 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(1, []float32{1, 0}, []float32{1, 0}, 1, 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	if f := m.Figures(); !near(f.Agree, 1.0/3, tight) || !near(f.AgreeSE, 4.0/9, tight) || f.Rows != 3 {
		t.Errorf("agree %v +- %v over %d rows, want 1/3 +- 4/9 over 3", f.Agree, f.AgreeSE, f.Rows)
	}
}

// A tensor [3, 4, 2] with classes on axis 1; the expected figures were computed by numpy with the formulas of the
// zoo's judge (as_logp, then sum p*(log p - log q) over rows).
func TestAgainstNumpy(t *testing.T) {
	ref := []float32{-1.604, -2.649, -0.497, 0.841, 2.272, 0.219, -1.105, -1.57, 1.497, 3.27, 0.546, -2.467, -1.917, 3.2, 0.406, -3.464, -0.167, -2.326, -1.259, -0.976, -1.427, 1.107, -0.126, -1.179}
	got := []float32{-1.399, -2.234, -1.319, 0.713, 1.782, 0.132, -1.75, -1.56, 1.478, 3.118, 0.022, -2.665, -2.463, 2.522, 0.518, -4.019, 0.418, -1.968, -2.258, -0.84, -1.978, 1.124, -0.104, -2.173}
	p := []float32{0.018499983474612236, 0.018400000408291817, 0.05609999969601631, 0.6035000085830688, 0.8948000073432922, 0.3240000009536743, 0.03060000017285347, 0.054099999368190765, 0.5697000026702881, 0.5163000226020813, 0.22010000050067902, 0.0017000000225380063, 0.018799999728798866, 0.4814000129699707, 0.19140000641345978, 0.0006000000284984708, 0.3758000135421753, 0.02559998258948326, 0.12610000371932983, 0.0989999994635582, 0.10660000145435333, 0.7946000099182129, 0.39149999618530273, 0.08079999685287476}
	q := []float32{0.05882352963089943, 0, 0.05882352963089943, 0.529411792755127, 0.7647058963775635, 0.29411765933036804, 0, 0.05882352963089943, 0.529411792755127, 0.5882353186607361, 0.11764705926179886, 0, 0, 0.29411765933036804, 0.23529411852359772, 0, 0.529411792755127, 0.05882352963089943, 0.05882352963089943, 0.11764705926179886, 0.05882352963089943, 0.7058823704719543, 0.29411765933036804, 0}
	const fixture = 1e-6 // the logits above are written with three decimals
	for _, c := range []struct {
		kind      Kind
		ref, got  []float32
		kl, agree float64
	}{
		{Logits, ref, got, 0.03798425686514257, 5.0 / 6},
		{Probs, p, q, 0.16022872919932077, 5.0 / 6},
	} {
		m := NewMeter(c.kind)
		for s := range 3 {
			if err := m.Add(s, c.ref[8*s:8*s+8], c.got[8*s:8*s+8], 1, 4, 2, nil); err != nil {
				t.Fatal(err)
			}
		}
		f := m.Figures()
		if !near(f.KL, c.kl, fixture) || !near(f.Agree, c.agree, tight) {
			t.Errorf("%v: KL %v, agree %v, want %v, %v", c.kind, f.KL, f.Agree, c.kl, c.agree)
		}
		if c.kind == Logits && (!near(f.SQNR, 11.283932858704564, fixture) || !near(f.Cosine, 0.9603470445914392, fixture)) {
			t.Errorf("SQNR %v, cosine %v", f.SQNR, f.Cosine)
		}
	}
}

func TestEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	equal := meter(t, Values, [2][]float32{{1, 2}, {1, 2}}).Figures()
	if !math.IsInf(equal.SQNR, 1) || equal.MaxAbs != 0 || equal.Cosine != 1 || equal.Rows != 0 {
		t.Errorf("equal outputs: %+v", equal)
	}
	if zero := meter(t, Values, [2][]float32{{0, 0}, {1, 0}}).Figures(); !math.IsNaN(zero.SQNR) || zero.Cosine != 0 {
		t.Errorf("zero reference: %+v", zero)
	}
	for _, bad := range []float32{inf, nan} {
		f := meter(t, Logits, [2][]float32{{1, 2}, {bad, 2}}).Figures()
		if f.NonFinite != 1 || !math.IsNaN(f.SQNR) || !math.IsNaN(f.KL) && bad != bad {
			t.Errorf("%v in the output: %+v", bad, f)
		}
	}
	if f := NewMeter(Logits).Figures(); !math.IsNaN(f.KL) || f.Rows != 0 || f.Worst == nil {
		t.Errorf("no samples: %+v", f)
	}
	if f := meter(t, Logits, [2][]float32{{}, {}}).Figures(); f.Rows != 0 {
		t.Errorf("no classes: %+v", f)
	}
	m := NewMeter(Logits)
	if err := m.Add(0, []float32{1}, []float32{1, 2}, 1, 1, 1, nil); !errors.Is(err, ErrShape) {
		t.Errorf("lengths that differ: %v", err)
	}
	if err := m.Add(0, []float32{1, 2}, []float32{1, 2}, 1, 2, 1, []int64{1, 2}); !errors.Is(err, ErrShape) {
		t.Errorf("too many labels: %v", err)
	}
}

// A row with a NaN has no largest class, wherever the NaN stands: it neither agrees nor hits its label, and its KL is
// no number. Infinite scores have one.
func TestRowsWithNaNHaveNoTopClass(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	fine := []float32{3, 1, 2}
	cases := []struct {
		name              string
		ref, got          []float32
		agree, hitA, hitB float64
	}{
		{"both fine", fine, fine, 1, 1, 1},
		{"all NaN", fine, []float32{nan, nan, nan}, 0, 1, 0},
		{"NaN first", fine, []float32{nan, 1, 2}, 0, 1, 0},
		{"NaN behind the largest", fine, []float32{3, 1, nan}, 0, 1, 0},
		{"NaN in the reference", []float32{3, nan, 2}, fine, 0, 0, 1},
		{"NaN in both", []float32{3, nan, 2}, []float32{3, nan, 2}, 0, 0, 0},
		{"infinite", []float32{inf, 1, 2}, fine, 1, 1, 1},
		{"all minus infinity", []float32{-inf, -inf, -inf}, fine, 1, 1, 1}, // a tie
	}
	for _, kind := range []Kind{Logits, Probs, LogProbs} {
		for _, c := range cases {
			m := NewMeter(kind)
			if err := m.Add(0, c.ref, c.got, 1, 3, 1, []int64{0}); err != nil {
				t.Fatal(err)
			}
			f := m.Figures()
			if f.Agree != c.agree || f.Top1Ref != c.hitA || f.Top1Got != c.hitB {
				t.Errorf("%v, %s: agree %v, top-1 %v and %v, want %v, %v and %v", kind, c.name, f.Agree, f.Top1Ref, f.Top1Got, c.agree, c.hitA, c.hitB)
			}
			if slices.ContainsFunc(slices.Concat(c.ref, c.got), func(v float32) bool { return v != v }) && !math.IsNaN(f.KL) {
				t.Errorf("%v, %s: KL %v, want NaN", kind, c.name, f.KL)
			}
		}
	}
}

func TestInputsAreNotChanged(t *testing.T) {
	ref, got := []float32{3, 1, 2}, []float32{1, 2, 3}
	meter(t, Logits, [2][]float32{ref, got})
	if !slices.Equal(ref, []float32{3, 1, 2}) || !slices.Equal(got, []float32{1, 2, 3}) {
		t.Error("Add changed its arguments")
	}
}

func TestParseKind(t *testing.T) {
	for _, k := range []Kind{Values, Logits, Probs, LogProbs} {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%v read as %v, %v", k, got, err)
		}
	}
	if _, err := ParseKind("softmax"); err == nil {
		t.Error("an unknown kind was read")
	}
}

func TestDrift(t *testing.T) {
	if d := (&Figures{Kind: Values, SQNR: 20}).Drift(); !near(d, 0.01, tight) {
		t.Errorf("20 dB are a drift of %v, want 0.01", d)
	}
	if d := (&Figures{Kind: Probs, KL: 0.5, SQNR: 20}).Drift(); d != 0.5 {
		t.Errorf("drift %v, want the KL 0.5", d)
	}
}

func BenchmarkAddLogits(b *testing.B) {
	ref := make([]float32, 1000)
	for i := range ref {
		ref[i] = float32(i % 17)
	}
	m := NewMeter(Logits)
	b.SetBytes(8 * 1000)
	for b.Loop() {
		m.Add(0, ref, ref, 1, 1000, 1, nil)
		*m = *NewMeter(Logits)
	}
}
