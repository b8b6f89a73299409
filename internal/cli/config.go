package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"bq/internal/dataset"
)

// bq.yaml holds the flags of commands for one model (cli.md section 4), so that `bq convert -c bq.yaml` and
// `bq verify -c bq.yaml` belong together:
//
//	version: 1
//	model: m.onnx            # what commands work on where no argument names it
//	data: samples.npz        # --data of every command that has it
//	convert: {output: build/m.bq, bits: 4, keep: ["head.*"]}
//	verify: {max-kl: 0.02, baseline: drift.json}
//
// Keys are the names of flags; the command line wins. Paths mean what they mean on the command line. It is read only
// when -c names it.

// configHint is the way out of a configuration that is wrong.
const configHint = "version: 1, model, data, and for each command its flags without dashes: bq help convert"

// maxConfig bounds the bytes of a configuration.
const maxConfig = 1 << 20

// config is a configuration that is applied to one command line.
type config struct {
	*session
	app     *urfave.App
	path    string
	command *urfave.Command
	given   map[string]bool // flags of the command line, "--name"
	flags   []string        // those that the file adds
	model   string
	data    *yaml.Node
	output  string // of convert: the container
}

// configure adds what the file behind --config says to an arranged command line: command, flags, "--", arguments.
func (s *session) configure(app *urfave.App, arranged []string) ([]string, error) {
	end := slices.Index(arranged, "--")
	if len(arranged) == 0 || end < 0 {
		return arranged, nil // help, or the program alone
	}
	c := &config{session: s, app: app, command: app.Command(arranged[0]), given: map[string]bool{}}
	for _, f := range arranged[1:end] {
		name, value, _ := strings.Cut(f, "=")
		c.given[name] = true
		if name == "--config" {
			c.path = value
		}
	}
	if !c.given["--config"] {
		return arranged, nil
	}
	s.quiet = slices.Contains(arranged[:end], "--quiet")
	if err := c.read(); err != nil {
		return nil, err
	}
	s.files = append(s.files, c.path)
	arguments := arranged[end+1:]
	if len(arguments) == 0 && c.model != "" {
		arguments = c.arguments()
	}
	return slices.Concat(arranged[:end], c.flags, []string{"--"}, arguments), nil
}

// arguments returns what the command works on: the model, its container, or both.
func (c *config) arguments() []string {
	container := c.output
	if container == "" {
		container = strings.TrimSuffix(c.model, filepath.Ext(c.model)) + ".bq"
	}
	switch c.command.Name {
	case "verify":
		return []string{c.model, container}
	case "inspect", "check", "export", "run":
		return []string{container}
	case "completion", "diff":
		return nil
	}
	return []string{c.model}
}

// read reads the file.
func (c *config) read() error {
	f, err := os.Open(c.path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", shown(c.path), pathCause(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("more than %d bytes", maxConfig)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.path, pathCause(err))
	}
	doc, err := dataset.YAMLDocument(text)
	if err != nil {
		return &usageError{text: fmt.Sprintf("reading %s%s", c.path, dataset.YAMLFault(text, err)), hint: configHint}
	}
	if len(doc.Content) != 1 {
		return &usageError{text: fmt.Sprintf("reading %s: the file is empty", c.path), hint: configHint}
	}
	return c.document(doc.Content[0])
}

// errorf points at n's line.
func (c *config) errorf(n *yaml.Node, format string, args ...any) *usageError {
	return &usageError{text: fmt.Sprintf("reading %s:%d: %s", c.path, n.Line, fmt.Sprintf(format, args...)), hint: configHint}
}

