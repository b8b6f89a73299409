package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"bq/verify"
)

// reportFormat is the format of a verify result, in place of that of a model.
const reportFormat = "json"

// metricChange is a figure that differs between two reports.
type metricChange struct {
	Metric      string   `json:"metric"`
	Output      string   `json:"output"` // "" for the file's size
	Was         *float64 `json:"was"`
	Now         *float64 `json:"now"`
	Significant bool     `json:"significant"` // false: inside two standard errors
}

// diffReports compares two results of verify --json, figure by figure.
func (s *session) diffReports(rec *diffRecord, pathA, pathB string) error {
	a, recA, err := s.readReport(pathA)
	if err != nil {
		return err
	}
	b, recB, err := s.readReport(pathB)
	if err != nil {
		return err
	}
	rec.A, rec.B = recA, recB
	if a.A.SHA256 != b.A.SHA256 {
		s.warn("the reports are of different models A (sha256 %.8s... and %.8s...)", a.A.SHA256, b.A.SHA256)
	}
	if a.Data.SHA256 != b.Data.SHA256 || a.Data.Taken != b.Data.Taken {
		s.warn("the reports are of different samples")
	}
	was, now := figuresOf(a), figuresOf(b)
	for _, f := range a.Figures() {
		rec.put(f, now[figureName{f.Metric, f.Output}])
	}
	for _, f := range b.Figures() {
		if _, ok := was[figureName{f.Metric, f.Output}]; !ok {
			rec.put(verify.Figure{Metric: f.Metric, Output: f.Output}, f)
		}
	}
	return nil
}

type figureName struct{ metric, output string }

func figuresOf(r *verify.Baseline) map[figureName]verify.Figure {
	m := map[figureName]verify.Figure{}
	for _, f := range r.Figures() {
		m[figureName{f.Metric, f.Output}] = f
	}
	return m
}

// put adds a figure where it differs.
func (rec *diffRecord) put(was verify.Figure, now verify.Figure) {
	c := metricChange{Metric: was.Metric, Output: was.Output, Was: was.Value, Now: now.Value, Significant: true}
	switch {
	case c.Was == nil && c.Now == nil || c.Was != nil && c.Now != nil && *c.Was == *c.Now:
		return
	case c.Was != nil && c.Now != nil && was.SE != nil && now.SE != nil:
		c.Significant = math.Abs(*c.Now-*c.Was) > 2*math.Hypot(*was.SE, *now.SE)
	}
	rec.Metrics = append(rec.Metrics, c)
}

func (s *session) readReport(path string) (*verify.Baseline, verify.Model, error) {
	rec := verify.Model{Path: path, Format: reportFormat}
	f, size, err := s.openInput(path)
	if err != nil {
		return nil, rec, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	defer f.Close()
	digest := sha256.New()
	base, err := verify.ReadBaseline(io.TeeReader(f, digest))
	if err != nil {
		return nil, rec, fmt.Errorf("reading %s: %w", shown(path), pathCause(err))
	}
	rec.Bytes, rec.SHA256 = size, hex.EncodeToString(digest.Sum(nil))
	return base, rec, nil
}

// metricTable prints a line for each figure that differs; ~ marks what lies inside two standard errors.
func (s *session) metricTable(list []metricChange) {
	if len(list) == 0 {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "output\tmetric\twas\tnow\t")
	for _, c := range list {
		mark := ""
		if !c.Significant {
			mark = "~"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cell(c.Output), c.Metric, figure(c.Was, "%.6g"), figure(c.Now, "%.6g"), mark)
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}
