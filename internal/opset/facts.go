package opset

import (
	"bq/internal/shape"
	"bq/onnxio"
)

// facts is what is known of the values of the model as it was. Values that rules add are not among them.
type facts struct {
	info    map[*onnxio.Graph]map[string]shape.Info
	tensors map[*onnxio.Graph]map[string]*onnxio.Tensor // constants
	reads   map[string]bool                             // names that a node reads, or that a graph or function gives
}

// maxConstant is how many elements a constant may have whose values decide how a node is rewritten.
const maxConstant = 1024

// known gathers the facts when they are first asked for.
func (r *raising) known() *facts {
	if r.facts != nil {
		return r.facts
	}
	f := &facts{info: map[*onnxio.Graph]map[string]shape.Info{}, tensors: map[*onnxio.Graph]map[string]*onnxio.Tensor{}, reads: map[string]bool{}}
	r.facts = f
	r.infer(f)
	fed := r.overridable()
	for _, c := range r.model.Constants() {
		if c.Graph == nil || c.Node == nil && c.Graph == r.model.Graph && fed[c.Name] {
			continue
		}
		if f.tensors[c.Graph] == nil {
			f.tensors[c.Graph] = map[string]*onnxio.Tensor{}
		}
		f.tensors[c.Graph][c.Name] = c.Tensor
	}
	for _, b := range r.bodies {
		r.readings(f, b)
	}
	return f
}

// infer notes types and shapes; a model whose shapes contradict one another has none.
func (r *raising) infer(f *facts) {
	result, err := shape.Infer(r.model, nil)
	if err != nil {
		return
	}
	graphs := map[string]*onnxio.Graph{}
	r.model.EachGraph(func(g *onnxio.Graph, path string) { graphs[path] = g })
	for _, v := range result.Values {
		g := graphs[v.Path]
		if g == nil {
			continue
		}
		if f.info[g] == nil {
			f.info[g] = map[string]shape.Info{}
		}
		f.info[g][v.Name] = v.Info
	}
}

// overridable returns the names for which a caller may feed another value than the initializer's: from IR version 4 on
// those that are graph inputs too.
func (r *raising) overridable() map[string]bool {
	names := map[string]bool{}
	if r.model.IRVersion >= firstIRWithoutInputs {
		for _, v := range r.model.Graph.Inputs {
			names[v.Name] = true
		}
	}
	return names
}

func (r *raising) readings(f *facts, b *body) {
	for _, n := range b.nodes {
		for _, name := range n.Inputs {
			f.reads[name] = true
		}
	}
	if b.function != nil {
		for _, name := range b.function.Outputs {
			f.reads[name] = true
		}
		return
	}
	for _, v := range b.graph.Outputs {
		f.reads[v.Name] = true
	}
}

// used reports whether output i of the node is given and read by anything.
func (e *edit) used(i int) bool {
	return i < len(e.old.Outputs) && e.old.Outputs[i] != "" && e.known().reads[e.old.Outputs[i]]
}

// about returns what is known of a value that the node may read.
func (e *edit) about(name string) shape.Info {
	if a := e.made[name]; a != nil {
		return shape.Info{Kind: shape.Tensor, Type: a.Type}
	}
	f := e.known()
	for b := e.body; b != nil; b = b.outer {
		if b.graph == nil {
			break
		}
		if info, ok := f.info[b.graph][name]; ok {
			return info
		}
	}
	return shape.Info{}
}

// elem returns the element type of a tensor, false where it is not known.
func (e *edit) elem(name string) (onnxio.DataType, bool) {
	info := e.about(name)
	return info.Type, info.Kind == shape.Tensor && info.Type != onnxio.Undefined
}

// rank returns the number of dimensions of a tensor, false where it is not known.
func (e *edit) rank(name string) (int, bool) {
	info := e.about(name)
	return len(info.Shape), info.Kind == shape.Tensor && info.Ranked
}

// sizes returns the dimensions of a tensor, -1 for those that are not known; false where not even their number is.
func (e *edit) sizes(name string) ([]int64, bool) {
	info := e.about(name)
	if info.Kind != shape.Tensor || !info.Ranked {
		return nil, false
	}
	sizes := make([]int64, len(info.Shape))
	for i, d := range info.Shape {
		sizes[i] = -1
		if n, ok := d.Known(); ok {
			sizes[i] = n
		}
	}
	return sizes, true
}

// value returns the elements of a small constant, nil where name is none.
func (e *edit) value(name string) *onnxio.Array {
	if a := e.made[name]; a != nil || name == "" {
		return a
	}
	f := e.known()
	for b := e.body; b != nil; b = b.outer {
		if b.graph == nil {
			return nil
		}
		if t := f.tensors[b.graph][name]; t != nil {
			if n, err := t.Elements(); err != nil || n > maxConstant {
				return nil
			}
			a, err := t.Array()
			if err != nil {
				return nil
			}
			return a
		}
		if _, here := f.info[b.graph][name]; here {
			return nil
		}
	}
	return nil
}
