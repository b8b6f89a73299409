package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// subtractVectors is how many vectors of float64 a tile is wide.
const subtractVectors = 2

// subtractKernels generates dst[r*ldd + j] -= e[p*rows + r] * u[p*ldu + j], for j < n and one p < k after another, on as many rows
// as registers hold and on one. Each product is rounded before it is subtracted: the bits are those of the plain form. n
// and k are not 0; ldd and ldu count bytes.
func subtractKernels() {
	ones := GLOBL("firstDoubles", RODATA|NOPTR) // from 8*(8-n) on: n lanes of ones, then zeros
	for i := range 8 {
		DATA(8*i, U64(1<<64-1))
	}
	for i := range 8 {
		DATA(64+8*i, U64(0))
	}
	for _, l := range widths {
		for _, rows := range []int{l.count / 2, 1} {
			l.subtract(rows, ones)
		}
	}
}

// subtract generates the loop over tiles of rows and two vectors; what lies behind n is neither read nor written.
func (l lanes) subtract(rows int, ones Mem) {
	name := fmt.Sprintf("subtract%d%s", rows, l.suffix)
	TEXT(name, NOSPLIT, "func(dst *float64, ldd int, e, u *float64, ldu, n, k int)")
	Doc(name + " subtracts products from a tile: see _generate/subtract.go.")
	Pragma("noescape")
	dst, ldd := Load(Param("dst"), GP64()), Load(Param("ldd"), GP64())
	e, u, ldu := Load(Param("e"), GP64()), Load(Param("u"), GP64()), Load(Param("ldu"), GP64())
	n, k := Load(Param("n"), GP64()), Load(Param("k"), GP64())
	row, acc := GP64(), make([][subtractVectors]reg.VecVirtual, rows)
	for r := range acc {
		acc[r] = [subtractVectors]reg.VecVirtual{l.make(), l.make()}
	}
	each := func(f func(m Mem, v int, x reg.VecVirtual)) {
		MOVQ(dst, row)
		for r := range acc {
			for v, x := range acc[r] {
				f(Mem{Base: row, Disp: v * l.bytes()}, v, x)
			}
			if r < rows-1 {
				ADDQ(ldd, row)
			}
		}
	}
	tile := func(label string, load, store func(m Mem, v int, x reg.VecVirtual)) {
		each(load)
		from, factor, left := GP64(), GP64(), GP64()
		MOVQ(u, from)
		MOVQ(e, factor)
		MOVQ(k, left)
		Label(label)
		x := [subtractVectors]reg.VecVirtual{l.make(), l.make()}
		for v := range x {
			load(Mem{Base: from, Disp: v * l.bytes()}, v, x[v])
		}
		for r := range acc {
			f := l.make()
			VBROADCASTSD(Mem{Base: factor, Disp: 8 * r}, f)
			for v := range x {
				y := l.make()
				VMULPD(x[v], f, y)
				VSUBPD(y, acc[r][v], acc[r][v])
			}
		}
		ADDQ(ldu, from)
		ADDQ(U32(8*rows), factor)
		DECQ(left)
		JNE(LabelRef(label))
		each(store)
	}
	wide := subtractVectors * l.count / 2
	SUBQ(U32(wide), n)
	JL(LabelRef("rest"))
	Label("whole")
	tile("wholeProduct", func(m Mem, _ int, x reg.VecVirtual) { VMOVUPD(m, x) }, func(m Mem, _ int, x reg.VecVirtual) { VMOVUPD(x, m) })
	ADDQ(U32(subtractVectors*l.bytes()), dst)
	ADDQ(U32(subtractVectors*l.bytes()), u)
	SUBQ(U32(wide), n)
	JGE(LabelRef("whole"))
	Label("rest")
	ADDQ(U32(wide), n)
	JE(LabelRef("end"))
	load, store := l.firstDoubles(n, ones)
	tile("restProduct", load, store)
	Label("end")
	VZEROUPPER()
	RET()
}

// firstDoubles returns what loads and stores vector v of a tile, the first n elements of it. n is changed.
func (l lanes) firstDoubles(n reg.Register, ones Mem) (load, store func(m Mem, v int, x reg.VecVirtual)) {
	if l.count == 16 {
		bits, masks := GP64(), [subtractVectors]reg.OpmaskVirtual{K(), K()}
		MOVQ(U64(0xffffffff), bits)
		BZHIQ(n, bits, bits)
		for v, m := range masks {
			if v > 0 {
				SHRQ(Imm(8), bits)
			}
			KMOVW(bits.As32(), m)
		}
		return func(m Mem, v int, x reg.VecVirtual) { VMOVUPD_Z(m, masks[v], x) },
			func(m Mem, v int, x reg.VecVirtual) { VMOVUPD(x, masks[v], m) }
	}
	at, masks := GP64(), [subtractVectors]reg.VecVirtual{YMM(), YMM()}
	LEAQ(ones, at)
	SHLQ(Imm(3), n)
	SUBQ(n, at)
	for v, m := range masks {
		VMOVUPD(Mem{Base: at, Disp: 64 + v*l.bytes()}, m)
	}
	return func(m Mem, v int, x reg.VecVirtual) { VMASKMOVPD(m, masks[v], x) },
		func(m Mem, v int, x reg.VecVirtual) { VMASKMOVPD(x, masks[v], m) }
}
