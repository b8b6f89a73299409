package convert

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"bq/balance"
	"bq/packing"
)

// Method is a member of the balanced-percentile family, or the choice between members by measurement.
type Method struct {
	name string
	p    float64 // of balanced
	int8 bool    // codes are to be multiplied with codes: values are whole multiples, up to 127, of one for each scale
}

// Auto measures every member of least error at its rate and takes the best.
var Auto = Method{name: "auto"}

// ParseMethod reads a method as --method gives it: auto, affine, balanced, balanced:P with the exponent P as a
// decimal or a fraction in [0, 1], entropy, lloyd or paper.
func ParseMethod(s string) (Method, error) {
	switch name, exponent, given := strings.Cut(s, ":"); {
	case name == "balanced" && given:
		p, err := parseExponent(exponent)
		return Method{name: name, p: p}, err
	case given:
		return Method{}, fmt.Errorf("want an exponent only after balanced, got %q", s)
	case name == "balanced":
		return Method{name: name, p: 1}, nil
	case name == "auto" || name == "affine" || name == "entropy" || name == "lloyd" || name == "paper":
		return Method{name: name}, nil
	}
	return Method{}, fmt.Errorf("want auto, affine, balanced, balanced:P, entropy, lloyd or paper, got %q", s)
}

func parseExponent(s string) (float64, error) {
	num, den, fraction := strings.Cut(s, "/")
	p, err := strconv.ParseFloat(num, 64)
	if err == nil && fraction {
		var d float64
		d, err = strconv.ParseFloat(den, 64)
		p /= d
	}
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("want an exponent from 0 to 1 such as 1/3, got %q", s)
	}
	return p, nil
}

// String returns the method as --method takes it.
func (m Method) String() string {
	if m.name == "balanced" && m.p != 1 {
		return "balanced:" + strconv.FormatFloat(m.p, 'g', -1, 64)
	}
	return m.name
}

// Literal reports whether m is the paper's quantizer to the letter, which destroys models after training.
func (m Method) Literal() bool { return m.name == "paper" }

// specs lists the quantizers that m stands for at the given bits.
func (m Method) specs(bits int) []balance.Spec {
	codebooks := func(method balance.Method, p float64) []balance.Spec {
		return []balance.Spec{
			{Bits: bits, Method: method, P: p, Norm: balance.NormAbsMax},
			{Bits: bits, Method: method, P: p, Norm: balance.NormRMS},
		}
	}
	affine := balance.Spec{Bits: bits, Method: balance.Affine, Symmetric: m.int8 && bits == balance.MaxBits}
	switch m.name {
	case "affine":
		return []balance.Spec{affine}
	case "balanced":
		return codebooks(balance.Balanced, m.p)
	case "lloyd":
		return codebooks(balance.Lloyd, 0)
	case "paper":
		return []balance.Spec{{Bits: bits, Method: balance.Paper}}
	}
	if m.int8 && bits > maxSnapped {
		return []balance.Spec{affine}
	}
	return append([]balance.Spec{affine}, codebooks(balance.Lloyd, 0)...)
}

// maxSnapped is the widest code whose levels are far enough apart to be taken to the nearest of 255 equal steps.
const maxSnapped = 5

// snap takes the levels of a codebook to the nearest whole multiples, up to 127, of a power of two.
func snap(levels []float32) {
	most := float32(0)
	for _, v := range levels {
		most = max(most, float32(math.Abs(float64(v))))
	}
	unit := unitOf(most)
	for i, v := range levels {
		levels[i] = float32(math.RoundToEven(float64(v/unit))) * unit
	}
}

// unitOf returns the least power of two of which most is at most 127 multiples; 1 for 0.
func unitOf(most float32) float32 {
	if !(most > 0) {
		return 1
	}
	_, exponent := math.Frexp(float64(most) / math.MaxInt8)
	unit := float32(math.Ldexp(1, exponent))
	if half := unit / 2; most <= half*math.MaxInt8 {
		return half
	}
	return unit
}

// quantized is a coded weight with what is known of it.
type quantized struct {
	*balance.Quantized
	spec    balance.Spec
	entropy bool    // integers times a step, for an entropy coder
	sqnr    float64 // dB
	first   *groups // those that rounding went by, where they were changed since
}

// groups are the scales of codes, and which elements share one.
type groups struct {
	layout balance.Layout
	scales []float32
}

// rescale changes the scales behind the codes.
func (q *quantized) rescale(l balance.Layout, scales []float32) {
	if q.first == nil {
		q.first = &groups{q.Layout, q.Scales}
	}
	q.Layout, q.Scales = l, scales
}

// restore takes back what rescale changed.
func (q *quantized) restore() {
	if q.first != nil {
		q.Layout, q.Scales, q.first = q.first.layout, q.first.scales, nil
	}
}

// release lets go of the codes, which take most of the memory. A nil q has none.
func (q *quantized) release() {
	if q != nil {
		q.Codes, q.Wide = nil, nil
	}
}

