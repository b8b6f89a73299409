// Package drift measures how far the output of a quantized model is from that of its reference.
//
// An output is seen as rows of class scores. With p and q the class distributions of reference and quantized row:
//
//	KL     = sum over classes p*(log p - log q), in nats, averaged over rows
//	agree  = share of rows with the same largest score (of equals, the lowest class; a row with a NaN has none)
//	SQNR   = 10 log10(sum ref^2 / sum (ref-got)^2), in dB, over all values of all samples
//	cosine = sum ref*got / sqrt(sum ref^2 * sum got^2), averaged over samples
//	nll    = -log q of the labelled class, in nats, averaged over labelled rows; its exponential is the perplexity
//
// Standard errors are those of a mean over samples: the rows of one sample (the steps of a sequence, the pixels of a
// map) are not independent, so a sample counts as one cluster (Liang and Zeger, Biometrika 73, 1986).
package drift

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// Kind says what the values of an output are.
type Kind int

const (
	Values   Kind = iota // numbers without classes: only SQNR, cosine and the largest difference
	Logits               // scores whose softmax is the class distribution
	Probs                // the class distribution
	LogProbs             // its logarithm
)

var kindNames = [...]string{Values: "values", Logits: "logits", Probs: "probs", LogProbs: "logprobs"}

// String returns "values", "logits", "probs" or "logprobs".
func (k Kind) String() string { return kindNames[k] }

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, error) {
	if i := slices.Index(kindNames[:], s); i >= 0 {
		return Kind(i), nil
	}
	return 0, fmt.Errorf("want logits, probs, logprobs or values, got %q", s)
}

// Classes reports whether outputs of kind k have classes.
func (k Kind) Classes() bool { return k != Values }

// Figures are the drift of one output. Figures of classes are zero where Kind is Values.
type Figures struct {
	Kind       Kind
	Samples    int
	Rows       int
	KL, KLSE   float64 // nats; mean and its standard error
	KLP99      float64 // nats; 99th percentile over rows: the smallest KL that at least 99 % of the rows don't exceed
	KLMax      float64 // nats
	Agree      float64 // share of rows, with its standard error
	AgreeSE    float64
	Labelled   int     // rows with a label; the next six are zero where there are none
	Top1Ref    float64 // accuracy of the reference
	Top1Got    float64 // accuracy of the quantized model
	Top1DropSE float64 // standard error of Top1Ref - Top1Got, over the same samples
	NLLRef     float64 // nats
	NLLGot     float64 // nats
	SQNR       float64 // dB; +Inf where the outputs are equal, NaN where the reference is all zero and they are not
	MaxAbs     float64 // largest |ref - got|
	Cosine     float64 // mean over samples; of two zero samples 1, of one 0
	NonFinite  int     // values of either side that are NaN or infinite; where there are any, SQNR, MaxAbs and Cosine are NaN
	Worst      []SampleKL
	BySample   []SampleKL // all of them, in the order in which they were added
}

// SampleKL is the mean KL of the rows of one sample. Spread is how far the reference is from being sure, the mean of
// 1 - sum p^2: what a sample's KL is in proportion to when noise of equal power in all scores is small.
type SampleKL struct {
	Sample int
	KL     float64
	Spread float64
}

// Drift is the one figure that limits and searches use: mean KL of a class output, noise power over signal power of
// another.
func (f *Figures) Drift() float64 {
	if f.Kind.Classes() {
		return f.KL
	}
	return math.Pow(10, -f.SQNR/10)
}

// worstCount is how many samples Figures names.
const worstCount = 10

// ErrShape marks outputs that cannot be compared row by row.
var ErrShape = errors.New("outputs differ in size")

// Meter adds up the drift of one output over samples. Samples must be added in order for equal sums on equal data.
type Meter struct {
	kind                   Kind
	signal, noise, largest float64
	nonFinite              int
	cosines                []float64
	rowKL                  []float32
	clusters               []cluster
	logRef, logGot         []float64
}

// cluster is what one sample adds.
type cluster struct {
	sample, rows, labelled int
	kl, spread, agree      float64
	hitRef, hitGot         float64
	lossRef, lossGot       float64
}

// NewMeter returns a meter for an output of the given kind.
func NewMeter(kind Kind) *Meter { return &Meter{kind: kind} }

