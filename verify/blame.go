package verify

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/infer"
)

// Blame finds which tensors cause the drift: the reference runs with one quantized tensor at a time in the place of its
// own, and the tensors are ranked by the drift that each causes alone. The drift of a model is that of its worst
// output: the mean KL in nats of class outputs, where there are any, else noise power over signal power.

// blameSamples is on how many samples the drift of one tensor is measured, at least; where there are few tensors it is more, as many
// as make blameRuns runs. A mean KL is often that of a few samples near a border between classes: the samples are chosen by what the
// whole model makes of them, or 64 of a thousand would rank tensors hardly better than chance.
//
// Few tensors are close to each other in rank, and each change of places counts: with 64 samples ten starts gave a rank correlation
// from 0.79 for a model of ten tensors, with 307 from 0.98.
const (
	blameSamples = 64
	blameRuns    = 48 * blameSamples
)

// blamed returns on how many samples tensors are blamed.
func blamed(tensors int) int { return max(blameSamples, blameRuns/max(1, tensors)) }

// What a sample counts when samples are chosen, in units of the mean: its KL, spreadShare times its spread, and floor,
// as a tensor may hurt samples that look harmless. Of 25 combinations these two gave the best ranks on five image and
// sound classifiers of 256 to 1,500 samples, over ten starts each: a rank correlation with the drift on all samples of
// 0.98 in the mean, where samples that are spread evenly give 0.82, and those chosen by KL and floor alone 0.94.
const (
	spreadShare = 4
	floor       = 0.2
)

// Blamer measures what single tensors cause.
type Blamer struct {
	recorded *compare.Recorded
	weights  map[int]float64 // of the samples, by their place in the set
	threads  int
}

// NewBlamer runs the reference on some samples of set, chosen by the drift of the whole model, which figures hold; of data that carry
// state, on the first ones. tensors is how many are to be blamed.
func NewBlamer(ctx context.Context, a Side, set *dataset.Set, kinds []compare.Override, figures []compare.Figures, tensors, threads int) (*Blamer, error) {
	outputs, err := compare.Outputs(a.Graph, kinds)
	if err != nil {
		return nil, err
	}
	if set.Len() == 0 {
		return nil, errors.New("comparing: the data hold no samples")
	}
	return newBlamer(ctx, a, set, outputs, worstBySample(figures), blamed(tensors), compare.RecordBytes, threads)
}

// newBlamer is NewBlamer on count samples, or as many as fit into limit bytes: those are chosen anew, as the first ones of the others
// may be all of one kind.
func newBlamer(ctx context.Context, a Side, set *dataset.Set, outputs []compare.Output, known []drift.SampleKL, count, limit, threads int) (*Blamer, error) {
	for {
		samples, weights := choose(set.Len(), count, known)
		if len(set.Carry()) > 0 {
			samples, weights = compare.All(set)[:min(count, set.Len())], nil
		}
		r, err := compare.Record(ctx, a.Program, outputs, set, samples, limit, threads)
		if err != nil || r.Len() == len(samples) {
			return &Blamer{r, weights, threads}, err
		}
		count = r.Len()
	}
}

// worstBySample returns the KL of each sample at the class output of the largest KL, nil without such.
func worstBySample(figures []compare.Figures) []drift.SampleKL {
	var worst *compare.Figures
	for i := range figures {
		if f := &figures[i]; f.Kind.Classes() && (worst == nil || f.KL > worst.KL) {
			worst = f
		}
	}
	if worst == nil {
		return nil
	}
	return worst.BySample
}

