package cli

import (
	"fmt"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/verify"
)

// On GitHub a failure is an annotation: a line on stderr, which the runner reads as it reads stdout. A table of what
// was measured is appended to the summary of the step.
// https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions

const (
	maxAnnotations  = 10       // of one kind in one step; the runner shows no more
	maxSummaryBytes = 64 << 10 // of what one run appends; the runner takes 1 MiB from a step
)

// github reports whether --ci asks for annotations.
func github(c *urfave.Context) (bool, error) {
	switch mode := c.String("ci"); mode {
	case "github":
		return true, nil
	case "none":
		return false, nil
	case "auto":
		return os.Getenv("GITHUB_ACTIONS") == "true", nil
	default:
		return false, usagef("reading --ci: want github, none or auto, got %q", mode)
	}
}

// annotate writes annotations and the step summary. A summary that cannot be written is a warning: the verdict counts.
func (s *session) annotate(r *verify.Report) {
	for _, line := range annotations(r) {
		fmt.Fprintln(s.stderr, line)
	}
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(cutSummary(stepSummary(r)))
		if closing := f.Close(); err == nil {
			err = closing
		}
	}
	if err != nil {
		s.warn("writing the step summary %s: %v", path, pathCause(err))
	}
}

// annotations lists the failed gates as ::error lines; where they are more than the runner shows, the last one counts
// the rest.
func annotations(r *verify.Report) []string {
	var lines []string
	for _, g := range gates(r) {
		if g.pass {
			continue
		}
		text := g.name + " " + g.text
		if g.more != "" {
			text += ", " + g.more
		}
		lines = append(lines, text+blameText(r)+" ("+escape(r.B.Path)+" against "+escape(r.A.Path)+")")
	}
	if n := len(lines); n > maxAnnotations {
		lines = append(lines[:maxAnnotations-1], fmt.Sprintf("%d more limits or baseline metrics failed", n-maxAnnotations+1))
	}
	for i, text := range lines {
		lines[i] = "::error title=bq verify::" + commandData(text)
	}
	return lines
}

// commandData escapes the data of a workflow command (actions/toolkit, command.ts, escapeData).
func commandData(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

// stepSummary writes a report as Markdown.
func stepSummary(r *verify.Report) string {
	var b strings.Builder
	word, on, rest := verdictWords(r)
	fmt.Fprintf(&b, "### bq verify: %s%s, %s\n\n%s against %s, %s (%s)\n\n", word, on, rest, markdown(r.B.Path), markdown(r.A.Path),
		plural(r.Data.Taken, sampleNoun(r.Data.Kind)), markdown(r.Data.Kind))
	if list := gates(r); len(list) > 0 {
		b.WriteString("| verdict | gate | measured |\n|---|---|---|\n")
		for _, g := range list {
			word := "pass"
			if !g.pass {
				word = "**FAIL**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", word, markdown(g.name), markdown(g.text))
		}
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		b.WriteString(markdown(n) + "\n\n")
	}
	b.WriteString("| output | kind | rows | KL mean, nats | p99 | max | same top-1 | SQNR | accuracy | nll |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, o := range r.Outputs {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(append([]string{markdown(o.Name)}, outputCells(o)...), " | "))
	}
	worstSummary(&b, r)
	b.WriteString("\n")
	return b.String()
}

// worstSummary lists the worst samples of each output.
func worstSummary(b *strings.Builder, r *verify.Report) {
	for _, o := range r.Outputs {
		if len(o.Worst) == 0 {
			continue
		}
		fmt.Fprintf(b, "\nWorst samples of %s:", markdown(o.Name))
		for i, w := range o.Worst {
			if i > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(b, " %s %.3g", markdown(w.Sample), w.KLNats)
		}
		b.WriteString("\n")
	}
}

// markdown makes a name safe for a cell of a table: what Markdown or HTML would read as markup is escaped.
func markdown(text string) string {
	var b strings.Builder
	for _, r := range escape(text) {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '\\', '|', '`', '*', '_', '[', ']', '~', '#', '!', '@':
			b.WriteRune('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cutSummary keeps whole lines up to the limit and says that there were more.
func cutSummary(text string) string {
	const note = "\ncut at 64 KiB; all of it is in the JSON of bq verify\n"
	if len(text) <= maxSummaryBytes {
		return text
	}
	text = text[:maxSummaryBytes-len(note)]
	return text[:strings.LastIndexByte(text, '\n')+1] + note
}
