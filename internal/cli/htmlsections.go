package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bq/internal/page"
	"bq/verify"
)

// The words and figures of the HTML report, section by section.

// page puts the report together.
func (h *htmlReport) page() *page.Page {
	r := h.result
	word, on, rest := verdictWords(r)
	p := &page.Page{
		Title: fmt.Sprintf("%s against %s", escape(filepath.Base(shown(r.B.Path))), escape(filepath.Base(shown(r.A.Path)))),
		Lead: fmt.Sprintf("%s of %s, run through both models in the same float engine", plural(r.Data.Taken, sampleNoun(r.Data.Kind)),
			map[bool]string{true: "random numbers", false: "kind " + r.Data.Kind}[r.Data.Kind == syntheticKind]),
		Verdict: page.Verdict{Word: word + on, Text: rest},
		Foot: fmt.Sprintf("bq %s. Model A %s, sha256 %.12s...; model B %s, %.12s...; data %.12s.... Figures of nodes are of %s.", Version, escape(shown(r.A.Path)), r.A.SHA256,
			escape(shown(r.B.Path)), r.B.SHA256, r.Data.SHA256, plural(min(nodeSamples, r.Data.Taken), "sample")),
	}
	switch r.Verdict {
	case verify.Pass:
		p.Verdict.Tone = page.Good
	case verify.Fail:
		p.Verdict.Tone = page.Bad
	}
	p.Add("verdict", "Verdict", append(append([]page.Block{h.tiles(), gateTable(r)}, noteBlocks(r)...), outputTable(r.Outputs))...)
	p.Add("blame", "Most to blame", h.blameBlocks()...)
	p.Add("size", "Size and drift", h.curveBlock("model A at other widths, coded without data, and this model", r.B.Bytes), h.partsBlock())
	h.addSections(p)
	return p
}

// tiles are the figures to look at first.
func (h *htmlReport) tiles() page.Block {
	r := h.result
	list := page.Tiles{}
	for i, o := range r.Outputs {
		if i == 2 {
			break
		}
		list = append(list, outputTiles(o)...)
	}
	list = append(list, page.Tile{Name: "file", Figure: thousands(r.B.Bytes) + " bytes", Note: fmt.Sprintf("%.1f times smaller", float64(r.A.Bytes)/float64(max(1, r.B.Bytes)))})
	if h.size != nil {
		list = append(list, page.Tile{Name: "bits per weight", Figure: fmt.Sprintf("%.2f", h.size.BPW), Note: plural(int(r.B.FloatWeights), "weight")})
	}
	return list
}

// outputTiles are the figures of one output.
func outputTiles(o verify.Output) page.Tiles {
	name := escape(o.Name)
	var list page.Tiles
	if o.KLNats != nil {
		list = page.Tiles{{Name: "KL of " + name, Figure: fmt.Sprintf("%.3g nats", *o.KLNats), Note: "99 % of rows below " + figure(o.KLP99, "%.3g")},
			{Name: "same top-1, " + name, Figure: figure(scaled(o.Agree, 100), "%.2f %%"), Note: "of " + plural(o.Rows, "row")}}
	}
	if o.Top1Float != nil {
		list = append(list, page.Tile{Name: "accuracy", Figure: fmt.Sprintf("%.2f %%", 100**o.Top1Quant), Note: fmt.Sprintf("float %.2f %%", 100**o.Top1Float)})
	}
	if o.KLNats == nil {
		list = append(list, page.Tile{Name: "SQNR of " + name, Figure: figure(o.SQNR, "%.1f dB"), Note: "largest difference " + figure(o.MaxAbs, "%.3g")})
	}
	return list
}

func scaled(v *float64, by float64) *float64 {
	if v == nil {
		return nil
	}
	return new(*v * by)
}

