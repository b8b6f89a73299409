package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	{"bq verify", []string{"verify"}},
	{"bq verify --max", []string{"--max-kl", "--max-top1-drop"}},
	{"bq verify m.onnx m.bq --bas", []string{"--baseline"}},
	{"bq convert --verify", nil},
	{"bq verify diff --bas", []string{"--baseline"}},
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

// fish is asked for the completions of a line, as when a person presses tab; what follows a tab is a description.
func TestFishCompletion(t *testing.T) {
	script := string(runMain(t, statusDone, "completion", "fish"))
	for _, c := range completions {
		got := shell(t, "fish", script+"\ncomplete -C '"+c.words+"' | string split -f1 \\t\ntrue\n", "--no-config")
		slices.Sort(got)
		if !slices.Equal(got, c.all) {
			t.Errorf("%s: %v, want %v", c.words, got, c.all)
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "model.onnx"), "")
	if got := shell(t, "fish", script+"\ncd "+dir+"\ncomplete -C 'bq verify mod'\n", "--no-config"); !slices.Equal(got, []string{"model.onnx"}) {
		t.Errorf("files: %v", got)
	}
}

// PowerShell is asked for the completions of a line, as when a person presses tab.
func TestPowershellCompletion(t *testing.T) {
	script := string(runMain(t, statusDone, "completion", "powershell"))
	file := filepath.Join(t.TempDir(), "bq.ps1")
	writeFile(t, file, script)
	for _, c := range completions {
		ask := ". " + file + "\n(TabExpansion2 -inputScript '" + c.words + "' -cursorColumn " + strconv.Itoa(len(c.words)) + ").CompletionMatches | ForEach-Object { $_.CompletionText }\n"
		got := shell(t, "pwsh", ask, "-NoProfile", "-NonInteractive", "-File")
		slices.Sort(got)
		if !slices.Equal(got, c.all) {
			t.Errorf("%s: %v, want %v", c.words, got, c.all)
		}
	}
}

// Without PowerShell its script is read for what it is made of: brackets that close in order outside of strings, strings that end in
// their line, and for each command a list of exactly its flags.
func TestPowershellScriptIsWellFormed(t *testing.T) {
	script := string(runMain(t, statusDone, "completion", "powershell"))
	closing := map[byte]byte{'(': ')', '{': '}', '[': ']'}
	var open []byte
	for n, line := range strings.Split(script, "\n") {
		quote := byte(0)
		for i := range len(line) {
			ch := line[i]
			switch {
			case quote != 0:
				if ch == quote {
					quote = 0
				}
			case ch == '\'' || ch == '"':
				quote = ch
			case closing[ch] != 0:
				open = append(open, closing[ch])
			case ch == ')' || ch == '}' || ch == ']':
				if len(open) == 0 || open[len(open)-1] != ch {
					t.Fatalf("line %d: %q closes nothing: %s", n+1, ch, line)
				}
				open = open[:len(open)-1]
			}
		}
		if quote != 0 {
			t.Errorf("line %d: a string does not end: %s", n+1, line)
		}
	}
	if len(open) != 0 {
		t.Errorf("not closed: %q", open)
	}
	lists := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^    '([a-z]+)' = @\(('[^']*'(?:,'[^']*')*)\)$`).FindAllStringSubmatch(script, -1) {
		lists[m[1]] = strings.Split(strings.Trim(m[2], "'"), "','")
	}
	for _, c := range table().VisibleCommands() {
		var want []string
		for _, f := range c.VisibleFlags() {
			want = append(want, "--"+f.Names()[0])
		}
		if got := lists[c.Name]; !slices.Equal(got, want) {
			t.Errorf("%s offers %v, want %v", c.Name, got, want)
		}
	}
	if !slices.Contains(lists["help"], "topics") || !slices.Contains(lists["help"], "verify") {
		t.Errorf("help offers %v", lists["help"])
	}
}
