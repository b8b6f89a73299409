package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bq/packing"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"bq": func() { os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// Every promise of the command line is a script. $TESTDATA is the project's testdata, $ZOO the real models beside the
// project; scripts that need those skip where [zoo] does not hold.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	zoo := filepath.Join(root, "..", "shared", "zoo")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TESTDATA", filepath.Join(root, "testdata"))
			e.Setenv("ZOO", zoo)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector holds each of a thousand processes for a second before it ends
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "zoo" {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			_, err := os.Stat(zoo)
			return err == nil, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":   status,
			"flip":     flip,
			"sections": sections,
			"truncate": truncate,
			"files":    files,
			"linear":   linear,
			"npy":      npy,
			"layers":   layers,
			"tensor":   tensor,
			"stopped":  stopped,
			"phase":    phase,
			"remedied": remedied,
		},
	})
}

// status N PROGRAM ARGS... runs a program and wants its exit status to be N.
func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: status N program args...")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
	}
}

// flip FILE OUT OFFSET copies FILE to OUT with one bit changed at OFFSET; negative offsets count from the end.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at, err := strconv.Atoi(args[2])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x10
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o644))
}

// sections FILE PREFIX writes, for each section of a container, a copy of it with one bit changed in that section:
// PREFIX-header, -graph, -codes, -scales, -kept, -index, -footer.
func sections(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	f, err := os.Open(path)
	ts.Check(err)
	defer f.Close()
	p, err := packing.Open(f, int64(len(b)))
	ts.Check(err)
	at := map[string]int64{"header": 1, "graph": 12, "footer": int64(len(b)) - 20, "index": int64(len(b)) - 90}
	for _, e := range p.Entries() {
		if e.Quantized {
			at["codes"], at["scales"] = e.Offset, e.Offset+e.CodesBytes
		} else {
			at["kept"] = e.Offset
		}
	}
	for name, offset := range at {
		damaged := append([]byte{}, b...)
		damaged[offset] ^= 0x10
		ts.Check(os.WriteFile(ts.MkAbs(args[1]+"-"+name), damaged, 0o644))
	}
}

// truncate FILE OUT N copies the first N bytes of FILE to OUT.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	in, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer in.Close()
	n, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	out, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	_, err = io.CopyN(out, in, n)
	ts.Check(errors.Join(err, out.Close()))
}

// files NAMES... wants the folder to hold exactly these files, and that of temporary files none, so that nothing was
// left behind.
func files(ts *testscript.TestScript, _ bool, args []string) {
	temporary, err := os.ReadDir(ts.MkAbs(".tmp"))
	ts.Check(err)
	for _, e := range temporary {
		ts.Fatalf("temporary file %s was left behind", e.Name())
	}
	list, err := os.ReadDir(ts.MkAbs("."))
	ts.Check(err)
	got := map[string]bool{}
	for _, e := range list {
		if e.Name() != ".tmp" {
			got[e.Name()] = true
		}
	}
	for _, want := range args {
		if !got[want] {
			ts.Fatalf("no file %s", want)
		}
		delete(got, want)
	}
	for name := range got {
		ts.Fatalf("file %s was left behind", name)
	}
}
