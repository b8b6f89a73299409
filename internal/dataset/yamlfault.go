package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAMLDocument reads a text of one document at most, none as a node without content: a second one would go unread.
func YAMLDocument(text []byte) (*yaml.Node, error) {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return &doc, nil
	} else if err != nil {
		return nil, err
	}
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
		return &doc, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("yaml: line %d: a second document, want one", more.Line)
}

// What the reader of YAML says of a text that it cannot read.
var (
	faultLine   = regexp.MustCompile(`^line (\d+): (.*)$`)
	faultAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// YAMLFault writes an error of the YAML reader on text as what follows the name of the file: ":3: text", or ": text" where no line is
// known. For an alias without anchor the reader gives no line: it is that of the alias.
func YAMLFault(text []byte, err error) string {
	said := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := faultLine.FindStringSubmatch(said); m != nil {
		return ":" + m[1] + ": " + m[2]
	}
	if m := faultAnchor.FindStringSubmatch(said); m != nil {
		if at := bytes.Index(text, []byte("*"+m[1])); at >= 0 {
			return fmt.Sprintf(":%d: alias *%s of no anchor", 1+bytes.Count(text[:at], []byte("\n")), m[1])
		}
	}
	return ": " + said
}
