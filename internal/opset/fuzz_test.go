package opset

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"bq/onnxio"
)

// FuzzRaise gives whatever parses as a model to Raise: no panic; what is refused is unchanged; what is raised can be
// written and read again, and raised again it stays as it is. The seeds are the hand cases and, where they are at hand,
// the small operator cases.
func FuzzRaise(f *testing.F) {
	for _, c := range handCases() {
		f.Add(c.model.Bytes(), int64(Newest))
	}
	for _, archive := range []string{"../infer/testdata/oldforms.zip", filepath.Join(shared, "conformance/onnx-other-1.22.0.zip")} {
		z, err := zip.OpenReader(archive)
		if err != nil {
			continue
		}
		for _, file := range z.File {
			if strings.HasSuffix(file.Name, "/model.onnx") && file.UncompressedSize64 < 1000 {
				f.Add(readZip(f, file), int64(13))
			}
		}
		z.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte, to int64) {
		m, err := onnxio.Parse(b)
		if err != nil {
			return
		}
		before := m.Bytes()
		if err := Raise(m, to); err != nil {
			if !bytes.Equal(m.Bytes(), before) {
				t.Error("refused, and changed")
			}
			return
		}
		raised := m.Bytes()
		if m, err = onnxio.Parse(raised); err != nil {
			t.Fatal(err)
		}
		if err := Raise(m, to); err != nil || !bytes.Equal(m.Bytes(), raised) {
			t.Errorf("raised twice: %v", err)
		}
	})
}
