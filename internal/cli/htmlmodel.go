package cli

import (
	"fmt"
	"math"
	"strings"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/page"
	"bq/onnxio"
	"bq/verify"
)

// reportModel is what the reports of convert and verify show of a model that was quantized, beside the float model that it
// comes of.
type reportModel struct {
	*session
	size     *sizeRecord         // nil where the model is no container
	contents *convert.Contents   // the same
	set      *dataset.Set        // nil without samples
	figures  []compare.Figures   // of the outputs
	alone    map[string]*float64 // what each tensor causes alone; nil where it was not measured

	float   *onnxio.Model
	tensors map[string]*onnxio.Tensor // its constants by name
	layers  []layer
	nodes   []verify.NodeDrift // nil where the models did not run
	clipped map[string]float64 // share of the float values of quantized activations outside their range
	pages   page.Histograms
	curve   []page.Point
}

// layer is a quantized tensor, and the drift at the node that reads it.
type layer struct {
	convert.Coverage
	weights float64 // SQNR of its values, dB
	node    *verify.NodeDrift
}

const (
	nodeSamples  = 16 // for the drift per node
	curveSamples = 64 // for each point of the curve
)

// setFloat takes the float model, and finds its tensors.
func (h *reportModel) setFloat(m *onnxio.Model) {
	h.float, h.tensors = m, map[string]*onnxio.Tensor{}
	for _, k := range m.Constants() {
		h.tensors[inPath(k.Path, k.Name)] = k.Tensor
	}
}

// compareNodes measures the drift at every node of a, the float model, and b on the given samples.
func (h *reportModel) compareNodes(a, b verify.Side, samples []int, progress *progress) (err error) {
	ranges := map[string]verify.Range{}
	if h.contents != nil {
		for _, a := range h.contents.About.Activations {
			ranges[a.Name] = verify.Range{Low: a.Low, High: a.High}
		}
	}
	h.nodes, err = verify.Nodes(h.ctx, a, b, h.set, verify.NodeOptions{Samples: samples, Ranges: ranges, Threads: h.threads,
		Progress: func(done, total int) { progress.update("comparing nodes", done, total) }})
	if err != nil {
		return err
	}
	h.clipped = map[string]float64{}
	for _, n := range h.nodes {
		if _, ok := ranges[n.Output]; ok {
			h.clipped[n.Output] = n.Outside
		}
	}
	return h.clippedInputs(ranges, samples)
}

// clippedInputs counts what of the model's inputs lies outside the ranges of those that are quantized.
func (h *reportModel) clippedInputs(ranges map[string]verify.Range, samples []int) error {
	for _, in := range h.float.Graph.FeedInputs() {
		r, ok := ranges[in.Name]
		if !ok {
			continue
		}
		outside, count := 0, 0
		for _, i := range samples {
			s, err := h.set.Sample(i)
			if err != nil {
				return err
			}
			if s.Feeds[in.Name] == nil {
				continue
			}
			for _, v := range s.Feeds[in.Name].F32() {
				if count++; v < r.Low || v > r.High {
					outside++
				}
			}
		}
		if count > 0 {
			h.clipped[in.Name] = float64(outside) / float64(count)
		}
	}
	return nil
}

// readContainer reads the quantized tensors of the container: figures and histograms of their weights.
func (h *reportModel) readContainer(path string) error {
	f, close, err := h.openContainer(path)
	if err != nil {
		return err
	}
	defer close()
	bins := histogramBins
	if len(f.Entries()) >= manyTensors {
		bins /= 2
	}
	for _, c := range h.contents.Tensors {
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

// floatWeights returns the values of a tensor in the float model; nil where it has none of that name and size.
func (h *reportModel) floatWeights(c convert.Coverage) []float32 {
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

// placeLayers finds the node that reads each quantized tensor.
func (h *reportModel) placeLayers() {
	readers := map[string]*verify.NodeDrift{}
	for i := range h.nodes {
		for _, in := range h.nodes[i].Inputs {
			if readers[in] == nil {
				readers[in] = &h.nodes[i]
			}
		}
	}
	for i := range h.layers {
		l := &h.layers[i]
		name := l.Name
		if k := strings.LastIndex(name, " / "); k >= 0 {
			name = name[k+len(" / "):]
		}
		l.node = readers[name]
	}
}

// measureCurve measures the drift of the float model, a, at the widths of the curve.
func (h *reportModel) measureCurve(l *ladder, a *side, kinds []compare.Override, samples []int, progress *progress) error {
	rungs, err := l.rungsOf(curveBits)
	if err != nil {
		return err
	}
	for i, r := range rungs {
		progress.update("measuring other sizes", i, len(rungs))
		m, err := convert.Runnable(r.file)
		if err != nil {
			return fmt.Errorf("coding %s at %d bits: %w", a.Model.Path, r.bits, err)
		}
		sd, err := newSide(a.Model.Path, verify.Model{}, m, func() {})
		if err != nil {
			return err
		}
		figures, err := verify.Drift(h.ctx, a.Side, sd.Side, h.set, kinds, samples, h.threads)
		if err != nil {
			return err
		}
		if d := worstDrift(figures); d != nil {
			h.curve = append(h.curve, page.Point{X: float64(r.bytes), Y: *d, Name: fmt.Sprintf("%d bits", r.bits)})
		}
	}
	return nil
}
