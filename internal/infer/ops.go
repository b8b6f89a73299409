package infer

import (
	"fmt"
	"sort"

	"bq/onnxio"
)

// operator is a row of the operator table.
type operator struct {
	domain string // "" for ai.onnx
	name   string
	since  []int64 // versions of the definitions that are implemented, ascending
	until  int64   // version that took the operator away, 0 for none
	in     [2]int  // least and most inputs
	out    int     // most outputs
	impure bool    // runs subgraphs or draws random numbers: never computed at Compile
	skip   []int   // inputs among the least that may be left out all the same
	values bool    // takes sequences and optionals: other operators are only given tensors
	ints   []int   // inputs that must hold int64 or int32: axes, sizes, lengths
	bind   func(b *binding) runFunc
}

// operators is the table by domain and name. It is filled in init because operators with subgraphs look others up.
var operators map[operatorKey]*operator

func init() { operators = indexOperators() }

type operatorKey struct{ domain, name string }

func indexOperators() map[operatorKey]*operator {
	index := map[operatorKey]*operator{}
	for _, op := range operatorTable() {
		op.domain = onnxio.CanonicalDomain(op.domain)
		index[operatorKey{op.domain, op.name}] = &op
	}
	return index
}

// lookup returns the operator of a node whose domain is imported in this version, or what is missing.
func lookup(version int64, n *onnxio.Node) (*operator, string) {
	domain := onnxio.CanonicalDomain(n.Domain)
	what := fmt.Sprintf("operator %s of domain %s, opset %d", n.OpType, domain, version)
	op := operators[operatorKey{domain, n.OpType}]
	switch {
	case version == 0:
		return nil, what + ": the model does not import the domain"
	case op == nil:
		return nil, what
	case version < op.since[0]:
		return nil, fmt.Sprintf("%s: implemented from opset %d on", what, op.since[0])
	case op.until > 0 && version >= op.until:
		return nil, fmt.Sprintf("%s: taken away in opset %d", what, op.until)
	case domain == onnxio.DefaultDomain && version > newestOpset:
		return nil, fmt.Sprintf("%s: known up to opset %d", what, newestOpset)
	}
	return op, ""
}

// Op is a row of the support table.
type Op struct {
	Domain string
	Name   string
	Since  []int64 // versions of the operator's definition that are implemented, ascending
}

// Ops returns the operators that can be run, by domain and name.
func Ops() []Op {
	var list []Op
	for key, op := range operators {
		list = append(list, Op{key.domain, key.name, op.since})
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Domain != list[j].Domain {
			return list[i].Domain < list[j].Domain
		}
		return list[i].Name < list[j].Name
	})
	return list
}
