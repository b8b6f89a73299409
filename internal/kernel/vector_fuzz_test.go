package kernel

import (
	"encoding/binary"
	"math"
	"testing"
)

// floatsOf reads float32 from bytes, at most 300.
func floatsOf(data []byte) []float32 {
	x := make([]float32, min(len(data)/4, 300))
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return x
}

// formUlps bounds what the forms of a function may differ by: the errors of both, the largest being Mish's.
const formUlps = 8

// Every form of every loop agrees with the one in Go, whatever the numbers are and however many.
func FuzzVectorForms(f *testing.F) {
	f.Add([]byte{})
	f.Add(binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.NaN()))))
	f.Add(make([]byte, 4*67))
	for seed := range uint64(3) {
		var b []byte
		for _, v := range randomFloats(67, seed) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x := floatsOf(data)
		for l := avx2; l <= best; l++ {
			compareForms(t, levels[l], x)
		}
	})
}

func compareForms(t *testing.T, s vectorSet, x []float32) {
	p, n := plainVectors, len(x)
	got, want := make([]float32, n), make([]float32, n)
	for i, f := range [][2]func(dst, x []float32){
		{s.erf, p.erf}, {s.gelu, p.gelu}, {s.fastGelu, p.fastGelu}, {s.mish, p.mish}, {s.sqrt, p.sqrt}, {s.abs, p.abs},
		{s.neg, p.neg}, {s.reciprocal, p.reciprocal}, {s.nearest, p.nearest}, {s.floor, p.floor}, {s.ceil, p.ceil},
	} {
		f[0](got, x)
		f[1](want, x)
		for k, w := range want {
			if i < 4 && math.IsInf(float64(x[k]), 0) || math.Abs(float64(w)) < tiny && math.Abs(float64(got[k])) < tiny {
				continue
			}
			if u := ulps(got[k], float64(w)); u > formUlps && !(math.Abs(float64(got[k]-w)) <= 2*beside(float64(x[k]))) {
				t.Errorf("function %d of %v: %v, plain %v", i, x[k], got[k], w)
			}
		}
	}
	sameFloats(t, "largest", []float32{s.largest(x)}, []float32{p.largest(x)})
	for name, v := range map[string][2]float64{"sums": {s.sums(x), p.sums(x)}, "squares": {s.squares(x, 0.5), p.squares(x, 0.5)}} {
		if v[0] != v[1] && (v[0] == v[0] || v[1] == v[1]) {
			t.Errorf("%s: %v, plain %v", name, v[0], v[1])
		}
	}
	s.normalize(got, x, 0.25, 3)
	p.normalize(want, x, 0.25, 3)
	sameFloats(t, "normalized", got, want)
	s.larger(got, x, want, 1, 1)
	p.larger(want, x, want, 1, 1)
	sameFloats(t, "larger", got, want)
	if n > 8 {
		for i, f := range [][2]tapFunc{{s.tapMax, p.tapMax}, {s.tapSum, p.tapSum}} {
			taps := []int{0, 1, 4, 7}
			f[0](got[:n-7], x, taps)
			f[1](want[:n-7], x, taps)
			sameFloats(t, []string{"tapped max", "tapped sum"}[i], got[:n-7], want[:n-7])
		}
	}
}