// each calls f with every key and value of a mapping, whose keys must be among known and stand once.
func (c *config) each(n *yaml.Node, known []string, f func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return c.errorf(n, "want keys and values")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || value.Kind == yaml.AliasNode:
			return c.errorf(key, "aliases and compound keys are not supported")
		case !slices.Contains(known, key.Value):
			return c.errorf(key, "unknown key %q, want %s", key.Value, strings.Join(known, ", "))
		case seen[key.Value]:
			return c.errorf(key, "key %q stands twice", key.Value)
		}
		seen[key.Value] = true
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// document reads the whole file: what is wrong in the part of another command is wrong too.
func (c *config) document(n *yaml.Node) error {
	known := []string{"version", "model", "data"}
	for _, cmd := range c.app.VisibleCommands() {
		if cmd.Name != "completion" {
			known = append(known, cmd.Name)
		}
	}
	version := ""
	err := c.each(n, known, func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "version":
			version, err = c.scalar(value)
		case "model":
			c.model, err = c.scalar(value)
		case "data":
			c.data = value
			_, err = c.scalar(value)
		default:
			err = c.section(c.app.Command(key.Value), value)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case version != "1":
		return c.errorf(n, "want version: 1")
	}
	return c.commonData()
}

// commonData gives the command the data that stand for all commands, where it takes some and has none.
func (c *config) commonData() error {
	added := slices.ContainsFunc(c.flags, func(f string) bool {
		name, _, _ := strings.Cut(f, "=")
		return name == "--data" || name == "--synthetic" || name == "--calib"
	})
	if c.data == nil || added || c.given["--synthetic"] || c.given["--calib"] || c.flag(c.command, "data") == nil {
		return nil
	}
	return c.add(c.flag(c.command, "data"), c.data, true)
}

// section reads the flags of a command; those of the one that runs are added to its command line.
func (c *config) section(cmd *urfave.Command, n *yaml.Node) error {
	return c.each(n, configKeys(cmd), func(key, value *yaml.Node) error {
		if f := expertKey(cmd, key.Value); f != nil {
			return c.expertValue(f, value, cmd == c.command)
		}
		f := c.flag(cmd, key.Value)
		if cmd.Name == "convert" && key.Value == "output" {
			c.output = value.Value
		}
		return c.add(f, value, cmd == c.command)
	})
}

// configKeys lists what a configuration may hold for a command: its flags, but for that which names the file, and expert keys.
func configKeys(cmd *urfave.Command) []string {
	var keys []string
	for _, f := range cmd.Flags {
		if name := f.Names()[0]; name != "config" && name != "help" {
			keys = append(keys, name)
		}
	}
	for _, f := range expertKeys(cmd) {
		keys = append(keys, f.Names()[0])
	}
	return keys
}

func (c *config) flag(cmd *urfave.Command, name string) urfave.Flag {
	i := slices.IndexFunc(cmd.Flags, func(f urfave.Flag) bool { return f.Names()[0] == name })
	if i < 0 {
		return nil
	}
	return cmd.Flags[i]
}

// add checks a value, and adds it as a flag where apply is set and the command line does not have it.
func (c *config) add(f urfave.Flag, n *yaml.Node, apply bool) error {
	name := "--" + f.Names()[0]
	values, err := c.values(f, n)
	if err != nil || !apply {
		return err
	}
	if c.given[name] {
		c.note("%s is taken from the command line, not from %s:%d", name, c.path, n.Line)
		return nil
	}
	for _, v := range values {
		c.flags = append(c.flags, name+"="+v)
	}
	return nil
}

// values reads the values of a flag: true or false, one, or a list where it is repeatable.
func (c *config) values(f urfave.Flag, n *yaml.Node) ([]string, error) {
	switch f.(type) {
	case *urfave.BoolFlag:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			return nil, c.errorf(n, "%s: want true or false", f.Names()[0])
		}
		var v bool
		if err := n.Decode(&v); err != nil {
			return nil, c.errorf(n, "%s: want true or false", f.Names()[0])
		}
		return []string{fmt.Sprint(v)}, nil
	case *urfave.StringSliceFlag:
		if n.Kind != yaml.SequenceNode {
			break
		}
		list := []string{}
		for _, item := range n.Content {
			v, err := c.scalar(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	v, err := c.scalar(n)
	return []string{v}, err
}

func (c *config) scalar(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Tag == "!!bool" {
		return "", c.errorf(n, "want a single value")
	}
	return n.Value, nil
}
