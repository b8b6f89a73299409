package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

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
		Name: "plan", Usage: "forecast size, drift, memory and time of a conversion, write no model", ArgsUsage: "MODEL.onnx [convert's flags] [--curve] [-o bq.yaml]",
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
	How    string         `json:"how"`
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
	start := time.Now()
	o, t, err := s.conversion(c, "add --data PATH, or --calib FILE")
	if err != nil {
		return err
	}
	in, err := s.openModel(c.Args().First())
	if err != nil {
		return err
	}
	defer in.close()
	write, err := s.planTarget(c, in)
	if err != nil {
		return err
	}
	if o.Samples, o.OutputKinds, err = s.samples(c, in.file.Model, calibrationSamples); err != nil {
		return err
	}
	s.warnOfOptions(&o)
	progress := s.newProgress()
	defer progress.stop()
	o.Progress = progress.update
	p, err := s.forecast(in, o, start, c.Bool("curve"))
	progress.stop()
	if err != nil {
		return t.explain(planError(in, err), in)
	}
	if err := write(s.planConfig(in, c, p.Forecast)); err != nil {
		return err
	}
	return s.reportPlan(in, &o, p)
}

// planned is a plan with all that is told of it.
type planned struct {
	*convert.Forecast
	curve  []convert.CurvePoint
	time   float64 // seconds that the conversion will take
	memory *int64  // bytes that it will hold at most; nil where the system does not tell
}

// forecast makes the plan, and the curve where it is wanted. As long as nothing but the conversion was done, what the process has
// taken of time, since start, and of memory is what the conversion will take, but for samples that did not take part.
func (s *session) forecast(in *input, o convert.Options, start time.Time, curve bool) (*planned, error) {
	p, err := convert.NewPlanner(s.ctx, in.file, o)
	if err != nil {
		return nil, err
	}
	f, err := p.Forecast(o)
	if err != nil {
		return nil, err
	}
	r := &planned{Forecast: f, time: time.Since(start).Seconds()}
	if f.Taken > 0 {
		r.time *= float64(f.Given) / float64(f.Taken)
	}
	if peak, ok := peakMemory(); ok {
		r.memory = new(peak + f.MoreBytes)
	}
	if err := p.Alone(f, o); err != nil || !curve {
		return r, err
	}
	r.curve, err = p.Curve(o)
	return r, err
}

// how says what a forecast rests on.
func (p *planned) how(o *convert.Options) string {
	switch {
	case p.Taken == 0 && o.Table != nil && len(p.Result.Drift) > 0:
		return "made in memory as the table repeats it: bytes and drift are the conversion's own"
	case p.Taken == 0 && o.Table != nil && p.Drift == nil:
		return "made in memory by the table, which does not say what the weights do alone"
	case p.Taken == 0 && o.Table != nil:
		return "made in memory by the table; the drift is the sum of what the weights do alone, which may be off by a factor of 2"
	case p.Taken == 0:
		return "made in memory"
	case p.Taken < p.Given:
		return fmt.Sprintf("made in memory on %d of %d samples, as all would take long: drift may be off by a factor of 3", p.Taken, p.Given)
	}
	return "made in memory: bytes and drift are the conversion's own"
}

// planError is convertError in the words of plan.
func planError(in *input, err error) error {
	var reach *convert.ReachError
	if errors.As(err, &reach) {
		return reachError(fmt.Errorf("planning %s: %w", in.name, err), reach)
	}
	return convertError(in, err)
}

// planTarget returns what writes the configuration: nothing without --output.
func (s *session) planTarget(c *urfave.Context, in *input) (write func(content []byte) error, err error) {
	if !c.IsSet("output") {
		return func([]byte) error { return nil }, nil
	}
	if in.spooled {
		return nil, usagef("reading --output: a model from stdin or a pipe cannot stand in a configuration")
	}
	ours := func(path string) bool { return startsWith(path, planHead) }
	t, err := s.outTarget(c, &target{ours: ours, avoid: append(in.paths(), c.String("data"), c.String("calib"))})
	if err != nil {
		return nil, err
	}
	if t != nil {
		return t.writeBytes, nil
	}
	return func(content []byte) error { // it is text: a terminal may show it
		_, err := s.stdout.Write(content)
		return err
	}, nil
}

