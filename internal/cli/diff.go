package cli

import (
	"bytes"
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"bq/verify"
)

func (s *session) diffCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "diff", Usage: "show what changed between two models or two reports", ArgsUsage: "A B [--exit-code]",
		Description: "bq diff v1.bq v2.bq\nbq diff model.onnx model.bq --exit-code\nbq diff drift.json new.json",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "exit-code", Usage: "status 3 where there is a difference", DisableDefaultText: true},
		},
	}, resultOutput, false, s.diff)
}

// diffRecord is the JSON result of diff. Models have tensors and nodes, reports have metrics.
type diffRecord struct {
	Schema  string         `json:"schema"`
	A       verify.Model   `json:"a"`
	B       verify.Model   `json:"b"`
	Same    bool           `json:"same"`
	Tensors []tensorChange `json:"tensors"`
	Nodes   []nodeChange   `json:"nodes"`
	Metrics []metricChange `json:"metrics"`
}

func (s *session) diff(c *urfave.Context) error {
	if err := exactly(c, "A", "B"); err != nil {
		return err
	}
	a, b := c.Args().Get(0), c.Args().Get(1)
	if a == "-" && b == "-" {
		return usagef("reading arguments: stdin can be one of the two, not both")
	}
	reportA, reportB := s.isJSON(a), s.isJSON(b)
	rec := &diffRecord{Schema: "bq.diff/1", Tensors: []tensorChange{}, Nodes: []nodeChange{}, Metrics: []metricChange{}}
	var err error
	switch {
	case reportA != reportB:
		return &usageError{text: fmt.Sprintf("comparing %s with %s: a model and a report", shown(a), shown(b)), hint: "two models, or two results of bq verify --json"}
	case reportA:
		err = s.diffReports(rec, a, b)
	default:
		err = s.diffModels(rec, a, b)
	}
	if err != nil {
		return err
	}
	rec.Same = len(rec.Tensors)+len(rec.Nodes)+len(rec.Metrics) == 0
	if err := s.reportDiff(rec); err != nil {
		return err
	}
	if c.Bool("exit-code") && !rec.Same {
		return statusOnly(statusDrift)
	}
	return nil
}

// isJSON reports whether an input starts like a JSON object, which no model does: `{` is the tag of a field that no
// ONNX message has.
func (s *session) isJSON(name string) bool {
	f, _, err := s.openInput(name)
	if err != nil {
		return false // told by who opens it
	}
	defer f.Close()
	head := make([]byte, 16)
	n, _ := io.ReadFull(f, head) // a short file is short
	return bytes.HasPrefix(bytes.TrimLeft(head[:n], " \t\r\n"), []byte("{"))
}

// reportDiff prints the result: text, or JSON.
func (s *session) reportDiff(rec *diffRecord) error {
	if s.json {
		return s.printJSON(rec)
	}
	if rec.A.Format != reportFormat {
		s.printf("%s  %s bytes  sha256 %.8s...\n%s  %s bytes  sha256 %.8s...\n", escape(shown(rec.A.Path)), thousands(rec.A.Bytes), rec.A.SHA256,
			escape(shown(rec.B.Path)), thousands(rec.B.Bytes), rec.B.SHA256)
	}
	s.tensorChanges(rec.Tensors)
	for _, n := range rec.Nodes {
		s.printf("node %s %s  %s\n", escape(n.Name), escape(n.Op), n.Change)
	}
	s.metricTable(rec.Metrics)
	switch {
	case rec.Same && rec.A.SHA256 == rec.B.SHA256:
		s.printf("same file\n")
	case rec.Same:
		s.printf("no difference\n")
	}
	return nil
}
