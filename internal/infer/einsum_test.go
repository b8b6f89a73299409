package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"bq/onnxio"
)

func doubles(shape []int, v ...float64) *onnxio.Array {
	return &onnxio.Array{Type: onnxio.Double, Shape: shape, Data: v}
}

// TestEinsumByHand: every expected value is worked out by hand.
func TestEinsumByHand(t *testing.T) {
	square, vector := floats([]int{2, 2}, 1, 2, 3, 4), floats([]int{2}, 10, 1)
	big := int64(1)<<53 + 1 // no float64
	for _, c := range []struct {
		equation string
		in       arrays
		want     *onnxio.Array
	}{
		{"ij,jk->ik", arrays{square, square}, floats([]int{2, 2}, 7, 10, 15, 22)},
		{"ij,kj->ki", arrays{square, square}, floats([]int{2, 2}, 5, 11, 11, 25)},
		{"ij,jk", arrays{square, square}, floats([]int{2, 2}, 7, 10, 15, 22)},
		{"ba,cb", arrays{square, square}, floats([]int{2, 2}, 7, 15, 10, 22)},
		{"ij,j->i", arrays{square, vector}, floats([]int{2}, 12, 34)},
		{"i,j->ji", arrays{vector, vector}, floats([]int{2, 2}, 100, 10, 10, 1)},
		{"i,i->", arrays{vector, vector}, floats([]int{}, 101)},
		{"ij,ij->ij", arrays{square, square}, floats([]int{2, 2}, 1, 4, 9, 16)},
		{"bi,bi->b", arrays{square, square}, floats([]int{2}, 5, 25)},
		{"ij,jk->k", arrays{square, square}, floats([]int{2}, 22, 32)},
		{"ii,ij->j", arrays{square, square}, floats([]int{2}, 13, 18)},
		{"ij->ji", arrays{square}, floats([]int{2, 2}, 1, 3, 2, 4)},
		{"ii->i", arrays{square}, floats([]int{2}, 1, 4)},
		{"ii", arrays{square}, floats([]int{}, 5)},
		{"ij->j", arrays{square}, floats([]int{2}, 4, 6)},
		{"->", arrays{floats([]int{}, 7)}, floats([]int{}, 7)},
		{"...ij,...jk->...ik", arrays{floats([]int{2, 1, 2}, 1, 2, 3, 4), floats([]int{1, 2, 1}, 10, 1)}, floats([]int{2, 1, 1}, 12, 34)},
		{"...i,i->...", arrays{square, vector}, floats([]int{2}, 12, 34)},
		{"...,...", arrays{square, vector}, floats([]int{2, 2}, 10, 2, 30, 4)},
		{"ij,jk->ik", arrays{floats([]int{1, 1}, 2), square}, floats([]int{1, 2}, 8, 12)},
		{"i,ij,j->", arrays{vector, square, vector}, floats([]int{}, 154)},
		{"i,i->", arrays{longs([]int{1}, big), longs([]int{1}, 3)}, longs([]int{}, 3*big)},
		{"i->", arrays{longs([]int{2}, big, 2)}, longs([]int{}, big+2)},
		{"i,i->", arrays{longs([]int{2}, math.MaxInt64, 1), longs([]int{2}, 1, 1)}, longs([]int{}, math.MinInt64)},
		{"i,j->ij", arrays{sign8([]int{1}, 100), sign8([]int{1}, 3)}, sign8([]int{1, 1}, 44)},
		{"i,i->", arrays{doubles([]int{2}, 1e300, 1), doubles([]int{2}, 1e8, 0x1p-52)}, doubles([]int{}, 1e308)},
		{"i,i->", arrays{doubles([]int{2}, 1, 0x1p-40), doubles([]int{2}, 1, 1)}, doubles([]int{}, 1+0x1p-40)},
		{"i,i->", arrays{half(2048, 1), half(1, 1)}, &onnxio.Array{Type: onnxio.Float16, Shape: []int{}, Data: []float32{2048}}},
		{"ij,jk->ik", arrays{floats([]int{1, 2}, 0, 1), floats([]int{2, 2}, inf, nan, 1, 1)}, floats([]int{1, 2}, nan, nan)},
		{"i->", arrays{floats([]int{2}, inf, 1)}, floats([]int{}, inf)},
		{"ij,jk->ik", arrays{floats([]int{2, 0}), floats([]int{0, 2})}, floats([]int{2, 2}, 0, 0, 0, 0)},
		{"ij,jk->ik", arrays{floats([]int{0, 2}), square}, floats([]int{0, 2})},
		{"ij->ji", arrays{floats([]int{0, 2})}, floats([]int{2, 0})},
	} {
		t.Run(c.equation, func(t *testing.T) {
			got, err := runNode(12, "Einsum", c.in, 1, text("equation", c.equation))
			if err != nil {
				t.Fatal(err)
			}
			if err := closeTo(got[0], c.want); err != nil {
				t.Errorf("%v: got %v, want %v", err, got[0].Data, c.want.Data)
			}
			if w, ok := c.want.Data.([]int64); ok && got[0].Ints()[0] != w[0] {
				t.Errorf("got %d, want %d", got[0].Ints()[0], w[0])
			}
			if w, ok := c.want.Data.([]float64); ok && got[0].Data.([]float64)[0] != w[0] {
				t.Errorf("got %v, want %v", got[0].Data, w)
			}
		})
	}
}

