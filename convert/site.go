package convert

import (
	"fmt"
	"slices"
	"strings"

	"bq/onnxio"
)

// site is one constant float tensor of a model and everything that reads it.
type site struct {
	name            string           // unique in the model: the value's name, behind the path of its subgraph or function
	onnxio.Constant                  // its Graph is never nil: of a local function, the body
	function        *onnxio.Function // whose body it stands in
	uses            []use
	output          bool // the value is an output of its graph as well
}

// use is one reader of a value: input of a node, behind nodes that only move the elements.
type use struct {
	node  *onnxio.Node
	input int
	moves []move
}

// opOf returns the operator of a node of ONNX's own domain, "" of another.
func opOf(n *onnxio.Node) string {
	if onnxio.CanonicalDomain(n.Domain) != onnxio.DefaultDomain {
		return ""
	}
	return n.OpType
}

// op returns the operator that computes with the site first, "" where none does.
func (s *site) op() string {
	if len(s.uses) == 0 {
		return ""
	}
	return s.uses[0].node.OpType
}

// via names what the site passes on its way to the node that computes with it first.
func (s *site) via() string {
	if len(s.uses) == 0 {
		return ""
	}
	return s.uses[0].via()
}

// sites lists the constant float tensors of m in file order with the nodes that compute with them.
func sites(m *onnxio.Model) ([]*site, error) {
	w := newWiring(m)
	var list []*site
	names := map[string]bool{}
	for _, c := range m.Constants() {
		if !c.Tensor.Type.IsFloat() {
			continue
		}
		s := &site{name: c.Name, Constant: c}
		if c.Path != "" {
			s.name = c.Path + " / " + c.Name
		}
		if names[s.name] {
			return nil, &onnxio.FormatError{Where: "tensor " + onnxio.Quote(s.name), Text: "the name stands twice in one graph"}
		}
		names[s.name] = true
		if s.Graph = w.graphOf(c); c.Graph == nil {
			s.function = w.functions[s.Graph]
		}
		v := value{s.Graph, c.Name}
		s.output = w.output[v]
		s.uses = w.uses[v]
		w.follow(s)
		list = append(list, s)
	}
	return list, nil
}

// matches reports whether the glob pattern fits the site's name or the name of a node that reads it.
func (s *site) matches(pattern string) bool {
	if glob(pattern, s.name) {
		return true
	}
	return slices.ContainsFunc(s.uses, func(u use) bool { return u.node.Name != "" && glob(pattern, u.node.Name) })
}

// glob reports whether pattern fits the whole of name: `*` stands for any run of bytes, '/' included, and `?` for
// any one byte; everything else stands for itself.
func glob(pattern, name string) bool {
	star, mark := -1, 0
	p := 0
	for n := 0; n < len(name); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// NoMatchError says that a pattern fits no tensor and no node.
type NoMatchError struct {
	Flag    string   // the flag that gave it, such as --keep
	Pattern string   //
	Nearest []string // up to three names that come close
}

// Error says it in one line, without the program's prefix.
func (e *NoMatchError) Error() string {
	return fmt.Sprintf("matching %s %s: no such tensor", e.Flag, onnxio.Quote(e.Pattern))
}

// requireMatch returns a NoMatchError where pattern fits none of list.
func requireMatch(list []*site, flag, pattern string) error {
	if slices.ContainsFunc(list, func(s *site) bool { return s.matches(pattern) }) {
		return nil
	}
	return &NoMatchError{Flag: flag, Pattern: pattern, Nearest: nearest(list, pattern)}
}

// nearest returns the names of the three sites with the least edit distance to pattern, ties in file order.
func nearest(list []*site, pattern string) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.name
	}
	want := strings.ReplaceAll(pattern, "*", "")
	slices.SortStableFunc(names, func(a, b string) int { return distance(want, a) - distance(want, b) })
	return names[:min(3, len(names))]
}

// maxDistanceName bounds the length of names whose edit distance is computed; longer ones are cut.
const maxDistanceName = 256

// distance is the edit distance (Levenshtein 1966) of a and b, insertions of b's bytes counting half, so that a
// fragment of a name is near to the name. In half steps.
func distance(a, b string) int {
	a, b = a[:min(len(a), maxDistanceName)], b[:min(len(b), maxDistanceName)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] += 2
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost += 2
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+2)
		}
	}
	return row[len(b)]
}

// Match returns the tensors of a coverage list that one of the globs fits, in the order of the list; a glob that
// fits none is a NoMatchError of the given flag.
func Match(list []Coverage, flag string, globs []string) ([]Coverage, error) {
	all := make([]*site, len(list))
	for i, v := range list {
		all[i] = &site{name: v.Name}
	}
	var chosen []Coverage
	for _, g := range globs {
		if err := requireMatch(all, flag, g); err != nil {
			return nil, err
		}
	}
	for _, v := range list {
		if slices.ContainsFunc(globs, func(g string) bool { return glob(g, v.Name) }) {
			chosen = append(chosen, v)
		}
	}
	return chosen, nil
}
