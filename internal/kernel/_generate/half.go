package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// halfKernels generates the rounding of float32 to what a float16 holds: x[i] = float32(float16(x[i])), ties to even,
// too large ones to infinity; n is a multiple of the lanes. Vectors that do not change are not written.
func halfKernels() {
	for _, l := range widths {
		TEXT("roundHalf"+l.suffix, NOSPLIT, "func(x *float32, n int)")
		Doc("roundHalf" + l.suffix + " rounds to float16: see _generate/half.go.")
		Pragma("noescape")
		x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
		Label("loop")
		v, w := l.make(), l.make()
		VMOVUPS(Mem{Base: x}, v)
		if l.count == 16 {
			h, changed := YMM(), K()
			VCVTPS2PH(Imm(0), v, h)
			VCVTPH2PS(h, w)
			VPCMPD(Imm(4), v, w, changed)
			KORTESTW(changed, changed)
		} else {
			h, same, mask := XMM(), YMM(), GP32()
			VCVTPS2PH(Imm(0), v, h)
			VCVTPH2PS(h, w)
			VPCMPEQD(v, w, same)
			VPMOVMSKB(same, mask)
			CMPL(mask, U32(0xffffffff))
		}
		JE(LabelRef("same"))
		VMOVUPS(w, Mem{Base: x})
		Label("same")
		ADDQ(U32(l.bytes()), x)
		SUBQ(U32(l.count), n)
		JNE(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
}
