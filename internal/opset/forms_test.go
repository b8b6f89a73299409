package opset

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"bq/onnxio"
)

// form is what a version of an operator takes: a line of testdata/forms.txt, which lists every version of every operator
// of ONNX 1.23's own domain as onnx.defs.get_all_schemas_with_history gives them: name, version, fewest and most inputs,
// outputs, attributes, ! behind those that must be given.
type form struct {
	since      int64
	in, out    [2]int
	attributes []string
	required   []string
}

// many stands for any number of inputs or outputs.
const many = 1 << 20

// allForms holds what readForms has read.
var allForms map[string][]form

// readForms returns the forms of every operator, oldest first.
func readForms(t testing.TB) map[string][]form {
	t.Helper()
	if allForms != nil {
		return allForms
	}
	b, err := os.ReadFile("testdata/forms.txt")
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) int {
		if s == "*" {
			return many
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	span := func(s string) [2]int {
		low, high, _ := strings.Cut(s, "-")
		return [2]int{number(low), number(high)}
	}
	forms := map[string][]form{}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		f := form{since: int64(number(fields[1])), in: span(fields[2]), out: span(fields[3])}
		for _, a := range fields[4:] {
			name, required := strings.CutSuffix(a, "!")
			if f.attributes = append(f.attributes, name); required {
				f.required = append(f.required, name)
			}
		}
		forms[fields[0]] = append(forms[fields[0]], f)
	}
	allForms = forms
	return forms
}

// checkForms compares every node of a raised model, in subgraphs and functions too, with the form that its operator has
// in that version: what the engine would overlook.
func checkForms(t testing.TB, name string, m *onnxio.Model) {
	t.Helper()
	forms := readForms(t)
	r := newRaising(m, Newest)
	for _, b := range r.bodies {
		for i, n := range b.nodes {
			early := beside[n.OpType] > 0 && (forms[n.OpType] == nil || b.version < forms[n.OpType][0].since)
			if !r.standard(n) || early || b.version < experiments[n.OpType].since {
				continue
			}
			list := slices.DeleteFunc(slices.Clone(forms[n.OpType]), func(f form) bool { return f.since > b.version })
			if len(list) == 0 || b.version >= removed[n.OpType] && removed[n.OpType] > 0 {
				t.Errorf("%s: %s: no such operator in version %d", name, place(i, n), b.version)
				continue
			}
			if text := list[len(list)-1].contradiction(n); text != "" {
				t.Errorf("%s: %s: %s, in version %d", name, place(i, n), text, b.version)
			}
		}
	}
}

// contradiction says where a node does not have the form.
func (f form) contradiction(n *onnxio.Node) string {
	for _, a := range n.Attributes {
		if !slices.Contains(f.attributes, a.Name) {
			return "attribute " + a.Name
		}
	}
	for _, name := range f.required {
		if n.Attr(name) == nil {
			return "no attribute " + name
		}
	}
	if len(n.Inputs) < f.in[0] || len(n.Inputs) > f.in[1] || len(n.Outputs) < f.out[0] || len(n.Outputs) > f.out[1] {
		return strconv.Itoa(len(n.Inputs)) + " inputs, " + strconv.Itoa(len(n.Outputs)) + " outputs"
	}
	return ""
}

// beside lists operators that begin earlier than ONNX's list says, or that it lacks, with their first version.
var beside = map[string]int64{"LayerNormalization": 1, "MeanVarianceNormalization": 1, "SimplifiedLayerNormalization": 1, "ThresholdedRelu": 1}

// TestTable compares the versions of the table with those of ONNX's list, and wants a rule wherever an attribute went, or
// came and must be given.
func TestTable(t *testing.T) {
	forms := readForms(t)
	if len(forms) < 200 {
		t.Errorf("%d operators in the list", len(forms))
	}
	for op, list := range forms {
		var want, got []int64
		if first := beside[op]; first > 0 {
			want = append(want, first)
		}
		for _, f := range list {
			if f.since <= Newest {
				want = append(want, f.since)
			}
		}
		for _, c := range changes[op] {
			got = append(got, c.since)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s changes in %v, the table has %v", op, want, got)
			continue
		}
		for i, f := range list[1:] {
			old := list[i]
			gone := slices.ContainsFunc(old.attributes, func(a string) bool { return !slices.Contains(f.attributes, a) })
			asked := slices.ContainsFunc(f.required, func(a string) bool { return !slices.Contains(old.required, a) })
			if f.since <= Newest && (gone || asked || f.in[0] > old.in[0] || f.out[1] < old.out[1]) && ruleAt(op, f.since, 1) == nil {
				t.Errorf("%s: no rule for version %d, which takes other attributes, inputs or outputs", op, f.since)
			}
		}
	}
	for op, list := range changes {
		if forms[op] == nil && beside[op] == 0 {
			t.Errorf("%s is no operator", op)
		}
		if len(list) > 0 && list[0].rule != nil {
			t.Errorf("%s: a rule for its first version", op)
		}
		if experiments[op].rule != nil {
			t.Errorf("%s is an operator and experimental", op)
		}
	}
}
