package cli

import (
	"cmp"
	"fmt"
	"strings"

	"bq/internal/page"
)

// What an HTML report shows of a container: its bytes, codes, ranges, and what it covers.

func (h *reportModel) partsBlock() page.Block {
	s := h.size
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

// activationTable shows the ranges of quantized activations, and what of the float values lies outside.
func (h *reportModel) activationTable() page.Block {
	if h.contents == nil || len(h.contents.About.Activations) == 0 {
		return nil
	}
	t := page.Table{Caption: "Ranges that calibration chose, and the share of float values outside, which are clipped", Columns: []page.Column{{Title: "value"},
		{Title: "bits", Number: true}, {Title: "from", Number: true}, {Title: "to", Number: true}, {Title: "clipped", Number: true}}}
	for _, a := range h.contents.About.Activations {
		c := page.Cell{Text: "-"}
		if share, ok := h.clipped[a.Name]; ok {
			c = page.Cell{Text: fmt.Sprintf("%.3g %%", 100*share)}
		}
		t.Rows = append(t.Rows, []page.Cell{{Text: escape(a.Name)}, {Text: fmt.Sprint(a.Bits)}, {Text: fmt.Sprintf("%.4g", a.Low)}, {Text: fmt.Sprintf("%.4g", a.High)}, c})
	}
	return t
}

// openHistograms is how many histograms are shown without opening the rest.
const openHistograms = 8

func (h *reportModel) weightBlocks() []page.Block {
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
func (h *reportModel) coverageBlocks() []page.Block {
	if h.contents == nil {
		return []page.Block{page.Text("Model B is no bq container: what was quantized, and how, is not known.")}
	}
	t := page.Table{Caption: "Every float tensor", Columns: []page.Column{{Title: "tensor"}, {Title: "op"}, {Title: "shape"}, {Title: "state"}, {Title: "reason or method"}, {Title: "bits", Number: true}, {Title: "bytes", Number: true}}}
	for _, c := range h.contents.Tensors {
		row := []page.Cell{{Text: escape(c.Name)}, {Text: escape(cmp.Or(c.Op, "-"))}, {Text: shapeText(c.Shape)}, {Text: "quantized"}, {Text: memberText(c)}, {Text: fmt.Sprint(c.Bits)}, {Text: thousands(c.Bytes)}}
		if !c.Quantized() {
			row[3], row[4], row[5] = page.Cell{Text: "kept"}, page.Cell{Text: string(c.Reason)}, page.Cell{}
		}
		t.Rows = append(t.Rows, row)
	}
	line := coverageLine(h.contents.Tensors)
	return []page.Block{page.Text(strings.ToUpper(line[:1]) + line[1:] + "."), page.Details{Summary: "All " + plural(len(t.Rows), "tensor"), Blocks: []page.Block{t}}}
}
