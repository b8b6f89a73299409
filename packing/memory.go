package packing

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// Map is Open for a file of the system, which it maps where the system can: raw data, and codes packed in 8 bits, are then
// slices of the map. They must not be written to, nor used after Close, and a file that others change changes them; one that
// shrinks makes a fault of memory, which inside this package is an error. The caller closes in, after Close.
func Map(in *os.File) (*File, error) {
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	f, err := Open(in, info.Size())
	if err != nil {
		return nil, err
	}
	f.memory, f.unmap = mapped(in, info.Size())
	return f, nil
}

// Close takes the map of a file away. It does nothing to one that Open opened.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.memory, f.unmap = nil, nil
	return unmap()
}

// load returns n bytes at offset. What is used as it stands comes from the map, where there is one. What is decoded is read: several
// goroutines may decode it, and a fault would end each of them.
func (f *File) load(offset, n int64, asItStands bool, what string) ([]byte, error) {
	if size := int64(len(f.memory)); asItStands && offset <= size && n <= size-offset {
		return f.memory[offset : offset+n : offset+n], nil
	}
	return grow(f.r, offset, n, what)
}

// guard calls read, which reads mapped memory, and makes an error of the fault of a file that has shrunk.
func (f *File) guard(what string, read func() error) (err error) {
	if f.memory == nil {
		return read()
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if _, fault := v.(interface{ Addr() uintptr }); !fault {
			panic(v)
		}
		err = fmt.Errorf("reading %s: the file was cut off: %w", what, io.ErrUnexpectedEOF)
	}()
	return read()
}