// lloydExponent is the exponent of the edges that Lloyd rounds start from (method.md section 3).
const lloydExponent = 1.0 / 3

// member returns the family member's name and exponent p: 0 for the uniform step of an affine code.
func (q *quantized) member() (string, float64) {
	if q.entropy {
		return "entropy", 0
	}
	switch q.spec.Method {
	case balance.Balanced:
		return "balanced", q.spec.P
	case balance.Lloyd:
		return "lloyd", lloydExponent
	case balance.Paper:
		return "paper", 1
	}
	return "affine", 0
}

// trialElements bounds how many weights of a tensor the choice between quantizers looks at.
const trialElements = 1 << 16

// quantize codes w by the quantizer of m that is best at its rate, found on a part of w. importance weighs the squared
// error of each element, nil for all alike. typical is the size of a weight of the model, in elements; balanced asks for
// rounding errors that add up to zero in each channel.
func (m Method) quantize(w, importance []float32, l balance.Layout, bits, typical int, balanced bool) (*quantized, error) {
	if m.name == "entropy" {
		if !finite(w) {
			return nil, balance.ErrNonFinite
		}
		return integersOf(w, bits)
	}
	if m.Literal() {
		l = balance.PerTensor(len(w))
	}
	specs := m.specs(bits)
	if len(specs) > 1 {
		part, pl := excerpt(w, l, trialElements)
		best, bestScore := 0, math.Inf(-1)
		for i, s := range specs {
			q, err := balance.Quantize(part, nil, pl, s)
			if err != nil {
				break // the whole tensor will say the same, with its own index
			}
			// a thousandth of a dB decides nothing, and is more than machines' logarithms differ by
			if score := rateDistortion(q, l, len(w), typical); score > bestScore+1e-3 {
				best, bestScore = i, score
			}
		}
		specs = specs[best : best+1]
	}
	s := specs[0]
	s.Unbias = s.Method == balance.Lloyd || s.Method == balance.Affine
	s.ZeroSum = balanced && s.Unbias
	q, err := balance.Quantize(w, importance, l, s)
	if err != nil {
		return nil, err
	}
	if m.int8 && bits <= maxSnapped {
		snap(q.Levels)
	}
	return &quantized{Quantized: q, spec: specs[0]}, nil
}

// decibelsPerBit is what one more bit per weight is worth at high rate: 20 log10(2).
const decibelsPerBit = 6.0206

// rateDistortion scores a quantizer that gave q on an excerpt: SQNR in dB less the worth of the bytes that the whole
// tensor of layout l and n elements takes: codes, a byte per scale, zero points, levels in float16.
//
// A byte is worth what it buys in a weight of typical size, not in this one: where every layer's relative noise hurts
// the output alike, equal slope makes small tensors precise, because precision is cheap there (recipe.md A1.2).
func rateDistortion(q *balance.Quantized, l balance.Layout, n, typical int) float64 {
	bits := n*q.Bits + 8*l.Groups() + 16*len(q.Levels)
	if q.Zeros != nil {
		bits += q.Bits * l.Groups()
	}
	return q.SQNR() - decibelsPerBit*float64(bits)/float64(typical)
}

// packed returns q as the container takes it.
func (q *quantized) packed() *packing.Quant {
	name, p := q.member()
	l := q.Layout
	return &packing.Quant{
		Method: name, P: float32(p), Bits: q.Bits,
		Layout: packing.Layout{Outer: l.Outer, Channels: l.Channels, Inner: l.Inner, Block: l.Block},
		Scales: q.Scales, Stretch: q.Stretch, Zeros: q.Zeros, Levels: q.Levels, Codes: q.Codes, Wide: q.Wide,
	}
}

// excerpt returns about limit elements of w, evenly spread whole channels, or runs of blocks where there is one
// channel, with their layout; w and l themselves where they are not larger.
func excerpt(w []float32, l balance.Layout, limit int) ([]float32, balance.Layout) {
	if len(w) <= limit {
		return w, l
	}
	if l.Channels == 1 {
		return excerptRuns(w, l, limit)
	}
	per := l.Outer * l.Inner
	count := min(max(1, limit/per), l.Channels)
	part := make([]float32, 0, count*per)
	for o := range l.Outer {
		for k := range count {
			at := (o*l.Channels + k*l.Channels/count) * l.Inner
			part = append(part, w[at:at+l.Inner]...)
		}
	}
	return part, balance.Layout{Outer: l.Outer, Channels: count, Inner: l.Inner, Block: l.Block}
}

// excerptRun is the length of the runs that excerpts of a single channel are made of, in blocks of at least so many.
const excerptRun = 64

func excerptRuns(w []float32, l balance.Layout, limit int) ([]float32, balance.Layout) {
	run := min(max(excerptRun, l.Block), len(w))
	count := max(1, limit/run)
	total := len(w) / run
	var part []float32
	for k := range min(count, total) {
		at := k * total / min(count, total) * run
		part = append(part, w[at:at+run]...)
	}
	return part, balance.Layout{Outer: 1, Channels: 1, Inner: len(part), Block: l.Block}
}
