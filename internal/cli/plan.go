package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/dataset"
	"bq/verify"
)

func (s *session) planCommand() *urfave.Command {
	flags := []urfave.Flag{&urfave.BoolFlag{Name: "curve", Usage: "size and drift at 1.5, 2, 3, 4, 6 and 8 bits a weight too", DisableDefaultText: true}}
	for _, f := range s.convertCommand().Flags {
		if _, own := planFlags[f.Names()[0]]; own {
			flags = append(flags, f)
		}
	}
	return s.command(urfave.Command{
		Name: "plan", Usage: "forecast size and drift of a conversion, write no model", ArgsUsage: "MODEL.onnx [convert's flags] [--curve] [-o bq.yaml]",
		Description: "bq plan model.onnx --bits 4\nbq plan model.onnx --max-drift 0.02 --data samples.npz\nbq plan model.onnx --calib model.calib --curve",
		Flags:       append(flags, dataFlags()...),
	}, "the bits that are planned, as a configuration for convert -c", true, s.plan)
}

// planFlags are the flags of convert that plan has too.
var planFlags = map[string]bool{"bits": true, "bpw": true, "max-size": true, "max-drift": true, "method": true, "codec": true, "group": true,
	"act-bits": true, "keep": true, "bits-of": true, "calib": true, "strict": true}

// planRecord is the JSON result of plan.
type planRecord struct {
	Schema string         `json:"schema"`
	Input  verify.Model   `json:"input"`
	Data   *dataset.Info  `json:"data"`
	Budget budgetRecord   `json:"budget"`
	Size   sizeRecord     `json:"size"`
	Tensor []tensorRecord `json:"tensors"`
	Drift  *float64       `json:"drift_forecast_nats"`
	Memory *int64         `json:"peak_memory_bytes"`
	Time   *float64       `json:"time_forecast_s"`
	Curve  []curveRecord  `json:"curve"`
	Why    string         `json:"why"`
}

type curveRecord struct {
	BPW   float64  `json:"bpw"`
	Bytes int64    `json:"file_bytes"`
	Drift *float64 `json:"drift_nats"`
}

func (s *session) plan(c *urfave.Context) error {
	if err := exactly(c, "one model"); err != nil {
		return err
	}
	o, t, err := s.conversion(c, "add --data PATH, or --calib FILE")
	if err != nil {
		return err
	}
	in, err := s.openModel(c.Args().First())
	if err != nil {
		return err
	}
	defer in.close()
	out, err := s.planTarget(c, in)
	if err != nil {
		return err
	}
	if o.Samples, o.OutputKinds, err = s.samples(c, in.file.Model, calibrationSamples); err != nil {
		return err
	}
	progress := s.newProgress()
	defer progress.stop()
	o.Progress = progress.update
	f, curve, err := s.forecast(in, o, c.Bool("curve"))
	progress.stop()
	if err != nil {
		return t.explain(planError(in, err), in)
	}
	if out != nil {
		if err := out.writeBytes(s.planConfig(in, c, f)); err != nil {
			return err
		}
	}
	return s.reportPlan(in, &o, f, curve)
}

// forecast makes the plan, and the curve where it is wanted.
func (s *session) forecast(in *input, o convert.Options, curve bool) (*convert.Forecast, []convert.CurvePoint, error) {
	p, err := convert.NewPlanner(s.ctx, in.file, o)
	if err != nil {
		return nil, nil, err
	}
	f, err := p.Forecast(o)
	if err != nil || !curve {
		return f, nil, err
	}
	points, err := p.Curve(o)
	return f, points, err
}

// planError is convertError in the words of plan.
func planError(in *input, err error) error {
	var reach *convert.ReachError
	if errors.As(err, &reach) {
		return fmt.Errorf("planning %s: %w", in.name, err)
	}
	return convertError(in, err)
}

// planTarget decides where the configuration goes; nil means nowhere.
func (s *session) planTarget(c *urfave.Context, in *input) (*target, error) {
	if !c.IsSet("output") {
		return nil, nil
	}
	if in.spooled {
		return nil, usagef("reading --output: a model from stdin or a pipe cannot stand in a configuration")
	}
	ours := func(path string) bool { return startsWith(path, planHead) }
	return s.outTarget(c, &target{ours: ours, avoid: append(in.paths(), c.String("data"), c.String("calib"))})
}

