package cli

import (
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/drift"
	"bq/internal/page"
	"bq/verify"
)

// htmlReport collects what the HTML report of verify shows beside its result.
type htmlReport struct {
	reportModel
	result *verify.Report
	a, b   *side
	kinds  []compare.Override
	ladder *ladder // nil where A cannot be converted
}

// newHTMLReport prepares the report of a finished comparison.
func (s *session) newHTMLReport(r *verify.Report, a, b *side, set *dataset.Set, kinds []compare.Override, l *ladder) *htmlReport {
	h := &htmlReport{reportModel{session: s, size: b.size, contents: b.contents, set: set, figures: r.Figures}, r, a, b, kinds, l}
	if len(r.Blame) > 0 {
		h.alone = map[string]*float64{}
	}
	for _, b := range r.Blame {
		h.alone[b.Tensor] = b.Alone()
	}
	return h
}

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
	h.setFloat(h.a.Graph)
	if h.contents != nil {
		if err := h.readContainer(h.result.B.Path); err != nil {
			return err
		}
	}
	if err := h.compareNodes(h.a.Side, h.b.Side, verify.Spread(h.set.Len(), nodeSamples), progress); err != nil {
		return err
	}
	h.placeLayers()
	if h.ladder == nil {
		return nil
	}
	return h.measureCurve(h.ladder, h.a, h.kinds, verify.Spread(h.set.Len(), curveSamples), progress)
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
