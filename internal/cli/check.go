package cli

import (
	"fmt"
	"io"

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
	SHA256 string        `json:"sha256"` // empty where the file cannot be read
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
	err := parallel.InOrder(s.ctx, s.threads, len(paths), func(i int) (*checkedFile, error) { return s.checkFile(paths[i]), nil }, func(_ int, file *checkedFile) error {
		rec.Files = append(rec.Files, *file)
		bad = bad || !file.OK
		if s.json {
			return nil
		}
		if file.OK {
			s.printf("%s: ok, %s, sha256 %s\n", escape(file.Path), plural(file.count, "tensor"), file.SHA256)
		}
		if s.quiet && !file.OK {
			s.say("error", fmt.Sprintf("checking %s: %s", file.Path, plural(len(file.Faults), "fault")))
		}
		for _, f := range file.Faults {
			s.printf("%s: %s: %s\n", escape(file.Path), f.place(), escape(f.Text))
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

// The rules that are none of the format's.
const (
	ruleIO    = "IO"    // the file cannot be read
	ruleGraph = "graph" // graph, metadata and tensors, each sound, do not belong together
)

// place names the rule, and where in the file it is broken.
func (f *faultRecord) place() string {
	if f.Rule == ruleIO || f.Rule == ruleGraph {
		return f.Rule
	}
	return fmt.Sprintf("%s at %d", f.Rule, f.Offset)
}

// checkFile applies every reader rule to a file, decodes every tensor and matches them with the graph. A file that
// cannot be read is a fault like others.
func (s *session) checkFile(path string) *checkedFile {
	file := &checkedFile{Path: path, Faults: []faultRecord{}}
	if err := s.findFaults(file); err != nil {
		file.Faults = append(file.Faults, faultRecord{Rule: ruleIO, Text: pathCause(err).Error()})
	}
	file.OK = len(file.Faults) == 0
	return file
}

// findFaults fills a record. An error means that the file cannot be read.
func (s *session) findFaults(file *checkedFile) error {
	f, size, err := s.openInput(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if file.SHA256, err = fileSHA256(f); err != nil {
		return err
	}
	_, faults := packing.Check(f, size)
	for _, x := range faults {
		file.Faults = append(file.Faults, faultRecord{x.Rule, x.Offset, x.Tensor, x.Text})
	}
	if len(faults) > 0 {
		return nil
	}
	if err := checkContents(f, size, file); err != nil {
		file.Faults = append(file.Faults, faultRecord{Rule: ruleGraph, Text: err.Error()})
	}
	return nil
}

func checkContents(f io.ReaderAt, size int64, file *checkedFile) error {
	p, err := packing.Open(f, size)
	if err != nil {
		return err
	}
	file.count = len(p.Entries())
	_, err = convert.Runnable(p)
	return err
}
