package shape

import (
	"fmt"

	"bq/onnxio"
)

// value is a value during inference. It is not changed once it is made.
type value struct {
	Info
	ints   []Dim     // the elements where they are followed and whole numbers, row-major
	floats []float64 // the elements of a float tensor where they are followed and numbers
	parts  []*value  // the values of a sequence where it is known to have just these
}

// scope resolves the names of one graph.
type scope struct {
	values map[string]*value
	outer  *scope
	gone   map[string]bool // inputs of a function that its call leaves out
}

func (s *scope) resolve(name string) *value {
	for ; s != nil; s = s.outer {
		if v := s.values[name]; v != nil {
			return v
		}
	}
	return nil
}

// visit is the inference of one graph.
type visit struct {
	*inference
	*section
	// g is the graph, which is not changed.
	g        *onnxio.Graph
	scope    *scope
	declared map[string]*onnxio.ValueInfo
	fed      map[string]int // places of the graph's inputs in values
	lenient  bool           // impossible shapes are warnings
	// sparseRead says that the sparse initializers are defined.
	sparseRead bool
}

// graph infers g. args are the values of its inputs, nil for those of the main graph; outer is the scope around it. The
// values are added to s.
func (x *inference) graph(g *onnxio.Graph, outer *scope, args []*value, s *section) ([]*value, error) {
	v := newVisit(x, g, &scope{values: map[string]*value{}, outer: outer}, s)
	v.lenient = outer != nil
	return v.run(args)
}

func newVisit(x *inference, g *onnxio.Graph, names *scope, s *section) *visit {
	v := &visit{inference: x, section: s, g: g, scope: names, fed: make(map[string]int, len(g.Inputs))}
	v.readDeclared()
	return v
}

// run infers the graph for the given inputs and returns its outputs.
func (v *visit) run(args []*value) ([]*value, error) {
	if err := v.inputs(args); err != nil {
		return nil, err
	}
	if err := v.initializers(); err != nil {
		return nil, err
	}
	g, s := v.g, v.section
	order := inOrder(g)
	labels := newLabels(g)
	places := make([][]Value, len(g.Nodes))
	inner := make([][]*section, len(g.Nodes))
	for _, i := range order {
		mark := len(s.values)
		in, err := v.node(i, labels)
		if err != nil {
			return nil, err
		}
		places[i] = append([]Value{}, s.values[mark:]...)
		inner[i] = in
		s.values = s.values[:mark]
	}
	for i := range g.Nodes { // as they stand in the file
		s.values = append(s.values, places[i]...)
		s.inner = append(s.inner, inner[i]...)
	}
	return v.outputs()
}

func (v *visit) readDeclared() {
	v.declared = make(map[string]*onnxio.ValueInfo, len(v.g.ValueInfo)+len(v.g.Outputs))
	for _, list := range [][]*onnxio.ValueInfo{v.g.ValueInfo, v.g.Outputs} {
		for _, d := range list {
			v.declared[d.Name] = d
		}
	}
}

// inputs defines the graph's inputs: as declared in the main graph, else as given, completed by what is declared.
func (v *visit) inputs(args []*value) error {
	if args != nil && len(args) != len(v.g.Inputs) {
		return fmt.Errorf("%d inputs given to a graph of %d", len(args), len(v.g.Inputs))
	}
	for i, in := range v.g.Inputs {
		info := v.inference.declared(in)
		val := &value{Info: info}
		if args != nil {
			val = v.complete(in.Name, args[i], info)
		} else if shape, ok := v.inference.inputs[in.Name]; ok {
			val.Shape, val.Ranked = nil, true
			for _, d := range shape {
				val.Shape = append(val.Shape, Size(int64(d)))
			}
			if val.Kind == Unknown {
				val.Kind = Tensor
			}
		}
		if v.scope.values[in.Name] != nil {
			return &onnxio.FormatError{Where: v.prefix + "graph input " + onnxio.Quote(in.Name), Text: "defined twice"}
		}
		v.fed[in.Name] = len(v.values)
		v.define(in.Name, val, FromInput)
	}
	return nil
}

// complete returns a value with what is declared of it filled in; a contradiction is a warning.
func (v *visit) complete(name string, val *value, declared Info) *value {
	info, text := val.fill(declared)
	if text != "" {
		v.warn(v.prefix+"value "+onnxio.Quote(name), "%s", text)
	}
	if info.same(val.Info) {
		return val
	}
	return &value{Info: info, ints: val.ints, floats: val.floats, parts: val.parts}
}

