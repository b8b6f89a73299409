package cli

import (
	"bytes"
	"image/png"
	"math"
	"slices"
	"testing"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
)

// Weights [2 channels, 3] of scales 1 and 2, zero points 1 and 2, codes of 2 bits: in codes they are 0.5, 1, 4 and
// 1, 2, 3. From 0 to 4 in four bins: [0,1) holds 0.5, [1,2) two ones, [2,3) the two, [3,4] three and four.
func TestAffineHistogramByHand(t *testing.T) {
	q := &packing.Quant{Bits: 2, Layout: packing.Layout{Outer: 1, Channels: 2, Inner: 3}, Scales: []float32{1, 2}, Zeros: []uint8{1, 2}, Codes: make([]uint8, 6)}
	c := convert.Coverage{Name: "w", Method: "affine", Bits: 2, Group: "channel", Elements: 6}
	h, ok := weightHistogram(c, q, []float32{-0.5, 0, 3, -2, 0, 2}, 4)
	if !ok || h.Low != 0 || h.High != 4 || !slices.Equal(h.Counts, []int{1, 2, 1, 2}) {
		t.Errorf("%+v, %v", h, ok)
	}
	if !slices.Equal(h.Levels, []float64{0, 1, 2, 3}) || !slices.Equal(h.Edges, []float64{0.5, 1.5, 2.5}) {
		t.Errorf("levels %v, edges %v", h.Levels, h.Edges)
	}
	if want := "affine p=0 channel, 2 bits, 4 levels"; h.Caption != want || h.Name != "w" {
		t.Errorf("caption %q, want %q", h.Caption, want)
	}
}

func TestHistogramsThatAreNone(t *testing.T) {
	one := packing.Layout{Outer: 1, Channels: 1, Inner: 2}
	cases := map[string]struct {
		q       packing.Quant
		weights []float32
	}{
		"no weights":         {packing.Quant{Bits: 8, Layout: one, Scales: []float32{1}}, nil},
		"another size":       {packing.Quant{Bits: 8, Layout: one, Scales: []float32{1}}, make([]float32, 3)},
		"equal, many levels": {packing.Quant{Bits: 8, Layout: one, Scales: []float32{1}}, make([]float32, 2)},
		"scale zero":         {packing.Quant{Bits: 8, Layout: one, Scales: []float32{0}}, make([]float32, 2)},
		"not finite":         {packing.Quant{Bits: 8, Layout: one, Scales: []float32{1}}, []float32{float32(math.NaN()), float32(math.Inf(1))}},
	}
	for name, c := range cases {
		if h, ok := weightHistogram(convert.Coverage{Bits: c.q.Bits}, &c.q, c.weights, 4); ok {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// [Outer 2, Channels 2, Inner 3] in blocks of 4: each channel has 6 elements, so two blocks.
func TestGroupsByHand(t *testing.T) {
	l := packing.Layout{Outer: 2, Channels: 2, Inner: 3, Block: 4}
	var got []int
	for i := range 12 {
		got = append(got, groupOf(l, i))
	}
	if want := []int{0, 0, 0, 2, 2, 2, 0, 1, 1, 2, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("groups %v, want %v", got, want)
	}
}

func TestWeightSQNR(t *testing.T) {
	for _, c := range []struct {
		want, got []float32
		db        float64
	}{{[]float32{3, 4}, []float32{3, 3.5}, 20}, {[]float32{1}, []float32{1}, math.Inf(1)}, {[]float32{0}, []float32{1}, math.NaN()}, {[]float32{1}, nil, math.NaN()}} {
		if got := weightSQNR(c.want, c.got); got != c.db && !(math.IsNaN(got) && math.IsNaN(c.db)) {
			t.Errorf("%v and %v: %v dB, want %v", c.want, c.got, got, c.db)
		}
	}
}

// A picture of one channel from -1 to 1 in rows: black, and white below; of three channels in both layouts, red.
func TestThumbnails(t *testing.T) {
	grey := onnxio.NewArray(onnxio.Float, 1, 1, 8, 8)
	nchw, nhwc := onnxio.NewArray(onnxio.Float, 2, 3, 8, 10), onnxio.NewArray(onnxio.Float, 1, 8, 10, 3)
	for i := range 64 {
		grey.F32()[i] = float32(i/32)*2 - 1
	}
	for i := range 80 {
		nchw.F32()[i], nhwc.F32()[3*i] = 1, 1
	}
	for name, c := range map[string]struct {
		a             *onnxio.Array
		width, height int
		r, g          uint32 // of the last pixel
	}{"grey": {grey, 8, 8, 0xffff, 0xffff}, "nchw": {nchw, 10, 8, 0xffff, 0}, "nhwc": {nhwc, 10, 8, 0xffff, 0}} {
		img, err := png.Decode(bytes.NewReader(thumbnail([]*onnxio.Array{onnxio.Int64s([]int64{1}, 1), c.a})))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, g, _, _ := img.At(c.width-1, c.height-1).RGBA()
		if b := img.Bounds(); b.Dx() != c.width || b.Dy() != c.height || r != c.r || g != c.g {
			t.Errorf("%s: %v, %x %x", name, img.Bounds(), r, g)
		}
	}
	large := thumbnail([]*onnxio.Array{onnxio.NewArray(onnxio.Float, 1, 3, 500, 200)})
	if img, err := png.Decode(bytes.NewReader(large)); err != nil || img.Bounds().Dy() > thumbnailSide {
		t.Errorf("a large picture: %v", err)
	}
	for name, a := range map[string]*onnxio.Array{"tokens": onnxio.Int64s(make([]int64, 64), 1, 1, 8, 8), "rank": onnxio.NewArray(onnxio.Float, 8, 8),
		"thin": onnxio.NewArray(onnxio.Float, 1, 1, 2, 640), "empty": onnxio.NewArray(onnxio.Float, 0, 3, 8, 8), "channels": onnxio.NewArray(onnxio.Float, 1, 4, 8, 8)} {
		if thumbnail([]*onnxio.Array{a}) != nil {
			t.Errorf("%s is drawn", name)
		}
	}
}
