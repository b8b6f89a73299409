package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// expert holds the keys of bq.yaml that are no flags (cli.md section 4): who needs them keeps them in a file.
type expert struct {
	keepBiases  bool // correct: false
	minElements int  // 0: the default
}

// maxMinElements bounds min-elements.
const maxMinElements = 1 << 30

// expertKeys lists the keys without a flag of a command, in the form of flags.
func expertKeys(cmd *urfave.Command) []urfave.Flag {
	if cmd.Name != "convert" && cmd.Name != "plan" {
		return nil
	}
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "correct", Usage: "false: no bias correction", DisableDefaultText: true},
		&urfave.StringFlag{Name: "min-elements", Usage: "keep tensors of fewer elements than these (reason small)", Value: "256"},
	}
}

// expertKey returns the key of that name of a command, nil where there is none.
func expertKey(cmd *urfave.Command, name string) urfave.Flag {
	for _, f := range expertKeys(cmd) {
		if f.Names()[0] == name {
			return f
		}
	}
	return nil
}

// expertValue reads the value of a key without a flag, for the command that runs where apply is set.
func (c *config) expertValue(f urfave.Flag, n *yaml.Node, apply bool) error {
	values, err := c.values(f, n)
	if err != nil {
		return err
	}
	e := c.session.expert
	switch value := values[0]; f.Names()[0] {
	case "correct":
		e.keepBiases = value == "false"
	case "min-elements":
		if e.minElements, err = wholeNumber(f.Names()[0], value, 1, maxMinElements); err != nil {
			return c.errorf(n, "min-elements: want a whole number from 1 to %d, got %q", maxMinElements, value)
		}
	}
	if apply {
		c.session.expert = e
	}
	return nil
}

// yaml writes the keys as lines of a section, those that differ from the defaults.
func (e expert) yaml() string {
	text := ""
	if e.keepBiases {
		text += "  correct: false\n"
	}
	if e.minElements > 0 {
		text += fmt.Sprintf("  min-elements: %d\n", e.minElements)
	}
	return text
}
