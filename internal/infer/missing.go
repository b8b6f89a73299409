package infer

import (
	"fmt"
	"strings"

	"bq/onnxio"
)

// MissingOp is something that keeps a model from running.
type MissingOp struct {
	Domain, Op string
	Node       string // `node 31 "nms" (NonMaxSuppression)`, after the places of the graphs around it
	Text       string // the operator, its domain and version, or the attribute
}

// Bounds on the one line that MissingError says.
const (
	shownReasons = 6   // reasons that are told apart
	shownText    = 240 // bytes of one place and its reason
)

// MissingError says that a model cannot run, and lists every node that stands in the way, before anything runs.
// errors.As finds an *onnxio.UnsupportedError in it for each.
type MissingError struct {
	List []MissingOp // in the order of the model's nodes, never empty
}

// Error says in one line how many operators are missing and the first node of each reason. Its length is bounded
// whatever the model holds.
func (e *MissingError) Error() string {
	reasons := e.reasons()
	var parts []string
	for i, r := range reasons {
		if i == shownReasons {
			parts = append(parts, fmt.Sprintf("and %d more reasons", len(reasons)-i))
			break
		}
		parts = append(parts, r.String())
	}
	n, verb := e.operators(), "operators are"
	if n == 1 {
		verb = "operator is"
	}
	return fmt.Sprintf("cannot run: %d %s missing: %s", n, verb, strings.Join(parts, "; "))
}

// Unwrap returns an *onnxio.UnsupportedError for every node.
func (e *MissingError) Unwrap() []error {
	list := make([]error, len(e.List))
	for i, m := range e.List {
		list[i] = &onnxio.UnsupportedError{Where: m.Node, Text: m.Text}
	}
	return list
}

// operators counts the different operators, by domain and name.
func (e *MissingError) operators() int {
	seen := map[operatorKey]bool{}
	for _, m := range e.List {
		seen[operatorKey{m.Domain, m.Op}] = true
	}
	return len(seen)
}

// reason is one text and the nodes it is true of.
type reason struct {
	node, text string // of the first
	others     int
}

// String says `node 3 "a" (Frob): operator Frob of domain ai.onnx, opset 12 (and 4 more nodes)`.
func (r *reason) String() string {
	text := clipped(r.node+": "+r.text, shownText)
	switch r.others {
	case 0:
		return text
	case 1:
		return text + " (and 1 more node)"
	}
	return fmt.Sprintf("%s (and %d more nodes)", text, r.others)
}

// reasons groups the nodes by operator and text, in the order in which they are met first.
func (e *MissingError) reasons() []*reason {
	type key struct{ domain, op, text string }
	index := map[key]*reason{}
	var list []*reason
	for _, m := range e.List {
		k := key{m.Domain, m.Op, m.Text}
		if r := index[k]; r != nil {
			r.others++
			continue
		}
		index[k] = &reason{node: m.Node, text: m.Text}
		list = append(list, index[k])
	}
	return list
}

// clipped returns s, with its middle left out where it is longer than n bytes. Names of hostile files may be.
func clipped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	half := (n - len("...")) / 2
	return strings.ToValidUTF8(s[:half], "") + "..." + strings.ToValidUTF8(s[len(s)-half:], "")
}

// missing returns an error that lists everything that is not supported, nil where nothing is.
func (c *compiler) missing() error {
	if len(c.gaps) == 0 {
		return nil
	}
	return &MissingError{c.gaps}
}

// Missing returns what of m is not supported, in the order of its nodes; an error where m is malformed.
func Missing(m *onnxio.Model) ([]MissingOp, error) {
	if m.Graph == nil {
		return nil, &onnxio.FormatError{Where: "model", Text: "has no graph"}
	}
	c := &compiler{model: m, opt: Options{Threads: 1, MaxBytes: DefaultMaxBytes}}
	if _, err := c.graph(m.Graph, nil); err != nil {
		return nil, err
	}
	return c.gaps, nil
}
