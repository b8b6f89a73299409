package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/verify"
)

// convertRecord is the JSON result of convert.
type convertRecord struct {
	Schema      string             `json:"schema"`
	Tool        string             `json:"tool"`
	Input       verify.Model       `json:"input"`
	Output      verify.Model       `json:"output"`
	Data        *dataset.Info      `json:"data"`
	Budget      budgetRecord       `json:"budget"`
	Size        sizeRecord         `json:"size"`
	Tensors     []tensorRecord     `json:"tensors"`
	Activations []activationRecord `json:"activations,omitempty"`
	Spared      []sparedRecord     `json:"spared,omitempty"`
	Outputs     []verify.Output    `json:"outputs"`
	Drift       *float64           `json:"drift"` // of the worst output on the held-out samples
	CalibSHA256 *string            `json:"calib_sha256"`
	Warnings    []string           `json:"warnings"`
	Why         string             `json:"why"`
}

type budgetRecord struct {
	Kind    string  `json:"kind"`
	Asked   float64 `json:"asked"`
	Reached float64 `json:"reached"`
}

// newBudgetRecord says what was asked of a conversion, and what came of it.
func newBudgetRecord(o *convert.Options, size sizeRecord, r *convert.Result) budgetRecord {
	b := budgetRecord{Kind: o.Budget.Kind.String(), Asked: o.Budget.Value}
	switch o.Budget.Kind {
	case convert.BudgetBPW:
		b.Reached = size.BPW
	case convert.BudgetSize:
		b.Reached = float64(size.FileBytes)
	case convert.BudgetDrift:
		b.Reached = compare.Worst(r.Drift)
	default:
		b.Asked, b.Reached = float64(o.Bits), float64(o.Bits)
	}
	return b
}

type activationRecord struct {
	Name  string  `json:"name"`
	Bits  int     `json:"bits"`
	Min   float32 `json:"min"`
	Max   float32 `json:"max"`
	Scale float32 `json:"scale"`
	Zero  uint8   `json:"zero_point"`
}

// sparedRecord is a value that stays float among coded ones.
type sparedRecord struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // of what the values cost, each coded alone
}

// reportConvert prints the result of a conversion: text, or JSON.
func (s *session) reportConvert(in *input, out *written, r *convert.Result, o *convert.Options, t *convertTables) error {
	for _, n := range r.Notes {
		s.note("%s", n)
	}
	for _, w := range r.Warnings {
		s.warn("%s", w)
	}
	if s.json {
		return s.convertJSON(in, out, r, o, t)
	}
	s.tensorTable(r.Tensors)
	source := in.bytes()
	s.printf("%s  %s bytes, %.2f bits/weight, %.1f times smaller than %s (%s)\n", out.path, thousands(out.size.FileBytes), out.size.BPW,
		float64(source)/float64(out.size.FileBytes), in.name, thousands(source))
	s.sizeLine(out.size)
	s.printf("  %s\n", coverageLine(r.Tensors))
	if len(r.Activations) > 0 {
		s.printf("  %s of %d bits%s\n", plural(len(r.Activations), "activation"), o.ActBits, rangesText(r))
	}
	if len(r.Spared) > 0 {
		s.printf("  float: %s, by the part of the noise that each would cause; operators beside them compute in float\n", sparedText(r.Spared))
	}
	if o.Samples == nil && o.Table == nil && r.Corrected > 0 {
		s.printf("  corrected %s by what BatchNormalization says of the data\n", plural(r.Corrected, "bias vector"))
	}
	if kind := t.kind(o); kind != "" {
		left := ""
		if r.Uncorrected > 0 {
			left = fmt.Sprintf("; none, or none that pays, at %s of quantized weights", plural(r.Uncorrected, "node"))
		}
		if text := fittedText(r, sampleNoun(kind)); text != "" {
			s.printf("  %s\n", text)
		}
		if o.KeepBiases {
			s.printf("  biases stay as they are\n")
		} else {
			s.printf("  corrected %s on %s%s\n", plural(r.Corrected, "bias vector"), plural(r.Calibration, sampleNoun(kind)), left)
		}
		s.driftLines(r, sampleNoun(kind))
	}
	if t.save != nil {
		s.printf("  %s repeats this conversion: bq convert --calib\n", t.save.path)
	}
	s.printf("  next: bq verify %s %s %s\n", shellQuote(in.name), shellQuote(out.path), out.data)
	return nil
}

