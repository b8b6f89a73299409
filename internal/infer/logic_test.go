package infer

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"bq/onnxio"
)

// relationsOf compares every pair of values, as elements of spans of every length up to 20, with both operands moving or
// one or both standing still; want is by relation.
func relationsOf[T number | string](t *testing.T, want [5]func(x, y T) bool, values ...T) {
	t.Helper()
	for rel, f := range want {
		span := compare[T](relation(rel))
		for n := range 21 {
			a, b := make([]T, n+1), make([]T, n+1)
			for i := range a {
				a[i], b[i] = values[i%len(values)], values[(i*i+n)%len(values)]
			}
			for steps := range 4 {
				sa, sb := steps&1, steps>>1
				got := make([]bool, n+1)
				span(got[:n], a, b, sa, sb)
				for i, v := range got {
					if v != (i < n && f(a[i*sa], b[i*sb])) {
						t.Errorf("%T: relation %d of %v and %v is %v, element %d of %d, steps %d %d", a, rel, a[i*sa], b[i*sb], v, i, n, sa, sb)
					}
				}
			}
		}
	}
}

func order[T number | string]() [5]func(x, y T) bool {
	return [5]func(x, y T) bool{
		func(x, y T) bool { return x == y }, func(x, y T) bool { return x < y }, func(x, y T) bool { return x <= y },
		func(x, y T) bool { return x > y }, func(x, y T) bool { return x >= y },
	}
}

func TestRelations(t *testing.T) {
	relationsOf(t, order[float32](), 0, -1, nan, inf, -inf, 2, float32(math.Copysign(0, -1)))
	relationsOf(t, order[float64](), 0, -1, math.NaN(), math.Inf(1), math.Inf(-1), 2)
	relationsOf(t, order[int8](), 0, -128, 127, 5)
	relationsOf(t, order[int16](), 0, -1, math.MinInt16, math.MaxInt16)
	relationsOf(t, order[int32](), 0, -1, math.MinInt32, math.MaxInt32)
	relationsOf(t, order[int64](), 0, -1, math.MinInt64, math.MaxInt64)
	relationsOf(t, order[uint8](), 0, 255, 127, 128)
	relationsOf(t, order[uint16](), 0, 1, math.MaxUint16)
	relationsOf(t, order[uint32](), 0, 1, math.MaxUint32, 1<<31)
	relationsOf(t, order[uint64](), 0, 1, math.MaxUint64, 1<<63)
	relationsOf(t, order[string](), "", "a", "b", "ab")
}

func TestBooleans(t *testing.T) {
	for op, f := range []func(x, y bool) bool{
		boolAnd: func(x, y bool) bool { return x && y },
		boolOr:  func(x, y bool) bool { return x || y },
		boolXor: func(x, y bool) bool { return x != y },
	} {
		for n := 1; n < 40; n++ {
			a, b := make([]bool, n), make([]bool, n)
			for i := range a {
				a[i], b[i] = i*i%3 == n%3, i*7%5 < 2
			}
			for steps := range 4 {
				sa, sb := steps&1, steps>>1
				got := make([]bool, n)
				boolOp(op).span(got, a, b, sa, sb)
				for i, v := range got {
					if v != f(a[i*sa], b[i*sb]) {
						t.Errorf("operation %d of %v and %v is %v, element %d of %d, steps %d %d", op, a[i*sa], b[i*sb], v, i, n, sa, sb)
					}
				}
			}
		}
	}
}

// Where takes every element from its own place, whichever operands broadcast and whatever the type.
func TestWhereBroadcasts(t *testing.T) {
	shapes := [][]int{{1}, {5}, {3, 1}, {3, 5}, {1, 5}}
	for _, to := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.Int8, onnxio.Int16, onnxio.Int32,
		onnxio.Int64, onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64, onnxio.String} {
		for _, cs := range shapes {
			for _, xs := range shapes {
				for _, ys := range shapes {
					checkWhere(t, to, cs, xs, ys)
				}
			}
		}
	}
}

func checkWhere(t *testing.T, to onnxio.DataType, cs, xs, ys []int) {
	t.Helper()
	r := &run{threads: 2, limit: 1 << 30}
	count := func(first int64, shape []int) *onnxio.Array {
		v := make([]int64, product(shape))
		for i := range v {
			v[i] = first + int64(i)
		}
		a, err := r.cast(onnxio.Int64s(v, shape...), to)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	cond := truths(make([]bool, product(cs))...)
	cond.Shape = cs
	for i := range cond.Data.([]bool) {
		cond.Data.([]bool)[i] = i%3 == 1
	}
	out, err := bindWhere(nil)(r, arrays{cond, count(10, xs), count(50, ys)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.cast(out[0], onnxio.Int64)
	if err != nil {
		t.Fatal(err)
	}
	shape, err := broadcastShape(cs, xs, ys)
	if err != nil || !slices.Equal(got.Shape, shape) {
		t.Fatalf("shape %v, want %v", got.Shape, shape)
	}
	at := func(s []int, i int) int {
		place, size := 0, product(shape)
		for d, stride := range broadcastStrides(s, len(shape)) {
			size /= shape[d]
			place += i / size % shape[d] * stride
		}
		return place
	}
	for i, v := range got.Ints() {
		want := int64(50 + at(ys, i))
		if at(cs, i)%3 == 1 {
			want = int64(10 + at(xs, i))
		}
		if v != want {
			t.Fatalf("%v, %v ? %v : %v: element %d is %d, want %d", to, cs, xs, ys, i, v, want)
		}
	}
}

// Booleans become 0 and 1 of every type, and floats are cut toward zero, in vectors and behind them.
func TestCastBooleansAndFloats(t *testing.T) {
	for _, to := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.Int8, onnxio.Int16, onnxio.Int32,
		onnxio.Int64, onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64} {
		for n := range 70 {
			b, f := make([]bool, n), make([]float32, n)
			var wantB, wantF []string
			for i := range b {
				b[i], f[i] = i%3 == 0, float32(i)+0.5
				wantF = append(wantF, fmt.Sprint(i))
				wantB = append(wantB, map[bool]string{true: "1", false: "0"}[b[i]])
			}
			if to.IsFloat() {
				wantF = nil
			}
			for want, x := range map[*[]string]*onnxio.Array{&wantB: truths(b...), &wantF: floats([]int{n}, f...)} {
				r := &run{limit: 1 << 30}
				y, err := r.cast(x, to)
				if err != nil {
					t.Fatal(err)
				}
				if y, err = r.cast(y, onnxio.String); err != nil {
					t.Fatal(err)
				}
				if got := y.Data.([]string); *want != nil && !slices.Equal(got, *want) {
					t.Fatalf("%v to %v: %v, want %v", x.Type, to, got, *want)
				}
			}
		}
	}
}
