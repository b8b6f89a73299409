//go:build unix

package onnxio

import (
	"os"
	"syscall"
	"testing"
)

// isSparse reports whether a file takes far less space than its size.
func isSparse(t *testing.T, f *os.File) bool {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Blocks)*512 < info.Size()/2
}
