package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// about is what the program says of itself when it is called alone.
const about = `bq makes trained ONNX models small without retraining and proves that they still work.

  bq convert model.onnx                                        quantize into model.bq
  bq verify model.onnx model.bq --data samples.npz             measure the drift
  bq inspect model.bq --tensors                                list what is inside
  bq export model.bq                                           a standard ONNX file again

'bq help' lists all commands, 'bq help COMMAND' one of them.
`

// statusHelp is the end of every help text.
const statusHelp = `
EXIT STATUS:
   0 done, 1 error, 2 usage, 3 drift above a limit or a baseline, or a difference
   under diff --exit-code; 130 and 143 after SIGINT and SIGTERM
`

const commandTemplate = `NAME:
   bq {{.Name}} - {{.Usage}}

USAGE:
   {{.UsageText}}

EXAMPLES:
   {{.Description}}

FLAGS:{{range .VisibleFlags}}
   {{.}}{{end}}
` + statusHelp

const appTemplate = `NAME:
   bq - {{.Usage}}

USAGE:
   bq COMMAND [flags] ARGUMENTS, flags and arguments in any order, -- ends the flags

COMMANDS:{{range .VisibleCommands}}
   {{.Name | printf "%-11s"}}{{.Usage}}{{end}}
   help       show this, or the help of a command or topic: bq help topics

   bq --version prints the version
` + statusHelp

// app builds the command table.
func (s *session) app() *urfave.App {
	urfave.VersionPrinter = func(c *urfave.Context) { fmt.Fprintf(c.App.Writer, "bq %s\n", Version) }
	app := &urfave.App{
		Name:                      "bq",
		Usage:                     "make ONNX models small without retraining and prove that they still work",
		Version:                   Version,
		Writer:                    s.stdout,
		ErrWriter:                 s.stderr,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate:     appTemplate,
		ExitErrHandler:            func(*urfave.Context, error) {},
		OnUsageError:              func(_ *urfave.Context, err error, _ bool) error { return usagef("reading arguments: %v", err) },
		CommandNotFound:           func(*urfave.Context, string) {},
		Action: func(*urfave.Context) error {
			fmt.Fprint(s.stdout, about)
			return nil
		},
		Commands: []*urfave.Command{
			s.convertCommand(), s.verifyCommand(), s.planCommand(), s.calibrateCommand(), s.inspectCommand(), s.checkCommand(), s.diffCommand(), s.exportCommand(),
			s.runCommand(), s.opsCommand(), s.completionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.CustomHelpTemplate = commandTemplate
		c.HideHelpCommand = true
		c.OnUsageError = app.OnUsageError
		c.UsageText = "bq " + c.Name + " " + c.ArgsUsage
		c.Description = strings.ReplaceAll(c.Description, "\n", "\n   ")
	}
	return app
}

// command makes a command that knows the flags that every command has. ownOutput says that the command itself writes
// what -o names; else its text or JSON result goes there.
func (s *session) command(c urfave.Command, output string, ownOutput bool, action func(c *urfave.Context) error) *urfave.Command {
	c.Flags = append(c.Flags,
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: output},
		&urfave.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "replace a file that bq did not write", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "json", Usage: "one JSON object on stdout in place of the text, errors included", DisableDefaultText: true},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress, notes or text result", DisableDefaultText: true},
		&urfave.StringFlag{Name: "threads", Aliases: []string{"j"}, Usage: "threads that compute; never changes the result", DefaultText: "the CPUs allowed"},
		&urfave.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read flags, model and data from FILE, a bq.yaml; the command line wins"},
	)
	c.Action = func(ctx *urfave.Context) error {
		s.json, s.quiet = ctx.Bool("json"), ctx.Bool("quiet")
		var err error
		if s.threads, err = threads(ctx); err != nil {
			return err
		}
		runtime.GOMAXPROCS(min(s.threads, runtime.NumCPU()))
		if path := ctx.String("output"); !ownOutput && path != "" && path != "-" {
			return s.resultInto(&target{path: path, force: ctx.Bool("force"), ours: isResult, avoid: append(ctx.Args().Slice(), ctx.String("data")), reads: s.inputFiles}, ctx, action)
		} else if path == "-" && s.json {
			return usagef("reading arguments: -o - and --json both want stdout")
		}
		return action(ctx)
	}
	return &c
}

// resultOutput describes -o of the commands whose result is text or JSON.
const resultOutput = "write the result there instead of to stdout"

// maxThreads bounds -j: more than any machine has, few enough to allocate for.
const maxThreads = 1024

func threads(c *urfave.Context) (int, error) {
	if !c.IsSet("threads") {
		return runtime.GOMAXPROCS(0), nil
	}
	return wholeNumber("--threads", c.String("threads"), 1, maxThreads)
}

// resultInto runs a command and writes what it prints to a file. A verdict of status 3 is a result too; after any
// other error nothing is written.
func (s *session) resultInto(t *target, c *urfave.Context, action func(c *urfave.Context) error) error {
	if err := t.check(); err != nil {
		return err
	}
	stdout := s.stdout
	var result bytes.Buffer
	s.stdout = &result
	verdict := action(c)
	s.stdout = stdout
	var only statusOnly
	if verdict != nil && !errors.As(verdict, &only) {
		return verdict
	}
	if err := t.writeBytes(result.Bytes()); err != nil {
		return err
	}
	return verdict
}

// isResult reports whether a file is a JSON result of bq.
func isResult(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.HasPrefix(b, []byte("{\n  \"schema\": \"bq."))
}

// exactly checks the number of arguments.
func exactly(c *urfave.Context, names ...string) error {
	if got := c.Args().Len(); got != len(names) {
		return &usageError{
			text: fmt.Sprintf("reading arguments: %s wants %s, got %d arguments", c.Command.Name, strings.Join(names, " and "), got),
			hint: "bq help " + c.Command.Name,
		}
	}
	return nil
}
