// Package onnxio reads ONNX models into a graph of plain Go structs and writes them back, losing nothing.
//
// A model is read over a memory map with protobuf's wire format (https://protobuf.dev/programming-guides/encoding)
// and the field numbers of onnx.proto (ONNX 1.22, IR version 13). Tensor data stay slices of the file. Every
// message remembers the bytes it was read from: a message whose fields still say what those bytes say is written
// as it was read, so that an unchanged model is written back byte for byte, unknown fields and odd encodings
// included, and a changed model differs only in the messages that changed and those around them.
//
//	ModelProto -> Model -> Graph -> Node -> Attribute -> Tensor
//
// Open reads a model with its external data, Parse one in memory; Model.Check finds faults of its graphs, Tensor.Check
// those of tensor data. Model.WriteTo writes to a stream, Model.Save to files: two of them where the model is larger
// than a protobuf message may be (2 GiB) or on request, as "MODEL.onnx" and "MODEL.onnx.data". Both appear complete or
// not at all:
//
//	saved, err := m.Save("model.onnx", onnxio.SaveOptions{External: true})
//
// Everything that comes from a file is hostile: sizes are checked against the bytes left before anything is
// allocated, reading takes at most 4 times the file's size and 64 MiB of memory (a file whose messages would take more
// is refused), nesting is limited, and an error names the place it was found at.
package onnxio

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatError says that bytes are not a valid ONNX model, and where.
type FormatError struct {
	Where string // path to the place, such as `graph.node[12] "conv1": attribute "pads"`
	Text  string // what was seen and what was wanted
}

// Error says it in one line, without the program's prefix.
func (e *FormatError) Error() string { return join(e.Where, e.Text) }

// UnsupportedError says that a valid model needs something that this program cannot do: an operator, an element
// type or an operator set, named in Text.
type UnsupportedError struct {
	Where string // path to the place, as in FormatError
	Text  string // what is not supported
}

// Error says it in one line, without the program's prefix.
func (e *UnsupportedError) Error() string { return join(e.Where, e.Text) }

func join(where, text string) string {
	if where == "" {
		return text
	}
	return where + ": " + text
}

func formatErrorf(where, format string, args ...any) error {
	return &FormatError{Where: where, Text: fmt.Sprintf(format, args...)}
}

func unsupportedErrorf(where, format string, args ...any) error {
	return &UnsupportedError{Where: where, Text: fmt.Sprintf(format, args...)}
}

// DefaultDomain is the name by which messages call ONNX's own operator domain, written "" or "ai.onnx" in files.
const DefaultDomain = "ai.onnx"

// CanonicalDomain returns "ai.onnx" for both spellings of ONNX's own domain and any other domain unchanged.
func CanonicalDomain(domain string) string {
	if domain == "" || strings.EqualFold(domain, DefaultDomain) {
		return DefaultDomain
	}
	return domain
}

// maxQuoted is how many bytes of a name messages and paths repeat; real names stay below 400.
const maxQuoted = 1024

// Quote returns name in double quotes with control characters escaped, for messages. Of a name of more than 1,024
// bytes it keeps the first ones and says how many there are.
func Quote(name string) string {
	if len(name) > maxQuoted {
		return fmt.Sprintf("%q... (%d bytes)", name[:maxQuoted], len(name))
	}
	return strconv.Quote(name)
}
