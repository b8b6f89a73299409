package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write files that are made from the flag table")

// golden compares a committed file with what is made from the flag table, or writes it under -update.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := readFile(t, path); !bytes.Equal(got, want) {
		t.Errorf("%s is not what the flag table says; go test ./internal/cli -run %s -update", path, t.Name())
	}
}

// table is the program's command table.
func table() *urfave.App { return (&session{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}).app() }

// roff escapes text for a man page: backslashes, hyphens that are to be typed, and dots at the start of a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// usageOf returns a flag's help and its default.
func usageOf(f urfave.Flag) (usage, value string) {
	switch f := f.(type) {
	case *urfave.StringFlag:
		if value = f.DefaultText; value == "" {
			value = f.Value
		}
		return f.Usage, value
	case *urfave.StringSliceFlag:
		return f.Usage, ""
	case *urfave.BoolFlag:
		return f.Usage, ""
	}
	return "", ""
}

// flagHead writes names and value of a flag: -o, --output VALUE.
func flagHead(f urfave.Flag) string {
	var names []string
	for _, n := range f.Names() {
		dashes := "--"
		if len(n) == 1 {
			dashes = "-"
		}
		names = append([]string{`\fB` + roff(dashes+n) + `\fR`}, names...)
	}
	head := strings.Join(names, ", ")
	if _, boolean := f.(*urfave.BoolFlag); !boolean {
		head += ` \fIVALUE\fR`
	}
	return head
}

// manPage makes bq.1 from the command table, in the man macros (man(7)).
func manPage(app *urfave.App) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH BQ 1 \"\" \"bq %s\" \"User Commands\"\n.SH NAME\nbq \\- %s\n", Version, roff(app.Usage))
	b.WriteString(".SH SYNOPSIS\n\\fBbq\\fR \\fICOMMAND\\fR [\\fIflags\\fR] \\fIARGUMENTS\\fR\n.SH DESCRIPTION\n")
	for _, line := range strings.Split(strings.TrimSpace(about), "\n") {
		switch {
		case strings.HasPrefix(line, "  "):
			command, what, _ := strings.Cut(strings.TrimSpace(line), "   ")
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", roff(command), roff(strings.TrimSpace(what)))
		case line == "":
			b.WriteString(".PP\n")
		default:
			b.WriteString(roff(line) + "\n")
		}
	}
	b.WriteString("Flags and arguments stand in any order; \\-\\- ends the flags.\n.SH COMMANDS\n")
	for _, c := range app.VisibleCommands() {
		fmt.Fprintf(&b, ".SS %s\n%s.\n.PP\n\\fBbq %s\\fR %s\n", c.Name, roff(c.Usage), c.Name, roff(c.ArgsUsage))
		for _, f := range c.VisibleFlags() {
			usage, value := usageOf(f)
			fmt.Fprintf(&b, ".TP\n%s\n%s", flagHead(f), roff(usage))
			if value != "" {
				b.WriteString(" (default: " + roff(value) + ")")
			}
			b.WriteString("\n")
		}
		b.WriteString(".PP\nExamples:\n.nf\n")
		for _, line := range strings.Split(c.Description, "\n") {
			b.WriteString(roff("  "+strings.TrimSpace(line)) + "\n")
		}
		b.WriteString(".fi\n")
	}
	for _, t := range topics {
		fmt.Fprintf(&b, ".SH %s\n.nf\n", strings.ToUpper(t.name))
		for line := range strings.Lines(t.text) {
			b.WriteString(roff(strings.TrimRight(line, "\n")) + "\n")
		}
		b.WriteString(".fi\n")
	}
	status := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(statusHelp), "EXIT STATUS:"))
	fmt.Fprintf(&b, ".SH EXIT STATUS\n%s\n", roff(status))
	return b.Bytes()
}

func TestManPage(t *testing.T) {
	path := filepath.Join("..", "..", "bq.1")
	golden(t, path, manPage(table()))
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("skipped: there is no groff to format the page, which was compared with the flag table")
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(groff, "-man", "-Tascii", "-ww", "-P-cbou", path)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("groff: %v: %s", err, errs.String())
	}
	for _, want := range []string{"--update-baseline", "bq verify", "EXIT STATUS", "(default: 5%)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the formatted page does not hold %s", want)
		}
	}
}
