package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shell runs a script in a shell and returns the words that it prints; the test skips where there is no such shell.
func shell(t *testing.T, name, script string, flags ...string) []string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: there is no %s to complete words in; the words themselves are tested without", name)
	}
	file := filepath.Join(t.TempDir(), "test.sh")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd := exec.Command(path, append(flags, file)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return strings.Fields(string(out))
}

// completions are words typed so far, the last one to be completed, and what the shell must offer.
var completions = []struct {
	words string
	all   []string // exactly these
}{
	{"bq ver", []string{"verify"}},
	{"bq di", []string{"diff"}},
	{"bq verify --max", []string{"--max-kl", "--max-top1-drop"}},
	{"bq verify m.onnx m.bq --bas", []string{"--baseline"}},
	{"bq convert --verify", nil},
	{"bq help top", []string{"topics"}},
	{"bq help ver", []string{"verify"}},
}

func TestBashCompletion(t *testing.T) {
	script := string(runMain(t, statusDone, "completion", "bash"))
	for _, c := range completions {
		words := strings.Split(c.words, " ")
		got := shell(t, "bash", script+"\nCOMP_WORDS=("+c.words+")\nCOMP_CWORD="+strconv.Itoa(len(words)-1)+"\n_bq\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n", "--noprofile", "--norc")
		slices.Sort(got)
		if !slices.Equal(got, c.all) {
			t.Errorf("%s: %v, want %v", c.words, got, c.all)
		}
	}
}

// zsh reads the script from a folder of its functions, as an installed one, and calls it with the words typed so far.
// compadd and _files, which work inside its line editor alone, are replaced: the first prints what fits.
func TestZshCompletion(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "_bq"), string(runMain(t, statusDone, "completion", "zsh")))
	for _, c := range completions {
		words := strings.Split(c.words, " ")
		got := shell(t, "zsh", "fpath=("+dir+" $fpath)\nautoload -Uz _bq\n"+
			"compadd() { local w; shift; for w; do [[ $w == ${words[CURRENT]}* ]] && print -r -- $w; done; return 0 }\n_files() { print FILES }\n"+
			"words=("+c.words+")\nCURRENT="+strconv.Itoa(len(words))+"\n_bq\n", "-f")
		slices.Sort(got)
		if !slices.Equal(got, c.all) {
			t.Errorf("%s: %v, want %v", c.words, got, c.all)
		}
	}
	got := shell(t, "zsh", "fpath=("+dir+" $fpath)\nautoload -Uz _bq\n_files() { print FILES }\nwords=(bq verify m)\nCURRENT=3\n_bq\n", "-f")
	if !slices.Equal(got, []string{"FILES"}) {
		t.Errorf("files: %v", got)
	}
	// by source, as in .zshrc
	got = shell(t, "zsh", "autoload -U compinit && compinit -D\nsource "+dir+"/_bq\nprint -r -- ${_comps[bq]}\n", "-f")
	if !slices.Equal(got, []string{"_bq"}) {
		t.Errorf("sourced: %v", got)
	}
}