// reportPlan prints the plan: text, or JSON.
func (s *session) reportPlan(in *input, o *convert.Options, f *convert.Forecast, curve []convert.CurvePoint) error {
	for _, w := range f.Result.Warnings {
		s.warn("%s", w)
	}
	if s.json {
		return s.planJSON(in, o, f, curve)
	}
	s.planTable(f)
	drift := "unknown without --data"
	if f.Drift != nil {
		drift = fmt.Sprintf("%.4g", *f.Drift)
	}
	s.printf("%s\n", coverageLine(f.Result.Tensors))
	s.printf("forecast: %s bytes, %.2f bits/weight, drift %s\n", thousands(f.Bytes), f.BitsPerWeight(), drift)
	for _, p := range curve {
		s.printf("  %5.2f bits/weight  %s bytes  drift %s\n", p.BPW, thousands(p.Bytes), figure(p.Drift, "%.4g"))
	}
	return nil
}

// planTable prints a line for each tensor that is quantized.
func (s *session) planTable(f *convert.Forecast) {
	if s.quiet {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tensor\top\tshape\tbits\tbits/weight\tbytes\tSQNR\talone")
	for _, t := range f.Result.Tensors {
		if !t.Quantized() {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%.2f\t%s\t%s\t%s\n", cell(t.Name), cell(t.Op), shapeText(t.Shape), t.Bits, t.BitsPerWeight(), thousands(t.Bytes),
			sqnrCell(t), figure(f.Alone[t.Name], "%.3g"))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}

func (s *session) planJSON(in *input, o *convert.Options, f *convert.Forecast, curve []convert.CurvePoint) error {
	size := sizeRecord{FileBytes: f.Bytes, CodesBytes: f.Codes, ScalesBytes: f.Scales, KeptBytes: f.Kept, GraphBytes: f.Graph, ContainerBytes: f.Container, BPW: round(f.BitsPerWeight(), 4)}
	rec := planRecord{Schema: "bq.plan/1", Input: in.record(), Budget: newBudgetRecord(o, size, f.Result), Size: size, Tensor: []tensorRecord{}, Drift: f.Drift,
		Curve: []curveRecord{}, Why: "peak_memory_bytes, time_forecast_s: not forecast"}
	if f.Drift == nil {
		rec.Why = "drift_forecast_nats: no data to measure it on; " + rec.Why
	} else if o.Budget.Kind == convert.BudgetDrift {
		rec.Budget.Reached = *f.Drift
	}
	switch {
	case o.Samples != nil:
		data, err := o.Samples.Describe()
		if err != nil {
			return err
		}
		rec.Data = &data
	case o.Table != nil:
		rec.Data = tableInfo(o.Table)
	}
	for _, t := range f.Result.Tensors {
		r := newTensorRecord(t)
		if a := f.Alone[t.Name]; a != nil {
			r.AloneNats, r.Why = a, ""
		}
		rec.Tensor = append(rec.Tensor, r)
	}
	for _, p := range curve {
		rec.Curve = append(rec.Curve, curveRecord{round(p.BPW, 4), p.Bytes, p.Drift})
	}
	return s.printJSON(rec)
}

// planHead is how a configuration that plan wrote begins.
const planHead = "# a plan of bq\n"

// planConfig is the configuration whose `convert -c` makes what was planned.
func (s *session) planConfig(in *input, c *urfave.Context, f *convert.Forecast) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%sversion: 1\nmodel: %s\n", planHead, yamlText(in.name))
	if v := c.String("data"); v != "" {
		fmt.Fprintf(&b, "data: %s\n", yamlText(v))
	}
	b.WriteString("convert:\n")
	if !anySet(c, "bits", "bpw", "max-size", "max-drift") {
		fmt.Fprintf(&b, "  bits: %s\n", c.String("bits"))
	}
	for _, name := range []string{"bits", "bpw", "max-size", "max-drift", "method", "codec", "group", "act-bits", "calib", "samples", "synthetic", "seed"} {
		switch {
		case !c.IsSet(name):
		case name == "max-drift": // as it was found
			fmt.Fprintf(&b, "  bpw: %v\n", math.Ceil(f.BitsPerWeight()*1e3)/1e3)
		default:
			fmt.Fprintf(&b, "  %s: %s\n", name, yamlText(c.String(name)))
		}
	}
	for _, name := range []string{"keep", "bits-of", "image", "output-kind"} {
		if list := c.StringSlice(name); c.IsSet(name) && len(list) > 0 {
			fmt.Fprintf(&b, "  %s:\n", name)
			for _, v := range list {
				fmt.Fprintf(&b, "    - %s\n", yamlText(v))
			}
		}
	}
	if c.Bool("strict") {
		b.WriteString("  strict: true\n")
	}
	b.WriteString(s.expert.yaml())
	return []byte(b.String())
}

func anySet(c *urfave.Context, names ...string) bool {
	for _, n := range names {
		if c.IsSet(n) {
			return true
		}
	}
	return false
}

// yamlText writes a value as a string of YAML in double quotes.
func yamlText(v string) string {
	b, err := encodeJSON(v) // every string of JSON is one of YAML
	if err != nil {
		return `""`
	}
	return strings.TrimSpace(string(b))
}