// choose returns count of the samples 0 to total-1 in order, and how many samples each stands for. A sample is taken with
// a probability in proportion to its size, those that would be taken more than once for sure, the others at equal steps
// through the sizes added up, and it weighs one over its probability (Horvitz and Thompson, Journal of the American
// Statistical Association 47, 1952; systematic selection after Madow, Annals of Mathematical Statistics 20, 1949).
// Without known KL samples are spread evenly and weigh the same.
func choose(total, count int, known []drift.SampleKL) ([]int, map[int]float64) {
	if count >= total || len(known) != total {
		return Spread(total, count), nil
	}
	order := sizes(known)
	if order == nil {
		return Spread(total, count), nil
	}
	sum := 0.0
	for _, s := range order {
		sum += s.size
	}
	slices.SortStableFunc(order, func(a, b sized) int { return cmp.Compare(b.size, a.size) })
	weights := make(map[int]float64, count)
	for len(order) > 0 && order[0].size*float64(count-len(weights)) >= sum {
		weights[order[0].sample] = 1
		sum -= order[0].size
		order = order[1:]
	}
	step := sum / float64(count-len(weights))
	next, reached := step/2, 0.0
	for _, s := range order {
		if reached += s.size; reached > next {
			weights[s.sample] = step / s.size
			next += step
		}
	}
	return slices.Sorted(maps.Keys(weights)), weights
}

// sized is a sample with what it counts.
type sized struct {
	sample int
	size   float64
}

// sizes returns what samples count; nil where none has a KL, or one is no number.
func sizes(known []drift.SampleKL) []sized {
	kl, wide := 0.0, 0.0
	for _, s := range known {
		kl += max(0, s.KL) // rounding makes a KL of nothing a little less
		wide += max(0, s.Spread)
	}
	if !(kl > 0) || math.IsInf(kl, 0) || wide-wide != 0 {
		return nil
	}
	n := float64(len(known))
	list := make([]sized, len(known))
	for i, s := range known {
		list[i] = sized{s.Sample, floor + n*max(0, s.KL)/kl}
		if wide > 0 {
			list[i].size += spreadShare * n * max(0, s.Spread) / wide
		}
	}
	return list
}

// Samples returns on how many samples drift is measured.
func (b *Blamer) Samples() int { return b.recorded.Len() }

// Drift returns the drift of a model from the reference, as MainDrift, estimated for all samples; NaN where an output is
// not finite.
func (b *Blamer) Drift(ctx context.Context, p *infer.Program) (float64, error) {
	figures, err := b.recorded.Against(ctx, p, b.threads)
	if err != nil {
		return 0, err
	}
	if b.weights == nil {
		return MainDrift(figures), nil
	}
	for i := range figures {
		f := &figures[i]
		if !f.Kind.Classes() {
			continue
		}
		sum, total := 0.0, 0.0
		for _, s := range f.BySample {
			sum, total = sum+b.weights[s.Sample]*s.KL, total+b.weights[s.Sample]
		}
		f.KL = sum / total
	}
	return MainDrift(figures), nil
}

// MainDrift returns the drift that tensors are blamed for, and InNats says its unit: the largest mean KL of the class
// outputs, without such the largest noise power over signal power. NaN where one is not finite.
func MainDrift(figures []compare.Figures) float64 {
	nats, worst := InNats(figures), math.Inf(-1)
	for i := range figures {
		f := &figures[i]
		if f.Kind.Classes() == nats {
			worst = max(worst, f.Drift()) // NaN stays
		}
	}
	return worst
}

// InNats reports whether MainDrift is a KL.
func InNats(figures []compare.Figures) bool {
	return slices.ContainsFunc(figures, func(f compare.Figures) bool { return f.Kind != drift.Values })
}

// Suspect is a tensor with the drift that it causes alone, and what a remedy would leave of it.
type Suspect struct {
	Tensor string
	Alone  float64
	Remedy string // a flag of convert; "": none was tried
	Price  int64  // bytes
}

// Rank sorts suspects by falling drift, NaN first, of equals by name.
func Rank(list []Suspect) {
	slices.SortFunc(list, func(a, b Suspect) int {
		if a.Alone != b.Alone && (a.Alone == a.Alone || b.Alone == b.Alone) {
			if a.Alone > b.Alone || a.Alone != a.Alone {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Tensor, b.Tensor)
	})
}
