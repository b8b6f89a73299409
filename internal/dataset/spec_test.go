package dataset

import (
	"image/color"
	"maps"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

func TestSpec(t *testing.T) {
	white := pngOf(t, 2, 2, color.White)
	root := write(t, "data.yaml", `version: 1
inputs:
  x:
    images: photos/
    image: {preset: unit, size: [2, 2], color: rgb}
  rate: {value: 16000}
  state: {zeros: [2, 1, 3]}
labels: folder
`, "photos/dog/1.png", white, "photos/cat/2.png", white, "photos/cat/bad.png", "no picture")
	inputs := []Input{input("rate", onnxio.Int64), input("x", onnxio.Float, -1, 3, 2, 2), input("state", onnxio.Float, 2, -1, 3)}
	s := mustOpen(t, Options{Path: root + "/data.yaml"}, inputs...)
	cat, dog := mustSample(t, s, 0), mustSample(t, s, 1)
	if s.Len() != 2 || cat.Name != "cat/2.png" || !slices.Equal(cat.Labels, []int64{0}) || !slices.Equal(dog.Labels, []int64{1}) {
		t.Errorf("samples %+v, %+v", cat, dog)
	}
	if rate := cat.Feeds["rate"]; rate.Data.([]int64)[0] != 16000 || len(rate.Shape) != 0 || cat.Feeds["x"].F32()[0] != 1 ||
		!slices.Equal(cat.Feeds["state"].Shape, []int{2, 1, 3}) {
		t.Errorf("feeds %+v", cat.Feeds)
	}
	if info := s.Info(); info.Kind != "spec" || len(info.Skipped) != 1 || info.Skipped[0].File != "cat/bad.png" {
		t.Errorf("info %+v", info)
	}
}

// Two files of 3 and 2 steps; the label of a step is the token of the next one in its file.
func TestSpecCarry(t *testing.T) {
	root := write(t, "data.yaml", `version: 1
inputs: {tokens: {npy: text}}
carry: {h_out: h}
labels: {next: tokens}
`, "text/a.npy", npyOf("<i8", "(3, 1)", int64(5), int64(6), int64(7)), "text/b.npy", npyOf("<i8", "(2, 1)", int64(8), int64(9)))
	inputs := []Input{input("tokens", onnxio.Int64, -1, 1), input("h", onnxio.Float, 1, 1, 4)}
	o := Options{Path: root + "/data.yaml", Outputs: []string{"logits", "h_out"}}
	s := mustOpen(t, o, inputs...)
	var labels []int64
	var resets []bool
	for i := range s.Len() {
		got := mustSample(t, s, i)
		labels, resets = append(labels, got.Labels...), append(resets, got.Reset)
	}
	if !slices.Equal(labels, []int64{6, 7, -1, 9, -1}) || !slices.Equal(resets, []bool{true, false, false, true, false}) ||
		!maps.Equal(s.Carry(), map[string]string{"h_out": "h"}) {
		t.Errorf("labels %v, resets %v, carry %v", labels, resets, s.Carry())
	}
	o.Samples = 3 // shares of the files: floor(3*3/5) = 1 and 3-1 = 2 leading steps
	if s = mustOpen(t, o, inputs...); !slices.Equal(s.samples, []int{0, 3, 4}) {
		t.Errorf("taken %v, want [0 3 4]", s.samples)
	}
	o.Outputs = []string{"logits"}
	_, err := Open(inputs, o)
	wantError(t, err, true, `data.yaml:3: no output "h_out"`)
}

func TestSpecNextWithinSample(t *testing.T) {
	root := write(t, "data.yaml", "version: 1\ninputs: {tokens: {npz: {file: t.npz, key: text}}}\nlabels: {next: tokens}\n",
		"t.npz", npzBytes(t, 8, "text.npy", npyOf("<i4", "(2, 3, 1)", int32(1), int32(2), int32(3), int32(4), int32(5), int32(6))))
	s := mustOpen(t, Options{Path: root + "/data.yaml"}, input("tokens", onnxio.Int64, -1, 1))
	if got := mustSample(t, s, 1).Labels; !slices.Equal(got, []int64{5, 6, -1}) {
		t.Errorf("labels %v, want [5 6 -1]", got)
	}
}

func TestSpecLabels(t *testing.T) {
	x := npyOf("<f4", "(3, 2)", ramp(6)...)
	two := npyOf("|u1", "(3, 2)", uint8(1), uint8(2), uint8(3), uint8(4), uint8(5), uint8(6))
	files := []any{"x.npy", x, "y.npy", two, "f.npz", npzBytes(t, 0, "labels.npy", two, "short.npy", npyOf("|u1", "(2,)", uint8(0), uint8(0)))}
	for _, c := range []struct{ labels, err string }{
		{"y.npy", ""}, {"{npz: f.npz}", ""}, {"{npz: {file: f.npz, key: labels}}", ""},
		{"{npz: {file: f.npz, key: short}}", "data.yaml:3: reading labels from f.npz"},
		{"{npz: {file: f.npz, key: none}}", `holds no array "none"`},
	} {
		root := write(t, append(files, "data.yaml", "version: 1\ninputs: {x: {npy: x.npy}}\nlabels: "+c.labels+"\n")...)
		s, err := Open([]Input{input("x", onnxio.Float, -1, 2)}, Options{Path: root + "/data.yaml"})
		if c.err != "" {
			wantError(t, err, false, c.err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.labels, err)
		} else if got := mustSample(t, s, 1).Labels; !slices.Equal(got, []int64{3, 4}) {
			t.Errorf("%s: %v, want [3 4]", c.labels, got)
		}
	}
}

func TestSpecErrors(t *testing.T) {
	const head = "version: 1\ninputs:\n"
	for _, c := range []struct{ name, spec, want string }{
		{"empty", "", "spec is empty"},
		{"not yaml", "version: [", "did not find"},
		{"a list", "- 1\n", "data.yaml:1: want keys and values"},
		{"no version", "inputs: {}\n", "data.yaml:1: want version: 1"},
		{"version 2", "version: 2\ninputs: {}\n", "want version: 1"},
		{"no inputs", "version: 1\n", "want inputs"},
		{"unknown key", head + "  x: {value: 1}\nlabel: folder\n", `data.yaml:4: unknown key "label"`},
		{"unknown source", head + "  x: {npys: x.npy}\n", `data.yaml:3: unknown key "npys"`},
		{"unknown input", head + "  x: {value: 1}\n  z: {value: 1}\n", `data.yaml:4: no input "z", inputs: "x", "h"`},
		{"unknown image key", head + "  x:\n    images: .\n    image:\n      preset: raw\n      sise: 3\n", `data.yaml:7: sise: unknown key "sise"`},
		{"key twice", head + "  x: {value: 1}\n  x: {value: 1}\n", `data.yaml:4: key "x" stands twice`},
		{"two sources", head + "  x: {value: 1, zeros: [1]}\n", `input "x" has a source already`},
		{"no source", head + "  x: {}\n", "want one of images"},
		{"image for arrays", head + "  x: {npy: a.npy, image: {preset: raw}}\n", "image is for images only"},
		{"image unscaled", head + "  x: {images: .}\n", "data.yaml:3: images without preset"},
		{"value is a word", head + "  x: {value: high}\n", "want a number"},
		{"value is null", head + "  x: {value: }\n", "want a single value"},
		{"values", head + "  x: {value: [1, 2, 3]}\n", "3 values for shape [1 2]"},
		{"zeros", head + "  x: {zeros: [1, 3]}\n", "zeros [1 3] for input \"x\", want [N 2]"},
		{"negative zeros", head + "  x: {zeros: [-1, 2]}\n", "whole number from 0"},
		{"input missing", head + "  x: {value: 1}\n", `data.yaml:3: input "h" is missing`},
		{"carry to nothing", head + "  x: {value: 1}\ncarry: {h_out: g}\n", `data.yaml:4: no input "g"`},
		{"carry of free shape", head + "  x: {value: 1}\ncarry: {h_out: h}\n", "give it as zeros: [SHAPE]"},
		{"labels of no folder", head + "  x: {value: 1}\n  h: {zeros: [1, 1]}\nlabels: folder\n", "labels: folder is for images"},
		{"labels of nothing", head + "  x: {value: 1}\n  h: {zeros: [1, 1]}\nlabels: x.txt\n", `labels "x.txt": want folder`},
		{"next of floats", head + "  x: {value: 1}\n  h: {zeros: [1, 1]}\nlabels: {next: x}\n", "gives no tokens"},
		{"alias", head + "  x: &a {value: 1}\n  h: *a\n", "aliases"},
	} {
		root := write(t, "data.yaml", c.spec)
		_, err := Open([]Input{input("x", onnxio.Float, -1, 2), input("h", onnxio.Float, -1, -1)}, Options{Path: root + "/data.yaml"})
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		wantError(t, err, true, c.want)
	}
}

func TestSpecMissingFile(t *testing.T) {
	root := write(t, "data.yaml", "version: 1\ninputs:\n  x:\n    npy: none.npy\n", "big.yaml", strings.Repeat("#", maxSpec+1))
	_, err := Open([]Input{input("x", onnxio.Float)}, Options{Path: root + "/data.yaml"})
	wantError(t, err, false, "data.yaml:4: ")
	_, err = Open([]Input{input("x", onnxio.Float)}, Options{Path: root + "/big.yaml"})
	wantError(t, err, false, "more than 1048576 bytes")
	_, err = Open([]Input{input("x", onnxio.Float)}, Options{Path: root + "/data.yaml", Image: []string{"preset=raw"}})
	wantError(t, err, true, "no meaning with a data spec")
}

func FuzzSpec(f *testing.F) {
	f.Add("version: 1\ninputs: {x: {value: 1}}\ncarry: {y: x}\nlabels: {next: x}\n")
	f.Add("version: 1\ninputs:\n  x:\n    images: .\n    image: {preset: imagenet, pad: 1}\n")
	f.Fuzz(func(t *testing.T, spec string) {
		if strings.Contains(spec, "/") || strings.Contains(spec, "..") {
			return // stays in its folder
		}
		root := write(t, "data.yaml", spec)
		s, err := Open([]Input{input("x", onnxio.Float, -1, 2)}, Options{Path: root + "/data.yaml", Samples: 2})
		if err == nil && s.Len() == 0 {
			t.Error("no sample and no error")
		}
	})
}

// Labels by number: for pictures one per picture, for arrays in several files one file of labels each.
func TestSpecLabelFiles(t *testing.T) {
	root := write(t, "data.yaml", "version: 1\ninputs: {x: {images: p, image: {preset: raw}}}\nlabels: y.npy\n", "y.npy", npyOf("|u1", "(2,)", uint8(7), uint8(8)),
		"p/a.png", pngOf(t, 2, 2, color.White), "p/b.png", pngOf(t, 2, 2, color.White))
	in := input("x", onnxio.Float, -1, 3, 2, 2)
	if got := mustSample(t, mustOpen(t, Options{Path: root + "/data.yaml"}, in), 1).Labels; !slices.Equal(got, []int64{8}) {
		t.Errorf("pictures: %v, want [8]", got)
	}
	spec, y := "version: 1\ninputs: {x: {npy: x}}\nlabels: {npz: y}\n", npyOf("|u1", "(2,)", uint8(7), uint8(8))
	x := npyOf("<f4", "(2, 1)", ramp(2)...)
	root = write(t, "data.yaml", spec, "x/a.npy", x, "x/b.npy", x, "y/a.npz", npzBytes(t, 8, "labels.npy", y), "y/b.npz", npzBytes(t, 0, "labels.npy", y))
	if got := mustSample(t, mustOpen(t, Options{Path: root + "/data.yaml"}, input("x", onnxio.Float, -1, 1)), 2).Labels; !slices.Equal(got, []int64{7}) {
		t.Errorf("arrays: %v, want [7]", got)
	}
	root = write(t, "data.yaml", "version: 1\ninputs: {x: {images: p, image: {preset: raw}}}\nlabels: y.npy\n", "y.npy", npyOf("|u1", "(2,)", uint8(7), uint8(8)),
		"p/a.png", pngOf(t, 2, 2, color.White), "p/b.png", "")
	_, err := Open([]Input{in}, Options{Path: root + "/data.yaml"})
	wantError(t, err, true, "1 pictures are unreadable")
}
