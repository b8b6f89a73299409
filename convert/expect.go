package convert

import (
	"math"

	"bq/onnxio"
)

// What a model says of its own values: a BatchNormalization makes each channel of its output normal with mean B and
// standard deviation |scale|, as far as its stored statistics are those of the data (Nagel et al., "Data-Free
// Quantization", ICCV 2019, section 4.2.1). From there the means of the values behind it follow without data.

// spread is what is known of a value by channel, axis 1: it is f of a normal variable of that mean and deviation.
type spread struct {
	mean, deviation []float64
	rank            int                                    // of the value, 0 where it is not known
	f               []func(channel int, x float64) float64 // applied in turn; none: the normal variable itself
}

// The normal distribution is summed up at gridSteps points to either side of its mean, gridStep deviations apart: to
// six deviations, with an error of 1e-5 deviations at a kink of the function.
const (
	gridStep  = 1.0 / 64
	gridSteps = 6 * 64
)

// gridWeights holds the probability of the points at 0, 1, ... steps from the mean, whose sum over both sides is 1.
var gridWeights = func() []float64 {
	w := make([]float64, gridSteps+1)
	total := 0.0
	for i := range w {
		z := float64(i) * gridStep
		w[i] = exp(-z * z / 2)
		total += 2 * w[i]
	}
	total -= w[0]
	for i := range w {
		w[i] /= total
	}
	return w
}()

// exp is e to the power x to within 1e-15 relative, by operations that give the same bits on every machine: what it is
// used for is stored.
func exp(x float64) float64 {
	const (
		terms  = 14                         // of the power series, for |r| <= ln(2)/2
		ln2Hi  = 6.93147180369123816490e-01 // ln(2) cut to 33 bits, so that k*ln2Hi is exact (FreeBSD, e_exp.c)
		ln2Low = 1.90821492927058770002e-10
	)
	if x < -700 || x > 700 {
		return math.Exp(x) // 0, infinity, or near: no sum can tell
	}
	k := math.RoundToEven(x / math.Ln2)
	r := x - float64(k*ln2Hi) - float64(k*ln2Low)
	sum := 1.0
	for i := terms; i >= 1; i-- {
		sum = 1 + float64(sum*r)/float64(i)
	}
	return math.Ldexp(sum, int(k))
}

// then returns the spread of g of the value.
func (s *spread) then(g func(channel int, x float64) float64) *spread {
	return &spread{s.mean, s.deviation, s.rank, append(s.f[:len(s.f):len(s.f)], g)}
}

// sameSource reports whether s and t are functions of one variable.
func (s *spread) sameSource(t *spread) bool {
	return len(s.mean) > 0 && len(t.mean) > 0 && &s.mean[0] == &t.mean[0]
}

// at returns the value of channel c where its source is x.
func (s *spread) at(c int, x float64) float64 {
	for _, f := range s.f {
		x = f(c, x)
	}
	return x
}

// moments returns mean and standard deviation by channel.
func (s *spread) moments() (mean, deviation []float64) {
	if len(s.f) == 0 {
		return s.mean, s.deviation
	}
	mean, deviation = make([]float64, len(s.mean)), make([]float64, len(s.mean))
	for c := range mean {
		first, second := 0.0, 0.0
		for i := -gridSteps; i <= gridSteps; i++ {
			w := gridWeights[max(i, -i)]
			y := s.at(c, s.mean[c]+float64(float64(i)*gridStep*s.deviation[c]))
			first += float64(w * y)
			second += float64(w * float64(y*y))
		}
		mean[c], deviation[c] = first, math.Sqrt(max(0, second-float64(first*first)))
	}
	return mean, deviation
}

// normal returns a spread of s's mean and deviation that is a variable of its own.
func (s *spread) normal() *spread {
	mean, deviation := s.moments()
	return &spread{mean: mean, deviation: deviation, rank: s.rank}
}

// channelwise returns the values of a constant by channel where it broadcasts to the value along axis 1 alone: one for
// all, or one for each; nil for others, and where the rank does not tell.
func (s *spread) channelwise(c constant) []float32 {
	if len(c.values) == 1 {
		return c.values
	}
	at := len(c.shape) - (s.rank - 1) // where the channels stand in the constant's shape
	if s.rank < 2 || at < 0 || at >= len(c.shape) || c.shape[at] != len(s.mean) || len(c.values) != len(s.mean) {
		return nil
	}
	return c.values
}

