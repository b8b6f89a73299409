package onnxio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSave(t *testing.T) {
	cases := []struct {
		name  string
		opt   SaveOptions
		files []string
	}{
		{"one file", SaveOptions{}, []string{"m.onnx"}},
		{"on request", SaveOptions{External: true}, []string{"m.onnx", "m.onnx.data"}},
		{"too large for one", SaveOptions{limit: 1 << 20}, []string{"m.onnx", "m.onnx.data"}},
	}
	for _, c := range cases {
		dir := t.TempDir()
		path := filepath.Join(dir, "m.onnx")
		alive := map[string]bool{}
		c.opt.Track = func(path string, on bool) { alive[path] = on }
		saved, err := weighted().Save(path, c.opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := listing(t, dir); !slices.Equal(got, c.files) {
			t.Errorf("%s: wrote %v, want %v", c.name, got, c.files)
		}
		if saved.Size != sizeOf(path) || saved.DataPath != "" && (saved.DataPath != path+".data" || saved.DataSize != sizeOf(path+".data")) {
			t.Errorf("%s: said %+v", c.name, saved)
		}
		if len(alive) != len(c.files) {
			t.Errorf("%s: tracked %v", c.name, alive)
		}
		for tmp, on := range alive {
			if on || filepath.Dir(tmp) != dir {
				t.Errorf("%s: %s was left tracked", c.name, tmp)
			}
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if contents(t, f.Model) != contents(t, weighted()) {
			t.Errorf("%s: read back other values", c.name)
		}
		f.Close()
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A model is written over the files that it was read from: they stay readable until they are replaced.
func TestSaveOverItsOwnFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if _, err := weighted().Save(path, SaveOptions{External: true}); err != nil {
		t.Fatal(err)
	}
	const mode = 0o662 // not what a mask would leave
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, _ := os.ReadFile(path)
	if _, err := f.Model.Save(path, SaveOptions{External: true, Replace: true}); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the same model was written differently")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
		t.Errorf("permissions became %v", info.Mode())
	}
	if got := listing(t, dir); len(got) != 2 {
		t.Errorf("the folder holds %v", got)
	}
}

// After every kind of error the folder is as it was.
func TestSaveErrorsLeaveNothing(t *testing.T) {
	broken := weighted()
	broken.Graph.Initializers[1].Raw = nil
	huge := weighted()
	huge.Graph.Initializers = huge.Graph.Initializers[:0]
	cases := []struct {
		name   string
		model  *Model
		before []string // files that are there, each holding its own name
		folder string   // a folder in the way
		opt    SaveOptions
		want   string
	}{
		{name: "commit refused", model: weighted(), opt: SaveOptions{Commit: func() error { return errors.New("no") }}, want: "no"},
		{name: "model exists", model: weighted(), before: []string{"m.onnx"}, want: `"m.onnx" exists`},
		{name: "data exist", model: weighted(), before: []string{"m.onnx.data"}, want: `"m.onnx.data" exists`},
		{name: "folder in the way of the model", model: weighted(), before: []string{"m.onnx.data"}, folder: "m.onnx", opt: SaveOptions{Replace: true}, want: "is no regular file"},
		{name: "broken tensor", model: broken, before: []string{"m.onnx", "m.onnx.data"}, opt: SaveOptions{Replace: true}, want: "wants 1028"},
		{name: "too large without tensors", model: huge, opt: SaveOptions{limit: 100}, want: "more than the 100 of a protobuf message"},
	}
	for _, c := range cases {
		dir := t.TempDir()
		for _, name := range c.before {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if c.folder != "" {
			os.Mkdir(filepath.Join(dir, c.folder), 0o755)
		}
		was := listing(t, dir)
		c.opt.External = true
		_, err := c.model.Save(filepath.Join(dir, "m.onnx"), c.opt)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		unchangedFolder(t, c.name, dir, was, c.before)
	}
}

func unchangedFolder(t *testing.T, name, dir string, was, files []string) {
	t.Helper()
	if got := listing(t, dir); !slices.Equal(got, was) {
		t.Errorf("%s: the folder holds %v, held %v", name, got, was)
	}
	for _, file := range files {
		if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(b) != file {
			t.Errorf("%s: %s holds %q: %v", name, file, b, err)
		}
	}
}

// The model's rename fails after that of its data: the data that were there before come back.
func TestSavePutsOldDataBack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path+".data", []byte("m.onnx.data"), 0o644); err != nil {
		t.Fatal(err)
	}
	block := func() error { return os.MkdirAll(filepath.Join(path, "full"), 0o755) } // between the check and the rename
	if _, err := weighted().Save(path, SaveOptions{External: true, Replace: true, Commit: block}); err == nil {
		t.Fatal("a folder was replaced by a model")
	}
	unchangedFolder(t, "blocked", dir, []string{"m.onnx", "m.onnx.data"}, []string{"m.onnx.data"})
	os.Remove(path + ".data")
	os.RemoveAll(path)
	if _, err := weighted().Save(path, SaveOptions{External: true, Replace: true, Commit: block}); err == nil {
		t.Fatal("a folder was replaced by a model")
	}
	unchangedFolder(t, "blocked, no data before", dir, []string{"m.onnx"}, nil)
}

// The first rename fails, as somebody took the temporary file of the data away.
func TestSaveWhereTheFirstRenameFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	files := []string{"m.onnx", "m.onnx.data"}
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var data string
	opt := SaveOptions{External: true, Replace: true, Commit: func() error { return os.Remove(data) }}
	opt.Track = func(tmp string, _ bool) {
		if strings.Contains(tmp, ".data.") {
			data = tmp
		}
	}
	if _, err := weighted().Save(path, opt); err == nil {
		t.Error("a file was saved that is not there")
	}
	unchangedFolder(t, "first rename", dir, files, files)
}

func TestSaveNeedsAFolder(t *testing.T) {
	for _, path := range []string{"", ".", t.TempDir() + "/", filepath.Join(t.TempDir(), "none", "m.onnx")} {
		if _, err := weighted().Save(path, SaveOptions{}); err == nil || !strings.HasPrefix(err.Error(), "writing ") {
			t.Errorf("%q: error %v", path, err)
		}
	}
}

// fickle writes something else every time.
type fickle struct{ n byte }

func (f *fickle) WriteTo(w io.Writer) (int64, error) {
	f.n++
	n, err := w.Write([]byte{f.n})
	return int64(n), err
}

func TestSaveReadsAgain(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := (&saver{root: root}).write("m.onnx", &fickle{}); err == nil || !strings.Contains(err.Error(), "other bytes than were written") {
		t.Errorf("error %v", err)
	}
}

func TestComparerSeesEveryDifference(t *testing.T) {
	for _, file := range []string{"", "ab", "abd", "abcd"} {
		c := &comparer{r: strings.NewReader(file)}
		_, err := c.Write([]byte("abc"))
		if (err == nil) != (file == "abcd") {
			t.Errorf("%q: error %v", file, err)
		}
	}
}
