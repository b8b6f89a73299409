package convert

import (
	"fmt"

	"bq/onnxio"
)

// oldestOpset is the first version of ONNX's operator set with numpy's broadcasting; ONNX Runtime guarantees nothing
// before it.
const oldestOpset = 7

// knownDomains are the operator domains that ONNX Runtime itself implements.
var knownDomains = map[string]bool{
	onnxio.DefaultDomain: true, "ai.onnx.ml": true, "ai.onnx.training": true, "ai.onnx.preview.training": true,
	"com.microsoft": true, "com.microsoft.nchwc": true, "com.ms.internal.nhwc": true,
}

// Supported reports whether Convert takes the model without data, which never runs it; nil where it does.
func Supported(m *onnxio.Model) error { return checkSupport(m) }

// checkSupport refuses a model of operator sets from before oldestOpset, and one with operators of a domain that no
// runtime knows by itself and the model's functions don't define: what is made of it could not be judged.
func checkSupport(m *onnxio.Model) error {
	domains := map[string]bool{}
	for _, f := range m.Functions {
		domains[onnxio.CanonicalDomain(f.Domain)] = true
	}
	var failed error
	m.EachGraph(func(g *onnxio.Graph, path string) {
		for i, n := range g.Nodes {
			domain := onnxio.CanonicalDomain(n.Domain)
			version := m.Opset(domain)
			why := ""
			switch {
			case domain == onnxio.DefaultDomain && version < oldestOpset:
				why = fmt.Sprintf("operator sets before %d are not supported", oldestOpset)
			case !knownDomains[domain] && !domains[domain]:
				why = "the domain is not known"
			}
			if why == "" || failed != nil {
				continue
			}
			where := fmt.Sprintf("node %d (%s)", i, n.OpType)
			if n.Name != "" {
				where = fmt.Sprintf("node %d %s (%s)", i, onnxio.Quote(n.Name), n.OpType)
			}
			if path != "" {
				where = path + ": " + where
			}
			failed = &onnxio.UnsupportedError{Where: where, Text: fmt.Sprintf("operator %s of domain %s, opset %d: %s", n.OpType, domain, version, why)}
		}
	})
	return failed
}
