//go:build !unix

package onnxio

import (
	"os"
	"testing"
)

// isSparse is false where the file would have to be read whole anyway.
func isSparse(*testing.T, *os.File) bool { return false }
