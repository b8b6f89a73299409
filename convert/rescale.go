package convert

import (
	"math"

	"bq/balance"
	"bq/onnxio"
)

// Codes make some outputs of a layer larger and others smaller: coarse steps round small weights to zero, and what was fed back of
// the errors stands elsewhere. Of all multiples a*y' of a coded output that with
//
//	a = cov(y, y') / var(y')
//
// is nearest to the float output y. The factor goes where it costs nothing: into the scale of a BatchNormalization behind the layer,
// whose statistics are estimated anew for the same end (Sun et al., "Hybrid 8-bit Floating Point", NeurIPS 2019, section 4; Banner et
// al., "Post training 4-bit quantization", NeurIPS 2019, section 4.2), or into the scales of a matrix itself: those of its channels
// where they are there or save more bits than they take, else the one of the tensor. Convolutions without BatchNormalization gain
// nothing by it (recipe.md A3.5).

// mostGain bounds a factor, and its inverse: what asks for more is noise.
const mostGain = 2

// scaleBits is what a scale by channel takes of a file, in bits, where they are alike.
const scaleBits = 5

// rescaling is a layer whose outputs can be multiplied by factors.
type rescaling struct {
	*layer
	place *correction // of the layer, nil where nothing takes its mean error
	axis  int         // of the channels in the output
}

// norm returns the scale of the BatchNormalization that takes the factors, nil where the weight does.
func (r *rescaling) norm() *job {
	if r.place == nil || r.place.scale == nil || !computedInFloat32(r.place.scale.Tensor.Type) {
		return nil
	}
	return r.place.scale
}

// rescalings returns the layers whose outputs can be multiplied, by the value that their node makes.
func (r *refit) rescalings() map[string]*rescaling {
	places := map[int]*correction{}
	for _, k := range r.corrected {
		if !k.optional {
			places[k.index] = k
		}
	}
	found := map[string]*rescaling{}
	for _, l := range r.layers {
		n := l.use.node
		s := &rescaling{layer: l, place: places[l.index], axis: 1}
		switch opOf(n) {
		case "Conv", "ConvTranspose":
		case "Gemm", "MatMul":
			s.axis = -1
		default:
			continue
		}
		biased := opOf(n) != "MatMul" && n.Input(biasInput) != ""
		if s.axis == 1 && s.norm() == nil {
			continue
		}
		if len(l.uses) != 1 || l.use.input != 1 || len(n.Outputs) == 0 || biased && s.place == nil {
			continue
		}
		found[n.Outputs[0]] = s
	}
	return found
}

// rescale multiplies the outputs of a layer by what brings them nearest to the float ones.
func (p *passing) rescale(s *rescaling, float, coded []*onnxio.Array) error {
	sums := twinSumsOf(float, coded, s.axis)
	if sums == nil || s.q == nil || !p.decided[s.layer] {
		return nil
	}
	if s.place == nil {
		for c := range sums {
			sums[c].x, sums[c].y = 0, 0 // nothing takes the mean back
		}
	}
	if norm := s.norm(); norm != nil {
		return p.rescaleNorm(norm, sums)
	}
	gain := s.regain(sums)
	if gain == nil {
		return nil
	}
	w, err := s.values()
	if err != nil {
		return err
	}
	s.measure(w)
	p.scaled++
	p.c.kept.scales(s.job)
	for i, v := range coded {
		coded[i] = multiplied(v, gain, s.axis)
	}
	return nil
}

// rescaleNorm multiplies the scale of a BatchNormalization.
func (p *passing) rescaleNorm(norm *job, sums []twinSums) error {
	scale := p.twins.coded[norm.Name].F32()
	if len(scale) != len(sums) {
		return nil
	}
	for c := range sums {
		scale[c] = float32(float64(scale[c]) * sums[c].gain())
	}
	p.scaled++
	norm.coupled, norm.data = true, rawFloats(norm.Tensor.Type, scale)
	return nil
}

// regain changes the scales of the layer's codes, and returns the factors by channel, nil where no scale changes.
func (s *rescaling) regain(sums []twinSums) []float64 {
	var all twinSums
	for _, v := range sums {
		all.yy += v.variance()
		all.xy += v.covariance()
	}
	rows := make([]float64, len(sums))
	before, byRow, byTensor := 0.0, 0.0, 0.0
	for c := range sums {
		rows[c] = sums[c].gain()
		before += sums[c].error(1)
		byRow += sums[c].error(rows[c])
		byTensor += sums[c].error(all.gain())
	}
	if before-before != 0 || byTensor <= 0 {
		return nil
	}
	q := s.q.Quantized
	switch n := len(q.Scales); {
	case s.layout.Block > 0 || s.layout.Channels != len(sums) && n > 1:
		return nil
	case n == len(sums) && n > 1:
		return s.rescaled(q.Layout, rows, q.Scales)
	case n > 1:
		return nil
	case s.layout.Channels == len(sums) && q.Zeros == nil && q.Levels == nil && s.q.entropy:
		saved := 0.5 * balance.Log2(byTensor/math.Max(byRow, byTensor*1e-6)) * float64(s.layout.Len())
		if saved > scaleBits*float64(len(sums)) {
			steps := make([]float32, len(sums))
			for c := range steps {
				steps[c] = q.Scales[0]
			}
			return s.rescaled(s.layout, rows, steps)
		}
	}
	for c := range rows {
		rows[c] = all.gain()
	}
	return s.rescaled(q.Layout, rows, q.Scales)
}

