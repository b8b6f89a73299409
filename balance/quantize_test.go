package balance

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var everySpec = []Spec{
	{Method: Affine},
	{Method: Balanced, P: 1}, {Method: Balanced, P: 1, Norm: NormRMS, Levels: LevelsUniform},
	{Method: Balanced, P: 1.0 / 3}, {Method: Balanced, P: 0, Levels: LevelsUniform},
	{Method: Lloyd}, {Method: Lloyd, Norm: NormRMS}, {Method: Lloyd, Levels: LevelsUniform},
	{Method: Paper}, {Method: Paper, MeanThreshold: true},
}

func (s Spec) label() string {
	return fmt.Sprintf("%v/p=%.2f/%v/%v/mean=%v/bits=%d", s.Method, s.P, s.Norm, s.Levels, s.MeanThreshold, s.Bits)
}

// TestInvariants holds every method to what Quantized promises, on ordinary and on extreme tensors.
func TestInvariants(t *testing.T) {
	tensors := map[string][]float32{
		"empty": {}, "one": {0.7}, "one negative": {-3}, "zero": {0}, "zeros": make([]float32, 48),
		"minus zeros": filled(48, minus0), "constant": filled(48, -0.3), "gauss": gaussian(480), "uniform": uniform(480),
		"subnormal": scaled(gaussian(48), tiny*3), "smallest": {tiny, -tiny, 0, tiny}, "huge": scaled(uniform(48), huge),
		"largest": {huge, -huge, huge / 2, 0}, "outlier": append(gaussian(479), 1e6), "two values": {-1, 1, 1, -1},
		"dead rows": append(make([]float32, 240), gaussian(240)...),
	}
	for name, x := range tensors {
		n := len(x)
		layouts := []Layout{PerTensor(n), {1, n, 1, 0}, {1, 1, n, 7}}
		if n%4 == 0 {
			layouts = append(layouts, Layout{n / 4, 2, 2, 0}, Layout{1, 4, n / 4, 5}, Layout{n / 4, 4, 1, 3})
		}
		for _, s := range everySpec {
			for i, l := range layouts {
				if s.Method == Paper && l.Groups() > 1 {
					continue
				}
				for _, s.Bits = range [][]int{{1, 4, 8}, {2, 5}, {3, 6}, {1, 7}, {2, 8}, {3, 4}}[i] {
					t.Run(fmt.Sprintf("%s/%s/%v", name, s.label(), l), func(t *testing.T) { checkInvariants(t, x, l, s) })
				}
			}
		}
	}
}

func scaled(x []float32, by float32) []float32 {
	for i := range x {
		x[i] *= by
	}
	return x
}

func checkInvariants(t *testing.T, x []float32, l Layout, s Spec) {
	before := slices.Clone(x)
	q, err := Quantize(x, nil, l, s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(before, x, sameBits) {
		t.Error("input changed")
	}
	if err := q.Check(); err != nil {
		t.Error(err)
	}
	if q.Levels != nil && !slices.IsSorted(q.Levels) {
		t.Errorf("levels descend: %v", q.Levels)
	}
	if s.Method != Affine && q.Levels == nil {
		t.Error("codebook missing")
	}
	dst := make([]float32, len(x))
	q.Dequantize(dst)
	live := make([]bool, len(q.Scales))
	for e, v := range x {
		g := l.Group(e)
		live[g] = live[g] || v != 0
		if d := dst[e]; d-d != 0 {
			t.Fatalf("element %d, %v: decoded to %v", e, v, d)
		}
	}
	for e := range x {
		if g := l.Group(e); !live[g] && !sameBits(dst[e], 0) {
			t.Errorf("element %d of a dead group: decoded to %v", e, dst[e])
		}
	}
	for g, scale := range q.Scales {
		if !live[g] && scale != 0 || live[g] && scale == 0 {
			t.Errorf("group %d, live %v: scale %v", g, live[g], scale)
		}
		if s.Method != Paper && !isShort(scale) {
			t.Errorf("group %d: scale %v is not short", g, scale)
		}
	}
}

// TestLargestNormalised: the scale of values near the largest float32 cannot be rounded up; they are cut to +-1.
func TestLargestNormalised(t *testing.T) {
	_, q := quantizedSQNR([]float32{huge, -huge, huge / 3, 0}, PerTensor(4), Spec{Bits: 2, Method: Lloyd})
	if q.Levels[0] != -1 || q.Levels[3] != 1 || q.Scales[0] >= huge {
		t.Errorf("levels %v, scale %v", q.Levels, q.Scales[0])
	}
}

// TestDequantizeFormula decodes element by element with the formula of the doc comment.
func TestDequantizeFormula(t *testing.T) {
	x := gaussian(6 * 5 * 4)
	for _, l := range []Layout{PerTensor(120), {6, 5, 4, 0}, {6, 5, 4, 7}, {30, 4, 1, 8}, {1, 5, 24, 5}} {
		for _, s := range []Spec{{Bits: 3}, {Bits: 2}, {Bits: 3, Method: Lloyd}} {
			q, err := Quantize(x, nil, l, s)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]float32, len(x))
			q.Dequantize(dst)
			for e, c := range q.Codes {
				g := l.Group(e)
				zero := 1 << (q.Bits - 1)
				if q.Zeros != nil {
					zero = int(q.Zeros[g])
				}
				want := float32(int(c)-zero) * q.Scales[g]
				if q.Levels != nil {
					want = q.Levels[c] * q.Scales[g]
				}
				if dst[e] != want {
					t.Fatalf("%v, %v, element %d: got %v, want %v", l, s.Method, e, dst[e], want)
				}
			}
		}
	}
}

