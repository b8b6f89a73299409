package packing

import (
	"errors"
	"fmt"
	"io"
)

// Fault is one thing that is wrong with a file, or that this package can't read in it.
type Fault struct {
	Rule   string // number of the rule in FORMAT.md, "R1", or RuleIO
	Offset int64  // of the structure at fault, in bytes from the start of the file
	Tensor string // name of the tensor, or empty
	Text   string // what was seen and what was wanted; names structure and tensor too
}

// RuleIO stands in Fault.Rule, only in what Check returns, when the file could not be read.
const RuleIO = "IO"

// String returns the fault in one line, such as
//
//	R27 at 20480: codes of "conv1.weight": checksum 1f00aa12, want 9b3e77c0
func (f Fault) String() string { return fmt.Sprintf("%s at %d: %s", f.Rule, f.Offset, f.Text) }

// FormatError says that a file breaks a rule of FORMAT.md.
type FormatError struct{ Fault }

// Error says it in one line, without the program's prefix.
func (e *FormatError) Error() string { return e.String() }

// UnsupportedError says that a file may be right, but uses a version, codec, form or section that this
// package does not know. Rule is the one that could not be applied.
type UnsupportedError struct{ Fault }

// Error says it in one line, without the program's prefix.
func (e *UnsupportedError) Error() string { return e.String() }

// The rules for readers, in checking order. FORMAT.md words them.
const (
	ruleSize        = "R1"
	ruleSignature   = "R2"
	ruleEndMagic    = "R3"
	ruleLength      = "R4"
	ruleReserved    = "R5"
	ruleIndexPlace  = "R6"
	ruleIndexCodec  = "R7"
	ruleIndexSum    = "R8"
	ruleIndexPad    = "R9"
	ruleIndexFrame  = "R10"
	ruleInteger     = "R11"
	ruleLimit       = "R12"
	ruleMetaKey     = "R13"
	ruleStored      = "R14"
	ruleName        = "R15"
	ruleShape       = "R16"
	ruleState       = "R17"
	ruleKeptLength  = "R18"
	ruleBits        = "R19"
	ruleExponent    = "R20"
	ruleLayout      = "R21"
	ruleCodesLength = "R22"
	ruleForms       = "R23"
	ruleExtra       = "R24"
	rulePlaced      = "R25"
	ruleIndexEnd    = "R26"
	ruleChecksum    = "R27"
	rulePadding     = "R28"
	ruleFrame       = "R29"
	ruleUnusedBits  = "R30"
	ruleScales      = "R31"
	ruleZeros       = "R32"
	ruleLevels      = "R33"
	ruleDigest      = "R34"
	ruleRange       = "R35"
	ruleHuffman     = "R36"
)

func formatError(rule string, offset int64, tensor, format string, args ...any) error {
	return &FormatError{Fault{rule, offset, tensor, fmt.Sprintf(format, args...)}}
}

func unsupported(rule string, offset int64, tensor, format string, args ...any) error {
	return &UnsupportedError{Fault{rule, offset, tensor, fmt.Sprintf(format, args...)}}
}

// faultOf turns any error of this package into a Fault; offset is used for errors of the reader below.
func faultOf(err error, offset int64) Fault {
	var bad *FormatError
	var unknown *UnsupportedError
	switch {
	case errors.As(err, &bad):
		return bad.Fault
	case errors.As(err, &unknown):
		return unknown.Fault
	}
	return Fault{Rule: RuleIO, Offset: offset, Text: err.Error()}
}

// readFull fills b from offset. A source that ends early is named as such.
func readFull(r io.ReaderAt, b []byte, offset int64, what string) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading %s at %d: %w", what, offset, err)
}
