package cli

import (
	"fmt"
	"math"
	"strings"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/page"
	"bq/onnxio"
	"bq/verify"
)

// htmlReport collects what the HTML report of verify shows beside its result.
type htmlReport struct {
	*session
	result *verify.Report
	a, b   *side
	set    *dataset.Set
	kinds  []compare.Override
	ladder *ladder // nil where A cannot be converted

	layers  []layer
	nodes   []verify.NodeDrift
	curve   []page.Point
	pages   page.Histograms
	tensors map[string]*onnxio.Tensor // A's constants by name
}

// layer is a quantized tensor, and the drift at the node that reads it.
type layer struct {
	convert.Coverage
	weights float64 // SQNR of its values, dB
	node    *verify.NodeDrift
	alone   *float64 // what it causes alone, under --blame
}

const (
	nodeSamples  = 16 // for the drift per node
	curveSamples = 64 // for each point of the curve
)

// bytes makes the page.
func (h *htmlReport) bytes() ([]byte, error) {
	if err := h.collect(); err != nil {
		return nil, err
	}
	return h.page().HTML()
}

// collect measures and reads everything. The models have run already.
func (h *htmlReport) collect() error {
	progress := h.newProgress()
	defer progress.stop()
	h.tensors = map[string]*onnxio.Tensor{}
	for _, k := range h.a.Graph.Constants() {
		h.tensors[inPath(k.Path, k.Name)] = k.Tensor
	}
	ranges := map[string]verify.Range{}
	if h.b.contents != nil {
		if err := h.readContainer(); err != nil {
			return err
		}
		for _, a := range h.b.contents.About.Activations {
			ranges[a.Name] = verify.Range{Low: a.Low, High: a.High}
		}
	}
	var err error
	h.nodes, err = verify.Nodes(h.ctx, h.a.Side, h.b.Side, h.set, verify.NodeOptions{Samples: nodeSamples, Ranges: ranges, Threads: h.threads,
		Progress: func(done, total int) { progress.update("comparing nodes", done, total) }})
	if err != nil {
		return err
	}
	h.placeLayers()
	if h.ladder == nil {
		return nil
	}
	return h.measureCurve(progress)
}

// readContainer reads the quantized tensors of B: figures and histograms of their weights.
func (h *htmlReport) readContainer() error {
	path := h.result.B.Path
	f, close, err := h.openContainer(path)
	if err != nil {
		return err
	}
	defer close()
	bins := histogramBins
	if len(f.Entries()) >= manyTensors {
		bins /= 2
	}
	for _, c := range h.b.contents.Tensors {
		i, ok := f.Lookup(c.Name)
		if !c.Quantized() || !ok {
			continue
		}
		if err := h.ctx.Err(); err != nil {
			return err
		}
		t, err := f.Tensor(i)
		if err != nil {
			return fmt.Errorf("reading %s: %w", shown(path), err)
		}
		l := layer{Coverage: c, weights: math.NaN()}
		if want := h.floatWeights(c); want != nil && t.Quant != nil {
			got := make([]float32, c.Elements)
			t.Quant.Dequantize(got)
			l.weights = weightSQNR(want, got)
			if g, ok := weightHistogram(c, t.Quant, want, bins); ok {
				h.pages = append(h.pages, g)
			}
		}
		h.layers = append(h.layers, l)
	}
	return nil
}

// floatWeights returns the values of a tensor in A; nil where it has none of that name and size.
func (h *htmlReport) floatWeights(c convert.Coverage) []float32 {
	t := h.tensors[c.Name]
	if t == nil {
		return nil
	}
	if n, err := t.Elements(); err != nil || n != c.Elements {
		return nil
	}
	v := make([]float32, c.Elements)
	if t.Float32s(v) != nil {
		return nil // float64, or data that are not there: the report goes without
	}
	return v
}

// placeLayers finds the node that reads each quantized tensor, and what the tensor is blamed for.
func (h *htmlReport) placeLayers() {
	readers := map[string]*verify.NodeDrift{}
	for i := range h.nodes {
		for _, in := range h.nodes[i].Inputs {
			if readers[in] == nil {
				readers[in] = &h.nodes[i]
			}
		}
	}
	blame := map[string]*float64{}
	for _, b := range h.result.Blame {
		blame[b.Tensor] = b.Alone()
	}
	for i := range h.layers {
		l := &h.layers[i]
		name := l.Name
		if k := strings.LastIndex(name, " / "); k >= 0 {
			name = name[k+len(" / "):]
		}
		l.node = readers[name]
		l.alone = blame[l.Name]
	}
}

// measureCurve measures the drift of A at the widths of the curve.
func (h *htmlReport) measureCurve(progress *progress) error {
	rungs, err := h.ladder.rungsOf(curveBits)
	if err != nil {
		return err
	}
	for i, r := range rungs {
		progress.update("measuring other sizes", i, len(rungs))
		m, _, err := convert.Restore(r.file, convert.FormFloat)
		if err != nil {
			return fmt.Errorf("coding %s at %d bits: %w", h.result.A.Path, r.bits, err)
		}
		sd, err := newSide(h.result.A.Path, verify.Model{}, m, func() {})
		if err != nil {
			return err
		}
		figures, err := verify.Drift(h.ctx, h.a.Side, sd.Side, h.set, h.kinds, curveSamples, h.threads)
		if err != nil {
			return err
		}
		if d := worstDrift(figures); d != nil {
			h.curve = append(h.curve, page.Point{X: float64(r.bytes), Y: *d, Name: fmt.Sprintf("%d bits", r.bits)})
		}
	}
	return nil
}

// worstPictures draws what the worst samples of an output were fed with; empty where the model is fed no pictures.
func (h *htmlReport) worstPictures(f compare.Figures) page.Pictures {
	var list page.Pictures
	for i, w := range f.Worst {
		if !(w.KL > 0) {
			break
		}
		s, err := h.set.Sample(w.Sample)
		if err != nil {
			break // it was read before; without pictures the report is still right
		}
		var feeds []*onnxio.Array
		for _, in := range h.a.Graph.Graph.FeedInputs() {
			if v := s.Feeds[in.Name]; v != nil {
				feeds = append(feeds, v)
			}
		}
		if png := thumbnail(feeds); png != nil {
			list = append(list, page.Picture{PNG: png, Caption: fmt.Sprintf("%s, %.3g nats", escape(f.WorstNames[i]), w.KL)})
		}
	}
	return list
}

// isPage reports whether a file is an HTML report of bq.
func isPage(path string) bool { return startsWith(path, page.Head) }

// driftUnit says what the drift of the worst output counts.
func driftUnit(list []compare.Figures) string {
	for _, f := range list {
		if f.Kind != drift.Values {
			return "KL, nats"
		}
	}
	return "noise/signal"
}