// TestLayoutsAgree: a transposed tensor with the transposed layout gets the transposed codes.
func TestLayoutsAgree(t *testing.T) {
	const rows, cols = 40, 70
	x := laplacian(rows * cols)
	y := make([]float32, len(x)) // [cols, rows]
	for r := range rows {
		for c := range cols {
			y[c*rows+r] = x[r*cols+c]
		}
	}
	for _, s := range everySpec[:8] {
		s.Bits = 4
		a, errA := Quantize(x, x2(x), Layout{1, rows, cols, 16}, s)
		b, errB := Quantize(y, x2(y), Layout{cols, rows, 1, 16}, s)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !slices.Equal(a.Scales, b.Scales) || !slices.Equal(a.Levels, b.Levels) || !slices.Equal(a.Zeros, b.Zeros) {
			t.Errorf("%s: scales, levels or zero points differ", s.label())
		}
		for r := range rows {
			for c := range cols {
				if a.Codes[r*cols+c] != b.Codes[c*rows+r] {
					t.Fatalf("%s: codes of (%d, %d) differ", s.label(), r, c)
				}
			}
		}
	}
}

// x2 is an importance that goes with the values.
func x2(x []float32) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v*v) + 0.1
	}
	return y
}

// TestNearestLevel: Lloyd and p < 1 give every weight its nearest level.
func TestNearestLevel(t *testing.T) {
	x := gaussian(4000)
	l := Layout{1, 40, 100, 0}
	for _, s := range []Spec{{Bits: 4, Method: Lloyd}, {Bits: 8, Method: Lloyd, Norm: NormRMS}, {Bits: 3, Method: Balanced, P: 0.5}} {
		_, q := quantizedSQNR(x, l, s)
		for e, v := range x {
			scale := q.Scales[l.Group(e)]
			got := math.Abs(float64(v/scale) - float64(q.Levels[q.Codes[e]]))
			for _, level := range q.Levels {
				if d := math.Abs(float64(v/scale) - float64(level)); d < got {
					t.Fatalf("%v, element %d: error %v, but level %v has %v", s.Method, e, got, level, d)
				}
			}
		}
	}
}

// TestScaleWeights: the shared codebook minimises the error of the values, so it beats one that gives every normalised
// value the same weight, which importance = 1/scale^2 brings about.
func TestScaleWeights(t *testing.T) {
	x := append(gaussian(20000), scaled(uniform(20000), 0.05)...)
	l := Layout{1, 2, 20000, 0}
	s := Spec{Bits: 3, Method: Lloyd}
	want, q := quantizedSQNR(x, l, s)
	flat := make([]float32, len(x))
	for e := range flat {
		flat[e] = 1 / (q.Scales[l.Group(e)] * q.Scales[l.Group(e)])
	}
	f, err := Quantize(x, flat, l, s)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float32, len(x))
	f.Dequantize(y)
	if got := SQNR(x, y); got > want-0.5 {
		t.Errorf("equal weights: %.2f dB, weighted by scale^2: %.2f dB", got, want)
	}
}

