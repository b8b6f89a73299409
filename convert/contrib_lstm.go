package convert

import (
	"slices"

	"bq/onnxio"
)

// Inputs of LSTM, which DynamicQuantizeLSTM shares: behind them it has scale and zero point of W and of R.
const (
	lstmW      = 1
	lstmR      = 2
	lstmInputs = 8
)

// takeLSTM makes the LSTM that reads w one on int8, which needs both of its weights. ONNX Runtime takes for each a scale by direction, or by
// row of a gate, and no zero points but 0 then.
func (c *contrib) takeLSTM(w codedSite) Why {
	u := w.site.uses[0]
	if len(w.site.uses) > 1 || u.input != lstmW && u.input != lstmR || u.node.IntAttr("layout", 0) != 0 {
		return WhyForm
	}
	if !c.rounds {
		return WhyRounds
	}
	pair := map[int]codedSite{u.input: w}
	for _, o := range c.waiting {
		if o.site != w.site && len(o.site.uses) == 1 && o.site.uses[0].node == u.node && c.reach(o.site) == "" {
			pair[o.site.uses[0].input] = o
		}
	}
	b := &graphBuilder{names: c.names, model: c.model, graph: w.site.Graph}
	var gates [2]*gates
	for i, input := range []int{lstmW, lstmR} {
		if o := pair[input]; o.site == nil {
			return WhyPair
		} else if gates[i] = gatesOf(o); gates[i] == nil && o.site == w.site {
			return WhyLevels
		} else if gates[i] == nil {
			return WhyPair
		}
	}
	if w, r := gates[0], gates[1]; w.directions != r.directions || w.rows != r.rows || r.rows != 4*r.cols {
		return WhyForm
	}
	inputs := slices.Concat(u.node.Inputs, make([]string, lstmInputs))[:lstmInputs]
	zero := b.constant(pair[lstmW].site.Name+"/zeros", &onnxio.Array{Type: onnxio.Int8, Shape: gates[0].groups(), Data: make([]int8, len(gates[0].scales))})
	for i, input := range []int{lstmW, lstmR} {
		s, g := pair[input].site, gates[i]
		inputs[input] = b.constant(s.Name+"/codes", &onnxio.Array{Type: onnxio.Int8, Shape: []int{g.directions, g.cols, g.rows}, Data: g.codes})
		inputs = append(inputs, b.constant(s.Name+"/scales", onnxio.Floats(g.scales, g.groups()...)), zero)
		c.stored(s, g.whole, 8)
		c.leave(b, s)
		b.nodes = nil
	}
	attributes := slices.DeleteFunc(slices.Clone(u.node.Attributes), func(a *onnxio.Attribute) bool { return a.Name == "layout" || a.Name == "hidden_size" })
	c.become(u.node, "DynamicQuantizeLSTM", inputs, append(attributes, intAttr("hidden_size", int64(gates[1].cols)))...)
	return ""
}

// gates are W or R, [directions, rows of gates, columns], as int8 [directions, columns, rows] with a scale for each row.
type gates struct {
	*whole
	directions, rows, cols int
	codes                  []int8
	scales                 []float32
}

// groups is the shape of the scales.
func (g *gates) groups() []int { return []int{g.directions, g.rows} }

// gatesOf returns the gates of W or R, nil where they are no int8 with a scale for each row.
func gatesOf(w codedSite) *gates {
	u := w.site.uses[0]
	shape := u.shape(dims(w.site.Tensor.Dims))
	if len(shape) != 3 || product(shape) == 0 || product(shape) > maxMatrix-1 {
		return nil
	}
	codes, ok := wholeCodes(w.quant)
	if !ok {
		return nil
	}
	g := &gates{whole: codes, directions: shape[0], rows: shape[1], cols: shape[2]}
	order := readOrder(u, product(shape))
	for d := range g.directions {
		r := codes.rowsOf(g.rows, g.cols, order[d*g.rows*g.cols:(d+1)*g.rows*g.cols])
		part, steps, ok := r.transposed()
		if !ok {
			return nil
		}
		g.codes, g.scales = append(g.codes, part...), append(g.scales, steps...)
	}
	return g
}