// einsumRef computes an equation without ellipsis as it is read: for every value of every letter it adds the product.
func einsumRef(equation string, sizes map[byte]int, in [][]float64) []float64 {
	left, right, _ := strings.Cut(equation, "->")
	letters := ""
	for _, c := range strings.ReplaceAll(left, ",", "") {
		if !strings.ContainsRune(letters, c) {
			letters += string(c)
		}
	}
	index := map[byte]int{}
	at := func(term string) (i int) {
		for _, c := range []byte(term) {
			i = i*sizes[c] + index[c]
		}
		return i
	}
	n := 1
	for _, c := range []byte(right) {
		n *= sizes[c]
	}
	dst := make([]float64, n)
	var visit func(rest string)
	visit = func(rest string) {
		if rest == "" {
			p := 1.0
			for k, term := range strings.Split(left, ",") {
				p *= in[k][at(term)]
			}
			dst[at(right)] += p
			return
		}
		for i := range sizes[rest[0]] {
			index[rest[0]] = i
			visit(rest[1:])
		}
	}
	visit(letters)
	return dst
}

// einsumError bounds |got - want| for sums of up to 1000 products of values in [-1, 1) in float32: each of the additions
// of a sum below 100 errs by at most 100 * 2^-24, and errors of rounding go both ways.
const einsumError = 1e-4

// TestEinsumRef compares equations of all kinds, small and large, with einsumRef.
func TestEinsumRef(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, equation := range []string{
		"bhid,bhjd->bhij", "bhij,bhjd->bhid", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "abc,cd->abd", "abc,bc->ab",
		"bij,jk->bik", "bij,bik->bjk", "bij,bki->jbk", "ij,kj->ki", "ab,cd->abcd", "ab,cd->dacb", "abcd,bd->ca", "abc,acd->",
		"ab,ab->ab", "ab,ab->ba", "abc,a->bc", "aab,bc->ac", "aba,bc->ca", "abc,cd->d", "ab,b->", "abc->ca", "abca->cb",
		"ab,bc,cd->ad", "a,ab,b->a",
	} {
		for _, scale := range []int{1, 2, 7} {
			t.Run(fmt.Sprint(equation, " ", scale), func(t *testing.T) {
				sizes := map[byte]int{}
				for i, c := range "abcdhijkq" {
					sizes[byte(c)] = 1 + (scale-1)*(2+i%3)/2
				}
				checkEinsum(t, rng, equation, sizes)
			})
		}
	}
}

