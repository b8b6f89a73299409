package convert

import (
	"math"
	"sort"

	"bq/balance"
	"bq/internal/kernel"
	"bq/internal/moments"
)

// Damping of Hessians, as a part of the mean of their diagonal (recipe.md A1.3): where rounding errors are fed back, and
// where weights are moved to make up for changed inputs, which fits noise more easily. Moments of K inputs that P rows were
// seen of know too little of the directions in which these rows do not lie: K/P times dampFew is added (recipe.md B1).
const (
	feedbackDamp   = 0.01
	compensateDamp = 0.1
	dampFew        = 0.1
)

// fewRows returns what the damping grows by where few rows were seen of many inputs.
func fewRows(sums *moments.Sums) float64 {
	return dampFew * float64(sums.K()) / float64(max(1, sums.Len()))
}

// coder holds the codes of a weight while its elements are rounded one after the other.
type coder interface {
	// passes is how often the weight is to be rounded: a rate term needs the prices that the pass before shows.
	passes() int
	// begin prepares pass i; loss is the mean of what a squared error of an element costs.
	begin(i int, loss float64)
	// code rounds element e, which has come to x, and returns the value it is coded as. An error of e costs loss times its square.
	code(e int, x, loss float64) float64
	// quantized returns the codes, when all elements are rounded.
	quantized() (*quantized, error)
}

// coderFunc returns what is to code the weight of a job.
type coderFunc func(j *job) coder

// plainly rounds every element of w by itself.
func plainly(k coder, w []float32) {
	k.begin(0, 0)
	for e, v := range w {
		k.code(e, float64(v), 1)
	}
}

// recode rounds the layer's weight w so that the errors of its outputs are least on inputs of the given moments; compensate moves it
// first to make up for changed inputs. Moments that no factor can be had of stand for nothing known, and are noted in l.unfit.
func (l *layer) recode(w []float32, sums *moments.Sums, k coder, compensate bool, threads int) error {
	m := l.m
	dense := m.gather(w)
	size := m.rows * m.cols
	feedback := make([]*balance.Feedback, m.groups)
	errs := make([]error, m.groups)
	inner := threads
	if m.groups > 1 {
		inner = 1
	}
	loss := make([]float64, m.groups)
	kernel.Parallel(threads, m.groups, func(g int) {
		h := sums.Second(g, l.centred)
		part := dense[g*size : (g+1)*size]
		if compensate && m.blocks == 1 {
			if moved := balance.Compensate(part, m.rows, h, sums.Shift(g, l.centred), m.cols, compensateDamp+fewRows(sums)); moved != nil {
				copy(part, moved)
			}
		}
		feedback[g], errs[g] = balance.NewFeedback(h, m.cols, feedbackDamp+fewRows(sums))
		if errs[g] != nil {
			return
		}
		for j := range m.cols {
			loss[g] += feedback[g].Loss(j) / float64(m.cols)
		}
	})
	mean, worst := 0.0, error(nil)
	for g, err := range errs {
		if err != nil { // nothing is known of the inputs: every error counts alike
			worst = err
			copy(dense[g*size:(g+1)*size], m.gather(w)[g*size:])
			if feedback[g], err = balance.NewFeedback(make([]float64, m.cols*m.cols), m.cols, 0); err != nil {
				return err
			}
			loss[g] = 1
		}
		mean += loss[g] / float64(m.groups)
	}
	if worst != nil {
		l.unfit = worst
	}
	for pass := range k.passes() {
		k.begin(pass, mean)
		kernel.Parallel(threads, m.groups, func(g int) {
			work := append([]float64(nil), dense[g*size:(g+1)*size]...)
			f := feedback[g]
			losses := make([]float64, m.cols)
			for j := range losses {
				losses[j] = f.Loss(j)
			}
			f.Run(work, m.rows, inner, func(r, j int, x float64) float64 {
				e := m.stored[g*size+r*m.cols+j]
				if e < 0 {
					return x
				}
				return k.code(int(e), x, losses[j])
			})
		})
	}
	return nil
}

// stepCoder codes elements as integers times the step of their group.
type stepCoder struct {
	layout balance.Layout
	steps  []float32
	mu     float64 // strength of the rate term; 0: none
	narrow bool    // codes are int8

	n      []int16
	prices *balance.Prices
	lambda float64
}

func newStepCoder(p *stepPlan, c, mu float64) *stepCoder {
	layout, steps := p.steps(c)
	return &stepCoder{layout: layout, steps: steps, mu: mu, n: make([]int16, p.elements), narrow: p.tops != nil}
}

func (k *stepCoder) passes() int {
	if k.mu == 0 {
		return 1
	}
	return 3
}

// highRate is the slope of squared error over rate of a uniform step, in step^2 a bit: D = step^2/12 falls by 6 dB a bit.
const highRate = math.Ln2 / 6

