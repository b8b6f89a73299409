package shape

import (
	"fmt"

	"bq/onnxio"
)

// functionKey names a function of the model.
type functionKey struct{ domain, name, overload string }

// functions indexes the functions of the model.
func (x *inference) functions() {
	x.called = make(map[functionKey]*onnxio.Function, len(x.model.Functions))
	for _, f := range x.model.Functions {
		key := functionKey{onnxio.CanonicalDomain(f.Domain), f.Name, f.Overload}
		if x.called[key] == nil {
			x.called[key] = f
		}
	}
}

// function returns the function that the node calls, nil where it calls none.
func (c *call) function() *onnxio.Function {
	if len(c.called) == 0 {
		return nil
	}
	return c.called[functionKey{onnxio.CanonicalDomain(c.node.Domain), c.node.OpType, c.node.Overload}]
}

// opset returns the version of a domain that the function being inferred imports, else the model.
func (x *inference) opset(domain string) int64 {
	for _, o := range x.opsets {
		if onnxio.CanonicalDomain(o.Domain) == onnxio.CanonicalDomain(domain) {
			return o.Version
		}
	}
	return x.model.Opset(domain)
}

// expand infers the body of a function for this call of it.
func (c *call) expand(f *onnxio.Function) error {
	if len(c.in) > len(f.Inputs) || len(c.out) > len(f.Outputs) {
		return fmt.Errorf("%d inputs and %d outputs, the function has %d and %d", len(c.in), len(c.out), len(f.Inputs), len(f.Outputs))
	}
	if c.expanded += max(1, len(f.Nodes)); c.depth >= maxDepth || c.expanded > maxExpanded {
		c.warn(c.where, "functions nested more than %d deep or of more than %d nodes", maxDepth, maxExpanded)
		return nil
	}
	body, args, gone := c.body(f)
	path := fmt.Sprintf("call %s of %s::%s", onnxio.Quote(c.label()), f.Domain, f.Name)
	s := &section{path: joinPath(c.path, path), prefix: c.where + ": "}
	opsets := c.opsets
	c.inference.opsets = f.Opsets
	c.depth++
	outs, err := c.inference.functionBody(body, args, gone, s, c.lenient)
	c.depth--
	c.inference.opsets = opsets
	c.inner = append(c.inner, s)
	if err != nil {
		return err
	}
	return c.giveAll(outs)
}

// functionBody infers a graph that sees nothing around it.
func (x *inference) functionBody(g *onnxio.Graph, args []*value, gone map[string]bool, s *section, lenient bool) ([]*value, error) {
	v := newVisit(x, g, &scope{values: map[string]*value{}, gone: gone}, s)
	v.lenient = lenient
	return v.run(args)
}

// body returns the body of f as a graph, the values of its inputs, and the inputs that the call leaves out.
func (c *call) body(f *onnxio.Function) (g *onnxio.Graph, args []*value, gone map[string]bool) {
	attrs := map[string]*onnxio.Attribute{}
	for _, list := range [][]*onnxio.Attribute{f.Defaults, c.node.Attributes} {
		for _, a := range list {
			attrs[a.Name] = a
		}
	}
	g = &onnxio.Graph{Name: f.Name, Nodes: withAttributes(f.Nodes, attrs, 0), ValueInfo: f.ValueInfo}
	args, gone = []*value{}, map[string]bool{}
	for i, name := range f.Inputs {
		if !c.given(i) {
			gone[name] = true
			continue
		}
		g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: name})
		args = append(args, c.in[i])
	}
	for _, name := range f.Outputs[:len(c.out)] {
		g.Outputs = append(g.Outputs, &onnxio.ValueInfo{Name: name})
	}
	return g, args, gone
}

// withAttributes returns nodes with references to attributes of a function replaced by what a call gives, in subgraphs
// too. A reference to an attribute that neither call nor function gives takes the attribute away.
func withAttributes(nodes []*onnxio.Node, attrs map[string]*onnxio.Attribute, depth int) []*onnxio.Node {
	out := make([]*onnxio.Node, len(nodes))
	for i, n := range nodes {
		out[i] = n
		if !refers(n, depth) {
			continue
		}
		c := *n
		c.Attributes = nil
		for _, a := range n.Attributes {
			if a.RefName != "" {
				ref := attrs[a.RefName]
				if ref == nil {
					continue
				}
				named := *ref
				named.Name = a.Name
				a = &named
			} else if a.G != nil && depth < maxDepth {
				sub, inner := *a, *a.G
				inner.Nodes = withAttributes(a.G.Nodes, attrs, depth+1)
				sub.G = &inner
				a = &sub
			}
			c.Attributes = append(c.Attributes, a)
		}
		out[i] = &c
	}
	return out
}

// refers reports whether a node, or one in its subgraphs, refers to attributes of a function.
func refers(n *onnxio.Node, depth int) bool {
	for _, a := range n.Attributes {
		if a.RefName != "" {
			return true
		}
		if a.G == nil || depth >= maxDepth {
			continue
		}
		for _, sub := range a.G.Nodes {
			if refers(sub, depth+1) {
				return true
			}
		}
	}
	return false
}
