package cli

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Topics fit a terminal, are listed in order, and name only flags and commands that there are.
func TestTopics(t *testing.T) {
	app := (&session{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}).app()
	flags := map[string]bool{}
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			for _, n := range f.Names() {
				flags["--"+n] = true
			}
		}
	}
	if !slices.IsSortedFunc(topics, func(a, b topic) int { return strings.Compare(a.name, b.name) }) {
		t.Error("topics are not in order")
	}
	for _, topic := range topics {
		if app.Command(topic.name) != nil || topic.name == "topics" {
			t.Errorf("%s is a command", topic.name)
		}
		for line := range strings.Lines(topic.text) {
			if len(line) > 81 {
				t.Errorf("%s: %d columns: %s", topic.name, len(line)-1, line)
			}
		}
		for _, f := range regexp.MustCompile(`--[a-z][a-z0-9-]*`).FindAllString(topic.text, -1) {
			if !flags[f] {
				t.Errorf("%s: no flag %s", topic.name, f)
			}
		}
		for _, m := range regexp.MustCompile(`(?m)(?:^  |: )bq ([a-z]+) `).FindAllStringSubmatch(topic.text, -1) {
			if app.Command(m[1]) == nil {
				t.Errorf("%s: no command %s", topic.name, m[1])
			}
		}
	}
}
