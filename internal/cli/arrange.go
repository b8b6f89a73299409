package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// arrange brings args into the order that urfave/cli understands: command, flags, "--", arguments. It knows from the
// command's flag table which flags take a value, and refuses what urfave/cli lets pass: unknown commands and flags,
// flags without value, scalars given twice.
func arrange(app *urfave.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	switch args[0] {
	case "-h", "--help", "help":
		return arrangeHelp(app, args[1:])
	case "-v", "--version":
		return []string{"--version"}, nil
	}
	cmd := app.Command(args[0])
	if cmd == nil {
		return nil, unknownCommand(app, args[0])
	}
	a := &arranger{command: cmd, seen: map[string]bool{}}
	if err := a.all(args[1:]); err != nil {
		return nil, err
	}
	if a.help {
		return []string{cmd.Name, "--help"}, nil
	}
	return slices.Concat([]string{cmd.Name}, a.flags, []string{"--"}, a.arguments), nil
}

func arrangeHelp(app *urfave.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return []string{"--help"}, nil
	}
	if app.Command(args[0]) == nil {
		return nil, unknownTopic(app, args[0])
	}
	return []string{args[0], "--help"}, nil
}

func unknownCommand(app *urfave.App, name string) error {
	if strings.HasPrefix(name, "-") {
		return &usageError{text: fmt.Sprintf("reading arguments: flag %s stands before the command", name), hint: "bq COMMAND [flags] ARGUMENTS"}
	}
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	return &usageError{text: fmt.Sprintf("reading arguments: unknown command %q", name), hint: "commands: " + strings.Join(names, ", ")}
}

// unknownTopic is unknownCommand behind help.
func unknownTopic(app *urfave.App, name string) error {
	err := unknownCommand(app, name)
	var usage *usageError
	if errors.As(err, &usage) {
		usage.hint += "; bq help topics lists more"
	}
	return err
}

// arranger sorts the arguments behind a command into flags and arguments.
type arranger struct {
	command   *urfave.Command
	flags     []string
	arguments []string
	seen      map[string]bool
	help      bool
}

func (a *arranger) all(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			a.arguments = append(a.arguments, args...)
			return nil
		case arg == "-h" || arg == "--help":
			a.help = true
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			a.arguments = append(a.arguments, arg)
		default:
			rest, err := a.flag(arg, args)
			if err != nil {
				return err
			}
			args = rest
		}
	}
	return nil
}

// flag takes arg, a flag, and its value from args where it has one, and returns what is left of args.
func (a *arranger) flag(arg string, args []string) ([]string, error) {
	name, value, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f := a.lookup(name, strings.HasPrefix(arg, "--"))
	if f == nil {
		return nil, a.unknown(arg)
	}
	long := "--" + f.Names()[0]
	_, boolean := f.(*urfave.BoolFlag)
	_, repeatable := f.(*urfave.StringSliceFlag)
	if a.seen[long] && !repeatable {
		return nil, usagef("reading arguments: %s given twice", long)
	}
	a.seen[long] = true
	switch {
	case boolean && given && value != "true" && value != "false":
		return nil, usagef("reading arguments: %s takes no value, got %q", long, value)
	case boolean && given:
		a.flags = append(a.flags, long+"="+value)
	case boolean:
		a.flags = append(a.flags, long)
	case given:
		a.flags = append(a.flags, long+"="+value)
	case len(args) == 0:
		return nil, usagef("reading arguments: %s wants a value", long)
	default:
		a.flags = append(a.flags, long+"="+args[0])
		return args[1:], nil
	}
	return args, nil
}

// lookup finds a flag by name: long names behind two dashes, one letter behind one.
func (a *arranger) lookup(name string, long bool) urfave.Flag {
	for _, f := range a.command.Flags {
		for _, n := range f.Names() {
			if n == name && (len(n) > 1) == long {
				return f
			}
		}
	}
	return nil
}

func (a *arranger) unknown(arg string) error {
	name, _, _ := strings.Cut(arg, "=")
	var names []string
	for _, f := range a.command.Flags {
		names = append(names, "--"+f.Names()[0])
	}
	slices.Sort(names)
	return &usageError{
		text: fmt.Sprintf("reading arguments: unknown flag %s of %s", name, a.command.Name),
		hint: "flags: " + strings.Join(names, " "),
	}
}
