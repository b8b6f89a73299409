package dataset

import (
	"fmt"
	"math/rand/v2"

	"bq/onnxio"
)

// noise feeds one input with standard normal numbers. Sample i of a set is drawn from the generator PCG(seed, i),
// inputs one after the other in graph order, elements row-major, so that each sample can be made alone. Integer and
// bool inputs are zeros and draw nothing.
type noise struct {
	inputs []Input
	at     int
	n      int
	seed   uint64
	shapes [][]int
}

func (s *noise) len() int          { return s.n }
func (s *noise) first(int) bool    { return true }
func (s *noise) name(i int) string { return fmt.Sprintf("synthetic[%d]", i) }

func (s *noise) read(i int) (*onnxio.Array, error) {
	r := rand.New(rand.NewPCG(s.seed, uint64(i)))
	var a *onnxio.Array
	for k := range s.at + 1 {
		a = onnxio.NewArray(s.inputs[k].Type, s.shapes[k]...)
		switch data := a.Data.(type) {
		case []float32:
			for j := range data {
				data[j] = onnxio.Round(a.Type, float32(r.NormFloat64()))
			}
		case []float64:
			for j := range data {
				data[j] = r.NormFloat64()
			}
		}
	}
	return a, nil
}

// maxSynthetic bounds the elements of one synthetic input; a model's dimensions decide them.
const maxSynthetic = 1 << 28

// synthetic makes a set of n samples. Free dimensions are 1.
func synthetic(inputs []Input, n int, seed uint64) (*Set, error) {
	s := newSet(inputs, "synthetic")
	shapes := make([][]int, len(inputs))
	lines := []string{fmt.Sprintf("synthetic PCG seed %d samples %d", seed, n)}
	for k, in := range inputs {
		if !in.HasShape {
			return nil, fmt.Errorf("feeding %s: its rank is unknown, so that it cannot be synthetic", onnxio.Quote(in.Name))
		}
		if in.Type == onnxio.String {
			return nil, fmt.Errorf("feeding %s: strings cannot be synthetic", onnxio.Quote(in.Name))
		}
		shape, ok := in.bound(1)
		if count, fits := onnxio.CheckedLen(shape); !ok || !fits || count > maxSynthetic {
			return nil, fmt.Errorf("feeding %s: shape %s is out of range, at most %d elements", onnxio.Quote(in.Name), in.dims(), maxSynthetic)
		}
		shapes[k] = shape
		lines = append(lines, fmt.Sprintf("%q %v %v", in.Name, in.Type, shape))
		s.sources[k] = &noise{inputs, k, n, seed, shapes}
	}
	s.info.SHA256 = digestText(lines...)
	return s, nil
}

// bound returns the input's shape with free dimensions set to free; false where a dimension is negative or huge.
func (in *Input) bound(free int) ([]int, bool) {
	shape := make([]int, len(in.Shape))
	for i, d := range in.Shape {
		shape[i] = free
		if d.Known {
			if d.Value < 0 || d.Value > 1<<40 {
				return nil, false
			}
			shape[i] = int(d.Value)
		}
	}
	return shape, true
}
