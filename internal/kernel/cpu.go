package kernel

// level is the instruction set that the kernels of this process use.
type level uint8

const (
	plain  level = iota // Go
	avx2                // AVX2 and FMA
	avx512              // AVX-512 F, BW, DQ and VL, and BMI2
	neon                // Advanced SIMD of arm64
)

// String returns the name of the instruction set.
func (l level) String() string { return [...]string{"plain", "avx2", "avx512", "neon"}[l] }

// best is the highest level that this processor has. The environment can lower it: GODEBUG=cpu.avx512f=off, or
// cpu.avx2=off, or cpu.asimd=off (golang.org/x/sys/cpu).
var best = detect()

// use is the level that kernels are chosen by; tests lower it.
var use = best

// lanes returns how many float32 a vector holds; with NEON, two of them, which loops over rows take together.
func (l level) lanes() int {
	switch l {
	case avx512:
		return 16
	case avx2, neon:
		return 8
	}
	return 4
}
