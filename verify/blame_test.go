package verify

import (
	"context"
	"math"
	"slices"
	"testing"

	"bq/internal/compare"
	"bq/internal/drift"
	"bq/internal/infer"
)

func TestRank(t *testing.T) {
	nan := math.NaN()
	list := []Suspect{{Tensor: "b", Alone: 1}, {Tensor: "a", Alone: 1}, {Tensor: "d", Alone: nan}, {Tensor: "e", Alone: 5}, {Tensor: "c", Alone: nan}, {Tensor: "f"}}
	Rank(list)
	var got []string
	for _, s := range list {
		got = append(got, s.Tensor)
	}
	if want := []string{"c", "d", "e", "a", "b", "f"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// Ten samples, one of KL 8.2 and the others of 0.2, together 10: in units of the mean 8.2 and 0.2, and with the floor of
// 0.2 sizes of 8.4 and 0.4, together 12. Of three to choose, 8.4 * 3 is more than that: the large one is taken for sure.
// The others, 3.6 together, are taken at steps of 1.8 from 0.9 on: the third (1.2 is the first sum above 0.9) and the
// seventh (2.8 above 2.7). Each weighs 1.8/0.4 = 4.5.
func TestChooseByHand(t *testing.T) {
	var known []drift.SampleKL
	for i := range 10 {
		known = append(known, drift.SampleKL{Sample: i, KL: 0.2})
	}
	known[4].KL = 8.2
	samples, weights := choose(10, 3, known)
	// without sample 4 the third is sample 2, the seventh sample 7
	if !slices.Equal(samples, []int{2, 4, 7}) {
		t.Fatalf("samples %v", samples)
	}
	for i, want := range map[int]float64{2: 4.5, 4: 1, 7: 4.5} {
		if math.Abs(weights[i]-want) > 1e-9 {
			t.Errorf("sample %d weighs %v, want %v", i, weights[i], want)
		}
	}
}

// Spread counts four times: of two samples of equal KL, one with all the spread, sizes are 1 + 0.2 + 8 and 1 + 0.2.
func TestSizesByHand(t *testing.T) {
	got := sizes([]drift.SampleKL{{Sample: 3, KL: 0.1, Spread: 0.5}, {Sample: 5, KL: 0.1}})
	if len(got) != 2 || got[0].sample != 3 || math.Abs(got[0].size-9.2) > 1e-12 || math.Abs(got[1].size-1.2) > 1e-12 {
		t.Errorf("sizes %v", got)
	}
}

// Whatever the KL, as many samples as asked for are chosen, each once, and what they stand for adds up to all samples
// when the sizes are equal. Samples without a KL, or with one that is no number, are spread.
func TestChoose(t *testing.T) {
	equal := make([]drift.SampleKL, 1000)
	tail := make([]drift.SampleKL, 1000)
	for i := range equal {
		equal[i], tail[i] = drift.SampleKL{Sample: i, KL: 1}, drift.SampleKL{Sample: i, KL: math.Exp(-float64(i) / 20)}
	}
	tail[999].KL = -1e-17
	for name, known := range map[string][]drift.SampleKL{"equal": equal, "tail": tail} {
		samples, weights := choose(1000, 64, known)
		if len(samples) != 64 || !slices.IsSorted(samples) || len(weights) != 64 {
			t.Errorf("%s: %d samples", name, len(samples))
		}
		sum, estimate, truth := 0.0, 0.0, 0.0
		for _, s := range samples {
			sum += weights[s]
			estimate += weights[s] * max(0, known[s].KL)
		}
		for _, k := range known {
			truth += max(0, k.KL)
		}
		if name == "equal" && math.Abs(sum-1000) > 1e-6 {
			t.Errorf("weights add up to %v", sum)
		}
		if math.Abs(estimate-truth) > 0.05*truth {
			t.Errorf("%s: the KL is estimated as %v, it is %v", name, estimate, truth)
		}
	}
	broken := slices.Clone(equal)
	broken[7].KL = math.NaN()
	for name, known := range map[string][]drift.SampleKL{"none": nil, "NaN": broken, "zero": make([]drift.SampleKL, 1000)} {
		if samples, weights := choose(1000, 64, known); weights != nil || len(samples) != 64 || samples[1] != 15 {
			t.Errorf("%s: %v", name, samples)
		}
	}
	if samples, weights := choose(5, 64, equal[:5]); weights != nil || len(samples) != 5 {
		t.Errorf("few: %v", samples)
	}
}

func TestMainDrift(t *testing.T) {
	class := func(kl float64) compare.Figures {
		return compare.Figures{Figures: drift.Figures{Kind: drift.Logits, KL: kl}}
	}
	values := func(db float64) compare.Figures {
		return compare.Figures{Figures: drift.Figures{Kind: drift.Values, SQNR: db}}
	}
	for _, c := range []struct {
		list []compare.Figures
		want float64
		nats bool
	}{
		{[]compare.Figures{class(0.1), class(0.3), values(-20)}, 0.3, true},
		{[]compare.Figures{values(20), values(10)}, 0.1, false},
		{[]compare.Figures{values(math.Inf(1))}, 0, false},
	} {
		if got := MainDrift(c.list); math.Abs(got-c.want) > 1e-12 || InNats(c.list) != c.nats {
			t.Errorf("%v: %v, want %v", c.list, got, c.want)
		}
	}
	if got := MainDrift([]compare.Figures{class(0.1), class(math.NaN())}); !math.IsNaN(got) {
		t.Errorf("NaN: %v", got)
	}
}

// x = (1, 2) and (3, 4): a first layer that doubles makes noise equal to the signal, one that triples four times it.
func TestBlamerByHand(t *testing.T) {
	a := twoLayers(t, identity, identity)
	data := set(t, a, []float32{1, 2, 3, 4}, nil)
	kinds := []compare.Override{{Name: "y", Kind: drift.Values}}
	b, err := NewBlamer(context.Background(), a, data, kinds, nil, 1000, 2)
	if err != nil || b.Samples() != 2 {
		t.Fatalf("%v, %v", b, err)
	}
	for name, c := range map[string]struct {
		p    *infer.Program
		want float64
	}{
		"equal": {a.Program, 0}, "double": {twoLayers(t, double, identity).Program, 1}, "triple": {twoLayers(t, []float32{3, 0, 0, 3}, identity).Program, 4},
	} {
		for range 2 { // what was recorded is not used up
			if got, err := b.Drift(context.Background(), c.p); err != nil || math.Abs(got-c.want) > 1e-9 {
				t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
			}
		}
	}
}

// 200 rows: two of three classes that are far from the border and one that is near it. The estimate of 64 samples is
// near the mean KL of all.
func TestBlamerEstimatesAllSamples(t *testing.T) {
	a, b := shifted(t, 1, 0), shifted(t, 0.9, 0)
	rows := make([]float32, 400)
	for i := range 200 {
		rows[2*i] = 20
		if i%23 == 0 {
			rows[2*i] = float32(i%5) / 4
		}
	}
	data := set(t, a, rows, nil)
	r, err := Run(context.Background(), a, b, data, Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	bl, err := NewBlamer(context.Background(), a, data, nil, r.Figures, 1000, 2)
	if err != nil || bl.Samples() != 64 {
		t.Fatalf("%v, %v", bl, err)
	}
	got, err := bl.Drift(context.Background(), b.Program)
	if want := r.Figures[0].KL; err != nil || math.Abs(got-want) > 0.02*want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// Where not all samples fit into memory, as many as do are spread over the set, not taken from its front: the second half of these
// rows alone is near the border.
func TestBlamerSpreadsWhatFits(t *testing.T) {
	a, b := shifted(t, 1, 0), shifted(t, 0.9, 0)
	rows := make([]float32, 400)
	for i := range 200 {
		if rows[2*i] = 20; i >= 100 {
			rows[2*i] = 1
		}
	}
	data := set(t, a, rows, nil)
	outputs, err := compare.Outputs(a.Graph, nil)
	if err != nil {
		t.Fatal(err)
	}
	const each = 4 * (2 + 3) // two floats in, three out
	bl, err := newBlamer(context.Background(), a, data, outputs, nil, 100, 10*each, 2)
	if err != nil || bl.Samples() < 5 || bl.Samples() > 10 {
		t.Fatalf("%v, %v", bl, err)
	}
	all, err := newBlamer(context.Background(), a, data, outputs, nil, 200, compare.RecordBytes, 2)
	if err != nil || all.Samples() != 200 {
		t.Fatalf("%v, %v", all, err)
	}
	want, err := all.Drift(context.Background(), b.Program)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := bl.Drift(context.Background(), b.Program); err != nil || math.Abs(got-want) > 0.25*want {
		t.Errorf("%v, %v, want about %v", got, err, want)
	}
}

// 64 samples from 48 tensors on, else as many as make 3,072 runs.
func TestBlamedSamples(t *testing.T) {
	for tensors, want := range map[int]int{0: 3072, 1: 3072, 10: 307, 20: 153, 48: 64, 500: 64} {
		if got := blamed(tensors); got != want {
			t.Errorf("%d tensors: %d samples, want %d", tensors, got, want)
		}
	}
}
