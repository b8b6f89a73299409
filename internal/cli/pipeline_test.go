package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// What pipelines run, taken from the files that they read and run in a folder with a good model and a bad one.

const root = "../.."

// pipeline is where the program and the models of a test stand.
type pipeline struct {
	*testing.T
	dir, temp string
}

// newPipeline makes a folder with model.onnx, samples.npz, good.bq of 8 bits and bad.bq of 2.
func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("skipped: there is no bash to run the steps of pipelines with; the commands in them have script tests")
	}
	p := &pipeline{T: t, dir: t.TempDir(), temp: t.TempDir()}
	for name, from := range map[string]string{"model.onnx": "digits.onnx", "samples.npz": "digits.eval.npz"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), readFile(t, filepath.Join(root, "testdata", from)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	model := filepath.Join(p.dir, "model.onnx")
	runMain(t, statusDone, "convert", model, "-q", "-o", filepath.Join(p.dir, "good.bq"))
	runMain(t, statusDone, "convert", model, "-q", "--bits", "2", "--method", "balanced", "-o", filepath.Join(p.dir, "bad.bq"))
	return p
}

// bash runs a script as runners do, and returns its status and what it said.
func (p *pipeline) bash(script string, env ...string) (int, string) {
	p.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	cmd.Dir = p.dir
	cmd.Env = append(append(os.Environ(), "GITHUB_ACTIONS=", "GITHUB_STEP_SUMMARY="), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func (p *pipeline) want(status int, words, script string, env ...string) {
	p.Helper()
	if got, out := p.bash(script, env...); got != status || !strings.Contains(out, words) {
		p.Errorf("%s\nstatus %d, want %d with %q:\n%s", script, got, status, words, out)
	}
}

func readYAML(t *testing.T, b []byte, v any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}

type action struct {
	Inputs map[string]struct {
		Required bool
		Default  string
	}
	Runs struct {
		Using string
		Steps []struct {
			Uses, Name, Shell, Run string
			Env                    map[string]string
		}
	}
}

// The steps of action.yml build the program and pass a good model; a bad one fails with annotations.
func TestAction(t *testing.T) {
	p := newPipeline(t)
	var a action
	readYAML(t, readFile(t, filepath.Join(root, "action.yml")), &a)
	path, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 3 {
		t.Fatalf("steps %+v", a.Runs)
	}
	summary := filepath.Join(p.temp, "summary.md")
	run := func(status int, words string, inputs map[string]string) {
		t.Helper()
		for _, s := range a.Runs.Steps[1:] {
			env := []string{"GITHUB_ACTION_PATH=" + path, "RUNNER_TEMP=" + p.temp, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY=" + summary}
			for name, value := range s.Env {
				input := strings.TrimSuffix(strings.TrimPrefix(value, "${{ inputs."), " }}")
				if _, ok := a.Inputs[input]; !ok {
					t.Fatalf("%s is %s, which is no input", name, value)
				}
				env = append(env, name+"="+inputs[input])
			}
			if strings.Contains(s.Run, "${{") {
				t.Errorf("step %s puts an input into its script", s.Name)
			}
			if s.Name == "build bq" {
				if _, err := os.Stat(filepath.Join(p.temp, "bq")); err != nil {
					p.want(0, "", s.Run, env...)
				}
				continue
			}
			p.want(status, words, s.Run, env...)
		}
	}
	run(0, "verdict: PASS, 2 limits", map[string]string{"model": "model.onnx", "quantized": "good.bq", "data": "samples.npz", "min-agree": "98%", "max-kl": "0.1", "junit": "drift.xml", "flags": "--samples 64 -j 1"})
	run(3, "::error title=bq verify::logits min-agree", map[string]string{"model": "model.onnx", "quantized": "bad.bq", "data": "samples.npz", "min-agree": "98%"})
	run(1, "reading baseline none.json: no such file", map[string]string{"model": "model.onnx", "quantized": "good.bq", "data": "samples.npz", "baseline": "none.json"})
	if text := string(readFile(t, summary)); strings.Count(text, "### bq verify") != 2 {
		t.Errorf("summary %s", text)
	}
	if !strings.Contains(string(readFile(t, filepath.Join(p.dir, "drift.xml"))), `failures="0"`) {
		t.Error("no JUnit of the good model")
	}
}

// buildInto builds the program as dir/bq.
func buildInto(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "bq"), "bq")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// The hooks of pre-commit, called as pre-commit does: entry, arguments, and the names of files.
func TestHooks(t *testing.T) {
	p := newPipeline(t)
	buildInto(t, p.temp)
	var hooks []struct {
		ID, Name, Entry, Language, Files string
		PassFilenames                    *bool `yaml:"pass_filenames"`
	}
	readYAML(t, readFile(t, filepath.Join(root, ".pre-commit-hooks.yaml")), &hooks)
	if len(hooks) != 2 || hooks[0].ID != "bq-check" || hooks[1].ID != "bq-verify" || hooks[1].PassFilenames == nil || *hooks[1].PassFilenames {
		t.Fatalf("hooks %+v", hooks)
	}
	path := "PATH=" + p.temp + string(os.PathListSeparator) + os.Getenv("PATH")
	p.want(0, "", hooks[0].Entry+" good.bq bad.bq", path)
	damaged := readFile(t, filepath.Join(p.dir, "good.bq"))
	damaged[len(damaged)/2] ^= 1
	writeFile(t, filepath.Join(p.dir, "damaged.bq"), string(damaged))
	p.want(1, "checking damaged.bq: ", hooks[0].Entry+" good.bq damaged.bq", path)
	p.want(0, "verdict: PASS", hooks[1].Entry+" model.onnx good.bq --data samples.npz --min-agree 98%", path)
	p.want(3, "verdict: FAIL", hooks[1].Entry+" model.onnx bad.bq --data samples.npz --min-agree 98%", path)
}

// The GitLab job of the README, with this repository as the one to clone.
func TestGitLabJob(t *testing.T) {
	p := newPipeline(t)
	path, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if exec.Command("git", "-C", path, "rev-parse", "HEAD").Run() != nil {
		t.Skip("skipped: this is no git repository for the job to clone; its commands have script tests")
	}
	_, text, ok := strings.Cut(string(readFile(t, filepath.Join(root, "README.md"))), "\nGitLab:\n")
	if !ok {
		t.Fatal("no GitLab job in the README")
	}
	var block strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(text, "\n")) {
		if strings.TrimSpace(line) == "" {
			break
		}
		block.WriteString(strings.TrimPrefix(line, "    "))
	}
	var jobs map[string]struct {
		Script    []string
		Variables map[string]string
		Artifacts struct {
			Reports map[string]string
			Paths   []string
		}
	}
	readYAML(t, []byte(block.String()), &jobs)
	job := jobs["drift"]
	if len(job.Script) != 3 || job.Variables["BQ"] == "" {
		t.Fatalf("job %+v", jobs)
	}
	for quantized, status := range map[string]int{"good.bq": 0, "bad.bq": 3} {
		os.RemoveAll(filepath.Join(p.dir, ".bq"))
		if err := os.WriteFile(filepath.Join(p.dir, "model.bq"), readFile(t, filepath.Join(p.dir, quantized)), 0o644); err != nil {
			t.Fatal(err)
		}
		p.want(status, "verdict: ", strings.Join(job.Script, "\n"), "BQ=file://"+path)
		for _, made := range append(job.Artifacts.Paths, job.Artifacts.Reports["junit"]) {
			if _, err := os.Stat(filepath.Join(p.dir, made)); err != nil {
				t.Errorf("%s: %v", quantized, err)
			}
		}
	}
}
