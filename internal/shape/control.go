package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// subgraph infers the graph of an attribute for the given inputs and returns its outputs, nil where a limit is reached.
// What is impossible in it is a warning, since it may never run, or, quiet, not even that; stuck tells that there was
// such a node.
func (c *call) subgraph(name string, args []*value, quiet bool) ([]*value, error) {
	c.stuck = false
	a := c.node.Attr(name)
	if a == nil || a.G == nil {
		return nil, fmt.Errorf("attribute %s: no graph", onnxio.Quote(name))
	}
	if c.depth >= maxDepth || c.visits <= 0 {
		c.warn(c.where, "attribute %s: more than %d graphs within one another or too many nodes", onnxio.Quote(name), maxDepth)
		return nil, nil
	}
	c.visits -= max(1, len(a.G.Nodes))
	path := fmt.Sprintf("%s %s %s", c.node.OpType, onnxio.Quote(c.label()), name)
	s := &section{path: joinPath(c.path, path), prefix: c.where + " " + name + ": "}
	if args == nil {
		args = []*value{}
	}
	was, failed := c.quiet, c.failed
	c.quiet, c.failed = was || quiet, false
	c.depth++
	outs, err := c.inference.graph(a.G, c.scope, args, s)
	c.depth--
	c.stuck = c.failed
	c.quiet, c.failed = was, failed
	c.inner = append(c.inner, s)
	return outs, err
}

func joinPath(path, label string) string {
	if path == "" {
		return label
	}
	return path + " / " + label
}

// branch: the outputs of one of two graphs, which see the values of the graph around them. Where the condition is known
// they are those of that branch, else what both have in common.
func branch(c *call) error {
	cond, known := c.number(0)
	yes, err := c.subgraph("then_branch", nil, known && cond == 0)
	if err != nil {
		return err
	}
	stuck := c.stuck
	no, err := c.subgraph("else_branch", nil, known && cond != 0)
	if err != nil {
		return err
	}
	// A branch that cannot run to its end is not the one that is taken, unless neither can.
	takeYes := known && cond != 0 || !known && c.stuck && !stuck
	takeNo := known && cond == 0 || !known && stuck && !c.stuck
	c.failed = c.failed || stuck && !takeNo && (takeYes || c.stuck) || c.stuck && takeNo
	switch {
	case takeYes:
		return c.giveAll(yes)
	case takeNo:
		return c.giveAll(no)
	}
	if yes == nil || no == nil {
		return nil
	}
	if len(yes) != len(c.out) || len(no) != len(c.out) {
		return fmt.Errorf("branches with %d and %d outputs for %d", len(yes), len(no), len(c.out))
	}
	for i, v := range yes {
		if err := c.giveValue(i, c.either(v, no[i])); err != nil {
			return err
		}
	}
	return nil
}

// either returns what two values have in common; of one whose node could not be inferred, since its branch never runs or
// its operator has no rule, the other.
func (c *call) either(a, b *value) *value {
	if a.Kind == Unknown {
		return &value{Info: b.Info}
	}
	if b.Kind == Unknown {
		return &value{Info: a.Info}
	}
	return c.widened(a, b, c.fresh)
}

// giveAll sets all outputs; nil leaves them unknown.
func (c *call) giveAll(values []*value) error {
	if values != nil && len(values) != len(c.out) {
		return fmt.Errorf("a graph of %d outputs for %d", len(values), len(c.out))
	}
	for i, v := range values {
		if err := c.giveValue(i, v); err != nil {
			return err
		}
	}
	return nil
}

// loop: a graph run up to M times while a condition holds. Its inputs are the step, the condition and the carried values;
// its outputs the condition, the carried values and values that are stacked over the steps.
func loop(c *call) error {
	if len(c.in) < 2 {
		return fmt.Errorf("%d inputs, want at least 2", len(c.in))
	}
	carried := len(c.in) - 2
	if carried > len(c.out) {
		return fmt.Errorf("%d outputs for %d carried values", len(c.out), carried)
	}
	step := &value{Info: tensorOf(onnxio.Int64)}
	cond := &value{Info: tensorOf(onnxio.Bool)}
	state := make([]*value, carried)
	for i := range state {
		state[i] = c.arg(i + 2)
	}
	outs, state, err := c.settle("body", []*value{step, cond}, state, nil)
	if err != nil || outs == nil {
		return err
	}
	if len(outs) != len(c.out)+1 {
		return fmt.Errorf("body with %d outputs for %d", len(outs), len(c.out))
	}
	for i, v := range state {
		if err := c.giveValue(i, v); err != nil {
			return err
		}
	}
	steps := c.trips()
	for i, v := range outs[1+carried:] {
		if err := c.giveStacked(carried+i, v, 0, steps); err != nil {
			return err
		}
	}
	return nil
}

// trips returns how often a Loop runs: as often as its first input says where the condition cannot end it earlier.
func (c *call) trips() Dim {
	m := c.elements(0)
	if len(m) != 1 || !m[0].atLeast(0) || !c.alwaysTrue() {
		return c.size()
	}
	return m[0]
}