func gateTable(r *verify.Report) page.Block {
	t := page.Table{Caption: "Limits and baseline", Columns: []page.Column{{Title: "gate"}, {Title: "verdict"}, {Title: "measured"}}}
	for _, g := range gates(r) {
		c := page.Cell{Text: "pass", Tone: page.Good}
		if !g.pass {
			c = page.Cell{Text: "FAIL", Tone: page.Bad}
		}
		text := g.text
		if g.more != "" {
			text += ", " + g.more
		}
		t.Rows = append(t.Rows, []page.Cell{{Text: g.name}, c, {Text: text}})
	}
	if len(t.Rows) == 0 {
		return page.Text("No limit was given: nothing is gated.")
	}
	return t
}

// noteBlocks says which limits the samples do not decide.
func noteBlocks(r *verify.Report) []page.Block {
	var list []page.Block
	for _, n := range r.Notes {
		list = append(list, page.Text(escape(n)))
	}
	return list
}

// outputTable shows the drift of every output. Columns that no output has are left out.
func outputTable(list []verify.Output) page.Block {
	t := page.Table{Caption: "Drift of the outputs, with standard errors", Columns: []page.Column{{Title: "output"}, {Title: "kind"}}}
	titles := []string{"rows", "KL mean, nats", "p99", "max", "same top-1", "SQNR"}
	if slices.ContainsFunc(list, func(o verify.Output) bool { return o.Top1Float != nil }) {
		titles = append(titles, "accuracy", "nll")
	}
	for _, title := range titles {
		t.Columns = append(t.Columns, page.Column{Title: title, Number: true})
	}
	for _, o := range list {
		row := []page.Cell{{Text: escape(o.Name)}}
		for _, c := range outputCells(o) {
			row = append(row, page.Cell{Text: c})
		}
		t.Rows = append(t.Rows, row[:len(t.Columns)])
	}
	return t
}

// blameBlocks shows what --blame found.
func (h *htmlReport) blameBlocks() []page.Block {
	if len(h.result.Blame) == 0 {
		return nil
	}
	unit := "alone, nats"
	if !verify.InNats(h.result.Figures) {
		unit = "alone, noise/signal"
	}
	t := page.Table{Caption: "Tensors by the drift that each causes alone", Columns: []page.Column{{Title: "tensor"}, {Title: unit, Number: true}, {Title: "remedy"}, {Title: "price", Number: true}}}
	most := worstAlone(h.result.Blame)
	for _, b := range h.result.Blame {
		row := []page.Cell{{Text: escape(b.Tensor)}, {Text: figure(b.Alone(), "%.4g")}, {Text: escape(b.Remedy)}, {Text: priceText(b.PriceBytes)}}
		if v := b.Alone(); v != nil && most > 0 {
			row[1].Bar = *v / most
		}
		t.Rows = append(t.Rows, row)
	}
	if f := h.result.Forecast; f != nil {
		return []page.Block{t, page.Text(fmt.Sprintf("With %s the drift of %.4g would become about %.3g, for %s. Flags of convert:", remedyCount(len(f.Flags)), f.Was, f.About,
			priceText(&f.PriceBytes))), page.Code(escape(strings.Join(f.Flags, " ")))}
	}
	return []page.Block{t}
}

// priceText writes what a remedy costs.
func priceText(bytes *int64) string {
	switch {
	case bytes == nil:
		return ""
	case *bytes < 0:
		return thousands(*bytes) + " bytes"
	}
	return "+" + thousands(*bytes) + " bytes"
}

// curveBlock draws the sizes at other widths, and this model of the given bytes among them.
func (h *reportModel) curveBlock(what string, bytes int64) page.Block {
	if len(h.curve) < 2 {
		return nil
	}
	c := page.Curve{Caption: "File size against drift: " + what, X: "bytes", Y: driftUnit(h.figures), Line: h.curve, LogX: true, LogY: true}
	if d := worstDrift(h.figures); d != nil {
		c.Marked = []page.Point{{X: float64(bytes), Y: *d, Name: "this model"}}
	}
	c.LogY = !slices.ContainsFunc(append(slices.Clone(c.Line), c.Marked...), func(p page.Point) bool { return p.Y <= 0 })
	return c
}
