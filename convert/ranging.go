package convert

import (
	"math"
	"slices"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/infer"
	"bq/onnxio"
)

// The rule by which the ranges of activations are chosen is itself chosen: on no model is the same one best, and samples that took no
// part in the ranges tell (recipe.md B1, "gate").

// percentileFrom is the number of bits from which ranges go by 99.999 % of the values where nothing was measured; below it they are
// those of least squared error (recipe.md B1).
const percentileFrom = 7

// usualRule returns the rule for so many bits where there is nothing to measure it by.
func usualRule(bits int) balance.RangeRule {
	if bits >= percentileFrom {
		return balance.RangeP99999
	}
	return balance.RangeMSE
}

// rangesFrom is the least number of samples that are divided to choose the rule; clearly is what another rule's drift must be of that
// of the usual one, below which it is taken: less may be chance.
//
// Fewer samples do not show how far values go: with 4 of them ranges half as wide again drift by 5 dB less on others (ultraface, resnet20,
// kws). Ranges are made wider by a part of unseen over the number of samples.
const (
	rangesFrom = 12
	clearly    = 0.95
	unseen     = 1
)

// headroom returns by how much the ranges of n samples that choose no rule are made wider.
func headroom(n int) float32 {
	if n >= rangesFrom {
		return 1
	}
	return 1 + unseen/float32(n)
}

// chooseRule sets the rule by which ranges are chosen, and whether what MatMul multiplies has steps for each row: what drifts least on a
// third of the samples, when the other two thirds chose the ranges and the biases.
func (c *converter) chooseRule(float *infer.Program, feeds []map[string]*onnxio.Array) error {
	if c.ActBits == 0 {
		return nil
	}
	c.rule = usualRule(c.ActBits)
	rows := c.usualRows()
	c.byRow = rows > 0
	defer func() {
		if slices.ContainsFunc(c.placed(), func(p placed) bool { return !p.byRow }) {
			c.result.Ranges = c.rule.String()
		}
	}()
	if len(feeds) < rangesFrom {
		return nil
	}
	all := c.fitted
	c.choosing = true // every rule sees the same samples
	defer func() { c.fitted, c.choosing, c.means = all, false, nil }()
	rest, samples, judge := divide(all, feeds)
	c.fitted = rest
	drift := func() (float64, error) {
		if err := c.correct(float, samples); err != nil {
			return 0, err
		}
		figures, err := c.compareOn(float, judge)
		c.uncorrect()
		return steady(figures), err
	}
	least, err := drift()
	if err != nil {
		return err
	}
	best, bound := c.rule, least*clearly
	for i, rule := range balance.RangeRules {
		c.progress("choosing ranges", i, len(balance.RangeRules))
		if rule == usualRule(c.ActBits) || !slices.ContainsFunc(c.placed(), func(p placed) bool { return !p.byRow }) {
			continue
		}
		c.rule = rule
		d, err := drift()
		if err != nil {
			return err
		}
		if d < bound {
			best, bound = rule, d
		}
	}
	if c.rule = best; rows == 0 {
		return nil
	}
	c.byRow = !c.byRow
	if d, err := drift(); err != nil || d < bound {
		return err
	}
	c.byRow = !c.byRow
	return nil
}

// usualRows tells whether what MatMul multiplies has steps for each row where there is nothing to measure it by: 1 where most products of
// quantized weights are such, as in transformers, -1 where others are more; 0 where there are none.
func (c *converter) usualRows() int {
	rows, others := 0, 0
	for _, p := range c.placedWith(true) {
		switch {
		case p.byRow:
			rows++
		case p.asked:
			others++
		}
	}
	switch {
	case rows == 0:
		return 0
	case rows > others:
		return 1
	}
	return -1
}

// steady returns a drift that a few samples tell well: of class outputs, whose KL is that of the few rows that are in doubt, the
// geometric mean of KL and noise over signal; of others the latter; the sum over outputs. Those that are no numbers count for nothing.
func steady(list []compare.Figures) float64 {
	total := 0.0
	for i := range list {
		noise := math.Pow(10, -list[i].SQNR/10)
		if list[i].Kind.Classes() {
			noise = math.Sqrt(max(0, list[i].KL) * noise)
		}
		if noise-noise == 0 {
			total += noise
		}
	}
	return total
}
