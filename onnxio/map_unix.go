//go:build unix

package onnxio

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapRegular(in *os.File, size int) (*mapping, error) {
	data, err := unix.Mmap(int(in.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &mapping{data: data, unmap: func() error { return unix.Munmap(data) }}, nil
}

// Release tells the system that the pages behind b, a slice of an open file's data, are not needed at the moment; they
// are read again when touched. It keeps memory bounded while a large model is read once from end to end.
func Release(b []byte) {
	page := os.Getpagesize()
	start := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % uintptr(page))
	if len(b) < start+page {
		return
	}
	inner := b[start : start+(len(b)-start)/page*page]
	unix.Madvise(inner, unix.MADV_DONTNEED) // advice only: an error changes nothing
}
