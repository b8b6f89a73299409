package convert

import "errors"

// CurvePoint is a size and the drift that is forecast there.
type CurvePoint struct {
	BPW   float64
	Bytes int64
	Drift *float64
}

// curveRates are the rates of a curve (cli.md, plan).
var curveRates = []float64{1.5, 2, 3, 4, 6, 8}

// Curve forecasts sizes and drift at 1.5, 2, 3, 4, 6 and 8 bits a weight, without those that are out of reach. With samples each size
// is forecast by what one pass over them showed, and the drift of all is scaled so that the curve goes through the conversion that
// was made last: layers that make up for each other are not in a table.
func (p *Planner) Curve(o Options) ([]CurvePoint, error) {
	scale, err := p.scale(o)
	if err != nil {
		return nil, err
	}
	var list []CurvePoint
	for _, rate := range curveRates {
		o.Budget = Budget{BudgetBPW, rate}
		f, err := p.byTable(o)
		if reach := (*ReachError)(nil); errors.As(err, &reach) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.Drift != nil {
			*f.Drift *= scale
		}
		list = append(list, CurvePoint{f.BitsPerWeight(), f.Bytes, f.Drift})
	}
	return list, nil
}

// scale returns the drift of the conversion that was made over what the table forecasts for it; 1 without samples, and where one of
// them is nothing.
func (p *Planner) scale(o Options) (float64, error) {
	if o.Samples == nil || p.made == nil {
		return 1, nil
	}
	if p.judge == nil {
		if err := p.survey(p.how, 0, true); err != nil {
			return 0, err
		}
		for i := range p.table.Weights {
			if a, ok := p.heard[p.table.Weights[i].Name]; ok {
				p.table.Weights[i].Sensitivity = &a.sensitivity
			}
		}
	}
	if o.Budget.Kind == BudgetDrift { // at the rate that was found
		o.Budget = Budget{BudgetBPW, p.made.BitsPerWeight()}
	}
	f, err := p.byTable(o)
	if err != nil || f.Drift == nil || p.made.Drift == nil || *f.Drift <= 0 || *p.made.Drift <= 0 {
		return 1, err
	}
	return *p.made.Drift / *f.Drift, nil
}
