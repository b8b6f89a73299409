package convert

import (
	"math"
	"slices"

	"bq/balance"
	"bq/onnxio"
)

// An entropy-coded weight is integers times a step (recipe.md A1): the step of a tensor is one rate knob for the whole network
// times a multiplier of the tensor's own,
//
//	step_t = c * reference_t * multiplier_t
//
// reference_t is the step at which the tensor takes referenceBits bits a weight. Everything here decides codes, and so is the same on
// every machine: sums in a fixed order, products rounded before they are added, logarithms of package balance.

// referenceBits is the rate at which tensors are compared.
const referenceBits = 3

// stepPlan is how one weight is cut into steps.
type stepPlan struct {
	layout     balance.Layout // one group, or one for each channel
	rows       []float64      // factor of the step by group; nil: one group
	reference  float64
	multiplier float64
	elements   int
	live       int       // elements that do not round to zero beside the largest
	part       []float32 // an excerpt, each element divided by its group's factor
	whole      bool      // the knob sets a whole number of bits
	channels   balance.Layout
	tops       []float64 // largest magnitude by channel, where codes are to be int8; nil: they may be wider
}

// int8Reach is how many steps the largest weight of a channel may be, where codes are to be int8: what rounding errors that are fed back
// add to it has room up to the limit.
const int8Reach = 112

// fitInt8 bounds the steps so that the codes of w, whose channels are those of l, are int8.
func (p *stepPlan) fitInt8(w []float32, l balance.Layout) {
	p.channels, p.tops = l, make([]float64, l.Groups())
	for e, v := range w {
		g := l.Group(e)
		p.tops[g] = max(p.tops[g], math.Abs(float64(v)))
	}
}

// deadRatio: an element below so small a part of the tensor's RMS takes no bits and says nothing of its size
// (recipe.md A3.8).
const deadRatio = 1e-6

// newStepPlan measures the weight w of layout l; rows asks for a step by channel, if the channels' sizes are wide apart. A
// weight of zeros has the reference 0.
func newStepPlan(w []float32, l balance.Layout, rows bool) *stepPlan {
	p := &stepPlan{layout: balance.PerTensor(len(w)), multiplier: 1, elements: len(w)}
	sigma := rootMeanSquare(w)
	for _, v := range w {
		if math.Abs(float64(v)) > deadRatio*sigma {
			p.live++
		}
	}
	if rows && l.Channels > 1 && l.Block == 0 {
		p.rows = rowFactors(w, l, sigma)
	}
	p.part, _ = excerpt(w, balance.PerTensor(len(w)), trialElements)
	if p.rows != nil {
		p.layout = l
		p.part = divided(w, l, p.rows)
	}
	p.reference = p.stepFor(referenceBits)
	return p
}

func rootMeanSquare(w []float32) float64 {
	sum := 0.0
	for _, v := range w {
		sum += float64(float64(v) * float64(v))
	}
	return math.Sqrt(sum / float64(max(1, len(w))))
}

// Rows of a convolution whose sizes spread by more than rowSpread octaves get steps of their own, which grow with the root
// of the row's size, in rowGrid parts of an octave (recipe.md A1.1).
const (
	rowSpread = 0.8
	rowGrid   = 8
)

// rowFactors returns the factor of each channel's step, nil where the channels are much alike.
func rowFactors(w []float32, l balance.Layout, sigma float64) []float64 {
	sums := make([]float64, l.Channels)
	for at, c := 0, 0; at < len(w); at += l.Inner {
		for _, v := range w[at : at+l.Inner] {
			sums[c] += float64(float64(v) * float64(v))
		}
		c = (c + 1) % l.Channels
	}
	var octaves []float64
	for c := range sums {
		sums[c] = math.Sqrt(sums[c] / float64(l.Outer*l.Inner))
		if sums[c] > deadRatio*sigma {
			octaves = append(octaves, balance.Log2(sums[c]/sigma))
		}
	}
	if len(octaves) < 2 || deviation(octaves) <= rowSpread {
		return nil
	}
	for c, r := range sums {
		octave := 0.0
		if r > deadRatio*sigma {
			octave = math.RoundToEven(rowGrid*0.5*balance.Log2(r/sigma)) / rowGrid
		}
		sums[c] = balance.Exp2(octave)
	}
	return sums
}

func deviation(x []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sum += float64((v - mean) * (v - mean))
	}
	return math.Sqrt(sum / float64(len(x)))
}

// divided returns an excerpt of w, each element divided by the factor of its channel.
func divided(w []float32, l balance.Layout, factors []float64) []float32 {
	stride := max(1, len(w)/trialElements)
	var part []float32
	for e := 0; e < len(w); e += stride {
		part = append(part, float32(float64(w[e])/factors[l.Group(e)]))
	}
	return part
}