// Add takes one sample's output of both models, seen as [outer, classes, inner]: each pair of an outer and an inner
// index is a row. labels holds a class for each row, negative where a row has none; nil where no row has.
// For Values the three sizes only have to multiply to the length.
func (m *Meter) Add(sample int, ref, got []float32, outer, classes, inner int, labels []int64) error {
	if len(ref) != len(got) || len(ref) != outer*classes*inner {
		return fmt.Errorf("%w: %d and %d values, want %d x %d x %d", ErrShape, len(ref), len(got), outer, classes, inner)
	}
	if labels != nil && len(labels) != outer*inner {
		return fmt.Errorf("%w: %d labels for %d rows", ErrShape, len(labels), outer*inner)
	}
	m.addValues(ref, got)
	c := cluster{sample: sample}
	if m.kind.Classes() && classes > 0 {
		for o := range outer {
			for i := range inner {
				label := int64(-1)
				if labels != nil {
					label = labels[o*inner+i]
				}
				m.addRow(&c, ref, got, o*classes*inner+i, classes, inner, label)
			}
		}
	}
	m.clusters = append(m.clusters, c)
	return nil
}

// addValues adds to the figures that need no classes.
func (m *Meter) addValues(ref, got []float32) {
	var rr, gg, rg float64
	for i := range ref {
		r, g := float64(ref[i]), float64(got[i])
		if d := r - g; d-d != 0 {
			m.nonFinite++
			continue
		}
		m.noise += (r - g) * (r - g)
		m.largest = max(m.largest, math.Abs(r-g))
		rr, gg, rg = rr+r*r, gg+g*g, rg+r*g
	}
	m.signal += rr
	m.cosines = append(m.cosines, cosine(rr, gg, rg))
}

func cosine(rr, gg, rg float64) float64 {
	switch {
	case rr == 0 && gg == 0:
		return 1
	case rr == 0 || gg == 0:
		return 0
	}
	return rg / math.Sqrt(rr*gg)
}

// addRow adds the row that starts at index at and goes on in steps of inner.
func (m *Meter) addRow(c *cluster, ref, got []float32, at, classes, inner int, label int64) {
	m.logRef, m.logGot = m.logRef[:0], m.logGot[:0]
	for k := range classes {
		m.logRef = append(m.logRef, float64(ref[at+k*inner]))
		m.logGot = append(m.logGot, float64(got[at+k*inner]))
	}
	a, b := top(m.logRef), top(m.logGot)
	m.logarithms()
	kl, squares := divergence(m.logRef, m.logGot)
	c.rows++
	c.kl += kl
	c.spread += 1 - squares
	m.rowKL = append(m.rowKL, float32(kl))
	if a >= 0 && a == b {
		c.agree++
	}
	if label < 0 || label >= int64(classes) {
		return
	}
	c.labelled++
	c.lossRef -= m.logRef[label]
	c.lossGot -= m.logGot[label]
	if int64(a) == label {
		c.hitRef++
	}
	if int64(b) == label {
		c.hitGot++
	}
}

// top returns the class of the largest score, of equals the lowest, and -1 where a score is NaN.
func top(row []float64) int {
	if floats.HasNaN(row) {
		return -1
	}
	return floats.MaxIdx(row)
}

// Floors of probabilities. smallest keeps the logarithm of a true distribution finite; coarse is that of a row that
// no longer sums to one, as a quantized Softmax gives: its smallest code is not a probability of zero.
const (
	smallest = 1e-12
	coarse   = 1e-4
	sumSlack = 1e-3 // a row of probabilities may miss one by this
)

// logarithms turns both rows into logarithms of class distributions, in place.
func (m *Meter) logarithms() {
	switch m.kind {
	case Logits:
		logSoftmax(m.logRef)
		logSoftmax(m.logGot)
	case Probs:
		logProbs(m.logRef)
		logProbs(m.logGot)
	}
}

func logSoftmax(row []float64) { floats.AddConst(-floats.LogSumExp(row), row) }

func logProbs(row []float64) {
	floor, scale := smallest, 1.0
	if sum := floats.Sum(row); floats.Min(row) < 0 || math.Abs(sum-1) > sumSlack {
		floor, scale = coarse, 0
		for _, p := range row {
			scale += max(p, coarse)
		}
	}
	for i, p := range row {
		row[i] = math.Log(max(p, floor) / scale)
	}
}

// divergence returns sum exp(a)*(a-b) over the logarithms of two distributions, and sum exp(a)^2. A class of
// probability zero adds nothing; one that is NaN on either side makes the sum NaN.
func divergence(a, b []float64) (kl, squares float64) {
	for i := range a {
		if p := math.Exp(a[i]); p != 0 || b[i] != b[i] {
			kl += p * (a[i] - b[i])
			squares += p * p
		}
	}
	return kl, squares
}

