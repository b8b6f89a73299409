package infer

import (
	"fmt"

	"bq/onnxio"
)

// maxFunctionNodes bounds the nodes that calls of local functions expand to, in one model.
const maxFunctionNodes = 1 << 18

// function returns the function of the model that n calls (FunctionProto: domain, name and overload), nil where it
// calls none.
func (c *compiler) function(n *onnxio.Node) *onnxio.Function {
	for _, f := range c.model.Functions {
		if f.Name == n.OpType && onnxio.CanonicalDomain(f.Domain) == onnxio.CanonicalDomain(n.Domain) && f.Overload == n.Overload {
			return f
		}
	}
	return nil
}

// opset returns the version of a domain that the function being compiled imports, else the model.
func (c *compiler) opset(domain string) int64 {
	for _, o := range c.opsets {
		if onnxio.CanonicalDomain(o.Domain) == onnxio.CanonicalDomain(domain) {
			return o.Version
		}
	}
	return c.model.Opset(domain)
}

// call binds a node to the body of a function: a graph of its own, in which the node's attributes stand for those of
// the function. Its nodes are not shown to visitors, since their names repeat from call to call.
func (c *compiler) call(nd *node, f *onnxio.Function) error {
	if len(nd.in) > len(f.Inputs) || len(nd.Outputs) > len(f.Outputs) {
		return &onnxio.FormatError{Where: nd.where, Text: fmt.Sprintf("%d inputs and %d outputs, the function has %d and %d",
			len(nd.in), len(nd.Outputs), len(f.Inputs), len(f.Outputs))}
	}
	c.expanded += len(f.Nodes)
	if c.depth >= maxSubgraphDepth || c.expanded > maxFunctionNodes {
		return &onnxio.FormatError{Where: nd.where, Text: fmt.Sprintf("functions nested more than %d deep or of more than %d nodes",
			maxSubgraphDepth, maxFunctionNodes)}
	}
	body, given := expand(f, nd)
	opsets, prefix := c.opsets, c.prefix
	c.opsets, c.prefix = f.Opsets, c.prefix+nd.where+": "
	c.depth++
	g, err := c.graph(body, nil)
	c.depth--
	c.opsets, c.prefix = opsets, prefix
	if err != nil {
		return fmt.Errorf("%s: %w", nd.where, err)
	}
	nd.any = true
	nd.run = func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		visit := r.visit
		r.visit = nil
		defer func() { r.visit = visit }()
		args := make([]*onnxio.Array, len(given))
		for i, k := range given {
			args[i] = in[k]
		}
		return r.graph(g, nil, args)
	}
	return nil
}

// expand returns the body of f as a graph for the call nd, and which inputs of the node its inputs are: those that are
// not given are taken out of the body's nodes.
func expand(f *onnxio.Function, nd *node) (g *onnxio.Graph, given []int) {
	x := &expansion{attrs: map[string]*onnxio.Attribute{}, absent: map[string]bool{}}
	for _, a := range f.Defaults {
		x.attrs[a.Name] = a
	}
	for _, a := range nd.Attributes {
		x.attrs[a.Name] = a
	}
	g = &onnxio.Graph{Name: f.Name, Nodes: x.nodes(f.Nodes, 0)}
	for i, name := range f.Inputs {
		if i < len(nd.in) && nd.in[i] >= 0 {
			g.Inputs = append(g.Inputs, &onnxio.ValueInfo{Name: name})
			given = append(given, i)
			continue
		}
		x.absent[name] = true
	}
	for _, n := range g.Nodes {
		for i, name := range n.Inputs {
			if x.absent[name] {
				n.Inputs[i] = ""
			}
		}
	}
	for _, name := range f.Outputs[:len(nd.Outputs)] {
		g.Outputs = append(g.Outputs, &onnxio.ValueInfo{Name: name})
	}
	return g, given
}

// expansion rewrites the nodes of a function's body for one call.
type expansion struct {
	attrs  map[string]*onnxio.Attribute // of the function, by name
	absent map[string]bool              // inputs that the call leaves out
}

// nodes copies nodes with references to the function's attributes replaced, in subgraphs too. A reference to an
// attribute that neither the call nor the function gives takes the attribute away.
func (x *expansion) nodes(list []*onnxio.Node, depth int) []*onnxio.Node {
	var out []*onnxio.Node
	for _, n := range list {
		c := *n
		c.Inputs, c.Attributes = append([]string{}, n.Inputs...), nil
		for _, a := range n.Attributes {
			if a.RefName != "" {
				ref := x.attrs[a.RefName]
				if ref == nil {
					continue
				}
				named := *ref
				named.Name = a.Name
				a = &named
			} else if a.G != nil && depth < maxSubgraphDepth {
				sub, inner := *a, *a.G
				inner.Nodes = x.nodes(a.G.Nodes, depth+1)
				sub.G = &inner
				a = &sub
			}
			c.Attributes = append(c.Attributes, a)
		}
		out = append(out, &c)
	}
	return out
}
