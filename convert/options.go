package convert

import (
	"fmt"

	"bq/internal/compare"
	"bq/internal/dataset"
)

// Options says how a model is converted. The zero value with Bits set converts every weight to that many bits
// without data.
type Options struct {
	Bits        int          // 1 to 8: at most 2^Bits levels for every covered tensor
	Budget      Budget       // in place of Bits
	Method      Method       // zero: Auto
	Group       Group        // zero: a scale per channel
	ActBits     int          // 2 to 8: activations as well; 0: they stay float
	Keep        []string     // globs of tensors and nodes to leave in float
	BitsOf      []BitsOf     // bits of the tensors that a glob fits; the last that fits counts
	Strict      bool         // a tensor kept for op, type, nonfinite or gain is an error
	MinElements int          // zero: MinElements
	KeepBiases  bool         // biases stay as they are: no bias correction, with or without data
	Codec       Codec        // zero: CodecAuto
	Samples     *dataset.Set // calibration data; nil: none
	Table       *Table       // of this model, in place of Samples
	Record      bool         // with Samples: leave in Result.Table what was measured and decided
	OutputKinds []compare.Override
	Threads     int    // goroutines that work at once; at least 1; never changes the result
	MadeBy      string // program and version, stored in the file
	rehearsal   *rehearsal

	// Progress, where not nil, is told how much of a phase is done; from any goroutine, one at a time.
	Progress func(phase string, done, total int)
}

// BitsOf gives the tensors that Glob fits a width of their own.
type BitsOf struct {
	Glob string
	Bits int
}

// Check reports options that do not go together.
func (o *Options) Check() error {
	if o.Budget.Kind != NoBudget && o.Group.Block > 0 && !o.wholeBits() {
		return fmt.Errorf("--group %d under a budget: integers share a step by tensor or channel; blocks need a --method of whole bits", o.Group.Block)
	}
	return nil
}

func (o *Options) minElements() int {
	if o.MinElements > 0 {
		return o.MinElements
	}
	return MinElements
}

func (o *Options) method() Method {
	m := o.Method
	if m.name == "" {
		m = Auto
	}
	m.int8 = o.ActBits > 0
	return m
}

func (o *Options) progress(phase string, done, total int) {
	if o.Progress != nil {
		o.Progress(phase, done, total)
	}
}

// bitsFor returns the bits of a site: those of the last --bits-of that fits, which are fixed under a budget too, else Bits.
func (o *Options) bitsFor(s *site) (bits int, fixed bool) {
	bits = o.Bits
	for _, b := range o.BitsOf {
		if s.matches(b.Glob) {
			bits, fixed = b.Bits, true
		}
	}
	return bits, fixed
}

// checkPatterns returns an error for the first pattern that fits no site.
func (o *Options) checkPatterns(list []*site) error {
	for _, p := range o.Keep {
		if err := requireMatch(list, "--keep", p); err != nil {
			return err
		}
	}
	for _, b := range o.BitsOf {
		if err := requireMatch(list, "--bits-of", b.Glob); err != nil {
			return err
		}
	}
	return nil
}
