package kernel

import (
	"testing"
	"unsafe"
)

// The generator counts on the layout of the arguments.
func TestBitLayouts(t *testing.T) {
	var a bitArgs
	var b bookArgs
	for i, offset := range []uintptr{unsafe.Offsetof(a.dst), unsafe.Offsetof(a.ldc), unsafe.Offsetof(a.scalars), unsafe.Offsetof(a.pitch),
		unsafe.Offsetof(a.vectors), unsafe.Offsetof(a.offsets), unsafe.Offsetof(a.steps), unsafe.Offsetof(a.table), unsafe.Offsetof(a.most)} {
		if offset != uintptr(8*i) {
			t.Errorf("field %d of bitArgs at %d", i, offset)
		}
	}
	for i, offset := range []uintptr{unsafe.Offsetof(b.dst), unsafe.Offsetof(b.codes), unsafe.Offsetof(b.table), unsafe.Offsetof(b.tableStep),
		unsafe.Offsetof(b.scales), unsafe.Offsetof(b.x), unsafe.Offsetof(b.rows), unsafe.Offsetof(b.groups), unsafe.Offsetof(b.run)} {
		if offset != uintptr(8*i) {
			t.Errorf("field %d of bookArgs at %d", i, offset)
		}
	}
	if size := unsafe.Sizeof(bitPair{}); size != 24 {
		t.Errorf("bitPair has %d bytes", size)
	}
}

// BenchmarkPairTile reports what products of bytes by AVX2 reach at best: one tile whose operands stay in the first level
// cache.
func BenchmarkPairTile(b *testing.B) {
	const pairs = 256
	left, panel, dst := make([]int16, 6*2*pairs), make([]int16, 2*pairs*pairWidth), make([]int32, 6*pairWidth)
	p := &pairProduct{integerProduct: &integerProduct{dst: dst, ldc: pairWidth}, left: left, n: pairs}
	for b.Loop() {
		p.tile(panel, 0, 6, 0, pairWidth, 0, pairs)
	}
	reportOperations(b, 2*6*pairWidth*2*pairs)
}
