package verify

import (
	"math"

	"bq/internal/compare"
	"bq/internal/dataset"
)

// Report is the result of Run; its JSON is the result of `bq verify --json`.
type Report struct {
	Schema  string        `json:"schema"`
	A       Model         `json:"a"`
	B       Model         `json:"b"`
	Data    *dataset.Info `json:"data"`
	Size    any           `json:"size"` // of B's file, where the caller knows its parts
	Outputs []Output      `json:"outputs"`
	Limits  []LimitResult `json:"limits"`

	Baseline *BaselineResult `json:"baseline"` // nil: none was given
	Blame    []Blame         `json:"blame"`
	Forecast *RemedyForecast `json:"forecast"` // of the remedies of Blame; nil: there are none
	Verdict  string          `json:"verdict"`

	Figures []compare.Figures `json:"-"`
	Notes   []string          `json:"-"` // limits that the samples do not decide
	Gains   []Change          `json:"-"` // losses that fell by more than the tolerance of the baseline
}

// schemaName is the first field of a report; its number rises when a field changes or goes.
const schemaName = "bq.verify/1"

// Blame is a quantized tensor with the drift that it causes alone, and what would help. Models without class outputs
// have noise power over signal power in the place of nats.
type Blame struct {
	Tensor     string   `json:"tensor"`
	AloneNats  *float64 `json:"alone_nats"`
	AloneNoise *float64 `json:"alone_noise_power,omitempty"`
	Remedy     string   `json:"remedy"` // a flag of convert; "" where none was tried
	PriceBytes *int64   `json:"price_bytes"`
}

// Alone returns the drift in its unit, nil where it is not finite.
func (b Blame) Alone() *float64 {
	if b.AloneNats != nil {
		return b.AloneNats
	}
	return b.AloneNoise
}

// RemedyForecast says what all remedies together would do, in the unit of the tensors' blame.
type RemedyForecast struct {
	Was        float64  `json:"was"`
	About      float64  `json:"about"`
	Flags      []string `json:"flags"`
	PriceBytes int64    `json:"price_bytes"`
	Samples    int      `json:"samples"` // that the drift of single tensors was measured on
}

// Model describes a model file.
type Model struct {
	Path         string `json:"path"`
	SHA256       string `json:"sha256"`
	Bytes        int64  `json:"bytes"`
	Format       string `json:"format"` // onnx or bq
	Opset        int64  `json:"opset"`
	Nodes        int    `json:"nodes"`
	FloatWeights int64  `json:"float_weights"`
}

// Output is the drift of one output. Figures that do not exist are null; Why tells of those that should.
type Output struct {
	Name         string        `json:"name"`
	Kind         string        `json:"kind"`
	Rows         int           `json:"rows"`
	KLNats       *float64      `json:"kl_nats"`
	KLSE         *float64      `json:"kl_se"`
	KLP99        *float64      `json:"kl_p99"`
	KLMax        *float64      `json:"kl_max"`
	Agree        *float64      `json:"agree"`
	AgreeSE      *float64      `json:"agree_se"`
	Top1Float    *float64      `json:"top1_float"`
	Top1Quant    *float64      `json:"top1_quantized"`
	NLLFloat     *float64      `json:"nll_float"`
	NLLQuantized *float64      `json:"nll_quantized"`
	SQNR         *float64      `json:"sqnr_db"`
	MaxAbs       *float64      `json:"max_abs"`
	Worst        []WorstSample `json:"worst"`
	Why          string        `json:"why,omitempty"`
}

// WorstSample is one of the samples of largest mean KL.
type WorstSample struct {
	Sample string  `json:"sample"`
	KLNats float64 `json:"kl_nats"`
}

// LimitResult is what became of one limit.
type LimitResult struct {
	Metric string   `json:"metric"`
	Output string   `json:"output"`
	Limit  float64  `json:"limit"`
	Value  *float64 `json:"value"`
	SE     *float64 `json:"se"`
	Pass   bool     `json:"pass"`
}

// NewOutput writes figures as a record.
func NewOutput(f compare.Figures) Output {
	o := Output{Name: f.Name, Kind: f.Kind.String(), Rows: f.Rows, SQNR: number(f.SQNR), MaxAbs: number(f.MaxAbs), Worst: []WorstSample{}}
	switch {
	case f.NonFinite > 0:
		o.Why = "values are NaN or infinite"
	case math.IsInf(f.SQNR, 1):
		o.Why = "sqnr_db: the outputs are equal"
	case math.IsNaN(f.SQNR):
		o.Why = "sqnr_db: the reference is zero"
	}
	if !f.Kind.Classes() {
		return o
	}
	if o.Why == "" && f.Samples < 2 {
		o.Why = "kl_se, agree_se: one sample has no standard error"
	}
	o.KLNats, o.KLSE, o.KLP99, o.KLMax = number(f.KL), number(f.KLSE), number(f.KLP99), number(f.KLMax)
	o.Agree, o.AgreeSE = number(f.Agree), number(f.AgreeSE)
	if f.Labelled > 0 {
		o.Top1Float, o.Top1Quant = number(f.Top1Ref), number(f.Top1Got)
		o.NLLFloat, o.NLLQuantized = number(f.NLLRef), number(f.NLLGot)
	}
	for i, w := range f.Worst {
		if w.KL > 0 {
			o.Worst = append(o.Worst, WorstSample{f.WorstNames[i], w.KL})
		}
	}
	return o
}

// number returns nil for what JSON can't hold.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
