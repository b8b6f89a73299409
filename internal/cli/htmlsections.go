package cli

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"bq/internal/compare"
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
	add := func(id, title string, blocks ...page.Block) {
		if blocks = slices.DeleteFunc(blocks, func(b page.Block) bool { return b == nil }); len(blocks) > 0 {
			p.Sections = append(p.Sections, page.Section{ID: id, Title: title, Blocks: blocks})
		}
	}
	add("verdict", "Verdict", append(append([]page.Block{h.tiles(), gateTable(r)}, noteBlocks(r)...), outputTable(r))...)
	add("blame", "Most to blame", h.blameBlocks()...)
	add("size", "Size and drift", h.curveBlock(), h.partsBlock())
	add("layers", "Layers", h.layerTable(), h.nodeTable())
	add("samples", "Samples", h.sampleBlocks()...)
	add("activations", "Quantized activations", h.activationTable())
	add("weights", "Weights", h.weightBlocks()...)
	add("coverage", "Coverage", h.coverageBlocks()...)
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
		name := escape(o.Name)
		if o.KLNats != nil {
			list = append(list, page.Tile{Name: "KL of " + name, Figure: fmt.Sprintf("%.3g nats", *o.KLNats), Note: "99 % of rows below " + figure(o.KLP99, "%.3g")},
				page.Tile{Name: "same top-1, " + name, Figure: figure(scaled(o.Agree, 100), "%.2f %%"), Note: "of " + plural(o.Rows, "row")})
		}
		if o.Top1Float != nil {
			list = append(list, page.Tile{Name: "accuracy", Figure: fmt.Sprintf("%.2f %%", 100**o.Top1Quant), Note: fmt.Sprintf("float %.2f %%", 100**o.Top1Float)})
		}
		if o.KLNats == nil {
			list = append(list, page.Tile{Name: "SQNR of " + name, Figure: figure(o.SQNR, "%.1f dB"), Note: "largest difference " + figure(o.MaxAbs, "%.3g")})
		}
	}
	list = append(list, page.Tile{Name: "file", Figure: thousands(r.B.Bytes) + " bytes", Note: fmt.Sprintf("%.1f times smaller", float64(r.A.Bytes)/float64(max(1, r.B.Bytes)))})
	if h.b.size != nil {
		list = append(list, page.Tile{Name: "bits per weight", Figure: fmt.Sprintf("%.2f", h.b.size.BPW), Note: plural(int(r.B.FloatWeights), "weight")})
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

func outputTable(r *verify.Report) page.Block {
	t := page.Table{Caption: "Drift of the outputs, with standard errors", Columns: []page.Column{{Title: "output"}, {Title: "kind"}}}
	for _, title := range []string{"rows", "KL mean, nats", "p99", "max", "same top-1", "SQNR", "accuracy", "nll"} {
		t.Columns = append(t.Columns, page.Column{Title: title, Number: true})
	}
	for _, o := range r.Outputs {
		row := []page.Cell{{Text: escape(o.Name)}}
		for _, c := range outputCells(o) {
			row = append(row, page.Cell{Text: c})
		}
		t.Rows = append(t.Rows, row)
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

// curveBlock draws the sizes at other widths, and this model among them.
func (h *htmlReport) curveBlock() page.Block {
	if len(h.curve) < 2 {
		return nil
	}
	c := page.Curve{Caption: "File size against drift: model A at other widths, coded without data, and this model",
		X: "bytes", Y: driftUnit(h.result.Figures), Line: h.curve, LogX: true, LogY: true}
	if d := worstDrift(h.result.Figures); d != nil {
		c.Marked = []page.Point{{X: float64(h.result.B.Bytes), Y: *d, Name: "this model"}}
	}
	c.LogY = !slices.ContainsFunc(append(slices.Clone(c.Line), c.Marked...), func(p page.Point) bool { return p.Y <= 0 })
	return c
}

func (h *htmlReport) partsBlock() page.Block {
	s := h.b.size
	if s == nil {
		return nil
	}
	p := page.Parts{Caption: "Bytes of the file"}
	for _, part := range []struct {
		name  string
		bytes int64
	}{{"codes", s.CodesBytes}, {"scales", s.ScalesBytes}, {"kept", s.KeptBytes}, {"graph", s.GraphBytes}, {"container", s.ContainerBytes}} {
		p.Parts = append(p.Parts, page.Part{Name: part.name, Text: thousands(part.bytes), Size: float64(part.bytes)})
	}
	return p
}

// quietSQNR is where a bar of noise has no length left, in dB.
const quietSQNR = 60

// noiseCell writes an SQNR with a bar that is longer the more noise there is: none at 60 dB, full at 0 dB.
func noiseCell(db float64) page.Cell {
	switch {
	case math.IsInf(db, 1):
		return page.Cell{Text: "exact"}
	case math.IsNaN(db):
		return page.Cell{Text: "-"}
	}
	return page.Cell{Text: fmt.Sprintf("%.1f dB", db), Bar: min(1, max(0, (quietSQNR-db)/quietSQNR))}
}

// layerTable shows the quantized tensors in the order of the graph.
func (h *htmlReport) layerTable() page.Block {
	if len(h.layers) == 0 {
		return nil
	}
	t := page.Table{Caption: "Quantized tensors, and the noise at the output of the node that reads each: its own, and all that has arrived there. Bars are longer the more noise there is",
		Columns: []page.Column{{Title: "tensor"}, {Title: "op"}, {Title: "bits", Number: true}, {Title: "bits/weight", Number: true}, {Title: "bytes", Number: true},
			{Title: "SQNR, weights", Number: true}, {Title: "SQNR, own", Number: true}, {Title: "SQNR, all", Number: true}}}
	blamed := len(h.result.Blame) > 0
	if blamed {
		t.Columns = append(t.Columns, page.Column{Title: "alone", Number: true})
	}
	most, alone := int64(1), 0.0
	for _, l := range h.layers {
		most = max(most, l.Bytes)
		if l.alone != nil {
			alone = max(alone, *l.alone)
		}
	}
	for _, l := range h.layers {
		row := []page.Cell{{Text: escape(l.Name)}, {Text: escape(l.Op)}, {Text: fmt.Sprint(l.Bits), Bar: float64(l.Bits) / 8}, {Text: fmt.Sprintf("%.2f", l.BitsPerWeight())},
			{Text: thousands(l.Bytes), Bar: float64(l.Bytes) / float64(most)}, noiseCell(l.weights), {Text: "-"}, {Text: "-"}}
		if l.node != nil {
			row[6], row[7] = noiseCell(verify.SQNR(l.node.Signal, l.node.Injected)), noiseCell(verify.SQNR(l.node.Signal, l.node.Accumulated))
		}
		if blamed {
			c := page.Cell{Text: figure(l.alone, "%.4g")}
			if l.alone != nil && alone > 0 {
				c.Bar = *l.alone / alone
			}
			row = append(row, c)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// maxNodeRows bounds the table of all nodes: further ones say nothing new and make the page long.
const maxNodeRows = 1000

// nodeTable shows the drift at every value that both models compute.
func (h *htmlReport) nodeTable() page.Block {
	if len(h.nodes) == 0 {
		return nil
	}
	t := page.Table{Caption: "Noise at the output of every node that both models have, in the order of computation",
		Columns: []page.Column{{Title: "value"}, {Title: "op"}, {Title: "SQNR, own", Number: true}, {Title: "SQNR, all", Number: true}}}
	for _, n := range h.nodes[:min(maxNodeRows, len(h.nodes))] {
		t.Rows = append(t.Rows, []page.Cell{{Text: escape(n.Output)}, {Text: escape(n.Op)}, noiseCell(verify.SQNR(n.Signal, n.Injected)), noiseCell(verify.SQNR(n.Signal, n.Accumulated))})
	}
	summary := "All " + plural(len(h.nodes), "value")
	if len(h.nodes) > maxNodeRows {
		summary = fmt.Sprintf("The first %s of %s", thousands(maxNodeRows), plural(len(h.nodes), "value"))
	}
	return page.Details{Summary: summary, Blocks: []page.Block{t}}
}

// sampleOutputs is for how many outputs the samples are shown.
const sampleOutputs = 3

// sampleBlocks shows the KL of every sample, and the worst.
func (h *htmlReport) sampleBlocks() []page.Block {
	var list []page.Block
	for _, f := range h.result.Figures {
		if len(f.BySample) < 2 || !(f.KLMax > 0) || len(list) >= 3*sampleOutputs {
			continue
		}
		list = append(list, stripBlock(f))
		if pictures := h.worstPictures(f); len(pictures) > 0 {
			list = append(list, page.Text("The worst samples of "+escape(f.Name)+", as the model is fed, each scaled to its own range:"), pictures)
			continue
		}
		t := page.Table{Caption: "The worst samples of " + escape(f.Name), Columns: []page.Column{{Title: "sample"}, {Title: "KL, nats", Number: true}}}
		for i, w := range f.Worst {
			t.Rows = append(t.Rows, []page.Cell{{Text: escape(f.WorstNames[i])}, {Text: fmt.Sprintf("%.4g", w.KL), Bar: w.KL / f.Worst[0].KL}})
		}
		list = append(list, t)
	}
	return list
}

// maxStrip is how many samples a strip shows; of more, it takes the largest of each run.
const maxStrip = 2000

func stripBlock(f compare.Figures) page.Block {
	run := (len(f.BySample) + maxStrip - 1) / maxStrip
	s := page.Strip{Caption: "KL of " + escape(f.Name) + ", sample by sample", X: "sample", Y: "KL, nats; 1e-6 and below at the foot", Floor: 1e-6}
	place := map[int]int{}
	for i, v := range f.BySample {
		place[v.Sample] = i / run
		if i%run == 0 {
			s.Values = append(s.Values, v.KL)
		} else {
			last := &s.Values[len(s.Values)-1]
			*last = max(*last, v.KL)
		}
	}
	if run > 1 {
		s.X = fmt.Sprintf("%d samples a point, the worst of them", run)
	}
	for i, w := range f.Worst {
		if w.KL > 0 {
			s.Worst = append(s.Worst, page.Point{X: float64(place[w.Sample]), Y: w.KL, Name: fmt.Sprintf("%s %.4g nats", escape(f.WorstNames[i]), w.KL)})
		}
	}
	return s
}

// activationTable shows the ranges of quantized activations, and what of the float values lies outside.
func (h *htmlReport) activationTable() page.Block {
	if h.b.contents == nil || len(h.b.contents.About.Activations) == 0 {
		return nil
	}
	outside := map[string]float64{}
	for _, n := range h.nodes {
		outside[n.Output] = n.Outside
	}
	t := page.Table{Caption: "Ranges that calibration chose, and the share of float values outside, which are clipped", Columns: []page.Column{{Title: "value"},
		{Title: "bits", Number: true}, {Title: "from", Number: true}, {Title: "to", Number: true}, {Title: "clipped", Number: true}}}
	for _, a := range h.b.contents.About.Activations {
		c := page.Cell{Text: "-"}
		if share, ok := outside[a.Name]; ok {
			c = page.Cell{Text: fmt.Sprintf("%.3g %%", 100*share)}
		}
		t.Rows = append(t.Rows, []page.Cell{{Text: escape(a.Name)}, {Text: fmt.Sprint(a.Bits)}, {Text: fmt.Sprintf("%.4g", a.Low)}, {Text: fmt.Sprintf("%.4g", a.High)}, c})
	}
	return t
}

// openHistograms is how many histograms are shown without opening the rest.
const openHistograms = 8

func (h *htmlReport) weightBlocks() []page.Block {
	if len(h.pages) == 0 {
		return nil
	}
	list := []page.Block{page.Text("Float weights in units of their group's scale, those of affine tensors in codes. The marks at the foot are the levels that replace them, the lines behind them the edges between; more than 32 levels are not drawn.")}
	if n := min(openHistograms, len(h.pages)); n < len(h.pages) {
		return append(list, h.pages[:n], page.Details{Summary: thousands(len(h.pages)-n) + " more", Blocks: []page.Block{h.pages[n:]}})
	}
	return append(list, h.pages)
}

// coverageBlocks lists every float tensor: quantized, or kept and why.
func (h *htmlReport) coverageBlocks() []page.Block {
	if h.b.contents == nil {
		return []page.Block{page.Text("Model B is no bq container: what was quantized, and how, is not known.")}
	}
	t := page.Table{Caption: "Every float tensor", Columns: []page.Column{{Title: "tensor"}, {Title: "op"}, {Title: "shape"}, {Title: "state"}, {Title: "reason or method"}, {Title: "bits", Number: true}, {Title: "bytes", Number: true}}}
	for _, c := range h.b.contents.Tensors {
		row := []page.Cell{{Text: escape(c.Name)}, {Text: escape(cmp.Or(c.Op, "-"))}, {Text: shapeText(c.Shape)}, {Text: "quantized"}, {Text: memberText(c)}, {Text: fmt.Sprint(c.Bits)}, {Text: thousands(c.Bytes)}}
		if !c.Quantized() {
			row[3], row[4], row[5] = page.Cell{Text: "kept"}, page.Cell{Text: string(c.Reason)}, page.Cell{}
		}
		t.Rows = append(t.Rows, row)
	}
	line := coverageLine(h.b.contents.Tensors)
	return []page.Block{page.Text(strings.ToUpper(line[:1]) + line[1:] + "."), page.Details{Summary: "All " + plural(len(t.Rows), "tensor"), Blocks: []page.Block{t}}}
}