// Figures returns the drift of all samples so far.
func (m *Meter) Figures() Figures {
	f := Figures{Kind: m.kind, Samples: len(m.clusters), SQNR: m.sqnr(), MaxAbs: m.largest, NonFinite: m.nonFinite}
	f.Cosine = stat.Mean(m.cosines, nil)
	if m.nonFinite > 0 {
		f.SQNR, f.MaxAbs, f.Cosine = math.NaN(), math.NaN(), math.NaN()
	}
	if !m.kind.Classes() {
		return f
	}
	rows := column(m.clusters, func(c cluster) float64 { return float64(c.rows) })
	f.Rows = len(m.rowKL)
	f.KL, f.KLSE = ratio(column(m.clusters, func(c cluster) float64 { return c.kl }), rows)
	f.Agree, f.AgreeSE = ratio(column(m.clusters, func(c cluster) float64 { return c.agree }), rows)
	f.KLP99, f.KLMax = tail(m.rowKL)
	m.labels(&f)
	f.BySample = m.bySample()
	f.Worst = worst(f.BySample)
	return f
}

func (m *Meter) sqnr() float64 {
	switch {
	case m.noise == 0:
		return math.Inf(1)
	case m.signal == 0:
		return math.NaN()
	}
	return 10 * math.Log10(m.signal/m.noise)
}

func column(list []cluster, f func(cluster) float64) []float64 {
	v := make([]float64, len(list))
	for i, c := range list {
		v[i] = f(c)
	}
	return v
}

// ratio returns the mean sum(y)/sum(n) and its standard error over clusters (Cochran, Sampling Techniques, 1977,
// section 6.4): sqrt(k/(k-1) * sum (y - r*n)^2) / sum(n) over the k clusters that have rows; NaN of fewer than two.
func ratio(y, n []float64) (mean, se float64) {
	total := floats.Sum(n)
	if total == 0 {
		return math.NaN(), math.NaN()
	}
	mean = floats.Sum(y) / total
	k, squares := 0.0, 0.0
	for i := range y {
		if n[i] > 0 {
			d := y[i] - mean*n[i]
			squares += d * d
			k++
		}
	}
	if k < 2 {
		return mean, math.NaN()
	}
	return mean, math.Sqrt(k/(k-1)*squares) / total
}

// tailShare is the percentile that KLP99 names.
const tailShare = 0.99

// tail returns the 99th percentile and the largest of the rows' KL, NaN where one is NaN.
func tail(rows []float32) (p99, largest float64) {
	if len(rows) == 0 {
		return math.NaN(), math.NaN()
	}
	sorted := make([]float64, len(rows))
	for i, v := range rows {
		if v != v {
			return math.NaN(), math.NaN()
		}
		sorted[i] = float64(v)
	}
	slices.Sort(sorted)
	return stat.Quantile(tailShare, stat.Empirical, sorted, nil), sorted[len(sorted)-1]
}

// labels fills the figures of labelled rows.
func (m *Meter) labels(f *Figures) {
	n := column(m.clusters, func(c cluster) float64 { return float64(c.labelled) })
	if f.Labelled = int(floats.Sum(n)); f.Labelled == 0 {
		return
	}
	f.Top1Ref, _ = ratio(column(m.clusters, func(c cluster) float64 { return c.hitRef }), n)
	f.Top1Got, _ = ratio(column(m.clusters, func(c cluster) float64 { return c.hitGot }), n)
	_, f.Top1DropSE = ratio(column(m.clusters, func(c cluster) float64 { return c.hitRef - c.hitGot }), n)
	f.NLLRef, _ = ratio(column(m.clusters, func(c cluster) float64 { return c.lossRef }), n)
	f.NLLGot, _ = ratio(column(m.clusters, func(c cluster) float64 { return c.lossGot }), n)
}

// bySample returns the mean KL of each sample that has rows.
func (m *Meter) bySample() []SampleKL {
	list := make([]SampleKL, 0, len(m.clusters))
	for _, c := range m.clusters {
		if c.rows > 0 {
			list = append(list, SampleKL{c.sample, c.kl / float64(c.rows), c.spread / float64(c.rows)})
		}
	}
	return list
}

// worst returns the samples of the largest mean KL, the worst first, of equals the earlier first.
func worst(all []SampleKL) []SampleKL {
	list := slices.Clone(all)
	slices.SortStableFunc(list, func(a, b SampleKL) int {
		switch {
		case a.KL > b.KL || a.KL != a.KL && b.KL == b.KL:
			return -1
		case a.KL < b.KL || b.KL != b.KL && a.KL == a.KL:
			return 1
		}
		return 0
	})
	return list[:min(worstCount, len(list))]
}
