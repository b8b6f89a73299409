package cli

import (
	"fmt"
	"math"

	"bq/internal/page"
	"bq/verify"
)

// Tables of layers and nodes in an HTML report.

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

// addSections adds what both reports show of a model from its layers on.
func (h *reportModel) addSections(p *page.Page) {
	p.Add("layers", "Layers", h.layerTable(), h.nodeTable())
	p.Add("samples", "Samples", h.sampleBlocks()...)
	p.Add("activations", "Quantized activations", h.activationTable())
	p.Add("weights", "Weights", h.weightBlocks()...)
	p.Add("coverage", "Coverage", h.coverageBlocks()...)
}

// layerTable shows the quantized tensors in the order of the graph.
func (h *reportModel) layerTable() page.Block {
	if len(h.layers) == 0 {
		return nil
	}
	t := page.Table{Caption: "Quantized tensors. Bars of noise are longer the more there is", Columns: []page.Column{{Title: "tensor"}, {Title: "op"}, {Title: "bits", Number: true},
		{Title: "bits/weight", Number: true}, {Title: "bytes", Number: true}, {Title: "SQNR, weights", Number: true}}}
	ran, blamed := len(h.nodes) > 0, h.alone != nil
	if ran {
		t.Caption = "Quantized tensors, and the noise at the output of the node that reads each: its own, and all that has arrived there. Bars are longer the more noise there is"
		t.Columns = append(t.Columns, page.Column{Title: "SQNR, own", Number: true}, page.Column{Title: "SQNR, all", Number: true})
	}
	if blamed {
		t.Columns = append(t.Columns, page.Column{Title: "alone", Number: true})
	}
	most, alone := int64(1), 0.0
	for _, l := range h.layers {
		most = max(most, l.Bytes)
		if v := h.alone[l.Name]; v != nil {
			alone = max(alone, *v)
		}
	}
	for _, l := range h.layers {
		row := []page.Cell{{Text: escape(l.Name)}, {Text: escape(l.Op)}, {Text: fmt.Sprint(l.Bits), Bar: float64(l.Bits) / 8}, {Text: fmt.Sprintf("%.2f", l.BitsPerWeight())},
			{Text: thousands(l.Bytes), Bar: float64(l.Bytes) / float64(most)}, noiseCell(l.weights)}
		switch {
		case ran && l.node != nil:
			row = append(row, noiseCell(verify.SQNR(l.node.Signal, l.node.Injected)), noiseCell(verify.SQNR(l.node.Signal, l.node.Accumulated)))
		case ran:
			row = append(row, page.Cell{Text: "-"}, page.Cell{Text: "-"})
		}
		if blamed {
			own := h.alone[l.Name]
			c := page.Cell{Text: figure(own, "%.4g")}
			if own != nil && alone > 0 {
				c.Bar = *own / alone
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
func (h *reportModel) nodeTable() page.Block {
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