// reportPlan prints the plan: text, or JSON.
func (s *session) reportPlan(in *input, o *convert.Options, p *planned) error {
	for _, w := range p.Result.Warnings {
		s.warn("%s", w)
	}
	if s.json {
		return s.planJSON(in, o, p)
	}
	s.planTable(p.Forecast)
	drift := "unknown without --data"
	switch {
	case p.Drift == nil && o.Samples != nil:
		drift = "not finite"
	case p.Drift != nil:
		drift = fmt.Sprintf("%.4g", *p.Drift)
		if inNats(p.Forecast) {
			drift += " nats"
		}
	}
	memory := ""
	if p.memory != nil {
		memory = fmt.Sprintf("peak memory %.0f MB, ", float64(*p.memory)/1e6)
	}
	s.printf("%s\n", coverageLine(p.Result.Tensors))
	s.printf("forecast: %s bytes, %.2f bits/weight, drift %s; %sabout %s on %s\n", thousands(p.Bytes), p.BitsPerWeight(), drift, memory, secondsText(p.time), plural(s.threads, "thread"))
	s.printf("  %s\n", p.how(o))
	for _, v := range p.curve {
		s.printf("  %5.2f bits/weight  %s bytes  drift %s\n", v.BPW, thousands(v.Bytes), figure(v.Drift, "%.4g"))
	}
	if len(p.curve) > 0 && p.Taken > 0 {
		s.printf("  the curve is of one pass, scaled to go through the forecast: off by up to a factor of 2 far from it\n")
	}
	return nil
}

// inNats reports whether the drift of a forecast is a KL.
func inNats(f *convert.Forecast) bool {
	return len(f.Result.Drift) > 0 && verify.InNats(f.Result.Drift)
}

// secondsText writes a time as a person would say it.
func secondsText(seconds float64) string {
	switch {
	case seconds < 1:
		return "1 s"
	case seconds < 90:
		return fmt.Sprintf("%.0f s", seconds)
	}
	return fmt.Sprintf("%.0f min", seconds/60)
}

// planTable prints a line for each tensor that is quantized.
func (s *session) planTable(f *convert.Forecast) {
	if s.quiet {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	unit := ""
	if inNats(f) {
		unit = ", nats"
	}
	fmt.Fprintln(w, "tensor\top\tshape\tbits\tbits/weight\tbytes\tSQNR\talone"+unit)
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

func (s *session) planJSON(in *input, o *convert.Options, p *planned) error {
	f := p.Forecast
	size := sizeRecord{FileBytes: f.Bytes, CodesBytes: f.Codes, ScalesBytes: f.Scales, KeptBytes: f.Kept, GraphBytes: f.Graph, ContainerBytes: f.Container, BPW: round(f.BitsPerWeight(), 4)}
	rec := planRecord{Schema: "bq.plan/1", Input: in.record(), Budget: newBudgetRecord(o, size, f.Result), Size: size, Tensor: []tensorRecord{}, Drift: f.Drift,
		Memory: p.memory, Time: new(round(p.time, 2)), Curve: []curveRecord{}, How: p.how(o)}
	var why []string
	switch {
	case f.Drift != nil && o.Budget.Kind == convert.BudgetDrift:
		rec.Budget.Reached = *f.Drift
	case f.Drift == nil && o.Samples == nil && o.Table == nil:
		why = append(why, "drift_forecast_nats: no data to measure it on")
	case f.Drift == nil && o.Samples == nil && len(f.Result.Drift) == 0:
		why = append(why, "drift_forecast_nats: the table does not say what the weights do alone")
	case f.Drift == nil:
		why = append(why, "drift_forecast_nats: that of an output is not finite")
	}
	if p.memory == nil {
		why = append(why, "peak_memory_bytes: the system does not tell")
	}
	rec.Why = strings.Join(why, "; ")
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
	for _, p := range p.curve {
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
		case name == "max-drift" && c.IsSet("calib") && len(f.Result.Drift) == 0: // as it was found: a conversion by a table does not measure drift
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