// alwaysTrue reports whether the condition of a Loop is true at the start and the body passes it on or gives a constant.
func (c *call) alwaysTrue() bool {
	if n, ok := c.number(1); c.given(1) && (!ok || n == 0) {
		return false
	}
	g := c.node.Attr("body").G
	if len(g.Outputs) == 0 || len(g.Inputs) < 2 {
		return false
	}
	name := g.Outputs[0].Name
	for range maxDepth { // follow Identity and Cast back
		if name == g.Inputs[1].Name {
			return true
		}
		n := producerOf(g, name)
		if n == nil {
			break
		}
		if n.OpType == "Constant" {
			a := n.Attr("value")
			return a != nil && a.T != nil && isTrue(a.T)
		}
		if n.OpType != "Identity" && n.OpType != "Cast" {
			return false
		}
		name = n.Input(0)
	}
	t := g.Initializer(name)
	return t != nil && isTrue(t)
}

func producerOf(g *onnxio.Graph, name string) *onnxio.Node {
	for _, n := range g.Nodes {
		if slices.Contains(n.Outputs, name) {
			return n
		}
	}
	return nil
}

func isTrue(t *onnxio.Tensor) bool {
	v, err := constant(t)
	return err == nil && len(v.ints) == 1 && v.ints[0].atLeast(1)
}

// settle infers a body until what it carries from step to step has one description for all steps: first those of the
// start, then, where a step changes sizes or elements, without what changes. before and after are its other inputs. It
// returns the outputs and the carried values after the last step.
func (c *call) settle(body string, before, state, after []*value) (outs, last []*value, err error) {
	at := len(before) - 1 // of the carried values among the outputs: a Loop's begin with the condition
	if len(before) == 0 {
		at = 0
	}
	first := c.fresh
	c.loops++
	defer func() { c.loops-- }()
	for pass := 0; ; pass++ {
		stop := pass == maxPasses
		if stop {
			for i, v := range state {
				state[i] = &value{Info: Info{Kind: v.Kind, Type: v.Type}}
			}
		}
		mark := len(c.inner)
		outs, err = c.subgraph(body, slices.Concat(before, state, after), false)
		if err != nil || outs == nil {
			return nil, nil, err
		}
		if len(outs) < at+len(state) {
			return nil, nil, fmt.Errorf("body with %d outputs for %d carried values", len(outs), len(state))
		}
		next := make([]*value, len(state))
		settled := true
		for i, v := range state {
			next[i] = c.widened(v, outs[at+i], first)
			settled = settled && next[i] == v
		}
		if settled || stop {
			return outs, next, nil
		}
		state = next
		c.inner = c.inner[:mark]
	}
}

// maxPasses is how often a body is inferred before what it carries is taken to have any shape.
const maxPasses = 3

// widened returns v where a step leaves its description as it is, else what v and next have in common. Unknown sizes of v
// that were made after number mark, by widening, stand for the sizes of any step.
func (c *call) widened(v, next *value, mark int) *value {
	if v.parts != nil && len(v.parts) != len(next.parts) && next.Kind == Sequence {
		if len(v.parts) == 0 {
			return &value{Info: next.Info} // what holds for every value of next holds for those of an empty sequence
		}
		return &value{Info: c.joinAfter(v.Info, next.Info, mark)}
	}
	info := c.joinAfter(v.Info, next.Info, mark)
	if !info.same(v.Info) {
		return &value{Info: info}
	}
	same := func(d, e Dim) bool { return d.Equal(e) }
	if !slices.EqualFunc(v.ints, next.ints, same) || v.floats != nil && !slices.Equal(v.floats, next.floats) {
		if v.hasElements() {
			return &value{Info: v.Info}
		}
	}
	return v
}

// giveStacked sets output i to tensors like v stacked along a new axis.
func (c *call) giveStacked(i int, v *value, along int64, steps Dim) error {
	if !v.Ranked {
		return c.giveUnranked(i, v.Type)
	}
	a, err := axis(along, len(v.Shape)+1)
	if err != nil {
		return err
	}
	return c.give(i, v.Type, slices.Insert(slices.Clone(c.renamed(v.Info).Shape), a, steps)...)
}

// sequenceMap: a graph run on every element of a sequence, and on the elements of the other sequences or the other inputs
// as they are.
func sequenceMap(c *call) error {
	args := make([]*value, len(c.in))
	for i := range c.in {
		args[i] = c.arg(i)
		if args[i].Kind == Sequence {
			args[i] = &value{Info: c.renamed(c.elementOf(i))}
		}
	}
	c.loops++
	outs, err := c.subgraph("body", args, false)
	c.loops--
	if err != nil || outs == nil {
		return err
	}
	for i, v := range outs {
		e := v.Info
		if err := c.giveSequence(i, &e); err != nil {
			return err
		}
	}
	return nil
}
