package kernel

import (
	"slices"
	"testing"
)

// Transposes and their like by blocks equal a walk element by element.
func TestStridedMatrices(t *testing.T) {
	for _, tt := range []struct{ shape, strides []int }{
		{[]int{7, 5}, []int{1, 7}}, {[]int{64, 48}, []int{1, 64}}, {[]int{100, 37}, []int{1, 100}}, {[]int{4, 4}, []int{1, 9}},
		{[]int{2, 19, 5, 24}, []int{19 * 5 * 24, 1, 19 * 24, 19}}, {[]int{3, 16, 9}, []int{9 * 16, 1, 16}}, {[]int{17, 3, 9}, []int{1, 9 * 17, 17}},
		{[]int{1, 8}, []int{1, 2}}, {[]int{8, 8}, []int{1, 0}}, {[]int{8, 8}, []int{1, -8}}, {[]int{130, 70, 2}, []int{1, 260, 130}},
		{[]int{250, 300}, []int{1, 250}}, {[]int{3, 200, 100}, []int{1, 300, 3}}, {[]int{1, 3, 200, 100}, []int{5, 40000, 200, 2}}, {[]int{40000}, []int{3}},
	} {
		n, offset, reach := 1, 0, 1
		for i, d := range tt.shape {
			n *= d
			reach += (d - 1) * max(tt.strides[i], -tt.strides[i])
			offset -= min(0, (d-1)*tt.strides[i])
		}
		src := randomFloats(reach+9, 4)
		want, ints, wantInts := make([]float32, n), make([]int16, n), make([]int16, n)
		shorts := make([]int16, len(src))
		for i := range shorts {
			shorts[i] = int16(i * 7)
		}
		for i := range want {
			at, rest := offset, i
			for d := len(tt.shape) - 1; d >= 0; d-- {
				at += rest % tt.shape[d] * tt.strides[d]
				rest /= tt.shape[d]
			}
			want[i], wantInts[i] = src[at], shorts[at]
		}
		eachLevel(t, func(t *testing.T) {
			got := make([]float32, n)
			Strided(got, src, tt.shape, tt.strides, offset, 3)
			Strided(ints, shorts, tt.shape, tt.strides, offset, 3)
			if !slices.Equal(got, want) || !slices.Equal(ints, wantInts) {
				t.Errorf("shape %v by strides %v differs", tt.shape, tt.strides)
			}
		})
	}
}
