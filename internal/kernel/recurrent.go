package kernel

// The cells of recurrent networks with their usual activations, sigmoid and tanh. Each advances one sample by one step:
// gates holds what the input gives to the gates, with all biases, and rec what the state gives (both are overwritten);
// h is the state [H], replaced by the new one. Gates stand in ONNX's order. See Sigmoid and Tanh for errors.

// LSTMCell, gates i, o, f, c (ONNX operator LSTM; Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with the
// forget gate of Gers et al., 2000):
//
//	c = sigmoid(f)*c + sigmoid(i)*tanh(c gate)    h = sigmoid(o)*tanh(c)
func LSTMCell(h, c, gates, rec []float32) {
	n := len(h)
	spans.add(gates, gates, rec, 1, 1)
	Sigmoid(gates[:3*n], gates[:3*n])
	in, out, forget, cell := gates[:n], gates[n:2*n], gates[2*n:3*n], gates[3*n:4*n]
	Tanh(cell, cell)
	spans.mul(c, c, forget, 1, 1)
	spans.mul(in, in, cell, 1, 1)
	spans.add(c, c, in, 1, 1)
	Tanh(h, c)
	spans.mul(h, h, out, 1, 1)
}

// GRUGates makes the gates z and r, the first 2*H of gates, of what the input and the state give to them.
func GRUGates(gates, rec []float32, n int) {
	both := gates[:2*n]
	spans.add(both, both, rec, 1, 1)
	Sigmoid(both, both)
}

// GRUCell, after GRUGates (ONNX operator GRU; Cho et al., arXiv 1406.1078):
//
//	h = (1-z)*tanh(candidate + rec) + z*h, computed as z*(h - t) + t
//
// where rec [H] is what the state gives to the candidate, reset already, and candidate the third part of gates.
func GRUCell(h, gates, rec []float32) {
	n := len(h)
	z, t := gates[:n], gates[2*n:3*n]
	spans.add(t, t, rec, 1, 1)
	Tanh(t, t)
	spans.sub(h, h, t, 1, 1)
	spans.mul(h, h, z, 1, 1)
	spans.add(h, h, t, 1, 1)
}

// RNNCell (ONNX operator RNN): h = tanh(gates + rec).
func RNNCell(h, gates, rec []float32) {
	spans.add(h, gates, rec, 1, 1)
	Tanh(h, h)
}
