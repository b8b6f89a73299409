//go:build !unix

package onnxio

import (
	"io"
	"os"
)

func mapRegular(in *os.File, size int) (*mapping, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(in, data)
	return &mapping{data: data}, err
}

// release does nothing where files are read instead of mapped.
func release([]byte) {}
