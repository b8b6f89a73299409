package kernel

import (
	"testing"
	"unsafe"
)

// The kernels find their arguments by these offsets: constants of _generate/gemm.go and _generate/depthwise.go.
func TestArgumentsLieWhereKernelsReadThem(t *testing.T) {
	var a tileArgs
	for i, got := range []uintptr{
		unsafe.Offsetof(a.dst), unsafe.Offsetof(a.ldc), unsafe.Offsetof(a.a), unsafe.Offsetof(a.lda), unsafe.Offsetof(a.b),
		unsafe.Offsetof(a.ldb), unsafe.Offsetof(a.k), unsafe.Offsetof(a.bias), unsafe.Offsetof(a.from), unsafe.Offsetof(a.low),
	} {
		if got != uintptr(8*i) {
			t.Errorf("field %d of a tile at %d, want %d", i, got, 8*i)
		}
	}
	if got := unsafe.Offsetof(a.mask) - unsafe.Offsetof(a.from); got != 4 {
		t.Errorf("mask of a tile %d behind its start, want 4", got)
	}
	var s stripArgs
	for i, got := range []uintptr{
		unsafe.Offsetof(s.dst), unsafe.Offsetof(s.dstPitch), unsafe.Offsetof(s.src), unsafe.Offsetof(s.srcPitch), unsafe.Offsetof(s.rows),
		unsafe.Offsetof(s.taps), unsafe.Offsetof(s.offsets), unsafe.Offsetof(s.w), unsafe.Offsetof(s.low), unsafe.Offsetof(s.bias),
	} {
		if got != uintptr(8*i) {
			t.Errorf("field %d of a strip at %d, want %d", i, got, 8*i)
		}
	}
}

// The constants of _generate/blocks.go.
func TestArgumentsOfBlocks(t *testing.T) {
	var a blockArgs
	for i, got := range []uintptr{
		unsafe.Offsetof(a.dst), unsafe.Offsetof(a.dstPitch), unsafe.Offsetof(a.src), unsafe.Offsetof(a.step), unsafe.Offsetof(a.table),
		unsafe.Offsetof(a.taps), unsafe.Offsetof(a.weights), unsafe.Offsetof(a.bias), unsafe.Offsetof(a.add), unsafe.Offsetof(a.runs),
		unsafe.Offsetof(a.low), unsafe.Offsetof(a.rows), unsafe.Offsetof(a.srcSkip), unsafe.Offsetof(a.dstSkip),
		unsafe.Offsetof(a.apart),
	} {
		if got != uintptr(8*i) {
			t.Errorf("field %d of a run of blocks at %d, want %d", i, got, 8*i)
		}
	}
	if unsafe.Sizeof(tap{}) != 16 {
		t.Errorf("a tap takes %d bytes, want 16", unsafe.Sizeof(tap{}))
	}
}
