package packing

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

// dequantizeRef follows the formula element by element.
func dequantizeRef(q *Quant) []float32 {
	var dst []float32
	l := q.Layout
	for o := range l.Outer {
		for c := range l.Channels {
			for i := range l.Inner {
				group := c
				if l.Block > 0 {
					perChannel := (l.Outer*l.Inner + l.Block - 1) / l.Block
					group = c*perChannel + (o*l.Inner+i)/l.Block
				}
				code, s := q.Codes[len(dst)], q.Scales[group]
				switch {
				case q.Levels != nil:
					dst = append(dst, q.Levels[code]*s)
				case q.Zeros != nil:
					dst = append(dst, float32(int(code)-int(q.Zeros[group]))*s)
				default:
					dst = append(dst, float32(int(code)-1<<(q.Bits-1))*s)
				}
			}
		}
	}
	return dst
}

func TestDequantizeByHand(t *testing.T) {
	for name, test := range map[string]struct {
		q    Quant
		want []float32
	}{
		"affine, zeros left out": {Quant{Bits: 2, Layout: Layout{1, 2, 2, 0}, Scales: []float32{1, 0.5}, Codes: []uint8{0, 1, 2, 3}},
			[]float32{-2, -1, 0, 0.5}},
		"affine, zeros": {Quant{Bits: 8, Layout: Layout{1, 1, 2, 0}, Scales: []float32{2}, Zeros: []uint8{255}, Codes: []uint8{0, 255}},
			[]float32{-510, 0}},
		"wide": {Quant{Bits: 10, Layout: Layout{1, 2, 2, 0}, Scales: []float32{2, 0.5}, Wide: []uint16{0, 513, 1023, 512}},
			[]float32{-1024, 2, 255.5, 0}},
		"channels inside": {Quant{Bits: 1, Layout: Layout{2, 2, 1, 0}, Scales: []float32{1, 10}, Codes: []uint8{0, 0, 0, 1}},
			[]float32{-1, -10, -1, 0}},
		// Channel 0 has elements 0, 1, 4, 5: blocks of 3 hold {0, 1, 4} and {5}.
		"blocks across outer": {Quant{Bits: 1, Layout: Layout{2, 2, 2, 3}, Scales: []float32{1, 2, 3, 4}, Levels: []float32{0, 1},
			Codes: []uint8{1, 1, 1, 1, 1, 1, 1, 1}}, []float32{1, 1, 3, 3, 1, 2, 3, 4}},
		"overflow":      {Quant{Bits: 1, Layout: Layout{1, 1, 1, 0}, Scales: []float32{math.MaxFloat32}, Levels: []float32{2, -2}, Codes: []uint8{1}}, []float32{float32(math.Inf(-1))}},
		"zero scale":    {Quant{Bits: 1, Layout: Layout{1, 1, 1, 0}, Scales: []float32{0}, Codes: []uint8{1}}, []float32{0}},
		"empty":         {Quant{Bits: 4, Layout: Layout{1, 0, 5, 2}}, []float32{}},
		"rounds evenly": {Quant{Bits: 8, Layout: Layout{1, 1, 1, 0}, Scales: []float32{1 + 1.0/(1<<23)}, Zeros: []uint8{0}, Codes: []uint8{3}}, []float32{3.0000005}},
	} {
		got := make([]float32, len(test.want))
		test.q.Dequantize(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestDequantizeMatchesRef(t *testing.T) {
	for _, l := range []Layout{{1, 3, 7, 0}, {2, 3, 7, 4}, {5, 2, 1, 2}, {3, 1, 4, 100}, {4, 3, 5, 1}, {1, 2, 31, 0}, {1, 2, 32, 0}, {2, 2, 90, 64}} {
		for _, kind := range []string{"default", "zeros", "levels"} {
			q := &Quant{Bits: 3, Layout: l, Codes: make([]uint8, l.Elements()), Scales: make([]float32, l.Groups())}
			for i := range q.Codes {
				q.Codes[i] = uint8(i*5+i/3) & 7
			}
			for i := range q.Scales {
				q.Scales[i] = 0.1 * float32(i+1)
			}
			switch kind {
			case "zeros":
				q.Zeros = make([]uint8, l.Groups())
				for i := range q.Zeros {
					q.Zeros[i] = uint8(i) & 7
				}
			case "levels":
				q.Levels = []float32{-3, -2, -1, 0, 0.1, 0.5, 1, 4}
			}
			got := make([]float32, len(q.Codes))
			q.Dequantize(got)
			if want := dequantizeRef(q); !slices.Equal(got, want) {
				t.Errorf("%v %s: got %v, want %v", l, kind, got, want)
			}
		}
	}
	if !panics(func() { new(Quant).Dequantize(make([]float32, 1)) }) {
		t.Error("a dst of the wrong length is taken")
	}
}

func TestGroups(t *testing.T) {
	for l, want := range map[Layout]int{
		{1, 1, 1, 0}: 1, {1, 4, 9, 0}: 4, {2, 3, 4, 8}: 3, {2, 3, 4, 7}: 6, {2, 3, 4, 9}: 3, {0, 3, 4, 0}: 0, {1, 3, 0, 2}: 0, {2, 0, 2, 2}: 0,
	} {
		if got := l.Groups(); got != want {
			t.Errorf("%v: %d groups, want %d", l, got, want)
		}
	}
}

func TestElements(t *testing.T) {
	for _, test := range []struct {
		dims []int64
		want int64
		ok   bool
	}{
		{nil, 1, true}, {[]int64{0}, 0, true}, {[]int64{2, 3}, 6, true}, {[]int64{1 << 20, 1 << 20}, 1 << 40, true},
		{[]int64{-1}, 0, false}, {[]int64{1 << 20, 1 << 20, 2}, 0, false}, {[]int64{0, 1 << 41}, 0, false},
		{[]int64{1 << 32, 1 << 32}, 0, false}, {[]int64{0, 1 << 40, 1 << 40}, 0, false}, {[]int64{math.MaxInt64, 0}, 0, false},
	} {
		if n, ok := elements(test.dims...); n != test.want || ok != test.ok {
			t.Errorf("%v: got %d %v", test.dims, n, ok)
		}
	}
}

func TestScaleForms(t *testing.T) {
	step := func(n uint32) float32 { return math.Float32frombits(n << shortDrop) }
	minusZero := math.Float32frombits(1 << 31)
	for name, test := range map[string]struct {
		scales []float32
		form   int
		bytes  []byte
	}{
		"none":                {[]float32{}, scalesFloat32, nil},
		"one":                 {[]float32{1}, scalesBfloat16, []byte{0x80, 0x3f}},
		"one, exact":          {[]float32{0.1}, scalesFloat32, []byte{0xcd, 0xcc, 0xcc, 0x3d}},
		"two: a tie":          {[]float32{1, 1}, scalesBfloat16, []byte{0x80, 0x3f, 0x80, 0x3f}},
		"three":               {[]float32{1, 1, 0}, scalesShort8, []byte{0xe0, 0x0f, 1, 1, 0}},
		"all zero":            {[]float32{0, 0, 0}, scalesShort8, []byte{0, 0, 0, 0, 0}},
		"minus zero":          {[]float32{minusZero, minusZero, minusZero}, scalesShort8, []byte{0x00, 0x20, 1, 1, 1}},
		"254 steps":           {[]float32{step(1000), step(1254), 0}, scalesShort8, []byte{0xe8, 0x03, 1, 255, 0}},
		"255 steps":           {[]float32{step(1000), step(1255), 0}, scalesBfloat16, []byte{0xa0, 0x0f, 0x9c, 0x13, 0, 0}},
		"six fraction bits":   {[]float32{1 + 1./64, 1, 1}, scalesBfloat16, []byte{0x82, 0x3f, 0x80, 0x3f, 0x80, 0x3f}},
		"eight fraction bits": {[]float32{1 + 1./256}, scalesFloat32, []byte{0x00, 0x80, 0x80, 0x3f}},
		"subnormal":           {[]float32{step(1), step(2), 0}, scalesShort8, []byte{1, 0, 1, 2, 0}},
	} {
		l := Layout{1, len(test.scales), 1, 0}
		form, got := encodeScales(test.scales, l)
		if form != test.form || !slices.Equal(got, test.bytes) {
			t.Errorf("%s: form %d, % x; want %d, % x", name, form, got, test.form, test.bytes)
		}
		if back, err := decodeScales(got, l, form); err != nil || !reflect.DeepEqual(bitsOf(back), bitsOf(test.scales)) {
			t.Errorf("%s: read back %v, %v, want %v", name, back, err, test.scales)
		}
	}
}

func bitsOf(values []float32) []uint32 {
	b := make([]uint32, len(values))
	for i, v := range values {
		b[i] = math.Float32bits(v)
	}
	return b
}

func TestLevelForms(t *testing.T) {
	for want, levels := range map[int][][]float32{
		levelsNone:    {nil},
		levelsFloat16: {{0, 1}, {-65504, 65504}, {float32(math.Ldexp(1, -24)), math.Float32frombits(1 << 31)}},
		levelsFloat32: {{0, 0.1}, {65505, 0}, {float32(math.Ldexp(1, -25)), 0}, {1e30, 0}},
	} {
		for _, l := range levels {
			if got := levelFormOf(l); got != want {
				t.Errorf("%v: form %d, want %d", l, got, want)
			}
		}
	}
}

func TestFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	if !finite(nil) || !finite([]float32{0, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}) {
		t.Error("finite values are refused")
	}
	for _, v := range []float32{nan, -nan, inf, -inf} {
		if finite([]float32{1, v}) {
			t.Errorf("%v is finite", v)
		}
	}
}
