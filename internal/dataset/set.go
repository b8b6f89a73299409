package dataset

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"bq/onnxio"
)

// Set is a list of samples. Its methods are safe for concurrent use. It holds no open file.
type Set struct {
	inputs  []Input
	sources []source                                      // one per input
	labels  func(i int) ([]int64, error)                  // of sample i; nil: none
	outputs func(i int) (map[string]*onnxio.Array, error) // recorded with sample i; nil: none
	carry   map[string]string                             // output -> input
	total   int                                           // samples in the data
	samples []int                                         // those taken, ascending
	info    Info                                          // without Fed
	files   []string                                      // all that were read for the digest
	fed     func() ([]Fed, error)                         // computed once
}

// Open finds the samples that o describes for a model with these inputs. It reads every file once, for the digest
// in Info, and decodes the pictures that are taken, so that unreadable ones are known; the values of samples are read
// by Sample. Wrong flags and a wrong spec are a *UsageError.
func Open(inputs []Input, o Options) (*Set, error) {
	if err := checkOptions(inputs, o); err != nil {
		return nil, err
	}
	s, err := find(inputs, o)
	if err != nil {
		return nil, err
	}
	if err := s.settle(); err != nil {
		return nil, err
	}
	s.take(o.Samples)
	if err := s.prune(); err != nil {
		return nil, err
	}
	s.info.Samples, s.info.Taken = s.total, len(s.samples)
	s.fed = sync.OnceValues(s.measure)
	return s, nil
}

func checkOptions(inputs []Input, o Options) error {
	switch {
	case o.Samples < 0 || o.Synthetic < 0:
		return usagef("taking %d samples: want a positive number", min(o.Samples, o.Synthetic))
	case o.Path == "" && o.Synthetic == 0:
		return usagef("opening data: neither --data nor --synthetic is given")
	case o.Path != "" && o.Synthetic > 0:
		return usagef("opening data: --data and --synthetic exclude each other")
	case len(inputs) == 0:
		return fmt.Errorf("opening data: the model has no input to feed")
	case o.Synthetic > 0 && o.Image != nil:
		return usagef("opening data: --image has no meaning with --synthetic")
	}
	for _, in := range inputs {
		if !in.Type.HasArray() {
			return fmt.Errorf("feeding %s: inputs of type %v are not supported", onnxio.Quote(in.Name), in.Type)
		}
	}
	return nil
}

// settle checks that all sources have equally many samples, at least one.
func (s *Set) settle() error {
	s.total = 1
	from := -1
	for i, src := range s.sources {
		n := src.len()
		if n < 0 {
			continue
		}
		if from >= 0 && n != s.total {
			return fmt.Errorf("feeding %s: %d samples, while %s has %d",
				onnxio.Quote(s.inputs[i].Name), n, onnxio.Quote(s.inputs[from].Name), s.total)
		}
		if from < 0 {
			from, s.total = i, n
		}
	}
	if s.total == 0 {
		return fmt.Errorf("feeding %s: the data hold no whole sample%s", onnxio.Quote(s.inputs[from].Name), s.droppedText())
	}
	if s.total > maxSamples {
		return fmt.Errorf("opening data: %d samples, at most %d", s.total, maxSamples)
	}
	return nil
}

// maxSamples bounds the list of samples: an array of empty rows can claim any number of them.
const maxSamples = 1 << 24

func (s *Set) droppedText() string {
	if s.info.Dropped == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d rows fill no batch of the model's fixed size)", s.info.Dropped)
}

// take chooses at most n samples, all where n is 0. Without carried state, sample i of n is that at floor(i*total/n),
// so that every stretch of the list is drawn from alike. With it every file gives its leading steps, a share in
// proportion to its length.
func (s *Set) take(n int) {
	if n == 0 || n >= s.total {
		s.samples = make([]int, s.total)
		for i := range s.samples {
			s.samples[i] = i
		}
		return
	}
	s.samples = make([]int, 0, n)
	if s.carry == nil {
		for i := range n {
			s.samples = append(s.samples, share(i, s.total, n))
		}
		return
	}
	for start := 0; start < s.total; {
		end := start + 1
		for end < s.total && !s.reset(end) {
			end++
		}
		steps := share(end, n, s.total) - share(start, n, s.total)
		for i := range steps {
			s.samples = append(s.samples, start+i)
		}
		start = end
	}
}

// share returns floor(a*b/c) for 0 <= a <= c or b <= c without overflow.
func share(a, b, c int) int {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int(q)
}

// prune drops the samples that a source finds unreadable.
func (s *Set) prune() error {
	for _, src := range s.sources {
		p, ok := src.(*imageSource)
		if !ok {
			continue
		}
		bad, err := p.probe(s.samples)
		if err != nil {
			return err
		}
		s.samples = slices.DeleteFunc(s.samples, func(i int) bool { return bad[i] })
		s.info.Skipped = append(s.info.Skipped, p.skipped...)
		s.info.Rotated += p.rotated
		if len(s.samples) == 0 {
			return fmt.Errorf("reading pictures: none is readable: %s: %s", p.skipped[0].File, p.skipped[0].Why)
		}
	}
	slices.SortStableFunc(s.info.Skipped, func(a, b Skipped) int { return strings.Compare(a.File, b.File) })
	return nil
}

// reset reports whether a file begins with sample i of the data.
func (s *Set) reset(i int) bool {
	return slices.ContainsFunc(s.sources, func(src source) bool { return src.len() >= 0 && src.first(i) })
}

// Files returns the paths of the files that the data stand in, a spec's own file included.
func (s *Set) Files() []string { return s.files }

// Len returns the number of samples taken.
func (s *Set) Len() int { return len(s.samples) }

// Sample reads sample i, from 0 to Len()-1.
func (s *Set) Sample(i int) (Sample, error) {
	k := s.samples[i]
	sample := Sample{Name: "constant", Feeds: make(map[string]*onnxio.Array, len(s.inputs)), Reset: k == 0 || s.reset(k)}
	named := false
	for j, src := range s.sources {
		a, err := src.read(k)
		if err != nil {
			return Sample{}, err
		}
		sample.Feeds[s.inputs[j].Name] = a
		if src.len() >= 0 && !named {
			sample.Name, named = src.name(k), true
		}
	}
	var err error
	if s.labels != nil {
		if sample.Labels, err = s.labels(k); err != nil {
			return Sample{}, err
		}
	}
	if s.outputs != nil {
		if sample.Outputs, err = s.outputs(k); err != nil {
			return Sample{}, err
		}
	}
	return sample, nil
}

// Labelled reports whether samples have labels.
func (s *Set) Labelled() bool { return s.labels != nil }

// Carry returns which output of a step is which input of the next, output name -> input name; nil where the data
// are no sequence. At a sample with Reset the input's value is that of Feeds.
func (s *Set) Carry() map[string]string { return maps.Clone(s.carry) }
