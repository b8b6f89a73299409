package convert

import (
	"bytes"
	"context"
	"errors"
	"math"

	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
	"bq/packing"
)

// Forecast says what a conversion would make of a model.
type Forecast struct {
	Result                                *Result
	Codes, Scales, Kept, Graph, Container int64               // bytes of the file; see packing.File.Sizes
	Bytes                                 int64               // of the whole file
	Alone                                 map[string]*float64 // drift that each quantized weight causes alone, by name; see Planner.Alone
	Drift                                 *float64            // of all together: on samples that take no part, by a table the sum; nil without data
	Taken, Given                          int                 // samples that the conversion was made with, and that it will have; 0 where none was made
	MoreBytes                             int64               // of memory that the samples left out will take
}

// BitsPerWeight returns the rate of the file as a budget counts it.
func (f *Forecast) BitsPerWeight() float64 {
	n := int64(0)
	for _, t := range f.Result.Tensors {
		if t.Reason != Coded {
			n += int64(t.Elements)
		}
	}
	return 8 * float64(f.Codes+f.Scales+f.Kept) / float64(max(1, n))
}

// Planner forecasts conversions of one model. What it knows of the samples is measured once.
type Planner struct {
	ctx    context.Context
	src    *onnxio.File
	table  *Table            // nil without data
	judge  *judge            // nil without samples
	curves map[string]*curve // of the weights whose drift was measured
	heard  map[string]alone  // what the weights do alone at their reference steps
	most   float64           // work of a rehearsal; see mostProducts
	made   *Forecast         // of the conversion that was made last, and its options
	how    Options
}

// alone is what a weight does to the outputs alone: by which bits are allocated, and the drift of the worst output.
type alone struct{ sensitivity, drift float64 }

// judge measures drift on the samples that take no part.
type judge struct {
	float   *infer.Program
	outputs []compare.Output
	set     *dataset.Set
	samples []int
	threads int
}

// NewPlanner makes a planner; of o only the table counts.
func NewPlanner(ctx context.Context, src *onnxio.File, o Options) (*Planner, error) {
	p := &Planner{ctx: ctx, src: src, table: o.Table, most: mostProducts, curves: map[string]*curve{}, heard: map[string]alone{}}
	if o.Table == nil {
		return p, nil
	}
	return p, p.read(o)
}

// Forecast says what a conversion with the flags of o would make. With samples it makes the conversion, in memory; where that would
// take long, with fewer samples. Without samples it does what the conversion does, by the table where o has one.
func (p *Planner) Forecast(o Options) (*Forecast, error) {
	o.Record = false
	switch {
	case o.Samples != nil:
		return p.rehearse(o)
	}
	f, err := p.byTable(o)
	if errors.Is(err, ErrTableDrift) { // no conversion by that budget stands in the table
		return p.byDrift(o)
	}
	return f, err
}

// ErrTableAlone says that a table cannot tell what a conversion would do to the outputs.
var ErrTableAlone = errors.New("searching by drift: the table does not say what weights do alone")

// byTable forecasts a conversion by the table alone: the drift is that of the conversion which the table repeats, where it does, else
// the sum of what weights do alone.
func (p *Planner) byTable(o Options) (*Forecast, error) {
	o.Samples, o.Table = nil, p.table
	f, file, err := p.make(o)
	if err != nil || p.table == nil {
		return f, err
	}
	p.sumUp(f)
	switch {
	case p.judge != nil:
		f.Drift, err = p.judge.drift(p.ctx, file)
	case len(f.Result.Drift) > 0:
		f.worst()
	}
	return f, err
}

// worst takes the drift of the worst output as that of the forecast, nil where it is not finite.
func (f *Forecast) worst() {
	f.Drift = nil
	if worst := compare.Worst(f.Result.Drift); worst-worst == 0 {
		f.Drift = &worst
	}
}

// sumUp fills in what each weight does alone, by its curve, and the sum as the drift; nil where a weight that its codes change has no
// curve.
func (p *Planner) sumUp(f *Forecast) {
	sum, known := 0.0, true
	for _, t := range f.Result.Tensors {
		if !t.Quantized() {
			continue
		}
		noise, drift := -t.SQNR*math.Log2(10)/10, 0.0
		noisy := noise-noise == 0
		k := p.curves[t.Name]
		if k == nil {
			known = known && !noisy
			continue
		}
		if noisy {
			drift = k.at(noise)
		}
		f.Alone[t.Name] = &drift
		sum += drift
	}
	f.Drift = nil
	if known {
		f.Drift = &sum
	}
}

// make makes a conversion in memory.
func (p *Planner) make(o Options) (*Forecast, *packing.File, error) {
	var out bytes.Buffer
	r, err := Convert(p.ctx, p.src, &out, o)
	if err != nil {
		return nil, nil, err
	}
	file, err := packing.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		return nil, nil, err
	}
	f := &Forecast{Result: r, Bytes: int64(out.Len()), Alone: map[string]*float64{}}
	f.Codes, f.Scales, f.Kept, f.Graph, f.Container = file.Sizes()
	return f, file, nil
}

// drift returns the drift of the worst output of a container, nil where one is not finite.
func (j *judge) drift(ctx context.Context, file *packing.File) (*float64, error) {
	m, err := Runnable(file)
	if err != nil {
		return nil, err
	}
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return nil, err
	}
	figures, err := (&compare.Pair{A: j.float, B: p, Outputs: j.outputs}).Run(ctx, j.set, j.samples, j.threads, nil)
	worst := compare.Worst(figures)
	if worst-worst != 0 {
		return nil, err
	}
	return &worst, err
}

// The search for the smallest file whose forecast drift stays within a budget: rates between which it lies, and the rounds.
const (
	leastPlanRate = 1.0
	mostPlanRate  = 12.0
	planRounds    = 8
)

// byDrift returns the forecast of the smallest file whose drift stays within the budget.
func (p *Planner) byDrift(o Options) (*Forecast, error) {
	limit := o.Budget.Value
	low, high := math.Log2(leastPlanRate), math.Log2(mostPlanRate)
	var best *Forecast
	least := math.Inf(1)
	for range planRounds {
		mid := (low + high) / 2
		o.Budget = Budget{BudgetBPW, math.Exp2(mid)}
		f, err := p.byTable(o)
		if reach := (*ReachError)(nil); errors.As(err, &reach) {
			low = mid
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.Drift != nil {
			least = min(least, *f.Drift)
		}
		if f.Drift != nil && *f.Drift <= limit {
			best, high = f, mid
		} else {
			low = mid
		}
	}
	if best == nil && math.IsInf(least, 1) {
		return nil, ErrTableAlone
	}
	if best == nil {
		return nil, &ReachError{Budget{BudgetDrift, limit}, least}
	}
	return best, nil
}
