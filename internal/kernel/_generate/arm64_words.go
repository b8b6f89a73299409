package main

import "fmt"

// The assembler of Go has no names for most vector instructions of floating point: they are written as words, with the
// instruction in the syntax of the Arm ARM behind. Encodings are those of the Arm Architecture Reference Manual for
// A-profile (DDI 0487), section C4.1.96, "Data Processing -- Scalar Floating-Point and Advanced SIMD". A test compares
// every word of the generated files with what the GNU assembler makes of the text behind it.

// word writes an instruction that the assembler of Go does not know.
func (n *neon) word(code uint32, format string, args ...any) {
	n.op("WORD $0x%08x // %s", code, fmt.Sprintf(format, args...))
}

// twice is the bit sz of an instruction: two float64 instead of four float32.
const twice = 1 << 22

// threeSame holds "Advanced SIMD three same" for four float32: 0 Q U 01110 size 1 Rm opcode 1 Rn Rd.
var threeSame = map[string]uint32{
	"fadd": 0x4e20d400, "fsub": 0x4ea0d400, "fmul": 0x6e20dc00, "fdiv": 0x6e20fc00, "fmax": 0x4e20f400, "fmin": 0x4ea0f400,
	"fcmgt": 0x6ea0e400, "faddp": 0x6e20d400,
}

// three writes d = a op b for four float32.
func (n *neon) three(op string, d, a, b vec) {
	n.word(threeSame[op]|uint32(b)<<16|uint32(a)<<5|uint32(d), "%s v%d.4s, v%d.4s, v%d.4s", op, d, a, b)
}

// three64 writes d = a op b for two float64.
func (n *neon) three64(op string, d, a, b vec) {
	n.word(threeSame[op]|twice|uint32(b)<<16|uint32(a)<<5|uint32(d), "%s v%d.2d, v%d.2d, v%d.2d", op, d, a, b)
}

// twoRegisters holds "Advanced SIMD two-register miscellaneous" for four elements of 32 bits:
// 0 Q U 01110 size 10000 opcode 10 Rn Rd.
var twoRegisters = map[string]uint32{
	"fabs": 0x4ea0f800, "fneg": 0x6ea0f800, "fsqrt": 0x6ea1f800, "frintn": 0x4e218800, "frintm": 0x4e219800, "frintp": 0x4ea18800,
	"fcvtns": 0x4e21a800,
}

// two writes d = op a.
func (n *neon) two(op string, d, a vec) {
	n.word(twoRegisters[op]|uint32(a)<<5|uint32(d), "%s v%d.4s, v%d.4s", op, d, a)
}

// negative writes to d ones in the elements of a below zero, zeros in others (FCMLT, zero; the same class).
func (n *neon) negative(d, a vec) {
	n.word(0x4ea0e800|uint32(a)<<5|uint32(d), "fcmlt v%d.4s, v%d.4s, #0.0", d, a)
}

// widen writes float32 elements 0 and 1 of a, or 2 and 3, as float64 (FCVTL, FCVTL2; the same class).
func (n *neon) widen(d, a vec, upper bool) {
	if upper {
		n.word(0x4e617800|uint32(a)<<5|uint32(d), "fcvtl2 v%d.2d, v%d.4s", d, a)
		return
	}
	n.word(0x0e617800|uint32(a)<<5|uint32(d), "fcvtl v%d.2d, v%d.2s", d, a)
}

// narrow writes two float64 as float32 elements 0 and 1, or 2 and 3, of d, rounded to nearest, ties to even (FCVTN,
// FCVTN2; the same class). The first clears the other half.
func (n *neon) narrow(d, a vec, upper bool) {
	if upper {
		n.word(0x4e616800|uint32(a)<<5|uint32(d), "fcvtn2 v%d.4s, v%d.2d", d, a)
		return
	}
	n.word(0x0e616800|uint32(a)<<5|uint32(d), "fcvtn v%d.2s, v%d.2d", d, a)
}

// halves writes four float32 as float16 (FCVTN), and from these back (FCVTL; the same class).
func (n *neon) halves(d, a vec) {
	n.word(0x0e216800|uint32(a)<<5|uint32(d), "fcvtn v%d.4h, v%d.4s", d, a)
	n.word(0x0e217800|uint32(d)<<5|uint32(d), "fcvtl v%d.4s, v%d.4h", d, d)
}

// byElement holds "Advanced SIMD vector x indexed element" for float32: 0 Q U 01111 size L M Rm opcode H 0 Rn Rd, where
// H:L is the index and M:Rm the register.
var byElement = map[string]uint32{"fmla": 0x4f801000, "fmls": 0x4f805000, "fmul": 0x4f809000}

// scaled writes d = a * e (fmul), d + a*e (fmla) or d - a*e (fmls), the latter two rounded once.
func (n *neon) scaled(op string, d, a vec, e element) {
	n.word(byElement[op]|uint32(e.i&1)<<21|uint32(e.i>>1)<<11|uint32(e.v)<<16|uint32(a)<<5|uint32(d),
		"%s v%d.4s, v%d.4s, v%d.s[%d]", op, d, a, e.v, e.i)
}

// shiftRight writes d = a >> count for signed integers (SSHR, in "Advanced SIMD shift by immediate":
// 0 Q U 011110 immh immb opcode 1 Rn Rd, where immh:immb is 64 - count).
func (n *neon) shiftRight(d, a vec, count int) {
	n.word(0x4f000400|uint32(64-count)<<16|uint32(a)<<5|uint32(d), "sshr v%d.4s, v%d.4s, #%d", d, a, count)
}

// The others the assembler knows; here they name what they write first, too.

// fma writes d += a*b, rounded once.
func (n *neon) fma(d, a, b vec) { n.op("VFMLA %s, %s, %s", b.s4(), a.s4(), d.s4()) }

// copy writes d = a.
func (n *neon) copy(d, a vec) { n.op("VMOV %s, %s", a.b16(), d.b16()) }

// clear writes zeros.
func (n *neon) clear(d vec) { n.op("VEOR %s, %s, %s", d.b16(), d.b16(), d.b16()) }

// spread writes e to all elements of d.
func (n *neon) spread(d vec, e element) { n.op("VDUP %s, %s", e.v.elem(e.i), d.s4()) }

// choose writes to d the bits of a where mask has ones.
func (n *neon) choose(d, a, mask vec) { n.op("VBIT %s, %s, %s", mask.b16(), a.b16(), d.b16()) }

// clamp bounds v as Go does with if v < low and if v > high: NaN stays, in v and as a bound. It needs a register.
func (n *neon) clamp(v, low, high, mask vec) {
	n.three("fcmgt", mask, low, v)
	n.choose(v, low, mask)
	n.three("fcmgt", mask, v, high)
	n.choose(v, high, mask)
}
