package cli

import (
	"fmt"

	"bq/internal/compare"
	"bq/internal/page"
	"bq/onnxio"
)

// The figures of single samples in an HTML report.

// sampleOutputs is for how many outputs the samples are shown.
const sampleOutputs = 3

// sampleBlocks shows the KL of every sample, and the worst.
func (h *reportModel) sampleBlocks() []page.Block {
	var list []page.Block
	for _, f := range h.figures {
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

// worstPictures draws what the worst samples of an output were fed with; empty where the model is fed no pictures.
func (h *reportModel) worstPictures(f compare.Figures) page.Pictures {
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
		for _, in := range h.float.Graph.FeedInputs() {
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
