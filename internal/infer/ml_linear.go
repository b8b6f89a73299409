package infer

import (
	"fmt"

	"bq/internal/kernel"
	"bq/onnxio"
)

// linear is X [N, C] times coefficients [targets, C] plus intercepts.
type linear struct {
	coefficients, intercepts []float32
	targets                  int
	post                     string
}

func (b *binding) linear(targets int) *linear {
	l := &linear{b.floats("coefficients"), b.floats("intercepts"), targets,
		b.str("post_transform", "NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")}
	if targets < 1 || len(l.coefficients)%max(1, targets) != 0 || len(l.intercepts) != 0 && len(l.intercepts) != targets {
		b.malformed("%d coefficients and %d intercepts for %d targets", len(l.coefficients), len(l.intercepts), targets)
	}
	if l.post == "PROBIT" {
		b.refuse("post_transform PROBIT")
	}
	return l
}

// scores returns [N, targets].
func (l *linear) scores(r *run, x *onnxio.Array) (*onnxio.Array, error) {
	d, err := r.mlFloats(x)
	if err != nil {
		return nil, err
	}
	n, c, err := rowsOf(x)
	if err != nil || c*l.targets != len(l.coefficients) {
		return nil, fmt.Errorf("features of shape %v for %d coefficients: %w", x.Shape, len(l.coefficients), err)
	}
	out, err := r.new(onnxio.Float, n, l.targets)
	if err != nil {
		return nil, err
	}
	for i := range out.F32() {
		out.F32()[i] = kernel.Dot(d[i/l.targets*c:][:c], l.coefficients[i%l.targets*c:][:c])
		if len(l.intercepts) > 0 {
			out.F32()[i] += l.intercepts[i%l.targets]
		}
	}
	return out, nil
}

// bindLinearRegressor: X * coefficients' + intercepts.
func bindLinearRegressor(b *binding) runFunc {
	l := b.linear(int(b.int("targets", 1)))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		out, err := l.scores(r, in[0])
		if err != nil {
			return nil, err
		}
		postTransform(out.F32(), l.targets, l.post)
		return []*onnxio.Array{out}, nil
	}
}

// bindLinearClassifier: the label of the largest score of each row, and the scores. Two labels may have one row of
// coefficients, whose score and its complement are then the two scores.
func bindLinearClassifier(b *binding) runFunc {
	labels := b.classLabels("classlabels_strings", "classlabels_ints")
	b.ignore("multi_class")
	l := b.linear(max(1, len(b.floats("intercepts"))))
	if labels == nil || b.format != nil || l.targets != labels.Len() && (l.targets != 1 || labels.Len() != 2) {
		b.malformed("labels for %d scores", l.targets)
		return nil
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		s, err := l.scores(r, in[0])
		if err != nil {
			return nil, err
		}
		binary := l.targets == 1 && labels.Len() == 2
		return r.classified(s, labels, l.post, binary)
	}
}

// classLabels returns the labels of a classifier: strings, else integers.
func (b *binding) classLabels(strings, ints string) *onnxio.Array {
	if s := b.strs(strings); len(s) > 0 {
		b.ignore(ints)
		return &onnxio.Array{Type: onnxio.String, Shape: []int{len(s)}, Data: s}
	}
	if a := b.attr(ints, onnxio.AttrInts); a != nil && len(a.Ints) > 0 {
		return onnxio.Int64s(a.Ints, len(a.Ints))
	}
	b.malformed("no class labels")
	return nil
}

// classified returns the label of the largest score of every row, and the scores after post_transform. A single score
// for two labels is that of the second: it wins where it is positive, or above one half where it is a probability.
func (r *run) classified(s, labels *onnxio.Array, post string, binary bool) ([]*onnxio.Array, error) {
	if binary {
		two := make([]float32, 0, 2*s.Len())
		for _, v := range s.F32() {
			if post == "LOGISTIC" {
				p := float32(sigmoid(float64(v)))
				two = append(two, 1-p, p)
			} else {
				two = append(two, -v, v)
			}
		}
		s = onnxio.Floats(two, s.Shape[0], 2)
		if post == "LOGISTIC" {
			post = "NONE"
		}
	}
	width := s.Shape[1]
	index := make([]int, s.Shape[0])
	for i := range index {
		row := s.F32()[i*width : (i+1)*width]
		for k, v := range row {
			if v > row[index[i]] {
				index[i] = k
			}
		}
	}
	y, err := r.take(labels, []int{len(index)}, index)
	postTransform(s.F32(), width, post)
	return []*onnxio.Array{y, s}, err
}

// postTransform changes rows of scores in place. SOFTMAX_ZERO leaves zeros zero.
func postTransform(d []float32, width int, post string) {
	switch post {
	case "LOGISTIC":
		for i, v := range d {
			d[i] = float32(sigmoid(float64(v)))
		}
	case "SOFTMAX", "SOFTMAX_ZERO":
		for i := 0; i+width <= len(d) && width > 0; i += width {
			row := d[i : i+width]
			zero := make([]bool, width)
			for k, v := range row {
				zero[k] = v == 0 && post == "SOFTMAX_ZERO"
			}
			kernel.Softmax(row, row, 1, width, 1)
			for k := range row {
				if zero[k] {
					row[k] = 0
				}
			}
		}
	}
}