// sparedText lists values that stay float.
func sparedText(list []convert.Spared) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprintf("%s %.0f %%", escape(v.Name), 100*v.Share)
	}
	return strings.Join(parts, ", ")
}

// rangesText says by which rule ranges were chosen.
func rangesText(r *convert.Result) string {
	if r.Ranges == "" {
		return ""
	}
	return ", ranges by " + r.Ranges
}

// fittedText says how the codes of layers were fitted, "" where none were; with too few samples, or where that gained nothing, layers
// do not make up for others.
func fittedText(r *convert.Result, noun string) string {
	if r.Layers == 0 {
		return ""
	}
	how := "each by itself: making up for earlier ones did not gain, or would fit the few samples"
	if r.Chained {
		how = "each making up for what the earlier ones changed"
	}
	if r.Rescaled > 0 {
		how += fmt.Sprintf("; the outputs of %d brought to their size", r.Rescaled)
	}
	return fmt.Sprintf("fitted %s to %s, %s", plural(r.Layers, "layer"), plural(r.Calibration, noun), how)
}

func (s *session) sizeLine(size sizeRecord) {
	s.printf("  codes %s   scales %s   kept %s   graph %s   container %s\n", thousands(size.CodesBytes),
		thousands(size.ScalesBytes), thousands(size.KeptBytes), thousands(size.GraphBytes), thousands(size.ContainerBytes))
}

// driftLines prints the drift of each output on the held-out samples.
func (s *session) driftLines(r *convert.Result, noun string) {
	for _, d := range r.Drift {
		s.printf("  drift on %d held-out %ss: %s\n", r.HeldOut, noun, driftText(d))
	}
}

func driftText(d compare.Figures) string {
	if d.Kind == drift.Values {
		return fmt.Sprintf("%s SQNR %s", escape(d.Name), decibels(d.SQNR))
	}
	if d.KL-d.KL != 0 {
		return escape(d.Name) + " KL not finite"
	}
	same, spread := int(d.Agree*float64(d.Rows)+0.5), ""
	if d.KLSE-d.KLSE == 0 { // of one sample there is none
		spread = fmt.Sprintf(" +- %.4f", d.KLSE)
	}
	return fmt.Sprintf("%s KL %.4f%s nats, same top-1 %s of %s", escape(d.Name), d.KL, spread, thousands(same), thousands(d.Rows))
}

// coverageLine counts what became of the tensors: methods of the quantized, reasons of the kept.
func coverageLine(list []convert.Coverage) string {
	methods, kept := tally{}, tally{}
	weights, values := 0, 0
	for _, c := range list {
		if c.Quantized() {
			methods[c.Method]++
			weights += c.Elements
		} else {
			kept[string(c.Reason)]++
			values += c.Elements
		}
	}
	text := fmt.Sprintf("quantized %s, %s%s", plural(methods.sum(), "tensor"), plural(weights, "weight"), methods.parenthesis())
	if len(kept) > 0 {
		text += fmt.Sprintf("; kept %s, %s%s", plural(kept.sum(), "tensor"), plural(values, "value"), kept.parenthesis())
	}
	return text
}

func (t tally) sum() int {
	n := 0
	for _, v := range t {
		n += v
	}
	return n
}

