package compare

import (
	"context"
	"errors"

	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
)

// Recorded is what a reference made of a few samples, kept so that many models can be compared with it: neither the
// reference runs again nor are the samples read again.
type Recorded struct {
	outputs []Output
	carry   map[string]string
	steps   []outcome // without b; in the order of the samples
	places  []int     // of the samples in their set
}

// RecordBytes is the usual bound for the samples and outputs that a Recorded keeps.
const RecordBytes = 512 << 20

// errFull ends a recording that has taken enough.
var errFull = errors.New("enough samples")

// Record runs p on the given samples of set, in order, and keeps them with p's outputs: all of them, or the first ones, as many as fit
// into limit bytes, at least one. Where the data carry state, the samples must be the first ones of the set.
func Record(ctx context.Context, p *infer.Program, outputs []Output, set *dataset.Set, samples []int, limit, threads int) (*Recorded, error) {
	r := &Recorded{outputs: outputs, carry: set.Carry()}
	bytes := 0
	err := Execute(ctx, p, set, samples, threads, func(k int, s *dataset.Sample, got map[string]*onnxio.Array) error {
		for _, v := range s.Feeds {
			bytes += sizeOf(v)
		}
		for _, v := range got {
			bytes += sizeOf(v)
		}
		if bytes > limit && len(r.steps) > 0 {
			return errFull
		}
		r.steps, r.places = append(r.steps, outcome{sample: s, a: got}), append(r.places, samples[k])
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, err
	}
	return r, nil
}

// sizeOf returns about how many bytes an array takes; of text it counts elements.
func sizeOf(a *onnxio.Array) int {
	return a.Len() * max(1, min(a.Type.Bits(), 64)/8, 4)
}

// Len returns how many samples were kept.
func (r *Recorded) Len() int { return len(r.steps) }

// Against runs b on the samples and returns its drift from the reference, output by output.
func (r *Recorded) Against(ctx context.Context, b *infer.Program, threads int) ([]Figures, error) {
	pair := &Pair{Outputs: r.outputs}
	meters := make([]*drift.Meter, len(r.outputs))
	for i, o := range r.outputs {
		meters[i] = drift.NewMeter(o.Kind)
	}
	if len(r.carry) > 0 {
		threads = 1 // the state of each sample is fed to the next
	}
	var st state
	err := parallel.InOrder(ctx, threads, len(r.steps), func(k int) (map[string]*onnxio.Array, error) {
		s := r.steps[k].sample
		if len(r.carry) == 0 {
			return run(b, s, s.Feeds)
		}
		got, err := run(b, s, st.feeds(s, r.carry))
		st = got
		return got, err
	}, func(k int, got map[string]*onnxio.Array) error {
		return pair.measure(meters, r.places[k], outcome{r.steps[k].sample, r.steps[k].a, got})
	})
	if err != nil {
		return nil, err
	}
	list := make([]Figures, len(meters))
	for i, m := range meters {
		list[i] = Figures{Figures: m.Figures(), Name: r.outputs[i].Name, Axis: r.outputs[i].Axis}
		for _, w := range list[i].Worst {
			for k, place := range r.places {
				if place == w.Sample {
					list[i].WorstNames = append(list[i].WorstNames, r.steps[k].sample.Name)
				}
			}
		}
	}
	return list, nil
}
