package cli

import (
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"

	"bq/verify"
)

// reportVerify prints the result of verify: text, or JSON.
func (s *session) reportVerify(r *verify.Report) error {
	if s.json {
		if err := s.printJSON(r); err != nil {
			return err
		}
		return verdictStatus(r)
	}
	s.driftTable(r)
	list := gates(r)
	for _, g := range list {
		s.printf("%s\n", g.line(widest(list)))
	}
	s.blameTable(r)
	for _, n := range r.Notes {
		s.note("%s", n)
	}
	for _, c := range r.Gains {
		s.note("%s is better than the baseline: %s; --update-baseline keeps it", changeGate(c, r.Baseline.Path).name, changeGate(c, r.Baseline.Path).text)
	}
	if r.Verdict == verify.Fail {
		s.worstLines(r)
	}
	word, on, rest := verdictWords(r)
	switch r.Verdict {
	case verify.Ungated:
		s.note("no limit given, nothing is gated")
	case verify.Pass:
		s.verdict(word, green, on, rest)
	default:
		s.verdict(word, red, on, rest)
	}
	return verdictStatus(r)
}

func verdictStatus(r *verify.Report) error {
	if r.Verdict == verify.Fail {
		return statusOnly(statusDrift)
	}
	return nil
}

// worstShown is how many of the worst samples the text names.
const worstShown = 3

// worstLines names the worst samples of each output.
func (s *session) worstLines(r *verify.Report) {
	for _, o := range r.Outputs {
		var parts []string
		for _, w := range o.Worst[:min(worstShown, len(o.Worst))] {
			parts = append(parts, fmt.Sprintf("%s %.3g", escape(w.Sample), w.KLNats))
		}
		if len(parts) > 0 {
			s.printf("worst %s  %s\n", escape(o.Name), strings.Join(parts, "  "))
		}
	}
}

// driftTable prints a line for each output. Columns that no output has are left out.
func (s *session) driftTable(r *verify.Report) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head := []string{"output", "kind", "rows", "KL mean, nats", "p99", "max", "same top-1", "SQNR"}
	for _, o := range r.Outputs {
		if o.Top1Float != nil {
			head = append(head, "accuracy", "nll", "perplexity")
			break
		}
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, o := range r.Outputs {
		cells := append([]string{cell(o.Name)}, outputCells(o)...)
		if o.Top1Float != nil {
			cells = append(cells, perplexity(o.NLLFloat)+" -> "+perplexity(o.NLLQuantized))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells[:min(len(cells), len(head))], "\t"), "\t"))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}

// outputCells writes the figures of an output: kind, rows, KL, its 99th percentile and largest, agreement, SQNR,
// accuracy and nll; the last two are empty without labels.
func outputCells(o verify.Output) []string {
	sqnr := figure(o.SQNR, "%.1f dB")
	if o.SQNR == nil && o.MaxAbs != nil && *o.MaxAbs == 0 {
		sqnr = "equal"
	}
	if o.Rows == 0 {
		return []string{o.Kind, "-", "-", "-", "-", "-", sqnr, "", ""}
	}
	cells := []string{o.Kind, thousands(o.Rows), estimate(o.KLNats, o.KLSE, 1, "%.4g", ""), figure(o.KLP99, "%.3g"), figure(o.KLMax, "%.3g"),
		estimate(o.Agree, o.AgreeSE, 100, "%.2f", " %"), sqnr, "", ""}
	if o.Top1Float != nil {
		cells[7] = figure(scaled(o.Top1Float, 100), "%.2f") + " -> " + figure(scaled(o.Top1Quant, 100), "%.2f %%")
		cells[8] = figure(o.NLLFloat, "%.4f") + " -> " + figure(o.NLLQuantized, "%.4f")
	}
	return cells
}

// perplexity writes the exponential of a nll.
func perplexity(nll *float64) string {
	if nll == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", math.Exp(*nll))
}

// figure formats a number that may not exist.
func figure(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

// estimate formats a mean with its standard error, both times scale.
func estimate(v, se *float64, scale float64, format, unit string) string {
	switch {
	case v == nil:
		return "-"
	case se == nil:
		return fmt.Sprintf(format, scale**v) + unit
	}
	return fmt.Sprintf(format+" +- "+strings.Replace(format, "4", "2", 1), scale**v, scale**se) + unit
}

// The colours of a verdict on a terminal.
const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

// verdict prints the last line of a judgement, its word in colour where stdout is a terminal that wants it.
func (s *session) verdict(word, colour, on, rest string) {
	if s.quiet {
		return
	}
	if isTerminal(s.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		word = colour + word + plain
	}
	fmt.Fprintf(s.stdout, "verdict: %s%s, %s\n", word, on, rest)
}
