package kernel

import (
	"cmp"
	"encoding/binary"
	"math"
	"testing"
)

// relateRef tests one pair.
func relateRef[T cmp.Ordered](r relation, x, y T) bool {
	switch r {
	case equal:
		return x == y
	case less:
		return x < y
	}
	return x <= y
}

// checkRelations compares spans of n elements, n from least to the length of a, with either operand moving or not, with
// relateRef; what lies behind a span stays.
func checkRelations[T cmp.Ordered](t *testing.T, least int, a, b []T) {
	t.Helper()
	for n := least; n <= len(a); n++ {
		for steps := range 4 {
			sa, sb := steps&1, steps>>1
			for r, f := range []func(dst []bool, a, b []T, sa, sb int){equal: Equal[T], less: Less[T], lessEqual: LessEqual[T]} {
				got := make([]bool, n+32)
				for i := range got[n:] {
					got[n+i] = i%2 == 0
				}
				f(got[:n], a, b, sa, sb)
				for i, v := range got {
					want := i >= n && (i-n)%2 == 0
					if i < n {
						want = relateRef(relation(r), a[i*sa], b[i*sb])
					}
					if v != want {
						t.Fatalf("%T, relation %d, element %d of %d, steps %d %d: %v", a, r, i, n, sa, sb, v)
					}
				}
			}
		}
	}
}

// mixed returns n elements of the values, every pair of neighbours another one.
func mixed[T any](n, step int, values ...T) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = values[(i*step+i/len(values))%len(values)]
	}
	return list
}

func TestRelations(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachLevel(t, func(t *testing.T) {
		values := []float32{1, nan, 0, -inf, 2, float32(math.Copysign(0, -1)), inf, -3, 1, math.SmallestNonzeroFloat32, nan}
		checkRelations(t, 0, mixed(70, 1, values...), mixed(70, 3, values...))
		ints := []int32{0, -1, math.MinInt32, 7, math.MaxInt32, -7, 1, 0, 256}
		checkRelations(t, 0, mixed(70, 1, ints...), mixed(70, 2, ints...))
		checkRelations(t, 0, mixed(40, 1, math.MinInt64, 0, -1, int64(math.MaxInt64), 1<<32), mixed(40, 2, 0, 0, -1, int64(math.MaxInt64), 5))
		checkRelations(t, 0, mixed(40, 1, uint32(0), math.MaxUint32, 1<<31, 5), mixed(40, 3, uint32(0), math.MaxUint32, 1<<31))
		checkRelations(t, 0, mixed(20, 1, "", "a", "b"), mixed(20, 2, "", "a", "b", "ab"))
		checkRelations(t, 0, mixed(20, 1, math.NaN(), 1, -1, 0), mixed(20, 2, math.NaN(), 1, math.Inf(-1)))
		checkRelations(t, 0, []float32{}, []float32{})
	})
}

// Relations of any bits, as floats and as integers.
func FuzzRelations(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 4*80))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := floatsOf(data)
		x = x[:min(len(x), 80)]
		a, b := x[:len(x)/2], x[len(x)/2:] // at least as many in b
		ints := make([]int32, len(x))
		for i := range ints {
			ints[i] = int32(binary.LittleEndian.Uint32(data[4*i:]))
		}
		eachLevel(t, func(t *testing.T) {
			if len(a) > 0 {
				checkRelations(t, len(a), a, b)
				checkRelations(t, len(a), ints[:len(a)], ints[len(a):])
			}
		})
	})
}

func BenchmarkRelations(b *testing.B) {
	x, y, dst := make([]int32, 1<<14), make([]int32, 1<<14), make([]bool, 1<<14)
	for l := plain; l <= best; l++ {
		b.Run(l.String(), func(b *testing.B) {
			use = l
			defer func() { use = best }()
			b.SetBytes(4 << 14)
			for b.Loop() {
				Equal(dst, x, y, 0, 1)
			}
		})
	}
}
