//go:build unix

package packing

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapped returns size bytes of in as memory that must not be written to, and what takes them away; nil where in cannot be mapped.
func mapped(in *os.File, size int64) ([]byte, func() error) {
	if size <= 0 || int64(int(size)) != size {
		return nil, nil
	}
	data, err := unix.Mmap(int(in.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil
	}
	return data, func() error { return unix.Munmap(data) }
}
