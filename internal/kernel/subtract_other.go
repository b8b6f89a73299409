//go:build !amd64

package kernel

// subtractTile is called where there are vectors of float64 alone.
func subtractTile([]float64, int, int, []float64, []float64, int, int, int) {}
