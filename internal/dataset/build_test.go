package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bq/onnxio"
)

// input makes an Input from dims: -1 is a free dimension called N.
func input(name string, t onnxio.DataType, dims ...int64) Input {
	in := Input{Name: name, Type: t, HasShape: true, Shape: []onnxio.Dim{}}
	for _, d := range dims {
		if d < 0 {
			in.Shape = append(in.Shape, onnxio.Dim{Param: "N"})
		} else {
			in.Shape = append(in.Shape, onnxio.Dim{Known: true, Value: d})
		}
	}
	return in
}

// npyBytes writes a .npy file by hand: version 1.0, header dict and raw elements.
func npyBytes(descr, order, shape string, raw []byte) []byte {
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
	dict += "     \n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(dict)), byte(len(dict)>>8))
	return append(append(b, dict...), raw...)
}

// npyOf writes elements of type T little-endian.
func npyOf[T any](descr, shape string, elements ...T) []byte {
	var raw bytes.Buffer
	binary.Write(&raw, binary.LittleEndian, elements)
	return npyBytes(descr, "False", shape, raw.Bytes())
}

// ramp returns 0, 1, 2, ... as float32.
func ramp(n int) []float32 {
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(i)
	}
	return list
}

// npzBytes packs name, content pairs.
func npzBytes(t testing.TB, method uint16, members ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: members[i].(string), Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(members[i+1].([]byte)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write puts files, path and content in turn, into a new folder and returns it.
func write(t testing.TB, files ...any) string {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(root, files[i].(string))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var content []byte
		switch c := files[i+1].(type) {
		case string:
			content = []byte(c)
		case []byte:
			content = c
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// pngOf encodes a picture of one colour.
func pngOf(t testing.TB, width, height int, c color.Color) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, c)
		}
	}
	return encodePNG(t, img)
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mustOpen(t testing.TB, o Options, inputs ...Input) *Set {
	t.Helper()
	s, err := Open(inputs, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSample(t testing.TB, s *Set, i int) Sample {
	t.Helper()
	sample, err := s.Sample(i)
	if err != nil {
		t.Fatal(err)
	}
	return sample
}

// wantError checks the words of an error, and that it is a usage error where one is wanted.
func wantError(t testing.TB, err error, usage bool, words string) {
	t.Helper()
	var u *UsageError
	if err == nil || !strings.Contains(err.Error(), words) || errors.As(err, &u) != usage {
		t.Errorf("error %q (usage %v), want %q (usage %v)", err, errors.As(err, &u), words, usage)
	}
}
