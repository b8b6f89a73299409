package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"bq/internal/shape"
	"bq/onnxio"
)

// inferredRecord is a value of a model with the type and shape that were inferred for it.
type inferredRecord struct {
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"` // of the subgraph or the function that it stands in
	Origin string `json:"origin"`         // input, initializer or node
	Type   string `json:"type"`           // float32[N,64,floor((H+1)/2)]; ? is a size that has no name
}

// origins names the places that values come from.
var origins = map[shape.Origin]string{shape.FromInput: "input", shape.FromInitializer: "initializer", shape.FromNode: "node"}

// inferValues infers type and shape of every value of m, and warns of what contradicts them.
func (s *session) inferValues(m *onnxio.Model, name string) ([]inferredRecord, error) {
	r, err := shape.Infer(m, nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", shown(name), err)
	}
	for _, w := range r.Warnings {
		s.warn("%s", w)
	}
	list := make([]inferredRecord, len(r.Values))
	for i, v := range r.Values {
		list[i] = inferredRecord{v.Name, v.Path, origins[v.Origin], v.Info.String()}
	}
	return list, nil
}

// valueTable prints a line for each value.
func (s *session) valueTable(list []inferredRecord) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "value\tfrom\ttype")
	for _, v := range list {
		name := v.Name
		if v.Path != "" {
			name = v.Path + " / " + name
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", cell(name), v.Origin, cell(v.Type))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}
