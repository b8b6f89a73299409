package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"bq/convert"
	"bq/onnxio"
	"bq/verify"
)

// tensorChange is a constant tensor that differs. Widths are bits per element: of the codes, or of the stored type.
type tensorChange struct {
	Name     string   `json:"name"`
	Change   string   `json:"change"`
	Was      *int     `json:"was"` // bits
	Now      *int     `json:"now"`
	WasBytes *int64   `json:"was_bytes"`
	NowBytes *int64   `json:"now_bytes"`
	MaxAbs   *float64 `json:"max_abs"` // largest difference of two values
	Why      string   `json:"why,omitempty"`
}

// The ways in which tensors and nodes differ.
const (
	changeAdded   = "added"
	changeRemoved = "removed"
	changeBits    = "bits"   // another number of bits, and so mostly other values
	changeValues  = "values" // other values of the same bits
	changeBytes   = "bytes"  // the same values in another number of bytes
	changeNode    = "changed"
	otherShape    = "shape %v, was %v"
)

// nodeChange is a node that differs: known by its outputs, as names of nodes need not be unique.
type nodeChange struct {
	Name   string `json:"name"` // first output, behind the path of a subgraph
	Op     string `json:"op"`
	Change string `json:"change"`
}

// modelContents is what diff compares of a model.
type modelContents struct {
	record  verify.Model
	tensors []stored // in file order
	nodes   []placed
	close   func()
}

// stored is a constant tensor as it stands in the file, and with the values that it stands for.
type stored struct {
	name  string
	bits  int
	bytes int64
	value *onnxio.Tensor
}

// placed is a node with its place in words: two nodes of equal text do the same.
type placed struct{ name, op, text string }

// diffModels compares two models tensor by tensor and node by node. Files of one digest are the same.
func (s *session) diffModels(rec *diffRecord, pathA, pathB string) error {
	a, err := s.contents(pathA)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := s.contents(pathB)
	if err != nil {
		return err
	}
	defer b.close()
	rec.A, rec.B = a.record, b.record
	if a.record.SHA256 == b.record.SHA256 {
		return nil
	}
	rec.Nodes = nodeChanges(a.nodes, b.nodes)
	rec.Tensors, err = s.compareTensors(a.tensors, b.tensors)
	return err
}

// contents opens a model of either format.
func (s *session) contents(path string) (*modelContents, error) {
	if s.isContainer(path) {
		return s.containerContents(path)
	}
	if looksLikeContainer(path) {
		return nil, s.notAContainer(path)
	}
	in, err := s.openModel(path)
	if err != nil {
		return nil, err
	}
	list, err := convert.ListTensors(in.file.Model)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	return newContents(in.record(), in.file.Model, list, in.close), nil
}

func (s *session) containerContents(path string) (mc *modelContents, err error) {
	f, close, err := s.openContainer(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			close()
		}
	}()
	if err := f.Verify(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	c, err := convert.ReadContents(f.File)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	rec, err := f.record(c)
	if err != nil {
		return nil, err
	}
	m, _, err := convert.Restore(f.File, convert.FormFloat)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	return newContents(rec.Model, m, c.Tensors, close), nil
}

// newContents lists the constants of m, of any type, with the changeBits that list knows of, and its nodes.
func newContents(record verify.Model, m *onnxio.Model, list []convert.Coverage, close func()) *modelContents {
	known := make(map[string]convert.Coverage, len(list))
	for _, c := range list {
		known[c.Name] = c
	}
	mc := &modelContents{record: record, close: close}
	for _, k := range slices.Concat(m.Constants(), m.OtherTensors()) {
		t := stored{name: inPath(k.Path, k.Name), bits: k.Tensor.Type.Bits(), value: k.Tensor}
		if n, err := k.Tensor.Elements(); err == nil {
			t.bytes = (int64(n)*int64(t.bits) + 7) / 8
		}
		if c, ok := known[t.name]; ok {
			t.bytes = c.Bytes
			if c.Bits > 0 {
				t.bits = c.Bits
			}
		}
		mc.tensors = append(mc.tensors, t)
	}
	m.EachGraph(func(g *onnxio.Graph, path string) { mc.place(g.Nodes, path) })
	for _, f := range m.Functions {
		mc.place(f.Nodes, "function "+f.Domain+"::"+f.Name)
	}
	return mc
}

// inPath names a value by the subgraph that it stands in, as coverage lists do.
func inPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + " / " + name
}

