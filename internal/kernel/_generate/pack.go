package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Packing copies a run of up to 32 columns of every row of a matrix, as into the panel of a right operand:
//
//	dst[p*stride + j] = src[offset[p] + j*step]
//
// for p < rows and the columns j of mask. step is 1 or 2. Offsets and stride count bytes. Nothing else is read or written.
func packKernels() {
	evens := GLOBL("packEvens", RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(2*i))
	}
	makePack("packRowsAVX512", 1, evens)
	makePack("packEvensAVX512", 2, evens)
}

func makePack(name string, step int, evens Mem) {
	TEXT(name, NOSPLIT, "func(dst, src *float32, offsets *int, rows int, mask uint64, stride int)")
	Doc(name + " copies a run of columns into a panel: see _generate/pack.go.")
	Pragma("noescape")
	dst, src, offsets := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("offsets"), GP64())
	rows, mask, stride := Load(Param("rows"), GP64()), Load(Param("mask"), GP64()), Load(Param("stride"), GP64())
	stores := []reg.OpmaskVirtual{K(), K()}
	var loads []reg.OpmaskVirtual
	half := GP64()
	MOVQ(mask, half)
	KMOVW(half.As32(), stores[0])
	SHRQ(Imm(16), half)
	KMOVW(half.As32(), stores[1])
	var even reg.VecVirtual
	if step == 2 {
		even = ZMM()
		VMOVUPS(evens, even)
		// each bit of the mask stands for an even element and the odd one behind it, which is not read
		spread, evenBits := GP64(), GP64()
		MOVQ(U64(0x5555555555555555), spread)
		PDEPQ(spread, mask, evenBits)
		for range 4 {
			k := K()
			KMOVW(evenBits.As32(), k)
			SHRQ(Imm(16), evenBits)
			loads = append(loads, k)
		}
	}
	at := GP64()
	Label("row")
	MOVQ(Mem{Base: offsets}, at)
	for i, store := range stores {
		x := ZMM()
		m := Mem{Base: src, Index: at, Scale: 1, Disp: 64 * step * i}
		if step == 1 {
			VMOVUPS_Z(m, store, x)
		} else {
			y := ZMM()
			VMOVUPS_Z(m, loads[2*i], x)
			m.Disp += 64
			VMOVUPS_Z(m, loads[2*i+1], y)
			VPERMT2PS(y, even, x)
		}
		VMOVUPS(x, store, Mem{Base: dst, Disp: 64 * i})
	}
	ADDQ(Imm(8), offsets)
	ADDQ(stride, dst)
	DECQ(rows)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}
