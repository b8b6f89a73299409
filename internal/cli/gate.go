package cli

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"bq/verify"
)

// gate is one judgement of verify in words: a limit, or a loss against its baseline.
type gate struct {
	name string // "logits max-kl"
	pass bool
	text string // what was measured and what was wanted
	more string // standard error and samples, where there are any
}

// line is the gate as the text result shows it, its name as wide as the widest.
func (g gate) line(width int) string {
	word := "pass"
	if !g.pass {
		word = "FAIL"
	}
	return fmt.Sprintf("%s  %-*s  %s", word, width, g.name, g.text)
}

// widest returns the length of the longest name of a list.
func widest(list []gate) int {
	width := 0
	for _, g := range list {
		width = max(width, utf8.RuneCountInString(g.name))
	}
	return width
}

// gates lists what a report was judged by: limits first, then the losses against the baseline.
func gates(r *verify.Report) []gate {
	var list []gate
	for _, l := range r.Limits {
		list = append(list, limitGate(l))
	}
	if r.Baseline != nil {
		for _, c := range r.Baseline.Changes {
			list = append(list, changeGate(c, r.Baseline.Path))
		}
	}
	return list
}

func limitGate(l verify.LimitResult) gate {
	g := gate{name: escape(l.Output) + " " + l.Metric, pass: l.Pass, text: limitText(l)}
	if l.SE != nil {
		g.more = "standard error " + metricText(l.Metric, *l.SE)
	}
	return g
}

// limitText says how a figure stands to its limit.
func limitText(l verify.LimitResult) string {
	relation := "at or below"
	if strings.HasPrefix(l.Metric, "min-") {
		relation = "at or above"
	}
	if !l.Pass {
		relation = map[string]string{"at or below": "above", "at or above": "below"}[relation]
	}
	if l.Metric == "min-sqnr" && l.Value == nil && l.Pass {
		return "equal outputs"
	}
	value := math.NaN()
	if l.Value != nil {
		value = *l.Value
	}
	limit := fmt.Sprintf("%.4g", l.Limit)
	switch l.Metric {
	case "min-agree", "max-top1-drop":
		limit = fmt.Sprintf("%.4g %%", 100*l.Limit)
	case "min-sqnr":
		limit += " dB"
	}
	return metricText(l.Metric, value) + " " + relation + " " + limit
}

// metricText writes a figure in the unit of its metric.
func metricText(metric string, v float64) string {
	switch metric {
	case "min-agree", "max-top1-drop", verify.LossDisagree, verify.LossTop1:
		return fmt.Sprintf("%.2f %%", 100*v)
	case "min-sqnr":
		return fmt.Sprintf("%.1f dB", v)
	case verify.LossBytes:
		return thousands(int64(math.Round(v))) + " bytes"
	}
	return fmt.Sprintf("%.4g", v)
}

// changeNames are the losses of a baseline in words.
var changeNames = map[string]string{
	verify.LossKL: "KL", verify.LossDisagree: "other top-1", verify.LossTop1: "accuracy drop", verify.LossNoise: "noise power", verify.LossBytes: "file",
}

func changeGate(c verify.Change, path string) gate {
	g := gate{name: strings.TrimSpace(escape(c.Output) + " " + changeNames[c.Metric]), pass: c.Pass}
	g.text = fmt.Sprintf("%s, in %s %s", figureOf(c.Metric, c.Now), escape(path), figureOf(c.Metric, c.Was))
	if c.Allowed != nil {
		g.text += ", allowed " + figureOf(c.Metric, c.Allowed)
	}
	return g
}

func figureOf(metric string, v *float64) string {
	if v == nil {
		return "undefined"
	}
	return metricText(metric, *v)
}

// tallyText counts what failed, or what passed: "1 of 2 limits, 1 of 4 baseline metrics".
func tallyText(r *verify.Report) string {
	var parts []string
	count := func(all, failed int, noun string) {
		switch {
		case all == 0:
		case r.Verdict == verify.Fail:
			parts = append(parts, fmt.Sprintf("%d of %s", failed, plural(all, noun)))
		default:
			parts = append(parts, plural(all, noun))
		}
	}
	failed := 0
	for _, l := range r.Limits {
		if !l.Pass {
			failed++
		}
	}
	count(len(r.Limits), failed, "limit")
	if r.Baseline != nil {
		failed = 0
		for _, c := range r.Baseline.Changes {
			if !c.Pass {
				failed++
			}
		}
		count(len(r.Baseline.Changes), failed, "baseline metric")
	}
	return strings.Join(parts, ", ")
}

// verdictWords says the verdict in a word and what it rests on: "FAIL on synthetic data", "1 of 2 limits".
func verdictWords(r *verify.Report) (word, on, rest string) {
	if r.Data.Kind == syntheticKind {
		on = " on synthetic data"
	}
	switch r.Verdict {
	case verify.Pass:
		return "PASS", on, tallyText(r)
	case verify.Fail:
		return "FAIL", on, tallyText(r)
	}
	return "ungated", on, "no limit given"
}