// place lists nodes with all that they say but tensors, which are compared by value.
func (mc *modelContents) place(nodes []*onnxio.Node, path string) {
	for _, n := range nodes {
		if n.OpType == "Constant" && onnxio.CanonicalDomain(n.Domain) == onnxio.DefaultDomain {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %q %q", onnxio.CanonicalDomain(n.Domain), n.OpType, n.Inputs, n.Outputs)
		for _, a := range n.Attributes {
			fmt.Fprintf(&b, " %q %d %v %d %q %v %v %q %q", a.Name, a.Type, a.F, a.I, a.S, a.Floats, a.Ints, a.Strings, a.RefName)
		}
		name := n.Name
		if len(n.Outputs) > 0 {
			name = n.Outputs[0]
		}
		mc.nodes = append(mc.nodes, placed{inPath(path, name), n.OpType, b.String()})
	}
}

// nodeChanges lists the nodes of a that b lacks or has in another form, then those that only b has.
func nodeChanges(a, b []placed) []nodeChange {
	list := []nodeChange{}
	now := make(map[string]string, len(b))
	for _, n := range b {
		now[n.name] = n.text
	}
	was := make(map[string]bool, len(a))
	for _, n := range a {
		was[n.name] = true
		switch text, ok := now[n.name]; {
		case !ok:
			list = append(list, nodeChange{n.name, n.op, changeRemoved})
		case text != n.text:
			list = append(list, nodeChange{n.name, n.op, changeNode})
		}
	}
	for _, n := range b {
		if !was[n.name] {
			list = append(list, nodeChange{n.name, n.op, changeAdded})
		}
	}
	return list
}

// compareTensors lists the tensors of a that b lacks or has in another form, then those that only b has.
func (s *session) compareTensors(a, b []stored) ([]tensorChange, error) {
	list := []tensorChange{}
	now := make(map[string]stored, len(b))
	for _, t := range b {
		now[t.name] = t
	}
	was := make(map[string]bool, len(a))
	for _, t := range a {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		was[t.name] = true
		other, ok := now[t.name]
		if !ok {
			list = append(list, tensorChange{Name: t.name, Change: changeRemoved, Was: &t.bits, WasBytes: &t.bytes})
			continue
		}
		c, err := compareTensor(t, other)
		if err != nil {
			return nil, fmt.Errorf("comparing tensor %s: %w", onnxio.Quote(t.name), err)
		}
		if c.Change != "" {
			list = append(list, c)
		}
	}
	for _, t := range b {
		if !was[t.name] {
			list = append(list, tensorChange{Name: t.name, Change: changeAdded, Now: &t.bits, NowBytes: &t.bytes})
		}
	}
	return list, nil
}

// compareTensor says how b differs from a; Change is empty where it does not.
func compareTensor(a, b stored) (tensorChange, error) {
	c := tensorChange{Name: a.name, Was: &a.bits, Now: &b.bits, WasBytes: &a.bytes, NowBytes: &b.bytes}
	x, err := a.value.Array()
	if err != nil {
		return c, err
	}
	y, err := b.value.Array()
	if err != nil {
		return c, err
	}
	equal := false
	if equal, c.MaxAbs, c.Why = difference(x, y); c.MaxAbs == nil && equal {
		c.MaxAbs = new(0.0)
	}
	switch {
	case a.bits != b.bits:
		c.Change = changeBits
	case !equal:
		c.Change = changeValues
	case a.bytes != b.bytes:
		c.Change = changeBytes
	}
	return c, nil
}

// difference returns whether two arrays hold the same, and the largest difference of two values; nil and why where
// there is no such number.
func difference(x, y *onnxio.Array) (equal bool, largest *float64, why string) {
	if !slices.Equal(x.Shape, y.Shape) {
		return false, nil, fmt.Sprintf(otherShape, y.Shape, x.Shape)
	}
	if x.Type != y.Type {
		return false, nil, fmt.Sprintf("type %v, was %v", y.Type, x.Type)
	}
	if s, ok := x.Data.([]string); ok {
		return slices.Equal(s, y.Data.([]string)), nil, "text has no difference in numbers"
	}
	m, equal := 0.0, true
	if p, q := x.Ints(), y.Ints(); p != nil && !slices.Equal(p, q) {
		equal, m = false, 1 // at least: large integers are rounded below
	}
	for i := range x.Len() {
		p, q := numberAt(x, i), numberAt(y, i)
		if p == q || p != p && q != q {
			continue
		}
		equal = false
		if d := math.Abs(p - q); d-d != 0 {
			why = "a value is NaN or infinite on one side"
		} else {
			m = max(m, d)
		}
	}
	if why != "" {
		return equal, nil, why
	}
	return equal, &m, ""
}

// numberAt returns element i of an array of numbers. Integers beyond 2^53 are rounded.
func numberAt(a *onnxio.Array, i int) float64 {
	switch d := a.Data.(type) {
	case []float32:
		return float64(d[i])
	case []float64:
		return d[i]
	case []int8:
		return float64(d[i])
	case []int16:
		return float64(d[i])
	case []int32:
		return float64(d[i])
	case []int64:
		return float64(d[i])
	case []uint8:
		return float64(d[i])
	case []uint16:
		return float64(d[i])
	case []uint32:
		return float64(d[i])
	case []uint64:
		return float64(d[i])
	case []bool:
		if d[i] {
			return 1
		}
	}
	return 0
}

// tensorChanges prints a line for each tensor that differs.
func (s *session) tensorChanges(list []tensorChange) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%s\n", cell(c.Name), strings.Join(c.cells(), "\t"))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}

func (c tensorChange) cells() []string {
	switch c.Change {
	case changeAdded:
		return []string{changeAdded, fmt.Sprintf("%d bits", *c.Now), fmt.Sprintf("%s bytes", thousands(*c.NowBytes))}
	case changeRemoved:
		return []string{changeRemoved, fmt.Sprintf("%d bits", *c.Was), fmt.Sprintf("%s bytes", thousands(*c.WasBytes))}
	}
	width := fmt.Sprintf("bits %d -> %d", *c.Was, *c.Now)
	if *c.Was == *c.Now {
		width = fmt.Sprintf("bits %d", *c.Was)
	}
	bytes := "same bytes"
	if d := *c.NowBytes - *c.WasBytes; d > 0 {
		bytes = "+" + thousands(d) + " bytes"
	} else if d < 0 {
		bytes = thousands(d) + " bytes"
	}
	most := c.Why
	if c.MaxAbs != nil {
		most = fmt.Sprintf("max change %.4g", *c.MaxAbs)
	}
	return []string{width, bytes, most}
}
