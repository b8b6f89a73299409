package shape

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDimText(t *testing.T) {
	n, m, h := Symbol("n"), Symbol("m"), Symbol("h")
	for _, c := range []struct {
		d    Dim
		want string
	}{
		{Dim{}, "0"},
		{Size(-3), "-3"},
		{n, "n"},
		{add(n, n), "2*n"},
		{sub(n, n), "0"},
		{sub(Size(5), n), "5-n"},
		{sub(m, n), "m-n"},
		{sub(n, m), "n-m"},
		{mul(addInt(n, 1), addInt(m, -1)), "m+m*n-n-1"},
		{floorDiv(n, 2), "floor(n/2)"},
		{floorDiv(addInt(n, 5), 2), "floor((n+1)/2)+2"},
		{floorDiv(add(scaled(n, 4), Size(2)), 2), "2*n+1"},
		{floorDiv(addInt(scaled(n, 2), 3), 4), "floor((n+1)/2)"},
		{floorDiv(addInt(floorDiv(addInt(h, 1), 2), 1), 2), "floor((h+3)/4)"},
		{ceilDiv(n, 4), "floor((n+3)/4)"},
		{maxDim(n, Size(0)), "n"},
		{maxDim(addInt(n, -2), Size(0)), "max(n-2,0)"},
		{maxDim(addInt(maxDim(addInt(n, -2), Size(0)), -1), Size(0)), "max(n-3,0)"},
		{minDim(addInt(minDim(n, Size(7)), 0), Size(5)), "min(n,5)"},
		{minDim(n, m), "min(m,n)"},
		{add(n, unnamed(1, true)), "?"},
		{mul(n, lost), "?"},
		{Symbol("a+b"), "a+b"},
	} {
		if got := c.d.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestDimEqual(t *testing.T) {
	n, m := Symbol("n"), Symbol("m")
	for _, c := range []struct {
		a, b Dim
		want bool
	}{
		{Size(3), Size(3), true},
		{Size(3), Size(4), false},
		{n, Symbol("n"), true},
		{n, m, false},
		{mul(n, m), mul(m, n), true},
		{unnamed(1, true), unnamed(1, true), true},
		{unnamed(1, true), unnamed(2, true), false},
		{lost, lost, false},
		{minDim(n, m), minDim(m, n), true},
		{Symbol("n*m"), mul(n, m), false},
	} {
		if c.a.Equal(c.b) != c.want {
			t.Errorf("%v and %v: want %v", c.a, c.b, c.want)
		}
	}
}

func TestExactDiv(t *testing.T) {
	n, m := Symbol("n"), Symbol("m")
	for _, c := range []struct {
		a, b Dim
		want string // "" where b need not divide a
	}{
		{Size(6), Size(3), "2"},
		{Size(7), Size(3), ""},
		{Size(7), Size(0), ""},
		{scaled(n, 6), Size(3), "2*n"},
		{addInt(scaled(n, 6), 1), Size(3), ""},
		{mul(scaled(n, 6), m), scaled(m, 2), "3*n"},
		{mul(n, addInt(m, 1)), n, "m+1"},
		{scaled(addInt(n, 2), 3), addInt(n, 2), "3"},
		{Size(4), n, ""},
		{n, n, "1"},
		{lost, Size(1), ""},
	} {
		got, ok := exactDiv(c.a, c.b)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%v / %v: got %v %v, want %q", c.a, c.b, got, ok, c.want)
		}
	}
}

// TestOverflow: numbers beyond the range of sizes become unknown, whichever operation makes them.
func TestOverflow(t *testing.T) {
	huge, largest, least := Size(maxSize), Dim{c: math.MaxInt64}, Dim{c: math.MinInt64}
	for name, d := range map[string]Dim{
		"size": Size(maxSize + 1), "add": add(huge, Size(1)), "mul": mul(huge, Size(2)), "scaled": scaled(Symbol("n"), maxSize*2),
		"coefficients": mul(scaled(Symbol("n"), maxSize), scaled(Symbol("m"), 2)), "largest": add(largest, largest),
		"least": sub(Size(1), least), "product": product([]Dim{huge, huge, Symbol("n")}),
	} {
		if !d.isLost() {
			t.Errorf("%s: got %v", name, d)
		}
	}
	wide := Size(1)
	for i := range 40 {
		wide = mul(wide, addInt(unnamed(i, true), 1))
	}
	if !wide.isLost() {
		t.Error("a polynomial of 2^40 terms")
	}
	if got := product([]Dim{huge, huge, Size(0)}); !got.is(0) {
		t.Errorf("an empty product is %v", got)
	}
}

// plain is a number computed beside an expression, without any algebra.
type plain struct {
	d Dim
	n int64
}

// TestAlgebra compares random expressions with the same operations on numbers.
func TestAlgebra(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		sizes := map[string]int{"a": rng.IntN(9), "b": rng.IntN(9), "c": rng.IntN(3)}
		var list []plain
		for name, n := range sizes {
			list = append(list, plain{Symbol(name), int64(n)})
		}
		list = append(list, plain{Size(1), 1}, plain{Size(-2), -2})
		for range 6 {
			p, q := list[rng.IntN(len(list))], list[rng.IntN(len(list))]
			list = append(list, combine(p, q, rng.IntN(7), int64(1+rng.IntN(4))))
		}
		for _, p := range list {
			if p.d.isLost() {
				continue
			}
			if got, ok := p.d.Eval(sizes); !ok || got != p.n {
				t.Fatalf("%v for %v: got %d %v, want %d", p.d, sizes, got, ok, p.n)
			}
			if low, ok := p.d.low(); ok && low > p.n {
				t.Fatalf("%v for %v is %d, below its lower bound %d", p.d, sizes, p.n, low)
			}
		}
	}
}