// parenthesis writes the counts as " (entropy 17, lloyd 3)", nothing where there are none.
func (t tally) parenthesis() string {
	if len(t) == 0 {
		return ""
	}
	parts := make([]string, 0, len(t))
	for _, n := range t.ordered() {
		parts = append(parts, fmt.Sprintf("%s %d", n, t[n]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// tensorTable prints a line for each tensor: what became of it, and why.
func (s *session) tensorTable(list []convert.Coverage) {
	if s.quiet {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "tensor\top\tshape\tstate\tmethod\tbits\tcodec\tbits/weight\tbytes\tSQNR")
	for _, c := range list {
		name, op := cell(c.Name), c.Op
		if op == "" {
			op = "-"
		}
		if c.Via != "" {
			op += " (via " + c.Via + ")"
		}
		if !c.Quantized() {
			fmt.Fprintf(w, "%s\t%s\t%s\tkept\t%s\t\t\t\t%s\t\n", name, cell(op), shapeText(c.Shape), c.Reason, thousands(c.Bytes))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\tquantized\t%s\t%d\t%s\t%.2f\t%s\t%s\n", name, cell(op), shapeText(c.Shape), memberText(c), c.Bits, c.Codec,
			c.BitsPerWeight(), thousands(c.Bytes), sqnrCell(c))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}

// memberText names the family member and what shares a scale: "lloyd p=1/3 channel".
func memberText(c convert.Coverage) string {
	p := fmt.Sprintf("%.3g", c.P)
	if c.P > 0.333 && c.P < 0.334 {
		p = "1/3"
	}
	return fmt.Sprintf("%s p=%s %s", c.Method, p, c.Group)
}

func sqnrCell(c convert.Coverage) string {
	if c.SQNR != c.SQNR {
		return ""
	}
	return decibels(c.SQNR)
}

// cell makes a name safe for a table, whose cells end at tabs.
func cell(name string) string { return escape(strings.ReplaceAll(name, "\t", `\t`)) }

// trimLines takes the blanks off the ends of lines.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}

func (s *session) convertJSON(in *input, out *written, r *convert.Result, o *convert.Options, t *convertTables) error {
	rec := convertRecord{
		Schema: "bq.convert/1", Tool: "bq " + Version, Input: in.record(),
		Output:   verify.Model{Path: out.path, SHA256: out.sha256, Bytes: out.size.FileBytes, Format: "bq"},
		Budget:   newBudgetRecord(o, out.size, r),
		Size:     out.size,
		Tensors:  make([]tensorRecord, 0, len(r.Tensors)),
		Outputs:  []verify.Output{},
		Warnings: append([]string{}, r.Warnings...),
	}
	rec.Output.Opset, rec.Output.Nodes, rec.Output.FloatWeights = rec.Input.Opset, rec.Input.Nodes, rec.Input.FloatWeights
	if o.Samples != nil {
		data, err := o.Samples.Describe()
		if err != nil {
			return err
		}
		rec.Data = &data
	}
	if o.Table != nil {
		rec.Data = tableInfo(o.Table)
	}
	for _, f := range r.Drift {
		rec.Outputs = append(rec.Outputs, verify.NewOutput(f))
	}
	for _, c := range r.Tensors {
		rec.Tensors = append(rec.Tensors, newTensorRecord(c))
	}
	for _, a := range r.Activations {
		rec.Activations = append(rec.Activations, activationRecord{a.Name, a.Bits, a.Low, a.High, a.Scale, a.Zero})
	}
	for _, v := range r.Spared {
		rec.Spared = append(rec.Spared, sparedRecord{v.Name, v.Share})
	}
	rec.Why = "calib_sha256: no calibration table was used"
	if t.sha256 != "" {
		rec.CalibSHA256, rec.Why = &t.sha256, ""
	}
	switch rec.Drift = worstDrift(r.Drift); {
	case len(r.Drift) == 0:
		rec.Why = strings.TrimSuffix("drift: no data to measure it on; "+rec.Why, "; ")
	case rec.Drift == nil:
		rec.Why = strings.TrimSuffix("drift: that of an output is not finite; "+rec.Why, "; ")
	}
	return s.printJSON(rec)
}

// worstDrift returns the largest drift of the outputs, nil where none was measured or one is NaN or infinite.
func worstDrift(list []compare.Figures) *float64 {
	worst := compare.Worst(list)
	if len(list) == 0 || worst-worst != 0 {
		return nil
	}
	return &worst
}