// TestImportanceLowersItsError: what importance stresses gets a smaller weighted error than without it.
func TestImportanceLowersItsError(t *testing.T) {
	x := gaussian(20000)
	importance := make([]float32, len(x))
	for i, v := range x {
		importance[i] = 0.01
		if v > 1 {
			importance[i] = 1
		}
	}
	for _, s := range []Spec{{Bits: 3, Method: Lloyd}, {Bits: 3}, {Bits: 4, Method: Balanced, P: 1}} {
		var noise [2]float64
		for i, w := range [][]float32{nil, importance} {
			q, err := Quantize(x, w, PerTensor(len(x)), s)
			if err != nil {
				t.Fatal(err)
			}
			y := make([]float32, len(x))
			q.Dequantize(y)
			_, noise[i] = SquaredError(x, y, importance)
		}
		if noise[1] > 0.95*noise[0] {
			t.Errorf("%v: weighted error %v, without importance %v", s.Method, noise[1], noise[0])
		}
	}
}

func TestQuantizeErrors(t *testing.T) {
	x := []float32{1, 2, 3, 4}
	rows := []struct {
		name          string
		x, importance []float32
		l             Layout
		s             Spec
		want          string
	}{
		{"NaN", []float32{1, nan, inf}, nil, PerTensor(3), Spec{Bits: 4}, "element 1, NaN"},
		{"infinity", []float32{1, 2, -inf}, nil, PerTensor(3), Spec{Bits: 4}, "element 2, -Inf"},
		{"bits 0", x, nil, PerTensor(4), Spec{}, "want 1 to 8 bits, got 0"},
		{"bits 9", x, nil, PerTensor(4), Spec{Bits: 9}, "got 9"},
		{"method", x, nil, PerTensor(4), Spec{Bits: 1, Method: 9}, "method(9)"},
		{"norm", x, nil, PerTensor(4), Spec{Bits: 1, Norm: 9}, "norm(9)"},
		{"levels", x, nil, PerTensor(4), Spec{Bits: 1, Levels: 9}, "levels(9)"},
		{"exponent", x, nil, PerTensor(4), Spec{Bits: 1, Method: Balanced, P: 2}, "got 2"},
		{"exponent NaN", x, nil, PerTensor(4), Spec{Bits: 1, Method: Balanced, P: math.NaN()}, "got NaN"},
		{"layout", x, nil, PerTensor(5), Spec{Bits: 1}, "want 4 elements"},
		{"paper per channel", x, nil, Layout{1, 2, 2, 0}, Spec{Bits: 1, Method: Paper}, "got 2"},
		{"importance length", x, x[:3], PerTensor(4), Spec{Bits: 1}, "want 4 values, got 3"},
		{"importance NaN", x, []float32{1, 1, nan, 1}, PerTensor(4), Spec{Bits: 1}, "element 2"},
		{"importance Inf", x, []float32{inf, 1, 1, 1}, PerTensor(4), Spec{Bits: 1}, "element 0"},
		{"importance negative", x, []float32{1, -1, 1, 1}, PerTensor(4), Spec{Bits: 1}, "element 1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := Quantize(row.x, row.importance, row.l, row.s)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got error %v, want one with %q", err, row.want)
			}
			if got := errors.Is(err, ErrNonFinite); got != (row.name == "NaN" || row.name == "infinity") {
				t.Errorf("is ErrNonFinite: %v", got)
			}
		})
	}
}

// TestZeroImportance: all zeros mean 1 everywhere; a group of zero importance still decodes near its values.
func TestZeroImportance(t *testing.T) {
	x := gaussian(6000)
	for _, s := range everySpec {
		s.Bits = 4
		l := Layout{1, 2, 3000, 0}
		if s.Method == Paper {
			l = PerTensor(6000)
		}
		a, errA := Quantize(x, make([]float32, len(x)), l, s)
		b, errB := Quantize(x, nil, l, s)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !slices.Equal(a.Codes, b.Codes) {
			t.Errorf("%s: zero importance differs from none", s.label())
		}
		half := append(make([]float32, 3000), filled(3000, 1)...)
		c, err := Quantize(x, half, l, s)
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(x))
		c.Dequantize(y)
		if got := SQNR(x[:3000], y[:3000]); s.Method != Paper && got < 5 {
			t.Errorf("%s: group without importance: %.1f dB", s.label(), got)
		}
	}
}