// finite reports whether all of s is.
func (s *spread) finite() bool {
	for c := range s.mean {
		if d := s.mean[c] - s.mean[c] + s.deviation[c] - s.deviation[c]; d != 0 {
			return false
		}
	}
	return true
}

// constant is a constant of the graph; without values where there is none.
type constant struct {
	shape  []int
	values []float32
}

// expectations finds what is known of the values of the main graph. find returns the constant of a name; ranks gives
// the ranks of values that are known.
func expectations(g *onnxio.Graph, find func(name string) constant, ranks map[string]int) map[string]*spread {
	e := &expecter{known: map[string]*spread{}, find: find, ranks: ranks}
	for _, n := range g.Nodes {
		if len(n.Outputs) == 0 || len(n.Inputs) == 0 {
			continue
		}
		if s := e.output(n); s != nil && s.finite() {
			e.known[n.Outputs[0]] = s
		}
	}
	return e.known
}

type expecter struct {
	known map[string]*spread
	find  func(string) constant
	ranks map[string]int
}

func (e *expecter) vector(name string) []float32 { return e.find(name).values }

// output returns what is known of the first output of n, nil for nothing.
func (e *expecter) output(n *onnxio.Node) *spread {
	op := opOf(n)
	switch op {
	case "BatchNormalization":
		return e.normalised(n)
	case "Add", "Sub", "Mul", "Div":
		return e.combined(n, op)
	case "Concat":
		return e.joined(n)
	}
	s := e.known[n.Inputs[0]]
	if s == nil {
		return nil
	}
	switch op {
	case "AveragePool", "GlobalAveragePool":
		return s.normal() // of the mean alone this is exact
	case "Flatten":
		if n.IntAttr("axis", 1) != 1 {
			return nil
		}
		flat := s.normal()
		flat.rank = 2
		return flat
	case "Dropout", "Identity":
		return s
	case "Clip":
		return e.clipped(n, s)
	case "PRelu":
		slope := s.channelwise(e.find(n.Input(1)))
		if slope == nil {
			return nil
		}
		return s.then(func(c int, x float64) float64 {
			if x < 0 {
				x *= float64(slope[c%len(slope)])
			}
			return x
		})
	}
	if f := elementwise(n, op); f != nil {
		return s.then(func(_ int, x float64) float64 { return f(x) })
	}
	return nil
}

// elementwise returns the function of one variable that the operator applies to each element (ONNX, Operators.md), nil
// for other operators.
func elementwise(n *onnxio.Node, op string) func(x float64) float64 {
	sigmoid := func(x float64) float64 { return 1 / (1 + exp(-x)) }
	attr := func(name string, otherwise float32) float64 { return float64(n.FloatAttr(name, otherwise)) }
	switch op {
	case "Relu":
		return func(x float64) float64 { return max(0, x) }
	case "LeakyRelu":
		alpha := attr("alpha", 0.01)
		return func(x float64) float64 { return max(0, x) + float64(alpha*min(0, x)) }
	case "HardSigmoid":
		alpha, beta := attr("alpha", 0.2), attr("beta", 0.5)
		return func(x float64) float64 { return max(0, min(1, float64(alpha*x)+beta)) }
	case "HardSwish":
		return func(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }
	case "Sigmoid":
		return sigmoid
	case "Swish":
		alpha := attr("alpha", 1)
		return func(x float64) float64 { return x * sigmoid(alpha*x) }
	case "Tanh":
		return func(x float64) float64 { return float64(2*sigmoid(2*x)) - 1 }
	case "Elu":
		alpha := attr("alpha", 1)
		return func(x float64) float64 { return max(0, x) + float64(alpha*min(0, exp(min(0, x))-1)) }
	}
	return nil
}