// define names a value and lists it.
func (v *visit) define(name string, val *value, from Origin) {
	v.scope.values[name] = val
	v.values = append(v.values, Value{Name: name, Path: v.path, Origin: from, Info: val.Info})
}

// initializers defines the constants of the graph. In the main graph one that is an input too takes its place.
func (v *visit) initializers() error {
	seen := make(map[string]bool, len(v.g.Initializers))
	for _, t := range v.g.Initializers {
		where := v.prefix + "initializer " + onnxio.Quote(t.Name)
		if seen[t.Name] {
			return &onnxio.FormatError{Where: where, Text: "defined twice"}
		}
		seen[t.Name] = true
		val, err := constant(t)
		if err != nil {
			return err
		}
		if v.scope.values[t.Name] == nil {
			v.define(t.Name, val, FromInitializer)
			continue
		}
		if _, text := val.fill(v.scope.values[t.Name].Info); text != "" {
			v.warn(where, "%s", text)
		}
		v.scope.values[t.Name] = val
		listed := &v.values[v.fed[t.Name]]
		listed.Info, listed.Origin = val.Info, FromInitializer
	}
	return nil
}

// constant returns the value of a tensor of the file, with its elements where there are few.
func constant(t *onnxio.Tensor) (*value, error) {
	shape, err := t.Shape()
	if err != nil {
		return nil, err
	}
	val := &value{Info: Info{Kind: Tensor, Type: t.Type, Ranked: len(shape) <= maxRank}}
	if !val.Ranked {
		return val, nil
	}
	for _, d := range shape {
		val.Shape = append(val.Shape, Size(int64(d)))
	}
	if n, ok := onnxio.CheckedLen(shape); ok && n <= maxElements {
		if a, err := t.Array(); err == nil { // what cannot be decoded has a shape all the same
			val.ints, val.floats = elementsOf(a)
		}
	}
	return val, nil
}

// outputs returns the values of the graph's outputs.
func (v *visit) outputs() ([]*value, error) {
	var list []*value
	for _, out := range v.g.Outputs {
		val := v.scope.resolve(out.Name)
		if val == nil {
			return nil, &onnxio.FormatError{Where: v.prefix + "graph output " + onnxio.Quote(out.Name), Text: "no node computes it"}
		}
		list = append(list, val)
	}
	return list, nil
}

// node infers one node and defines its outputs; it returns what was inferred of its subgraphs.
func (v *visit) node(i int, labels *labels) ([]*section, error) {
	n := v.g.Nodes[i]
	c := &call{visit: v, node: n, where: v.prefix + label(i, n), label: labels.of(i)}
	if err := c.resolve(); err != nil {
		return nil, err
	}
	c.out = make([]*value, len(n.Outputs))
	if err := c.infer(); err != nil {
		if _, malformed := err.(*onnxio.FormatError); malformed {
			return nil, err
		}
		if !v.lenient {
			return nil, &onnxio.FormatError{Where: c.where, Text: err.Error()}
		}
		v.warn(c.where, "%v", err)
		v.failed = true
		c.out = make([]*value, len(n.Outputs))
	}
	for k, name := range n.Outputs {
		if name == "" {
			continue
		}
		if v.scope.values[name] != nil {
			return nil, &onnxio.FormatError{Where: c.where, Text: "output " + onnxio.Quote(name) + " is defined twice"}
		}
		val := c.out[k]
		if val == nil {
			val = &value{}
		}
		if d := v.declared[name]; d != nil {
			val = v.complete(name, val, v.inference.declared(d))
		}
		v.define(name, val, FromNode)
	}
	return c.inner, nil
}

// label names a node for messages, as internal/infer does.
func label(i int, n *onnxio.Node) string {
	if n.Name == "" {
		return fmt.Sprintf("node %d (%s)", i, n.OpType)
	}
	return fmt.Sprintf("node %d %s (%s)", i, onnxio.Quote(n.Name), n.OpType)
}

// labels names nodes in paths, as onnxio does: by their place where they have no name, by both where it is not unique.
type labels struct {
	g    *onnxio.Graph
	same map[string]int
}

func newLabels(g *onnxio.Graph) *labels {
	l := &labels{g: g, same: make(map[string]int, len(g.Nodes))}
	for _, n := range g.Nodes {
		l.same[n.Name]++
	}
	return l
}

func (l *labels) of(i int) func() string {
	return func() string {
		name := l.g.Nodes[i].Name
		switch {
		case name == "":
			return fmt.Sprint(i)
		case l.same[name] > 1:
			return fmt.Sprintf("%s@%d", name, i)
		}
		return name
	}
}