// bitsAt returns the bits that the whole weight takes at a step, by the entropy of the excerpt.
func (p *stepPlan) bitsAt(step float64) float64 {
	if step <= 0 || len(p.part) == 0 {
		return 0
	}
	n := make([]int16, len(p.part))
	for i, v := range p.part {
		n[i] = balance.Nearest(float64(v), step)
	}
	return balance.TallyOf(n).Bits() * float64(p.elements) / float64(len(p.part))
}

// stepFor returns the step at which the weight takes the given bits an element, 0 for a weight of zeros.
func (p *stepPlan) stepFor(bits float64) float64 {
	top := 0.0
	for _, v := range p.part {
		top = max(top, math.Abs(float64(v)))
	}
	if top == 0 {
		return 0
	}
	low, high := balance.Log2(top)-16, balance.Log2(top)+1
	for range 24 {
		mid := (low + high) / 2
		if p.bitsAt(balance.Exp2(mid)) > bits*float64(max(1, p.live)) {
			low = mid
		} else {
			high = mid
		}
	}
	return balance.Exp2(high)
}

// steps returns the steps of all groups at rate knob c, as they are stored, and the groups.
func (p *stepPlan) steps(c float64) (balance.Layout, []float32) {
	base := c * p.reference * p.multiplier
	most := slices.Max(append([]float64{0}, p.tops...))
	switch {
	case p.rows == nil && most <= base*int8Reach:
		return p.layout, []float32{balance.RoundSoleStep(base)}
	case p.rows == nil && len(p.tops) == 1:
		return p.layout, []float32{balance.RoundSoleStep(most / int8Reach)}
	case p.rows == nil:
		steps := make([]float32, len(p.tops))
		for i, top := range p.tops {
			steps[i] = balance.RoundStep(max(base, top/int8Reach))
		}
		return p.channels, steps
	}
	steps := make([]float32, len(p.rows))
	for i, r := range p.rows {
		least := 0.0
		if p.tops != nil {
			least = p.tops[i] / int8Reach
		}
		steps[i] = balance.RoundStep(max(base*r, least))
	}
	return p.layout, steps
}

// estimate returns the bits of the weight at rate knob c.
func (p *stepPlan) estimate(c float64) float64 {
	if p.whole {
		return float64(p.bits(c) * p.elements)
	}
	return p.bitsAt(c * p.reference * p.multiplier)
}

// bits returns the whole number of bits whose step comes next to that of rate knob c.
func (p *stepPlan) bits(c float64) int {
	return int(max(1, min(balance.MaxBits, math.RoundToEven(referenceBits-balance.Log2(c*p.multiplier)))))
}

// multiplierReach bounds how far a multiplier goes from the mean, in octaves.
const multiplierReach = 3

// balanceMultipliers brings the multipliers to a geometric mean of 1 over all weights and cuts those far away.
func balanceMultipliers(plans []*stepPlan) {
	mean := func() float64 {
		sum, n := 0.0, 0.0
		for _, p := range plans {
			sum += float64(float64(p.live) * balance.Log2(p.multiplier))
			n += float64(p.live)
		}
		return sum / max(1, n)
	}
	shift := mean()
	for _, p := range plans {
		octaves := balance.Log2(p.multiplier) - shift
		p.multiplier = balance.Exp2(max(-multiplierReach, min(multiplierReach, octaves)))
	}
	shift = mean()
	for _, p := range plans {
		p.multiplier /= balance.Exp2(shift)
	}
}

// knobFor returns the finest rate knob at which the plans together do not take more than the given bits; the coarsest there is where
// even that takes more.
func knobFor(plans []*stepPlan, bits float64) float64 {
	total := func(c float64) float64 {
		sum := 0.0
		for _, p := range plans {
			sum += p.estimate(c)
		}
		return sum
	}
	low, high := -14.0, 8.0
	for range 24 {
		mid := (low + high) / 2
		if total(balance.Exp2(mid)) > bits {
			low = mid
		} else {
			high = mid
		}
	}
	return balance.Exp2(high)
}

// rowSteps reports whether a weight may have steps by channel: that of a convolution whose outputs no BatchNormalization
// evens out.
func rowSteps(j *job, readers map[string][]*onnxio.Node) bool {
	if j.layout.Channels < 2 || j.layout.Block > 0 || len(j.uses) != 1 || opOf(j.uses[0].node) != "Conv" || len(j.uses[0].node.Outputs) == 0 {
		return false
	}
	next := readers[j.uses[0].node.Outputs[0]]
	return !slices.ContainsFunc(next, func(n *onnxio.Node) bool { return n != nil && opOf(n) == "BatchNormalization" })
}