// rescaled gives the codes scales as near to the given ones times gain as a container keeps them, and returns the factors that this
// makes, nil where they are all 1.
func (s *rescaling) rescaled(l balance.Layout, gain []float64, scales []float32) []float64 {
	out := make([]float32, len(scales))
	same := true
	for c, v := range scales {
		if len(scales) == 1 {
			out[c] = balance.RoundSoleStep(float64(v) * gain[c])
		} else {
			out[c] = balance.RoundStep(float64(v) * gain[c])
		}
		if v == 0 {
			out[c] = 0
		}
		same = same && out[c] == v
	}
	if same {
		return nil
	}
	for c := range gain {
		k := min(c, len(scales)-1)
		if gain[c] = 1; scales[k] != 0 {
			gain[c] = float64(out[k]) / float64(scales[k])
		}
	}
	s.q.rescale(l, out)
	return gain
}

// biasBits is what a value of a bias takes of a file, in bits.
const biasBits = 32

// pays reports, and notes, whether taking back the mean error of an output saves more bits of its weight than a bias takes: the error
// falls from its mean square to its variance, and half a logarithm of that is what a finer step would cost an element.
func (p *passing) pays(k *correction, float, coded []*onnxio.Array) bool {
	sums, elements := twinSumsOf(float, coded, k.axis), 0
	for _, l := range p.layers {
		if l.index == k.index {
			elements = l.layout.Len()
		}
	}
	variance, square := 0.0, 0.0
	for _, s := range sums {
		variance += s.error(1)
		square += s.xx - float64(2*s.xy) + s.yy
	}
	pays := variance > 0 && 0.5*balance.Log2(max(1, square/variance))*float64(elements) > biasBits*float64(len(sums))
	p.c.paying[k.index] = pays
	return pays
}

// twinSumsOf returns the sums by channel along axis, nil where the values of the two streams do not match or are not finite.
func twinSumsOf(float, coded []*onnxio.Array, axis int) []twinSums {
	var sums []twinSums
	for i, v := range float {
		x, y := v.F32(), coded[i].F32()
		at := axis
		if at < 0 {
			at += len(v.Shape)
		}
		if x == nil || len(x) != len(y) || at < 0 || at >= len(v.Shape) {
			return nil
		}
		channels, inner := v.Shape[at], product(v.Shape[at+1:])
		if sums == nil {
			sums = make([]twinSums, channels)
		}
		if len(sums) != channels {
			return nil
		}
		for k, c := 0, 0; k < len(x); k += inner {
			sums[c].add(x[k:k+inner], y[k:k+inner])
			c = (c + 1) % channels
		}
	}
	for _, s := range sums {
		if d := s.xx + s.yy + s.xy; d-d != 0 {
			return nil
		}
	}
	return sums
}

// twinSums are the sums of a channel over both streams: x float, y coded.
type twinSums struct {
	n                float64
	x, y, xx, xy, yy float64
}

func (s *twinSums) add(x, y []float32) {
	s.n += float64(len(x))
	for i, v := range x {
		a, b := float64(v), float64(y[i])
		s.x += a
		s.y += b
		s.xx += float64(a * a)
		s.xy += float64(a * b)
		s.yy += float64(b * b)
	}
}

func (s *twinSums) variance() float64   { return s.yy - float64(s.y*s.y)/max(1, s.n) }
func (s *twinSums) covariance() float64 { return s.xy - float64(s.x*s.y)/max(1, s.n) }

// error returns the squared error of a*y, less means.
func (s *twinSums) error(a float64) float64 {
	return s.xx - float64(s.x*s.x)/max(1, s.n) - float64(2*a*s.covariance()) + float64(a*a*s.variance())
}

// gain returns the factor of least error, within the bounds; 1 where the coded channel does not change.
func (s *twinSums) gain() float64 {
	v := s.variance()
	if v <= 0 {
		return 1
	}
	return max(1.0/mostGain, min(mostGain, s.covariance()/v))
}

// multiplied returns v with each channel multiplied by its factor.
func multiplied(v *onnxio.Array, gain []float64, axis int) *onnxio.Array {
	return byChannel(v, axis, len(gain), func(c int, x float32) float32 { return x * float32(gain[c]) })
}