// normalised: y = scale*(x-mean)/sqrt(var+epsilon) + B.
func (e *expecter) normalised(n *onnxio.Node) *spread {
	if len(n.Inputs) < 5 || n.IntAttr("training_mode", 0) != 0 {
		return nil
	}
	scale, b, variance := e.vector(n.Inputs[1]), e.vector(n.Inputs[2]), e.vector(n.Inputs[4])
	if len(b) == 0 || len(scale) != len(b) || len(variance) != len(b) {
		return nil
	}
	eps := float64(n.FloatAttr("epsilon", defaultNormEpsilon))
	s := &spread{mean: make([]float64, len(b)), deviation: make([]float64, len(b)), rank: e.ranks[n.Inputs[0]]}
	for c := range b {
		v := float64(variance[c])
		s.mean[c], s.deviation[c] = float64(b[c]), math.Abs(float64(scale[c]))*math.Sqrt(v/(v+eps))
	}
	return s
}

// clipped: Clip's bounds are attributes before opset 11, inputs since.
func (e *expecter) clipped(n *onnxio.Node, s *spread) *spread {
	low, high := float64(n.FloatAttr("min", -math.MaxFloat32)), float64(n.FloatAttr("max", math.MaxFloat32))
	for i, bound := range []*float64{&low, &high} {
		if name := n.Input(1 + i); name != "" {
			v := e.vector(name)
			if len(v) != 1 {
				return nil
			}
			*bound = float64(v[0])
		}
	}
	return s.then(func(_ int, x float64) float64 { return min(max(x, low), high) })
}

// combined is Add, Sub, Mul or Div: of a value and a constant, of two functions of one variable, or of two variables, which
// are taken to be independent; the quotient of two variables need not have a mean.
func (e *expecter) combined(n *onnxio.Node, op string) *spread {
	if len(n.Inputs) != 2 {
		return nil
	}
	apply := func(x, y float64) float64 {
		switch op {
		case "Add":
			return x + y
		case "Sub":
			return x - y
		case "Div":
			return x / y
		}
		return x * y
	}
	a, b := e.known[n.Inputs[0]], e.known[n.Inputs[1]]
	switch {
	case a != nil && b != nil && a.sameSource(b):
		return &spread{a.mean, a.deviation, a.rank, []func(int, float64) float64{
			func(c int, x float64) float64 { return apply(a.at(c, x), b.at(c, x)) },
		}}
	case a != nil && b != nil:
		return independent(a.normal(), b.normal(), op)
	case a != nil:
		if v := a.channelwise(e.find(n.Inputs[1])); v != nil {
			return a.then(func(c int, x float64) float64 { return apply(x, float64(v[c%len(v)])) })
		}
	case b != nil:
		if v := b.channelwise(e.find(n.Inputs[0])); v != nil {
			return b.then(func(c int, x float64) float64 { return apply(float64(v[c%len(v)]), x) })
		}
	}
	return nil
}

// independent combines two normal variables of equally many channels.
func independent(a, b *spread, op string) *spread {
	if len(a.mean) != len(b.mean) {
		return nil
	}
	s := &spread{mean: make([]float64, len(a.mean)), deviation: make([]float64, len(a.mean)), rank: a.rank}
	if a.rank != b.rank {
		s.rank = 0
	}
	for c := range s.mean {
		m, n, v, w := a.mean[c], b.mean[c], a.deviation[c], b.deviation[c]
		switch op {
		case "Add":
			s.mean[c], s.deviation[c] = m+n, math.Sqrt(float64(v*v)+float64(w*w))
		case "Sub":
			s.mean[c], s.deviation[c] = m-n, math.Sqrt(float64(v*v)+float64(w*w))
		case "Div":
			return nil
		default:
			s.mean[c] = m * n
			s.deviation[c] = math.Sqrt(float64(m*m*w*w) + float64(n*n*v*v) + float64(v*v*w*w))
		}
	}
	return s
}

// joined is a Concat of channels.
func (e *expecter) joined(n *onnxio.Node) *spread {
	if n.IntAttr("axis", 0) != 1 {
		return nil
	}
	s := &spread{}
	for _, in := range n.Inputs {
		part := e.known[in]
		if part == nil {
			return nil
		}
		mean, deviation := part.moments()
		s.rank = part.rank
		s.mean, s.deviation = append(s.mean, mean...), append(s.deviation, deviation...)
	}
	return s
}
