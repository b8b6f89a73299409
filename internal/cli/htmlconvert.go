package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/page"
	"bq/verify"
)

// convertReport makes the HTML report of a conversion. Without a target it does nothing.
type convertReport struct {
	reportModel
	in     *input
	target *target // nil: no report was asked for
	name   string  // of the container
	result *convert.Result
	kind   string // of the samples, "" for none
}

// newConvertReport reads --report; the page must be none of the other files that the conversion writes.
func (s *session) newConvertReport(c *urfave.Context, in *input, out *target, t *convertTables) (*convertReport, error) {
	h := &convertReport{reportModel: reportModel{session: s}, in: in, name: "stdout"}
	var err error
	if h.target, err = s.sideTarget(c, "report", isPage); err != nil || h.target == nil {
		return h, err
	}
	if out != nil {
		h.name = out.path
		if samePath(out.path, h.target.path) {
			return nil, usagef("reading arguments: --report and the container name the same file %s", out.path)
		}
	}
	return h, distinctOutputs(c, "output", "save-calib", "report")
}

// make makes the page of a container that stands, written and checked, at path.
func (h *convertReport) make(path string, w *written, r *convert.Result, o *convert.Options) ([]byte, error) {
	if h.target == nil {
		return nil, nil
	}
	h.result, h.size, h.figures, h.set = r, &w.size, r.Drift, o.Samples
	switch {
	case o.Samples != nil:
		h.kind = o.Samples.Info().Kind
	case o.Table != nil:
		h.kind = o.Table.Data.Kind
	}
	if err := h.collect(path, o); err != nil {
		return nil, err
	}
	return h.page().HTML()
}

// write writes the page.
func (h *convertReport) write(content []byte) error {
	if h.target == nil {
		return nil
	}
	return h.target.writeBytes(content)
}

// collect reads the container and, where there are samples, runs both models on those that were held out.
func (h *convertReport) collect(path string, o *convert.Options) error {
	progress := h.newProgress()
	defer progress.stop()
	b, err := h.containerSide(path)
	if err != nil {
		return err
	}
	defer b.close()
	h.contents = b.contents
	h.setFloat(h.in.file.Model)
	if err := h.readContainer(path); err != nil {
		return err
	}
	if h.set != nil {
		a, err := newSide(h.in.name, verify.Model{Path: h.in.name}, h.in.file.Model, func() {})
		if err != nil {
			return err
		}
		if err := h.compareNodes(a.Side, b.Side, h.some(nodeSamples), progress); err != nil {
			return err
		}
		l := h.newLadder(h.in, h.contents)
		if err := h.measureCurve(l, a, o.OutputKinds, h.some(curveSamples), progress); err != nil {
			return err
		}
	}
	h.placeLayers()
	return nil
}

// some returns at most n of the samples that were held out, evenly spread.
func (h *convertReport) some(n int) []int {
	var list []int
	for _, i := range verify.Spread(len(h.result.Checked), n) {
		list = append(list, h.result.Checked[i])
	}
	return list
}

// page puts the report together.
func (h *convertReport) page() *page.Page {
	source := h.in.bytes()
	p := &page.Page{
		Title:   fmt.Sprintf("%s, made of %s", escape(filepath.Base(shown(h.name))), escape(filepath.Base(shown(h.in.name)))),
		Lead:    h.lead(),
		Verdict: page.Verdict{Word: fmt.Sprintf("%.1f times smaller", float64(source)/float64(max(1, h.size.FileBytes))), Text: h.driftWords()},
		Foot:    fmt.Sprintf("bq %s. Model %s, sha256 %.12s....", Version, escape(shown(h.in.name)), h.contents.About.Source.SHA256),
	}
	if k := h.contents.About.Calibration; k != nil {
		p.Foot += fmt.Sprintf(" Data %.12s....", k.Data)
	}
	if len(h.nodes) > 0 {
		p.Foot += fmt.Sprintf(" Figures of nodes are of %s.", plural(len(h.some(nodeSamples)), h.heldNoun()))
	}
	p.Add("result", "Result", append([]page.Block{h.tiles(source)}, h.resultBlocks()...)...)
	size := "Size and drift"
	if len(h.curve) == 0 {
		size = "Size"
	}
	p.Add("size", size, h.curveBlock("the model at other widths, coded without data, and this one", h.size.FileBytes), h.partsBlock())
	h.addSections(p)
	return p
}

// lead says what the codes were decided by.
func (h *convertReport) lead() string {
	switch {
	case h.kind == "":
		return "Converted without data: bits and codes follow from the weights alone"
	case h.kind == syntheticKind:
		return fmt.Sprintf("Calibrated on %s of random numbers, which say little about real ones", plural(h.result.Calibration, sampleNoun(h.kind)))
	}
	return fmt.Sprintf("Calibrated on %s", plural(h.result.Calibration, sampleNoun(h.kind)))
}

// heldNoun is what a sample of the closing check is called.
func (h *convertReport) heldNoun() string {
	if h.result.HeldOut == h.result.Calibration {
		return sampleNoun(h.kind) // too few to keep some apart
	}
	return "held-out " + sampleNoun(h.kind)
}

// driftWords says the drift of the outputs in a line.
func (h *convertReport) driftWords() string {
	if len(h.figures) == 0 {
		return "how far its outputs are from the float model's is unknown without data"
	}
	f := slices.MaxFunc(h.figures, func(a, b compare.Figures) int { return compareFloats(a.Drift(), b.Drift()) })
	text := driftText(f)
	if len(h.figures) > 1 {
		text = "worst of " + plural(len(h.figures), "output") + ": " + text
	}
	return text + " on " + plural(h.result.HeldOut, h.heldNoun())
}

// compareFloats orders numbers, NaN last.
func compareFloats(a, b float64) int {
	switch {
	case a == b || a != a && b != b:
		return 0
	case a != a || a > b:
		return 1
	}
	return -1
}

// tiles are the figures to look at first.
func (h *convertReport) tiles(source int64) page.Block {
	list := page.Tiles{
		{Name: "file", Figure: thousands(h.size.FileBytes) + " bytes", Note: "the model has " + thousands(source)},
		{Name: "bits per weight", Figure: fmt.Sprintf("%.2f", h.size.BPW), Note: "of " + plural(int(floatWeights(h.contents.Tensors)), "weight") + ", kept ones counted"},
	}
	for _, f := range h.figures[:min(2, len(h.figures))] {
		list = append(list, outputTiles(verify.NewOutput(f))...)
	}
	return append(list, page.Tile{Name: "quantized", Figure: plural(len(h.layers), "tensor"), Note: "of " + plural(len(h.contents.Tensors), "float tensor")})
}

// resultBlocks are the drift of the outputs, how the layers were fitted, and the warnings.
func (h *convertReport) resultBlocks() []page.Block {
	var list []page.Block
	for _, w := range h.result.Warnings {
		list = append(list, page.Text("Warning: "+escape(w)+"."))
	}
	if len(h.figures) > 0 {
		outputs := make([]verify.Output, len(h.figures))
		for i, f := range h.figures {
			outputs[i] = verify.NewOutput(f)
		}
		list = append(list, outputTable(outputs))
	}
	if text := fittedText(h.result, sampleNoun(h.kind)); text != "" {
		list = append(list, page.Text(strings.ToUpper(text[:1])+text[1:]+"."))
	}
	return list
}
