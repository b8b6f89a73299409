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

// release drops the whole pages of b, a slice of a mapping.
func release(b []byte) {
	page := os.Getpagesize()
	start := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) % uintptr(page))
	if len(b) < start+page {
		return
	}
	inner := b[start : start+(len(b)-start)/page*page]
	unix.Madvise(inner, unix.MADV_DONTNEED) // advice only: an error changes nothing
}
