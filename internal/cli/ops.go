package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/infer"
	"bq/onnxio"
)

func (s *session) opsCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "ops", Usage: "list the supported operators", ArgsUsage: "[MODEL.onnx]",
		Description: "bq ops\nbq ops model.onnx\nbq ops --json",
	}, resultOutput, false, s.ops)
}

type opsRecord struct {
	Schema  string          `json:"schema"`
	Ops     []opRecord      `json:"ops"`
	Missing []missingRecord `json:"missing"`
}

type opRecord struct {
	Domain       string        `json:"domain"`
	Name         string        `json:"name"`
	Since        []int64       `json:"since"`
	Runs         bool          `json:"runs"`
	Count        int           `json:"count,omitempty"` // nodes of the model
	WeightInputs []inputRecord `json:"weight_inputs"`
}

type inputRecord struct {
	Input int    `json:"input"`
	Axis  string `json:"axis"`
}

type missingRecord struct {
	Domain string `json:"domain"`
	Name   string `json:"name"`
	Count  int    `json:"count"`
	Why    string `json:"why"`
}

func (s *session) ops(c *urfave.Context) error {
	if c.Args().Len() == 0 {
		rec := opsRecord{Schema: "bq.ops/1", Ops: supported(), Missing: []missingRecord{}}
		if s.json {
			return s.printJSON(rec)
		}
		s.printf("%s", opsTable(rec.Ops))
		return nil
	}
	if err := exactly(c, "at most one model"); err != nil {
		return err
	}
	in, err := s.openModel(c.Args().First())
	if err != nil {
		return err
	}
	defer in.close()
	rec, err := modelOps(in.file.Model)
	if err != nil {
		return fmt.Errorf("reading %s: %w", in.name, err)
	}
	if s.json {
		err = s.printJSON(rec)
	} else {
		s.printf("%s", opsTable(rec.Ops))
	}
	if err == nil && len(rec.Missing) > 0 {
		return statusOnly(statusError)
	}
	return err
}

// supported lists what the engine runs, with the inputs that convert quantizes.
func supported() []opRecord {
	weights := map[string][]inputRecord{}
	for _, w := range convert.WeightInputs() {
		weights[w.Op] = append(weights[w.Op], inputRecord{w.Input, w.Axis})
	}
	var list []opRecord
	for _, op := range infer.Ops() {
		r := opRecord{Domain: op.Domain, Name: op.Name, Since: op.Since, Runs: true, WeightInputs: []inputRecord{}}
		if op.Domain == onnxio.DefaultDomain && weights[op.Name] != nil {
			r.WeightInputs = weights[op.Name]
		}
		list = append(list, r)
	}
	return list
}

// modelOps counts the operators of a model and says which of its nodes can't be run.
func modelOps(m *onnxio.Model) (*opsRecord, error) {
	type key struct{ domain, name string }
	counts := map[key]int{}
	var order []key
	m.EachGraph(func(g *onnxio.Graph, _ string) {
		for _, n := range g.Nodes {
			k := key{onnxio.CanonicalDomain(n.Domain), n.OpType}
			if counts[k] == 0 {
				order = append(order, k)
			}
			counts[k]++
		}
	})
	gaps, err := infer.Missing(m)
	if err != nil {
		return nil, err
	}
	rec := &opsRecord{Schema: "bq.ops/1", Ops: []opRecord{}, Missing: []missingRecord{}}
	known := map[key]opRecord{}
	for _, op := range supported() {
		known[key{op.Domain, op.Name}] = op
	}
	for _, k := range order {
		op, ok := known[k]
		if !ok {
			op = opRecord{Domain: k.domain, Name: k.name, Since: []int64{}, WeightInputs: []inputRecord{}}
		}
		op.Count = counts[k]
		for _, g := range gaps {
			if g.Domain == k.domain && g.Op == k.name {
				op.Runs = false
				rec.addMissing(g)
			}
		}
		rec.Ops = append(rec.Ops, op)
	}
	return rec, nil
}

func (r *opsRecord) addMissing(g infer.MissingOp) {
	for i := range r.Missing {
		if m := &r.Missing[i]; m.Domain == g.Domain && m.Name == g.Op {
			m.Count++
			return
		}
	}
	r.Missing = append(r.Missing, missingRecord{Domain: g.Domain, Name: g.Op, Count: 1, Why: g.Node + ": " + g.Text})
}

func opsTable(list []opRecord) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, op := range list {
		since := make([]string, len(op.Since))
		for i, v := range op.Since {
			since[i] = fmt.Sprint(v)
		}
		state := "runs"
		if !op.Runs {
			state = "missing"
		}
		count := ""
		if op.Count > 0 {
			count = "\t" + plural(op.Count, "node")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\t%s\n", cell(op.Domain), cell(op.Name), strings.Join(since, ","), state, count, weightText(op.WeightInputs))
	}
	w.Flush()
	return trimLines(b.String())
}

func weightText(list []inputRecord) string {
	parts := make([]string, len(list))
	for i, w := range list {
		parts[i] = fmt.Sprintf("input %d, %s", w.Input, w.Axis)
	}
	return strings.Join(parts, "; ")
}
