package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

// pillowLevels is how far a resized pixel may be from Pillow's, which computes the same weights in floating point.
const pillowLevels = 1

// jpegLevels is how far a decoded JPEG pixel may be from libjpeg's: the standard (ITU-T T.83) lets each decoder's
// inverse transform differ by a level per component, and the colour conversion rounds once more.
const jpegLevels = 4

// fixture reads a uint8 array [height, width, 3] of a .npz file made by testdata/make.py.
func fixture(t *testing.T, file, name string) *picture {
	t.Helper()
	list, _, err := openNPZ("testdata/"+file, file, newCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	r := list[name]
	raw, err := r.slice(0, r.shape[0])
	if err != nil {
		t.Fatal(err)
	}
	return &picture{width: r.shape[1], height: r.shape[0], channels: 3, pix: raw}
}

func difference(a, b []byte) int {
	most := 0
	for i := range a {
		most = max(most, int(abs(int64(a[i])-int64(b[i]))))
	}
	return most
}

func TestResizeAgainstPillow(t *testing.T) {
	source := fixture(t, "resize.npz", "source")
	before := bytes.Clone(source.pix)
	for _, size := range [][2]int{{17, 11}, {8, 5}, {7, 11}, {17, 3}, {40, 29}, {1, 1}, {5, 23}} {
		want := fixture(t, "resize.npz", fmt.Sprintf("to%dx%d", size[0], size[1]))
		got := resize(source, size[0], size[1])
		if got.width != want.width || got.height != want.height || difference(got.pix, want.pix) > pillowLevels {
			t.Errorf("%v: differs by up to %d levels", size, difference(got.pix, want.pix))
		}
	}
	if !bytes.Equal(before, source.pix) {
		t.Error("the source was changed")
	}
}

// By hand: 2 pixels to 1 under a triangle of reach 2 around their common edge weigh the same; 1 pixel fills any size;
// 2 to 4 has the weights 1, 3/4+1/4, 1/4+3/4, 1.
func TestResizeByHand(t *testing.T) {
	for _, c := range []struct{ src, want []byte }{
		{[]byte{10, 21}, []byte{16}},
		{[]byte{7}, []byte{7, 7, 7}},
		{[]byte{0, 100}, []byte{0, 25, 75, 100}},
		{[]byte{255, 255, 255}, []byte{255, 255}},
		{[]byte{0, 0, 0}, []byte{0}},
	} {
		row := &picture{width: len(c.src), height: 1, channels: 1, pix: c.src}
		column := &picture{width: 1, height: len(c.src), channels: 1, pix: c.src}
		if got := resize(row, len(c.want), 1).pix; !slices.Equal(got, c.want) {
			t.Errorf("row %v: %v, want %v", c.src, got, c.want)
		}
		if got := resize(column, 1, len(c.want)).pix; !slices.Equal(got, c.want) {
			t.Errorf("column %v: %v, want %v", c.src, got, c.want)
		}
	}
}

func TestJPEG(t *testing.T) {
	want := fixture(t, "photo.npz", "pixels")
	got, err := readPicture("testdata/photo.jpg", 3)
	if err != nil {
		t.Fatal(err)
	}
	if got.width != 32 || got.height != 24 || !got.rotated || difference(got.pix, want.pix) > jpegLevels {
		t.Errorf("%dx%d, rotated %v, %d levels off", got.width, got.height, got.rotated, difference(got.pix, want.pix))
	}
}

// Alpha is dropped and not multiplied in, palettes are expanded, 16 bits are cut to 8.
func TestPixelTypes(t *testing.T) {
	bounds := image.Rect(0, 0, 1, 1)
	palette := image.NewPaletted(bounds, color.Palette{color.NRGBA{10, 20, 30, 0}})
	gray16 := image.NewGray16(bounds)
	gray16.SetGray16(0, 0, color.Gray16{0x12ff})
	deep := image.NewNRGBA64(bounds)
	deep.SetNRGBA64(0, 0, color.NRGBA64{0x0aff, 0x14ff, 0x1eff, 0x8000})
	alpha := image.NewNRGBA(bounds)
	alpha.SetNRGBA(0, 0, color.NRGBA{10, 20, 30, 1})
	for _, c := range []struct {
		name      string
		img       image.Image
		rgb, gray []byte
	}{
		{"alpha", alpha, []byte{10, 20, 30}, []byte{18}}, // 0.299*10 + 0.587*20 + 0.114*30 = 18.15
		{"palette", palette, []byte{10, 20, 30}, []byte{18}},
		{"16 bits", deep, []byte{10, 20, 30}, []byte{18}},
		{"grey of 16 bits", gray16, []byte{0x12, 0x12, 0x12}, []byte{0x12}},
	} {
		file := encodePNG(t, c.img)
		for channels, want := range map[int][]byte{3: c.rgb, 1: c.gray} {
			p, err := decodePicture(file, channels)
			if err != nil || !slices.Equal(p.pix, want) {
				t.Errorf("%s: %v, %v, want %v", c.name, p, err, want)
			}
		}
	}
}

func TestOrientation(t *testing.T) {
	exif := "\xff\xd8\xff\xe1\x00\x22Exif\x00\x00"
	little := exif + "II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00"
	big := exif + "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct {
		name, file string
		want       int
	}{
		{"little-endian", little, 8}, {"big-endian", big, 3}, {"none", "\xff\xd8\xff\xda\x00\x02", 0}, {"empty", "", 0},
		{"png", "\x89PNG\r\n", 0}, {"cut", little[:20], 0}, {"far directory", strings.Replace(little, "\x08", "\xff", 1), 0},
	} {
		if got := orientation([]byte(c.file)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestImageValues(t *testing.T) {
	root := write(t, "a.png", pngOf(t, 2, 1, color.NRGBA{255, 0, 51, 255}))
	for _, c := range []struct {
		name  string
		image []string
		in    Input
		want  any
	}{
		{"raw", []string{"preset=raw"}, input("x", onnxio.Float, 1, 3, 1, 2), []float32{255, 255, 0, 0, 51, 51}},
		{"unit", []string{"preset=unit"}, input("x", onnxio.Float, 1, 3, 1, 2), []float32{1, 1, 0, 0, 0.2, 0.2}},
		{"signed", []string{"preset=signed"}, input("x", onnxio.Float, 1, 3, 1, 2), []float32{1, 1, -1, -1, -0.6, -0.6}},
		{"last wins", []string{"scale=1", "preset=unit", "scale=2"}, input("x", onnxio.Float, 1, 3, 1, 2), []float32{510, 510, 0, 0, 102, 102}},
		{"bgr nhwc", []string{"preset=raw", "color=bgr"}, input("x", onnxio.Float, -1, 1, 2, 3), []float32{51, 0, 255, 51, 0, 255}},
		{"mean in the order of color", []string{"scale=1", "mean=51,1,255", "std=1,2,4", "color=bgr"}, input("x", onnxio.Float, 1, 3, 1, 2), []float32{0, 0, -0.5, -0.5, 0, 0}},
		{"gray", []string{"preset=raw"}, input("x", onnxio.Float, 1, 1, 1, 2), []float32{82, 82}}, // 0.299*255 + 0.114*51 = 82.06
		{"no batch", []string{"preset=raw"}, input("x", onnxio.Float, 3, 1, 2), []float32{255, 255, 0, 0, 51, 51}},
		{"free size", []string{"preset=raw"}, input("x", onnxio.Float, -1, 3, -1, -1), []float32{255, 255, 0, 0, 51, 51}},
		{"free channels", []string{"preset=raw", "color=rgb", "layout=nchw"}, input("x", onnxio.Float, -1, -1, -1, -1), []float32{255, 255, 0, 0, 51, 51}},
		{"bytes", []string{"preset=raw"}, input("x", onnxio.Uint8, 1, 3, 1, 2), []uint8{255, 255, 0, 0, 51, 51}},
		{"centre", []string{"preset=raw", "crop=center", "color=rgb"}, input("x", onnxio.Float, 1, 3, 1, 1), []float32{255, 0, 51}},
		{"letterbox", []string{"preset=raw", "resize=letterbox"}, input("x", onnxio.Float, 1, 1, 2, 2), []float32{82, 82, 114, 114}},
		{"letterbox pad", []string{"preset=raw", "resize=letterbox", "pad=7"}, input("x", onnxio.Float, 1, 1, 3, 2), []float32{7, 7, 82, 82, 7, 7}},
		{"short", []string{"preset=raw", "resize=short"}, input("x", onnxio.Float, 1, 1, 2, 2), []float32{82, 82, 82, 82}},
		{"stretch", []string{"preset=raw", "resize=stretch", "layout=nchw"}, input("x", onnxio.Float, 1, 1, 2, 1), []float32{82, 82}},
	} {
		s, err := Open([]Input{c.in}, Options{Path: root, Image: c.image})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := mustSample(t, s, 0).Feeds["x"]
		if !closeValues(got.Data, c.want) || s.Info().Kind != "images" || s.Info().Noun != "images" {
			t.Errorf("%s: %v, want %v", c.name, got.Data, c.want)
		}
	}
}

// closeValues compares float32 values within one unit in the last place of 1: decimal fractions such as 0.2 are not
// exact. Bytes must be equal.
func closeValues(got, want any) bool {
	if w, ok := want.([]uint8); ok {
		return slices.Equal(got.([]uint8), w)
	}
	return slices.EqualFunc(got.([]float32), want.([]float32), func(a, b float32) bool {
		return math.Abs(float64(a-b)) <= 0x1p-23
	})
}

// torchvision: ToTensor, then Normalize(mean, std) of ImageNet: (1-0.485)/0.229, (0-0.456)/0.224, (0.2-0.406)/0.225.
func TestImageNet(t *testing.T) {
	root := write(t, "a.png", pngOf(t, 300, 280, color.NRGBA{255, 0, 51, 255}))
	want := []float64{2.2489083, -2.0357143, -0.9155556}
	for _, order := range []string{"rgb", "bgr"} {
		s := mustOpen(t, Options{Path: root, Image: []string{"color=" + order, "preset=imagenet"}}, input("x", onnxio.Float, -1, 3, 224, 224))
		a := mustSample(t, s, 0).Feeds["x"].F32()
		for c, w := range want {
			if got := a[c*224*224+1000]; math.Abs(float64(got)-w) > 1e-6 { // the constants above have 8 digits
				t.Errorf("%s channel %d: %v, want %v", order, c, got, w)
			}
		}
		slices.Reverse(want)
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		settings      []string
		width, height int
		want          geometry
	}{
		{[]string{"resize=short", "short=256", "size=224"}, 500, 375, geometry{341, 256, 224, 224}},
		{[]string{"resize=short", "short=256", "size=224"}, 375, 500, geometry{256, 341, 224, 224}},
		{[]string{"resize=short", "size=224,112"}, 100, 100, geometry{224, 224, 112, 224}},
		{[]string{"resize=short", "size=100,300"}, 100, 50, geometry{300, 150, 300, 100}},
		{[]string{"resize=stretch", "size=3x4"}, 100, 50, geometry{4, 3, 4, 3}},
		{[]string{"resize=letterbox", "size=416"}, 640, 427, geometry{416, 278, 416, 416}},
		{[]string{"resize=letterbox", "size=416"}, 1, 2000, geometry{1, 416, 416, 416}},
	} {
		s, err := parseImage(append(c.settings, "scale=1"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.plan(input("x", onnxio.Float, 1, 3, -1, -1))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.target(c.width, c.height); err != nil || got != c.want {
			t.Errorf("%v of %dx%d: %+v, %v, want %+v", c.settings, c.width, c.height, got, err, c.want)
		}
	}
}

func TestImageUsage(t *testing.T) {
	root := write(t, "a.png", pngOf(t, 4, 2, color.White))
	plain := input("x", onnxio.Float, 1, 3, 2, 4)
	for _, c := range []struct {
		name  string
		image []string
		in    Input
		want  string
	}{
		{"no settings", nil, plain, "pictures need --image"},
		{"no scaling", []string{"resize=stretch"}, plain, "no preset and no scale"},
		{"no value", []string{"preset"}, plain, "want KEY=VALUE"},
		{"unknown key", []string{"presets=raw"}, plain, `unknown key "presets"`},
		{"unknown preset", []string{"preset=coco"}, plain, "want one of raw, unit, signed, imagenet"},
		{"zero deviation", []string{"std=0"}, plain, "positive numbers"},
		{"not a number", []string{"scale=NaN"}, plain, "want a number"},
		{"no mean", []string{"mean="}, plain, "want numbers"},
		{"two means", []string{"mean=1,2"}, plain, "1 or 3 values"},
		{"size 0", []string{"preset=raw", "size=0"}, plain, "whole number from 1"},
		{"pad too large", []string{"preset=raw", "resize=letterbox", "pad=256"}, plain, "from 0 to 255"},
		{"pad alone", []string{"preset=raw", "pad=1"}, plain, "resize=letterbox only"},
		{"short alone", []string{"preset=raw", "short=8"}, plain, "resize=short only"},
		{"crop of stretch", []string{"preset=raw", "resize=stretch", "crop=center"}, plain, "no meaning with resize=stretch"},
		{"size differs", []string{"preset=raw", "size=3,4"}, plain, "size=3,4 does not fit"},
		{"short too small", []string{"preset=raw", "resize=short", "short=1"}, plain, "short=1 is less"},
		{"free size", []string{"preset=raw", "resize=stretch"}, input("x", onnxio.Float, 1, 3, -1, -1), "needs size="},
		{"ambiguous layout", []string{"preset=raw"}, input("x", onnxio.Float, 1, 3, 4, 3), "layout=nchw|nhwc"},
		{"free channels", []string{"preset=raw"}, input("x", onnxio.Float, 1, -1, 2, 4), "layout=nchw|nhwc"},
		{"four channels", []string{"preset=raw"}, input("x", onnxio.Float, 1, 4, 2, 4), "3 channels"},
		{"rank 2", []string{"preset=raw"}, input("x", onnxio.Float, 2, 4), "rank 3 or 4"},
		{"fractions to bytes", []string{"preset=unit"}, input("x", onnxio.Uint8, 1, 3, 2, 4), "cannot hold"},
		{"wrong size", []string{"preset=raw"}, input("x", onnxio.Float, 1, 3, 8, 8), "reading a.png: 4x2 pixels, want 8x8: give resize="},
		{"batch 0", []string{"preset=raw"}, input("x", onnxio.Float, 0, 3, 2, 4), "out of range"},
	} {
		_, err := Open([]Input{c.in}, Options{Path: root, Image: c.image})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		wantError(t, err, true, c.want)
	}
	_, err := Open([]Input{plain}, Options{Path: root})
	if u := (*UsageError)(nil); !errors.As(err, &u) || !strings.HasPrefix(u.Hint, "--data "+quoteShell(root)+" --image preset=unit ") {
		t.Errorf("hint of %v, want a line to copy", err)
	}
	if got, want := quoteShell("my photo's"), `'my photo'\''s'`; got != want {
		t.Errorf("quoted %s, want %s", got, want)
	}
}

func TestSkippedPictures(t *testing.T) {
	good := pngOf(t, 2, 2, color.White)
	bomb := bytes.Clone(good)
	copy(bomb[16:], "\x00\x01\x00\x00\x00\x01\x00\x00") // width and height of 65,536 in IHDR; its checksum no longer fits
	photo, err := os.ReadFile("testdata/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	in := input("x", onnxio.Float, -1, 3, 2, 2)
	root := write(t, "b/ok.png", good, "a/cut.png", good[:len(good)-20], "c.JPG", photo, "bomb.png", bomb, "empty.png", "", "notes.txt", "x", ".DS_Store", "x")
	s := mustOpen(t, Options{Path: root, Image: []string{"preset=unit", "resize=stretch"}}, in)
	info := s.Info()
	var files []string
	for _, f := range info.Skipped {
		files = append(files, f.File)
	}
	if want := []string{"a/cut.png", "bomb.png", "empty.png", "notes.txt"}; !slices.Equal(files, want) || info.Taken != 2 || info.Rotated != 1 {
		t.Errorf("skipped %v, taken %d, rotated %d; want %v, 2, 1", info.Skipped, info.Taken, info.Rotated, want)
	}
	if got := mustSample(t, s, 0); got.Name != "b/ok.png" || got.Feeds["x"].F32()[0] != 1 {
		t.Errorf("sample %+v", got)
	}
	_, err = Open([]Input{in}, Options{Path: write(t, "cut.png", good[:len(good)-20]), Image: []string{"preset=unit"}})
	wantError(t, err, false, "none is readable: cut.png")
	_, err = Open([]Input{in}, Options{Path: write(t, "cut.png", good[:9]), Image: []string{"preset=unit"}})
	wantError(t, err, false, "none is readable: cut.png")
}

func TestImageBatch(t *testing.T) {
	root := write(t, "a.png", pngOf(t, 1, 1, color.White), "b.png", pngOf(t, 1, 1, color.Black), "c.png", pngOf(t, 1, 1, color.Black))
	s := mustOpen(t, Options{Path: root, Image: []string{"preset=raw", "layout=nchw"}}, input("x", onnxio.Float, 2, 1, 1, 1))
	if got := mustSample(t, s, 0).Feeds["x"].F32(); s.Len() != 1 || s.Info().Dropped != 1 || !slices.Equal(got, []float32{255, 0}) {
		t.Errorf("%d samples, %d dropped, %v", s.Len(), s.Info().Dropped, got)
	}
}

func TestImageDigest(t *testing.T) {
	in := input("x", onnxio.Float, -1, 3, 1, -1)
	root := write(t, "a.png", pngOf(t, 1, 1, color.White))
	copied := write(t, "a.png", pngOf(t, 1, 1, color.White))
	unit := mustOpen(t, Options{Path: root, Image: []string{"preset=unit"}}, in).Info().SHA256
	if got := mustOpen(t, Options{Path: copied, Image: []string{"preset=unit", "resize=none"}}, in).Info().SHA256; got != unit {
		t.Errorf("the same data elsewhere: %s, want %s", got, unit)
	}
	if got := mustOpen(t, Options{Path: root, Image: []string{"preset=raw"}}, in).Info().SHA256; got == unit {
		t.Error("another scale gives the same digest")
	}
	if len(unit) != 64 {
		t.Errorf("digest %q", unit)
	}
}
