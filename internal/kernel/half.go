package kernel

import "github.com/x448/float16"

// RoundHalf rounds each element to what a float16 can hold, ties to even, too large ones to infinity; a NaN stays one.
// Elements may be shared with others who read them where all of them fit already: nothing is written then.
func RoundHalf(x []float32) {
	rest := x[roundHalf(x):]
	for i, v := range rest {
		if w := float16.Fromfloat32(v).Float32(); w != v {
			rest[i] = w
		}
	}
}