func TestCheck(t *testing.T) {
	good := func() *Quantized {
		return &Quantized{Layout{1, 2, 2, 0}, 2, []uint8{0, 1, 2, 3}, nil, []float32{1, 2}, []uint8{1, 2}, nil, 0, 0, 0}
	}
	if err := good().Check(); err != nil {
		t.Errorf("good: %v", err)
	}
	for name, spoil := range map[string]func(q *Quantized){
		"bits": func(q *Quantized) { q.Bits = 0 }, "wide": func(q *Quantized) { q.Bits = 64 },
		"layout":   func(q *Quantized) { q.Layout.Inner = 3 },
		"negative": func(q *Quantized) { q.Layout.Block = -1 },
		"codes":    func(q *Quantized) { q.Codes = q.Codes[:3] },
		"scales":   func(q *Quantized) { q.Scales = q.Scales[:1] },
		"zeros":    func(q *Quantized) { q.Zeros = q.Zeros[:1] },
		"code":     func(q *Quantized) { q.Codes[2] = 4 },
		"zero":     func(q *Quantized) { q.Zeros[1] = 4 },
		"levels":   func(q *Quantized) { q.Zeros, q.Levels = nil, make([]float32, 3) },
		"both":     func(q *Quantized) { q.Levels = make([]float32, 4) },
	} {
		q := good()
		if spoil(q); q.Check() == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestSquaredError(t *testing.T) {
	x, y := []float32{1, -2, 3}, []float32{1.5, -2, 1}
	// signal 1+4+9, noise 0.25+0+4; weighted by 2, 1, 0.5: 2+4+4.5 and 0.5+0+2
	if s, n := SquaredError(x, y, nil); s != 14 || n != 4.25 {
		t.Errorf("got %v, %v", s, n)
	}
	if s, n := SquaredError(x, y, []float32{2, 1, 0.5}); s != 10.5 || n != 2.5 {
		t.Errorf("weighted: got %v, %v", s, n)
	}
	if got := SQNR([]float32{10, 0}, []float32{9, 0}); got != 20 {
		t.Errorf("SQNR 100:1: got %v dB", got)
	}
	for _, row := range []struct {
		x, y []float32
		want float64
	}{
		{[]float32{1}, []float32{1}, math.Inf(1)}, {nil, nil, math.Inf(1)},
		{[]float32{0}, []float32{1}, math.Inf(-1)}, {[]float32{0}, []float32{0}, math.Inf(1)},
	} {
		if got := SQNR(row.x, row.y); got != row.want {
			t.Errorf("SQNR(%v, %v) = %v, want %v", row.x, row.y, got, row.want)
		}
	}
	if got := SQNR([]float32{1, nan}, []float32{1, 0}); got == got {
		t.Errorf("SQNR with NaN: got %v", got)
	}
}

// bell returns n values of a bell-shaped distribution by integer arithmetic alone, the same on every machine.
func bell(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]float32, n)
	for i := range x {
		sum := int32(0)
		for range 12 {
			sum += int32(r.Uint32() >> 20)
		}
		x[i] = float32(sum-12*2047) / 4096
	}
	return x
}

// bytesDigest was recorded on amd64 without fused multiply-add. Any build that fuses (GOAMD64=v3, arm64) must give the
// same; a change of it means that models quantize to other bytes than before.
const bytesDigest = "50a0e3c332a2aa0262abf571350c487a"

func TestSameBytesEverywhere(t *testing.T) {
	x, h := bell(6000), sha256.New()
	for _, s := range everySpec {
		for _, s.Bits = range []int{1, 2, 3, 4, 8} {
			l := Layout{10, 20, 30, 50}
			if s.Method == Paper {
				l = PerTensor(len(x))
			}
			for _, importance := range [][]float32{nil, x2(x)} {
				q, err := Quantize(x, importance, l, s)
				if err != nil {
					t.Fatal(err)
				}
				h.Write(q.Codes)
				h.Write(q.Zeros)
				for _, v := range append(q.Scales, q.Levels...) {
					h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
				}
			}
		}
	}
	if got := hex.EncodeToString(h.Sum(nil)[:16]); got != bytesDigest {
		t.Errorf("digest %s, want %s", got, bytesDigest)
	}
}
