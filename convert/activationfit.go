package convert

import (
	"fmt"

	"bq/internal/shape"
	"bq/onnxio"
)

// mainValues returns what can be told of the values of the main graph without a run; none where the graph contradicts itself.
func mainValues(m *onnxio.Model) map[string]shape.Info {
	values := map[string]shape.Info{}
	if r, err := shape.Infer(m, nil); err == nil {
		for _, v := range r.Values {
			if v.Path == "" {
				values[v.Name] = v.Info
			}
		}
	}
	return values
}

// checkFit reports the first activation of list that m has no place for, where uses tells what operators of quantized weights read: one that
// stands there twice, a constant, values of another type or shape than its codes and steps are for.
func checkFit(m *onnxio.Model, uses []dataUse, list []Activation) error {
	if len(list) == 0 {
		return nil
	}
	values, fixed, seen := mainValues(m), map[string]bool{}, map[string]bool{}
	for _, c := range m.Constants() {
		if c.Graph == m.Graph {
			fixed[c.Name] = true
		}
	}
	for i := range list {
		a := &list[i]
		wrong := a.misfit(values[a.Name], uses)
		switch {
		case seen[a.Name]:
			wrong = "stands there twice"
		case fixed[a.Name]:
			wrong = "a constant, want a value that is computed"
		}
		if wrong != "" {
			return &onnxio.FormatError{Where: "activation " + onnxio.Quote(a.Name), Text: wrong}
		}
		seen[a.Name] = true
	}
	return nil
}

// misfit tells what of a contradicts v, what is known of the value, or uses; "": nothing does.
func (a *Activation) misfit(v shape.Info, uses []dataUse) string {
	if a.Everywhere && (v.Kind == shape.Tensor && v.Type != onnxio.Undefined && v.Type != onnxio.Float || v.Kind != shape.Tensor && v.Kind != shape.Unknown) {
		return fmt.Sprintf("%v, want float32", v)
	}
	if len(a.Shifts) > 0 && v.Ranked {
		n, known := int64(0), false
		if len(v.Shape) == a.Rank {
			n, known = v.Shape[1].Known()
		}
		if len(v.Shape) != a.Rank || known && n != int64(len(a.Shifts)) {
			return fmt.Sprintf("%d shifts at rank %d, for %v", len(a.Shifts), a.Rank, v)
		}
	}
	for _, d := range uses {
		if a.ByRow && d.node.Inputs[d.input] == a.Name && (opOf(d.node) != "MatMul" || d.input != 0 || d.typ != onnxio.Float) {
			return fmt.Sprintf("steps by row, for input %d of %s of %v", d.input, onnxio.Quote(d.node.OpType), d.typ)
		}
	}
	return ""
}