func combine(p, q plain, op int, k int64) plain {
	switch op {
	case 0:
		return plain{add(p.d, q.d), p.n + q.n}
	case 1:
		return plain{sub(p.d, q.d), p.n - q.n}
	case 2:
		return plain{mul(p.d, q.d), p.n * q.n}
	case 3:
		return plain{floorDiv(p.d, k), int64(math.Floor(float64(p.n) / float64(k)))}
	case 4:
		return plain{minDim(p.d, q.d), min(p.n, q.n)}
	case 5:
		return plain{maxDim(p.d, q.d), max(p.n, q.n)}
	}
	if d, ok := exactDiv(p.d, q.d); ok && q.n != 0 {
		return plain{d, p.n / q.n}
	}
	return plain{ceilDiv(p.d, k), int64(math.Ceil(float64(p.n) / float64(k)))}
}

func TestEvalMissing(t *testing.T) {
	for _, d := range []Dim{Symbol("n"), unnamed(1, true), lost, floorDiv(Symbol("n"), 2), minDim(Symbol("n"), Size(3))} {
		if n, ok := d.Eval(map[string]int{"m": 3}); ok {
			t.Errorf("%v is %d", d, n)
		}
	}
}

// TestCutSizes compares the symbolic size of slices with their number for every size up to 12 (numpy's clamping).
func TestCutSizes(t *testing.T) {
	c := &call{visit: &visit{inference: &inference{}}}
	ends := []int64{math.MinInt64, -9, -5, -2, -1, 0, 1, 3, 7, 11, math.MaxInt64}
	named := 0
	for _, start := range ends {
		for _, end := range ends {
			for _, step := range []int64{1, 2, 5, -1, -3} {
				d, err := c.cutSize(Symbol("n"), cut{start: Dim{c: start}, end: Dim{c: end}, step: Size(step)})
				if err != nil {
					t.Fatal(err)
				}
				if !d.Named() {
					continue
				}
				named++
				for n := range 13 {
					_, want := sliceRange(start, end, step, int64(n))
					if got, ok := d.Eval(map[string]int{"n": n}); !ok || got != want {
						t.Errorf("[%d:%d:%d] of %d: %v is %d, want %d", start, end, step, n, d, got, want)
					}
				}
			}
		}
	}
	if named < 300 {
		t.Errorf("only %d slices have a size", named)
	}
}

// TestSliceRange: what numpy gives for a[start:end:step] of five elements.
func TestSliceRange(t *testing.T) {
	for _, c := range []struct{ start, end, step, first, count int64 }{
		{0, 5, 1, 0, 5}, {1, 4, 2, 1, 2}, {-2, 99, 1, 3, 2}, {3, 1, 1, 3, 0}, {-99, -1, 1, 0, 4}, {9, 9, 1, 5, 0},
		{4, 0, -1, 4, 4}, {-1, -99, -2, 4, 3}, {99, -99, -1, 4, 5}, {0, 4, -1, 0, 0},
		{math.MinInt64, math.MaxInt64, math.MaxInt64, 0, 1}, {math.MaxInt64, math.MinInt64, math.MinInt64, 4, 1},
	} {
		if first, count := sliceRange(c.start, c.end, c.step, 5); first != c.first || count != c.count {
			t.Errorf("%v: got %d, %d", c, first, count)
		}
	}
}
