package dataset

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

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
