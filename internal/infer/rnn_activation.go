package infer

import (
	"math"

	"bq/onnxio"
)

// activationKinds lists the activation functions of recurrent operators: how many of alpha and beta each takes,
// their defaults, and the function.
var activationKinds = map[string]struct {
	params      int
	alpha, beta float64
	f           func(v, a, b float64) float64
}{
	"Relu":            {0, 0, 0, func(v, _, _ float64) float64 { return max(v, 0) }},
	"Tanh":            {0, 0, 0, func(v, _, _ float64) float64 { return math.Tanh(v) }},
	"Sigmoid":         {0, 0, 0, func(v, _, _ float64) float64 { return sigmoid(v) }},
	"Softsign":        {0, 0, 0, func(v, _, _ float64) float64 { return v / (1 + math.Abs(v)) }},
	"Softplus":        {0, 0, 0, func(v, _, _ float64) float64 { return softplus(v) }},
	"Affine":          {2, 1, 0, func(v, a, b float64) float64 { return a*v + b }},
	"ScaledTanh":      {2, 1, 1, func(v, a, b float64) float64 { return a * math.Tanh(b*v) }},
	"HardSigmoid":     {2, 0.2, 0.5, hardSigmoid},
	"LeakyRelu":       {1, 0.01, 0, func(v, a, _ float64) float64 { return max(v, 0) + a*min(v, 0) }},
	"Elu":             {1, 1, 0, func(v, a, _ float64) float64 { return max(v, 0) + min(0, a*math.Expm1(v)) }},
	"ThresholdedRelu": {1, 1, 0, thresholdedRelu},
}

func thresholdedRelu(v, a, _ float64) float64 {
	if v > a {
		return v
	}
	return 0
}

// bindActivations reads the activation functions of each direction. activation_alpha and activation_beta are
// consumed in order by the functions that take them.
func bindActivations(b *binding, directions int, names []string) [][]func(float64) float64 {
	each := len(names)
	given := b.strs("activations")
	alphas, betas := b.floats("activation_alpha"), b.floats("activation_beta")
	if given == nil {
		for range directions {
			given = append(given, names...)
		}
	}
	if len(given) != each*directions {
		b.malformed("attribute \"activations\": %d functions, want %d", len(given), each*directions)
		return nil
	}
	list := make([][]func(float64) float64, directions)
	for i, name := range given {
		k, ok := activationKinds[name]
		if !ok {
			b.refuse("activation %s", onnxio.Quote(name))
			return nil
		}
		alpha, beta := k.alpha, k.beta
		if k.params >= 1 && len(alphas) > 0 {
			alpha, alphas = float64(alphas[0]), alphas[1:]
		}
		if k.params == 2 && len(betas) > 0 {
			beta, betas = float64(betas[0]), betas[1:]
		}
		f := func(v float64) float64 { return k.f(v, alpha, beta) }
		if k.params == 0 { // the usual ones, without the detour
			f = plainActivation(name, f)
		}
		list[i/each] = append(list[i/each], f)
	}
	return list
}

func plainActivation(name string, f func(float64) float64) func(float64) float64 {
	switch name {
	case "Tanh":
		return math.Tanh
	case "Sigmoid":
		return sigmoid
	}
	return f
}