func (k *stepCoder) begin(pass int, loss float64) {
	k.lambda = 0
	if pass == 0 {
		return
	}
	square := 0.0
	for _, s := range k.steps {
		square += float64(float64(s)*float64(s)) / float64(len(k.steps))
	}
	k.prices = balance.NewPrices(balance.TallyOf(k.n))
	k.lambda = k.mu * highRate * loss * square
}

func (k *stepCoder) step(e int) float64 {
	if len(k.steps) == 1 {
		return float64(k.steps[0])
	}
	return float64(k.steps[k.layout.Group(e)])
}

func (k *stepCoder) code(e int, x, loss float64) float64 {
	s := k.step(e)
	if k.lambda == 0 {
		k.n[e] = balance.Nearest(x, s)
	} else {
		k.n[e] = k.prices.Choose(x, s, loss, k.lambda)
	}
	if k.narrow {
		k.n[e] = max(-math.MaxInt8, min(math.MaxInt8, k.n[e]))
	}
	return float64(float64(k.n[e]) * s)
}

// quantized returns the codes.
func (k *stepCoder) quantized() (*quantized, error) {
	q, err := balance.FromIntegers(k.n, k.layout, k.steps)
	if err != nil {
		return nil, err
	}
	return &quantized{Quantized: q, entropy: true}, nil
}

// integersOf returns integers times a step for weights w of a bounded number of levels: the widest step that reaches the largest.
func integersOf(w []float32, bits int) (*quantized, error) {
	top := 0.0
	for _, v := range w {
		top = max(top, float64(max(v, -v)))
	}
	limit := max(1, 1<<(bits-1)-1)
	step := balance.RoundSoleStep(top / float64(limit) * (1 + 1.0/256)) // rounding may not bring the largest out of reach
	k := &stepCoder{layout: balance.PerTensor(len(w)), steps: []float32{step}, n: make([]int16, len(w))}
	plainly(k, w)
	for i, n := range k.n {
		k.n[i] = max(int16(-limit), min(int16(limit), n))
	}
	q, err := k.quantized()
	if err != nil {
		return nil, err
	}
	got := buffers.borrow(len(w))
	defer buffers.put(got)
	q.Dequantize(*got)
	q.Signal, q.Noise = balance.SquaredError(w, *got, nil)
	return q, nil
}

// gridCoder codes elements again by the levels that a quantized weight has.
type gridCoder struct {
	q      *quantized
	levels []float64 // of a codebook
	codes  []uint8
}

func newGridCoder(q *quantized) *gridCoder {
	q.restore()
	k := &gridCoder{q: q, codes: q.Codes}
	for _, v := range q.Levels {
		k.levels = append(k.levels, float64(v))
	}
	return k
}

func (k *gridCoder) passes() int { return 1 }

func (k *gridCoder) begin(int, float64) {}

func (k *gridCoder) quantized() (*quantized, error) { return k.q, nil }

func (k *gridCoder) code(e int, x, _ float64) float64 {
	g := k.q.Layout.Group(e)
	scale := float64(k.q.Scales[g])
	if k.q.Stretch != 0 {
		scale = float64(k.q.Scales[g] * k.q.Stretch)
	}
	if scale == 0 {
		return 0
	}
	if k.levels != nil {
		i := nearestLevel(k.levels, x/scale)
		k.codes[e] = uint8(i)
		return float64(k.levels[i] * scale)
	}
	zero := 1 << (k.q.Bits - 1)
	if k.q.Zeros != nil {
		zero = int(k.q.Zeros[g])
	}
	code := max(0, min(float64(int(1)<<k.q.Bits-1), math.RoundToEven(x/scale)+float64(zero)))
	k.codes[e] = uint8(code)
	return float64((code - float64(zero)) * scale)
}

// nearestLevel returns the index of the level nearest to x, the lower of equals.
func nearestLevel(levels []float64, x float64) int {
	i := sort.SearchFloat64s(levels, x)
	if i == len(levels) || i > 0 && x-levels[i-1] <= levels[i]-x {
		i--
	}
	return i
}

// values returns the job's weight as float32.
func (j *job) values() ([]float32, error) {
	w := make([]float32, j.layout.Len())
	return w, j.Tensor.Float32s(w)
}

// settle takes what k made of the weight w for the job's codes, and measures it.
func (j *job) settle(k coder, w []float32) error {
	q, err := k.quantized()
	if err != nil {
		return err
	}
	j.q = q
	j.measure(w)
	return nil
}

// measure compares the codes with the weight w.
func (j *job) measure(w []float32) {
	got := buffers.borrow(len(w))
	defer buffers.put(got)
	j.q.decoded(j.Tensor.Type, *got)
	j.q.sqnr = balance.SQNR(w, *got)
}

// finite reports whether no value is NaN or infinite.
func finite(w []float32) bool {
	_, _, ok := kernel.MinMax(w)
	return ok
}