func checkEinsum(t *testing.T, rng *rand.Rand, equation string, sizes map[byte]int) {
	left, right, _ := strings.Cut(equation, "->")
	shapeOf := func(term string) []int {
		shape := []int{}
		for _, c := range []byte(term) {
			shape = append(shape, sizes[c])
		}
		return shape
	}
	var singles, wide arrays
	var data [][]float64
	for _, term := range strings.Split(left, ",") {
		shape := shapeOf(term)
		single, double := make([]float32, product(shape)), make([]float64, product(shape))
		for i := range single {
			single[i] = 2*rng.Float32() - 1
			double[i] = float64(single[i])
		}
		singles, wide, data = append(singles, floats(shape, single...)), append(wide, doubles(shape, double...)), append(data, double)
	}
	want := einsumRef(equation, sizes, data)
	for _, in := range []arrays{singles, wide} {
		got, err := runNode(12, "Einsum", in, 1, text("equation", equation))
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Type != in[0].Type || !equalShape(got[0].Shape, shapeOf(right)) {
			t.Fatalf("got %s, want shape %v", describe(got[0]), shapeOf(right))
		}
		values, err := asFloats(got[0])
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			if d := math.Abs(float64(values[i]) - w); !(d <= einsumError) {
				t.Fatalf("%v: element %d: got %v, want %v", in[0].Type, i, values[i], w)
			}
		}
	}
}

func TestEinsumRefuses(t *testing.T) {
	square, vector := floats([]int{2, 2}, 1, 2, 3, 4), floats([]int{3}, 1, 2, 3)
	word := &onnxio.Array{Type: onnxio.String, Shape: []int{1}, Data: []string{"1"}}
	for _, c := range []struct {
		equation string
		in       arrays
		want     string
	}{
		{"ij,j->i", arrays{square, vector}, "label j is 2 and 3"},
		{"ij->ik", arrays{square}, "label k of the result"},
		{"ij->ii", arrays{square}, "label i of the result"},
		{"ijk->i", arrays{square}, "term \"ijk\" for shape [2 2]"},
		{"...ijk->i", arrays{square}, "for shape [2 2]"},
		{"i,j->ij", arrays{vector}, "for 1 inputs"},
		{"i1->i", arrays{square}, "attribute \"equation\""},
		{"i,i->i", arrays{vector, longs([]int{3}, 1, 2, 3)}, "element type int64"},
		{"i->i", arrays{word}, "element type string"},
		{"i->i", arrays{truths(true)}, "element type bool"},
	} {
		t.Run(c.equation, func(t *testing.T) {
			_, err := runNode(12, "Einsum", c.in, 1, text("equation", c.equation))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), errPanic.Error()) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func BenchmarkEinsum(b *testing.B) {
	side := func(n int, equation string) int { // the letters of every term have the same size
		return int(math.Round(math.Pow(float64(n), 1/float64(len(equation)))))
	}
	for _, equation := range []string{"abcd,abed->abce", "abcd,aebd->abce", "ab,ab->ab", "abc->c", "aab,bc->ac"} {
		b.Run("equation="+equation, func(b *testing.B) {
			left, _, _ := strings.Cut(equation, "->")
			d := side(1<<14, strings.Split(left, ",")[0])
			r := &run{threads: 1, limit: 1 << 30}
			var in arrays
			for _, term := range strings.Split(left, ",") {
				shape := make([]int, len(term))
				for i := range shape {
					shape[i] = d
				}
				in = append(in, onnxio.NewArray(onnxio.Float, shape...))
			}
			n := &onnxio.Node{OpType: "Einsum", Attributes: []*onnxio.Attribute{text("equation", equation)}}
			f := bindEinsum(&binding{node: &node{Node: n}, read: map[string]bool{}})
			for b.Loop() {
				if _, err := f(r, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
