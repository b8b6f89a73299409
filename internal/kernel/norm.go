package kernel

import "math"

// Normalize writes (x - mean) / sqrt(var + eps), where mean and variance (of the population) are those of x, and returns
// the mean and the factor 1/sqrt(var + eps). All of it is computed in float64 (Ba et al., "Layer Normalization", arXiv
// 1607.06450, equation 3) and rounded once. Of no elements, both are NaN. dst may be x.
func Normalize(dst, x []float32, eps float64) (mean, factor float64) {
	n := float64(len(x))
	mean = Total(x) / n
	factor = 1 / math.Sqrt(Squares(x, mean)/n+eps)
	levels[use].normalize(dst, x, mean, factor)
	return mean, factor
}

// RMSNormalize writes x / sqrt(mean of x^2 + eps) and returns the factor 1/sqrt(mean of x^2 + eps) (Zhang and Sennrich,
// "Root Mean Square Layer Normalization", arXiv 1910.07467), computed as in Normalize.
func RMSNormalize(dst, x []float32, eps float64) (factor float64) {
	factor = 1 / math.Sqrt(Squares(x, 0)/float64(len(x))+eps)
	levels[use].normalize(dst, x, 0, factor)
	return factor
}
