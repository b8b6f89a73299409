package convert

import (
	"math"

	"bq/internal/compare"
	"bq/internal/drift"
)

// TableDrift is the drift of an output on the held-out samples, as compare.Figures has it. Figures that are not finite are null.
type TableDrift struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Axis     int      `json:"axis"`
	Samples  int      `json:"samples"`
	Rows     int      `json:"rows"`
	KL       *float64 `json:"kl_nats"`
	KLSE     *float64 `json:"kl_se"`
	KLP99    *float64 `json:"kl_p99"`
	KLMax    *float64 `json:"kl_max"`
	Agree    *float64 `json:"agree"`
	AgreeSE  *float64 `json:"agree_se"`
	Labelled int      `json:"labelled"`
	Top1Ref  *float64 `json:"top1_float"`
	Top1Got  *float64 `json:"top1_quantized"`
	Top1SE   *float64 `json:"top1_drop_se"`
	NLLRef   *float64 `json:"nll_float"`
	NLLGot   *float64 `json:"nll_quantized"`
	Equal    bool     `json:"equal"` // SQNR is infinite
	SQNR     *float64 `json:"sqnr_db"`
	MaxAbs   *float64 `json:"max_abs"`
	Cosine   *float64 `json:"cosine"`
}

// figures pairs the figures of f with their places in d.
func (d *TableDrift) figures(f *compare.Figures) map[*float64]**float64 {
	return map[*float64]**float64{
		&f.KL: &d.KL, &f.KLSE: &d.KLSE, &f.KLP99: &d.KLP99, &f.KLMax: &d.KLMax, &f.Agree: &d.Agree, &f.AgreeSE: &d.AgreeSE,
		&f.Top1Ref: &d.Top1Ref, &f.Top1Got: &d.Top1Got, &f.Top1DropSE: &d.Top1SE, &f.NLLRef: &d.NLLRef, &f.NLLGot: &d.NLLGot,
		&f.SQNR: &d.SQNR, &f.MaxAbs: &d.MaxAbs, &f.Cosine: &d.Cosine,
	}
}

// newTableDrift writes the figures of an output down, without those of single samples.
func newTableDrift(f compare.Figures) TableDrift {
	d := TableDrift{Name: f.Name, Kind: f.Kind.String(), Axis: f.Axis, Samples: f.Samples, Rows: f.Rows, Labelled: f.Labelled, Equal: math.IsInf(f.SQNR, 1)}
	for from, to := range d.figures(&f) {
		if v := *from; v-v == 0 {
			*to = &v
		}
	}
	return d
}

// restored returns the figures that d was made from; those that are null are NaN.
func (d TableDrift) restored() (compare.Figures, error) {
	f := compare.Figures{Name: d.Name, Axis: d.Axis}
	kind, err := drift.ParseKind(d.Kind)
	if err != nil {
		return f, tableErrorf("drift of %q: %v", d.Name, err)
	}
	f.Kind, f.Samples, f.Rows, f.Labelled = kind, d.Samples, d.Rows, d.Labelled
	for to, from := range d.figures(&f) {
		if *to = math.NaN(); *from != nil {
			*to = **from
		}
	}
	if d.Equal {
		f.SQNR = math.Inf(1)
	}
	return f, nil
}
