package opset

import (
	"archive/zip"
	"errors"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

// TestOldForms raises the forms that operators had in operator sets 7 to 12, cases whose outputs are ONNX Runtime's.
func TestOldForms(t *testing.T) {
	z, err := zip.OpenReader("../infer/testdata/oldforms.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]*zip.File{}
	var names []string
	for _, f := range z.File {
		files[f.Name] = f
		if dir, ok := strings.CutSuffix(f.Name, "/model.onnx"); ok {
			names = append(names, dir)
		}
	}
	sort.Strings(names)
	ran := 0
	for _, name := range names {
		b := readZip(t, files[name+"/model.onnx"])
		for _, to := range []int64{11, 13, 18, 21} {
			m, err := onnxio.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if m.Opset("") >= to {
				continue
			}
			var u *onnxio.UnsupportedError
			if err := Raise(m, to); errors.As(err, &u) {
				t.Logf("%s: %v", name, err)
				continue
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			checkForms(t, name, m)
			inputs, _ := readSet(t, files, name, "input")
			want, _ := readSet(t, files, name, "output")
			got, err := run(reread(t, m), inputs)
			if err != nil {
				t.Errorf("%s to %d: %v", name, to, err)
				continue
			}
			for i := range want {
				if d, err := difference(got[i], want[i]); err != nil || d > zooTolerance {
					t.Errorf("%s to %d: output %d: relative difference %.3g, %v", name, to, i, d, err)
				}
			}
			ran++
		}
	}
	t.Logf("%d runs of %d cases", ran, len(names))
	if ran == 0 {
		t.Error("no case ran")
	}
}
