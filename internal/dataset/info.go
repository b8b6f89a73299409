package dataset

import (
	"encoding/json"
	"math"
	"slices"

	"bq/onnxio"
)

// fedSamples is how many samples Describe reads: enough to show a wrong scale, few enough not to be noticed.
const fedSamples = 64

// Info is the `data` record of reports.
type Info struct {
	Kind    string    `json:"kind"`    // "images", "npy", "npz", "testset", "spec" or "synthetic"
	SHA256  string    `json:"sha256"`  // hexadecimal digest of the data, see digest
	Samples int       `json:"samples"` // in the data
	Taken   int       `json:"taken"`   // of these
	Skipped []Skipped `json:"skipped"` // files that give no sample, in order of their paths
	Fed     []Fed     `json:"fed"`     // one per input, in graph order
	Dropped int       `json:"-"`       // rows at the end of files that fill no batch of the model's fixed size
	Rotated int       `json:"-"`       // pictures taken whose EXIF rotation is ignored
	Noun    string    `json:"-"`       // plural of what a sample is: "images", "samples"
}

// Skipped is a file that gives no sample.
type Skipped struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Fed describes the values that one input is fed with. Min, Max and Mean are over finite values, NaN without any.
type Fed struct {
	Input     string
	DType     string // as numpy calls it
	Shape     []int  // of one sample; -1 where samples differ; nil where they differ in rank
	Min       float64
	Max       float64
	Mean      float64
	NonFinite int // NaN and infinite values among those read
}

// MarshalJSON writes the `fed` record {input, dtype, shape, min, max, mean}; undefined figures are null with a why.
func (f Fed) MarshalJSON() ([]byte, error) {
	type record struct {
		Input string   `json:"input"`
		DType string   `json:"dtype"`
		Shape []int    `json:"shape"`
		Min   *float64 `json:"min"`
		Max   *float64 `json:"max"`
		Mean  *float64 `json:"mean"`
		Why   string   `json:"why,omitempty"`
	}
	r := record{Input: f.Input, DType: f.DType, Shape: f.Shape, Why: "no finite value"}
	if !math.IsNaN(f.Mean) {
		r.Min, r.Max, r.Mean, r.Why = &f.Min, &f.Max, &f.Mean, ""
	}
	return json.Marshal(r)
}

// Info returns what is known without reading samples: everything but Fed.
func (s *Set) Info() Info {
	info := s.info
	info.Skipped = append([]Skipped{}, info.Skipped...)
	return info
}

// Describe returns Info with Fed, from a pass over at most 64 of the samples taken, spread evenly, done at the first
// call. Carried inputs are described by the values they start from.
func (s *Set) Describe() (Info, error) {
	info := s.Info()
	var err error
	info.Fed, err = s.fed()
	return info, err
}

func (s *Set) measure() ([]Fed, error) {
	sums := make([]figures, len(s.inputs))
	n := min(fedSamples, s.Len())
	for i := range n {
		sample, err := s.Sample(share(i, s.Len(), n))
		if err != nil {
			return nil, err
		}
		for j, in := range s.inputs {
			sums[j].add(sample.Feeds[in.Name])
		}
	}
	list := make([]Fed, len(s.inputs))
	for j, in := range s.inputs {
		list[j] = sums[j].fed(in)
	}
	return list, nil
}

// figures adds up the values of one input, in the order of the samples.
type figures struct {
	seen, bad int
	arrays    int
	least     float64
	most      float64
	sum       float64
	shape     []int
}

func (f *figures) add(a *onnxio.Array) {
	f.arrays++
	switch {
	case f.arrays == 1:
		f.shape = append([]int{}, a.Shape...)
	case len(f.shape) != len(a.Shape):
		f.shape = nil
	default:
		for d, n := range a.Shape {
			if f.shape[d] != n {
				f.shape[d] = -1
			}
		}
	}
	switch data := a.Data.(type) {
	case []float32:
		for _, v := range data {
			f.value(float64(v))
		}
	case []float64:
		for _, v := range data {
			f.value(v)
		}
	default:
		for _, v := range a.Ints() {
			f.value(float64(v))
		}
	}
}

func (f *figures) value(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		f.bad++
		return
	}
	if f.seen == 0 {
		f.least, f.most = v, v
	}
	f.seen++
	f.least, f.most = min(f.least, v), max(f.most, v)
	f.sum += v
}

func (f *figures) fed(in Input) Fed {
	r := Fed{Input: in.Name, DType: in.Type.String(), Shape: slices.Clone(f.shape), NonFinite: f.bad}
	r.Min, r.Max, r.Mean = math.NaN(), math.NaN(), math.NaN()
	if f.seen > 0 {
		r.Min, r.Max, r.Mean = f.least, f.most, f.sum/float64(f.seen)
	}
	return r
}
