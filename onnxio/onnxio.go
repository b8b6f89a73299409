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
// Everything that comes from a file is hostile: sizes are checked against the bytes left before anything is
// allocated, nesting is limited, and an error names the place it was found at.
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

// Quote returns name in double quotes with control characters escaped, for messages.
func Quote(name string) string { return strconv.Quote(name) }
