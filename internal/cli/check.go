package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/internal/parallel"
	"bq/packing"
)

func (s *session) checkCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "check", Usage: "check the integrity of .bq files", ArgsUsage: "FILE...",
		Description: "bq check model.bq\nbq check build/*.bq\nbq check model.bq --json",
	}, resultOutput, false, s.check)
}

type checkRecord struct {
	Schema string        `json:"schema"`
	Files  []checkedFile `json:"files"`
}

type checkedFile struct {
	Path   string        `json:"path"`
	SHA256 string        `json:"sha256"`
	OK     bool          `json:"ok"`
	Faults []faultRecord `json:"faults"`
	count  int           // tensors
}

type faultRecord struct {
	Rule   string `json:"rule"`
	Offset int64  `json:"offset"`
	Tensor string `json:"tensor"`
	Text   string `json:"text"`
}

func (s *session) check(c *urfave.Context) error {
	if c.Args().Len() == 0 {
		return &usageError{text: "reading arguments: check wants files", hint: "bq help check"}
	}
	rec := checkRecord{Schema: "bq.check/1"}
	bad := false
	paths := c.Args().Slice()
	err := parallel.InOrder(s.ctx, s.threads, len(paths), func(i int) (*checkedFile, error) { return checkFile(paths[i]) }, func(_ int, file *checkedFile) error {
		rec.Files = append(rec.Files, *file)
		bad = bad || !file.OK
		if s.json {
			return nil
		}
		if file.OK {
			s.printf("%s: ok, %s, sha256 %s\n", escape(file.Path), plural(file.count, "tensor"), file.SHA256)
		}
		for _, f := range file.Faults {
			s.printf("%s: %s at %d: %s\n", escape(file.Path), f.Rule, f.Offset, escape(f.Text))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.json {
		if err := s.printJSON(rec); err != nil {
			return err
		}
	}
	if bad {
		return statusOnly(statusError)
	}
	return nil
}

// checkFile applies every reader rule to a file, decodes every tensor and matches them with the graph.
func checkFile(path string) (*checkedFile, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file := &checkedFile{Path: path, Faults: []faultRecord{}}
	if file.SHA256, err = fileSHA256(f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	_, faults := packing.Check(f, size)
	for _, x := range faults {
		file.Faults = append(file.Faults, faultRecord{x.Rule, x.Offset, x.Tensor, x.Text})
	}
	if len(faults) == 0 {
		if err := checkContents(f, size, file); err != nil {
			file.Faults = append(file.Faults, faultRecord{Rule: ruleGraph, Text: err.Error()})
		}
	}
	file.OK = len(file.Faults) == 0
	return file, nil
}

// ruleGraph marks faults between sound parts: graph, metadata and tensors that do not belong together.
const ruleGraph = "graph"

func checkContents(f interface {
	ReadAt([]byte, int64) (int, error)
}, size int64, file *checkedFile) error {
	p, err := packing.Open(f, size)
	if err != nil {
		return err
	}
	file.count = len(p.Entries())
	_, _, err = convert.Restore(p, convert.FormFloat)
	return err
}
