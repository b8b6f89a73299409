package kernel

import (
	"math"
	"testing"
)

// cellError bounds the errors of a cell's new state beside float64: values of at most 8 pass sums and products of a few
// roundings, each 2^-24 of at most 8.
const cellError = 4e-6

func sigmoidRef(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func TestCells(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 7, 16, 40} {
			x, rec, h0, c0 := randomFloats(4*n, 1), randomFloats(4*n, 2), randomFloats(n, 3), randomFloats(n, 4)
			at := func(gate, j int) float64 { return float64(x[gate*n+j]) + float64(rec[gate*n+j]) }
			state := func() (h, c, gates, r []float32) {
				return append([]float32{}, h0...), append([]float32{}, c0...), append([]float32{}, x...), append([]float32{}, rec...)
			}
			near := func(name string, got []float32, want func(j int) float64) {
				for j, v := range got {
					if w := want(j); math.Abs(float64(v)-w) > cellError {
						t.Errorf("%s of %d: element %d is %v, want %v", name, n, j, v, w)
					}
				}
			}
			h, c, gates, r := state()
			LSTMCell(h, c, gates, r)
			cell := func(j int) float64 {
				return sigmoidRef(at(2, j))*float64(c0[j]) + sigmoidRef(at(0, j))*math.Tanh(at(3, j))
			}
			near("LSTM's c", c, cell)
			near("LSTM's h", h, func(j int) float64 { return sigmoidRef(at(1, j)) * math.Tanh(cell(j)) })

			h, _, gates, r = state()
			GRUGates(gates[:3*n], r[:2*n], n)
			GRUCell(h, gates[:3*n], r[2*n:3*n])
			near("GRU", h, func(j int) float64 {
				z := sigmoidRef(at(0, j))
				return (1-z)*math.Tanh(at(2, j)) + z*float64(h0[j])
			})
			near("GRU's reset gate", gates[n:2*n], func(j int) float64 { return sigmoidRef(at(1, j)) })

			h, _, gates, r = state()
			RNNCell(h, gates[:n], r[:n])
			near("RNN", h, func(j int) float64 { return math.Tanh(at(0, j)) })
		}
	})
}

// Values worked out by hand: with gates of 0, sigmoid is 1/2 and tanh 0; large gates give 1.
func TestCellsByHand(t *testing.T) {
	h, c := []float32{0}, []float32{2}
	LSTMCell(h, c, []float32{0, 100, 0, 0}, make([]float32, 4))
	if c[0] != 1 || math.Abs(float64(h[0])-math.Tanh(1)) > cellError {
		t.Errorf("LSTM: h %v, c %v", h, c)
	}
	h = []float32{4}
	gates := []float32{0, 0, 0}
	GRUGates(gates, []float32{0, 0}, 1)
	if GRUCell(h, gates, []float32{0}); h[0] != 2 {
		t.Errorf("GRU: %v", h)
	}
	nan := float32(math.NaN())
	if RNNCell(h, []float32{nan}, []float32{1}); h[0] == h[0] {
		t.Errorf("RNN of NaN: %v", h)
	}
}
