package convert

import (
	"bq/internal/compare"
	"bq/internal/dataset"
)

// Options says how a model is converted. The zero value with Bits set converts every weight to that many bits
// without data.
type Options struct {
	Bits        int          // 1 to 8: at most 2^Bits levels for every covered tensor
	Method      Method       // zero: Auto
	Group       Group        // zero: a scale per channel
	ActBits     int          // 2 to 8: activations as well; 0: they stay float
	Keep        []string     // globs of tensors and nodes to leave in float
	BitsOf      []BitsOf     // bits of the tensors that a glob fits; the last that fits counts
	Strict      bool         // a tensor kept for op, type, nonfinite or gain is an error
	MinElements int          // zero: MinElements
	Samples     *dataset.Set // calibration data; nil: none
	OutputKinds []compare.Override
	Threads     int    // goroutines that work at once; at least 1; never changes the result
	MadeBy      string // program and version, stored in the file

	// Progress, where not nil, is told how much of a phase is done; from any goroutine, one at a time.
	Progress func(phase string, done, total int)
}

// BitsOf gives the tensors that Glob fits a width of their own.
type BitsOf struct {
	Glob string
	Bits int
}

func (o *Options) minElements() int {
	if o.MinElements > 0 {
		return o.MinElements
	}
	return MinElements
}

func (o *Options) method() Method {
	if o.Method.name == "" {
		return Auto
	}
	return o.Method
}

func (o *Options) progress(phase string, done, total int) {
	if o.Progress != nil {
		o.Progress(phase, done, total)
	}
}

// bitsFor returns the bits of a site: those of the last --bits-of that fits, else Bits.
func (o *Options) bitsFor(s *site) int {
	bits := o.Bits
	for _, b := range o.BitsOf {
		if s.matches(b.Glob) {
			bits = b.Bits
		}
	}
	return bits
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
