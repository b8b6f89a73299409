package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"bq/onnxio"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		total, take int
		want        []int
	}{
		{10, 3, []int{0, 3, 6}},
		{10, 4, []int{0, 2, 5, 7}},
		{3, 3, []int{0, 1, 2}},
		{3, 5, []int{0, 1, 2}},
		{2, 0, []int{0, 1}},
		{1, 1, []int{0}},
	} {
		s := Set{total: c.total}
		s.take(c.take)
		if !slices.Equal(s.samples, c.want) {
			t.Errorf("%d of %d: %v, want %v", c.take, c.total, s.samples, c.want)
		}
	}
	if got := share(math.MaxInt, math.MaxInt-1, math.MaxInt); got != math.MaxInt-1 {
		t.Errorf("share of large numbers: %d", got)
	}
}

func TestNPZSamples(t *testing.T) {
	file := npzBytes(t, 8, "image.npy", npyOf("<f4", "(4, 1, 2)", ramp(8)...), "labels.npy", npyOf("|u1", "(4,)", uint8(9), uint8(8), uint8(7), uint8(6)))
	path := write(t, "f.npz", file) + "/f.npz"
	s := mustOpen(t, Options{Path: path, Samples: 2}, input("image", onnxio.Float, -1, 1, 2))
	info, err := s.Describe()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	fed := Fed{Input: "image", DType: "float32", Shape: []int{1, 1, 2}, Min: 0, Max: 5, Mean: 2.5}
	if info.Kind != "npz" || info.Samples != 4 || info.Taken != 2 || info.SHA256 != hex.EncodeToString(sum[:]) ||
		fmt.Sprint(info.Fed) != fmt.Sprint([]Fed{fed}) {
		t.Errorf("info %+v", info)
	}
	got := mustSample(t, s, 1)
	if got.Name != "f.npz[2]" || got.Reset || !slices.Equal(got.Labels, []int64{7}) || !slices.Equal(got.Feeds["image"].F32(), []float32{4, 5}) ||
		!slices.Equal(got.Feeds["image"].Shape, []int{1, 1, 2}) {
		t.Errorf("sample %+v", got)
	}
	if !mustSample(t, s, 0).Reset {
		t.Error("the first sample does not reset")
	}
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		name    string
		shape   string
		count   int
		in      Input
		samples int
		sample  []int
		dropped int
		err     string
	}{
		{"batch free", "(5, 2)", 10, input("x", onnxio.Float, -1, 2), 5, []int{1, 2}, 0, ""},
		{"batch 1", "(5, 2)", 10, input("x", onnxio.Float, 1, 2), 5, []int{1, 2}, 0, ""},
		{"batch 2", "(5, 2)", 10, input("x", onnxio.Float, 2, 2), 2, []int{2, 2}, 1, ""},
		{"whole inputs", "(5, 3, 2)", 30, input("x", onnxio.Float, -1, 2), 5, []int{3, 2}, 0, ""},
		{"whole, fixed", "(5, 1, 2)", 10, input("x", onnxio.Float, 1, 2), 5, []int{1, 2}, 0, ""},
		{"scalars", "(5,)", 5, input("x", onnxio.Float), 5, []int{}, 0, ""},
		{"one scalar", "()", 1, input("x", onnxio.Float), 1, []int{}, 0, ""},
		{"rank unknown", "(5, 2)", 10, Input{Name: "x", Type: onnxio.Float}, 5, []int{1, 2}, 0, ""},
		{"one element", "(1, 1)", 1, input("x", onnxio.Float, -1, -1), 1, []int{1, 1}, 0, ""},
		{"rank too small", "(5, 28)", 140, input("x", onnxio.Float, -1, 1, 28), 0, nil, 0, `feeding "x" from x.npy: array [5 28], want [N 1 28]`},
		{"size differs", "(5, 3)", 15, input("x", onnxio.Float, -1, 2), 0, nil, 0, "array [5 3], want [N 2]"},
		{"whole of other batch", "(5, 3, 2)", 30, input("x", onnxio.Float, 2, 2), 0, nil, 0, "array [5 3 2], want [2 2]"},
		{"no rows", "(0, 2)", 0, input("x", onnxio.Float, -1, 2), 0, nil, 0, "no whole sample"},
		{"too few for the batch", "(1, 2)", 2, input("x", onnxio.Float, 2, 2), 0, nil, 0, "1 rows fill no batch"},
		{"batch 0", "(1, 2)", 2, input("x", onnxio.Float, 0, 2), 0, nil, 0, "want [0 2]"},
		{"endless empty rows", "(1000000000, 0)", 0, input("x", onnxio.Float, -1, 0), 0, nil, 0, "at most"},
		{"float to int", "(5, 2)", 10, input("x", onnxio.Int64, -1, 2), 0, nil, 0, `feeding "x" from x.npy: a float32 array for an input of type int64`},
	} {
		path := write(t, "x.npy", npyOf("<f4", c.shape, ramp(c.count)...)) + "/x.npy"
		s, err := Open([]Input{c.in}, Options{Path: path})
		if c.err != "" {
			wantError(t, err, false, c.err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		a := mustSample(t, s, s.Len()-1).Feeds["x"]
		last := float32(c.samples*a.Len() - 1)
		if s.Len() != c.samples || !slices.Equal(a.Shape, c.sample) || a.F32()[a.Len()-1] != last || s.Info().Dropped != c.dropped {
			t.Errorf("%s: %d samples of %v ending in %v, %d dropped; want %d of %v, %v, %d", c.name,
				s.Len(), a.Shape, a.F32()[a.Len()-1], s.Info().Dropped, c.samples, c.sample, last, c.dropped)
		}
	}
}

func TestSeveralInputs(t *testing.T) {
	tokens, state := input("tokens", onnxio.Int64, -1, -1), input("h", onnxio.Float, 1, -1, 2)
	good := []any{"tokens.npy", npyOf("<i4", "(2, 3, 1)", int32(1), int32(2), int32(3), int32(4), int32(5), int32(6)),
		"h.npy", npyOf("<f4", "(2, 1, 1, 2)", ramp(4)...), "labels.npy", npyOf("<i8", "(2, 3)", int64(2), int64(3), int64(4), int64(5), int64(6), int64(-1))}
	s := mustOpen(t, Options{Path: write(t, "f.npz", npzBytes(t, 0, good...)) + "/f.npz"}, tokens, state)
	got := mustSample(t, s, 1)
	if !slices.Equal(got.Feeds["tokens"].Data.([]int64), []int64{4, 5, 6}) || !slices.Equal(got.Labels, []int64{5, 6, -1}) ||
		!slices.Equal(got.Feeds["h"].Shape, []int{1, 1, 2}) {
		t.Errorf("sample %+v", got)
	}
	for _, c := range []struct {
		name    string
		members []any
		want    string
	}{
		{"input missing", good[:2], `feeding "h": f.npz holds no array`},
		{"unknown array", append([]any{"more.npy", npyOf[float32]("<f4", "(0,)")}, good...), `array "more" is no input; inputs: "tokens", "h"`},
		{"counts differ", []any{good[0], good[1], "h.npy", npyOf("<f4", "(3, 1, 1, 2)", ramp(6)...)}, `3 samples, while "tokens" has 2`},
		{"labels differ", append(slices.Clone(good[:4]), "labels.npy", npyOf("|u1", "(3,)", uint8(0), uint8(1), uint8(2))), "labels from"},
		{"labels are floats", append(slices.Clone(good[:4]), "labels.npy", npyOf("<f4", "(2,)", ramp(2)...)), "want integers"},
	} {
		path := write(t, "f.npz", npzBytes(t, 0, c.members...)) + "/f.npz"
		_, err := Open([]Input{tokens, state}, Options{Path: path})
		if err == nil {
			t.Errorf("%s: no error", c.name)
		}
		wantError(t, err, false, c.want)
	}
}

func TestBatchLabels(t *testing.T) {
	labels := npyOf("|u1", "(5,)", uint8(1), uint8(2), uint8(3), uint8(4), uint8(5))
	path := write(t, "f.npz", npzBytes(t, 0, "x.npy", npyOf("<f4", "(5, 1)", ramp(5)...), "labels.npy", labels)) + "/f.npz"
	s := mustOpen(t, Options{Path: path}, input("x", onnxio.Float, 2, 1))
	if got := mustSample(t, s, 1).Labels; !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("labels %v, want [3 4]", got)
	}
	folder := write(t, "x.npy", npyOf("<f4", "(5, 1)", ramp(5)...), "labels.npy", labels)
	s = mustOpen(t, Options{Path: folder}, input("x", onnxio.Float, 2, 1))
	if got := mustSample(t, s, 0).Labels; !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("labels.npy: %v, want [1 2]", got)
	}
}

func TestFolder(t *testing.T) {
	folder := write(t, "b.npy", npyOf("<f4", "(2, 3)", ramp(6)...), "B.npy", npyOf("<f4", "(1, 5)", ramp(5)...), ".hidden.npy", "no array")
	s := mustOpen(t, Options{Path: folder}, input("x", onnxio.Float, -1, -1))
	var names []string
	for i := range s.Len() {
		got := mustSample(t, s, i)
		names = append(names, got.Name)
		if got.Reset != (i < 2) {
			t.Errorf("sample %d: reset %v", i, got.Reset)
		}
	}
	if want := []string{"B.npy[0]", "b.npy[0]", "b.npy[1]"}; !slices.Equal(names, want) {
		t.Errorf("samples %q, want %q", names, want)
	}
	sum := sha256.New()
	for _, name := range []string{"B.npy", "b.npy"} {
		b, _ := os.ReadFile(folder + "/" + name)
		fmt.Fprintf(sum, "%x  %s\n", sha256.Sum256(b), name)
	}
	if want := hex.EncodeToString(sum.Sum(nil)); s.Info().SHA256 != want {
		t.Errorf("digest %s, want that of the sha256sum text, %s", s.Info().SHA256, want)
	}
	if info, _ := s.Describe(); !slices.Equal(info.Fed[0].Shape, []int{1, -1}) {
		t.Errorf("shape fed %v, want [1 -1]", info.Fed[0].Shape)
	}
}

func TestFedNonFinite(t *testing.T) {
	nan := float32(math.NaN())
	path := write(t, "x.npy", npyOf("<f4", "(2, 2)", nan, 3, float32(math.Inf(-1)), 5)) + "/x.npy"
	info, err := mustOpen(t, Options{Path: path}, input("x", onnxio.Float, -1, 2)).Describe()
	if f := info.Fed[0]; err != nil || f.Min != 3 || f.Max != 5 || f.Mean != 4 || f.NonFinite != 2 {
		t.Errorf("fed %+v, %v", f, err)
	}
	b, err := Fed{Input: "x", DType: "float32", Shape: []int{1}, Mean: math.NaN()}.MarshalJSON()
	if want := `{"input":"x","dtype":"float32","shape":[1],"min":null,"max":null,"mean":null,"why":"no finite value"}`; string(b) != want || err != nil {
		t.Errorf("%s, want %s", b, want)
	}
}

func TestConcurrentSamples(t *testing.T) {
	path := write(t, "f.npz", npzBytes(t, 8, "x.npy", npyOf("<f4", "(64, 4)", ramp(256)...))) + "/f.npz"
	s := mustOpen(t, Options{Path: path}, input("x", onnxio.Float, -1, 4))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range s.Len() {
				if got, err := s.Sample(i); err != nil || got.Feeds["x"].F32()[0] != float32(4*i) {
					t.Errorf("sample %d: %+v, %v", i, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestOpenErrors(t *testing.T) {
	x := input("x", onnxio.Float, -1, 2)
	mixed := write(t, "a.npy", npyOf("<f4", "(1, 2)", ramp(2)...), "sub/b.png", "")
	for _, c := range []struct {
		name  string
		o     Options
		in    []Input
		usage bool
		want  string
	}{
		{"nothing", Options{}, []Input{x}, true, "neither --data nor --synthetic"},
		{"both", Options{Path: "x", Synthetic: 1}, []Input{x}, true, "exclude each other"},
		{"negative", Options{Path: "x", Samples: -1}, []Input{x}, true, "positive"},
		{"no file", Options{Path: mixed + "/none.npy"}, []Input{x}, false, "no such file"},
		{"other file", Options{Path: "dataset.go"}, []Input{x}, true, "want a data spec"},
		{"empty folder", Options{Path: write(t)}, []Input{x}, false, "no .npz, .npy, JPEG"},
		{"mixed folder", Options{Path: mixed}, []Input{x}, true, "want one kind"},
		{"image for arrays", Options{Path: mixed + "/a.npy", Image: []string{"preset=raw"}}, []Input{x}, true, "--image is for pictures"},
		{"npy for two", Options{Path: mixed + "/a.npy"}, []Input{x, input("y", onnxio.Float)}, false, "the model has 2 inputs"},
		{"no inputs", Options{Path: mixed}, nil, false, "no input to feed"},
		{"input type", Options{Path: mixed}, []Input{{Name: "x"}}, false, `feeding "x": inputs of type undefined`},
	} {
		_, err := Open(c.in, c.o)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		wantError(t, err, c.usage, c.want)
	}
}

func TestSynthetic(t *testing.T) {
	inputs := []Input{input("x", onnxio.Float, -1, 50, 100), input("n", onnxio.Int64, -1)}
	s := mustOpen(t, Options{Synthetic: 4, Seed: 7}, inputs...)
	a, again, other := mustSample(t, s, 1), mustSample(t, s, 1), mustSample(t, s, 2)
	x := a.Feeds["x"].F32()
	if !slices.Equal(x, again.Feeds["x"].F32()) || slices.Equal(x, other.Feeds["x"].F32()) {
		t.Error("a sample is not fixed by its index")
	}
	if mean, dev := moments(x); math.Abs(mean) > 0.06 || math.Abs(dev-1) > 0.05 { // 4 and 5 standard errors of 5,000 values
		t.Errorf("mean %v, deviation %v", mean, dev)
	}
	if got := a.Feeds["n"]; !slices.Equal(got.Shape, []int{1}) || got.Data.([]int64)[0] != 0 {
		t.Errorf("integers %+v, want a zero", got)
	}
	if s.Info().Kind != "synthetic" || s.Info().SHA256 == mustOpen(t, Options{Synthetic: 4, Seed: 8}, inputs...).Info().SHA256 {
		t.Errorf("info %+v, want a digest that depends on the seed", s.Info())
	}
	_, err := Open([]Input{input("x", onnxio.Float, 1<<40, 1<<40)}, Options{Synthetic: 1})
	wantError(t, err, false, "out of range")
	_, err = Open([]Input{{Name: "x", Type: onnxio.Float}}, Options{Synthetic: 1})
	wantError(t, err, false, "rank is unknown")
}

func moments(x []float32) (mean, dev float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		dev += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	return mean, math.Sqrt(dev)
}

func TestTestSets(t *testing.T) {
	pb := func(a *onnxio.Array) []byte { return tensorBytes(t, "any", a) }
	root := write(t,
		"test_data_set_0/input_0.pb", pb(onnxio.Floats([]float32{1, 2}, 1, 2)), "test_data_set_0/output_0.pb", pb(onnxio.Floats([]float32{9}, 1)),
		"test_data_set_1/input_0.pb", pb(onnxio.Floats([]float32{3, 4}, 1, 2)))
	s := mustOpen(t, Options{Path: root, Outputs: []string{"y"}}, input("x", onnxio.Float, -1, 2))
	first, second := mustSample(t, s, 0), mustSample(t, s, 1)
	if first.Name != "test_data_set_0" || first.Outputs["y"] == nil || first.Outputs["y"].F32()[0] != 9 || second.Outputs != nil ||
		!slices.Equal(second.Feeds["x"].F32(), []float32{3, 4}) || s.Info().Kind != "testset" {
		t.Errorf("samples %+v, %+v", first, second)
	}
	alone := mustOpen(t, Options{Path: root + "/test_data_set_1"}, input("x", onnxio.Float, -1, 2))
	if alone.Len() != 1 || alone.Info().SHA256 == s.Info().SHA256 {
		t.Errorf("one set: %+v", alone.Info())
	}
	_, err := Open([]Input{input("x", onnxio.Float, -1, 2), input("z", onnxio.Float)}, Options{Path: root})
	wantError(t, err, false, `feeding "z"`)
	wrong := mustOpen(t, Options{Path: root}, input("x", onnxio.Float, -1, 3))
	_, err = wrong.Sample(0)
	wantError(t, err, false, `feeding "x" from test_data_set_0/input_0.pb: float32 [1 2], want float32 [N 3]`)
	bad := mustOpen(t, Options{Path: write(t, "input_0.pb", "\xff\xff")}, input("x", onnxio.Float, -1, 3))
	_, err = bad.Sample(0)
	wantError(t, err, false, "reading ./input_0.pb")
}

// tensorBytes serializes a TensorProto by hand: dims (1), data_type (2), name (8), raw_data (9).
func tensorBytes(t testing.TB, name string, a *onnxio.Array) []byte {
	t.Helper()
	raw, err := onnxio.NewTensor(name, a).RawBytes()
	if err != nil || len(raw) > 127 {
		t.Fatal("want a small tensor", err)
	}
	var b []byte
	for _, d := range a.Shape {
		b = append(b, 0x08, byte(d))
	}
	b = append(b, 0x10, byte(a.Type), 0x42, byte(len(name)))
	b = append(append(b, name...), 0x4a, byte(len(raw)))
	return append(b, raw...)
}

func TestInputs(t *testing.T) {
	g := &onnxio.Graph{
		Inputs: []*onnxio.ValueInfo{
			{Name: "x", Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: []onnxio.Dim{{Param: "N"}, {Known: true, Value: 3}}}},
			{Name: "w", Type: &onnxio.TensorType{Elem: onnxio.Float}}, {Name: "seq"},
		},
		Initializers: []*onnxio.Tensor{{Name: "w"}},
		Outputs:      []*onnxio.ValueInfo{{Name: "y"}, {Name: "z"}},
	}
	got := Inputs(g)
	if len(got) != 2 || got[0].Name != "x" || got[0].dims() != "[N 3]" || got[1].Name != "seq" || got[1].Type != onnxio.Undefined {
		t.Errorf("inputs %+v", got)
	}
	if names := OutputNames(g); !slices.Equal(names, []string{"y", "z"}) {
		t.Errorf("outputs %q", names)
	}
}

// Files with and without labels do not mix, nor labels.npy and labels in archives.
func TestFolderLabels(t *testing.T) {
	x := npyOf("<f4", "(2, 1)", ramp(2)...)
	y := npyOf("|u1", "(2,)", uint8(3), uint8(4))
	with, without := npzBytes(t, 0, "x.npy", x, "labels.npy", y), npzBytes(t, 0, "x.npy", x)
	in := input("x", onnxio.Float, -1, 1)
	s := mustOpen(t, Options{Path: write(t, "a.npz", with, "b.npz", with)}, in)
	if got := mustSample(t, s, 3); !s.Labelled() || !slices.Equal(got.Labels, []int64{4}) || got.Name != "b.npz[1]" {
		t.Errorf("sample %+v", got)
	}
	_, err := Open([]Input{in}, Options{Path: write(t, "a.npz", with, "b.npz", without)})
	wantError(t, err, false, "b.npz has none")
	_, err = Open([]Input{in}, Options{Path: write(t, "a.npz", with, "labels.npy", y)})
	wantError(t, err, false, "both labels.npy")
	if mustOpen(t, Options{Path: write(t, "a.npz", without)}, in).Labelled() {
		t.Error("labels out of nothing")
	}
}

// What was removed or cut after Open is an error of the sample, not a wrong value.
func TestFileChanges(t *testing.T) {
	in := input("x", onnxio.Float, -1, 1)
	for _, method := range []uint16{0, 8} {
		root := write(t, "a.npz", npzBytes(t, method, "x.npy", npyOf("<f4", "(2, 1)", ramp(2)...)))
		s := mustOpen(t, Options{Path: root + "/a.npz"}, in)
		os.WriteFile(root+"/a.npz", npzBytes(t, 8, "y.npy", []byte("x")), 0o666)
		_, err := s.Sample(1)
		wantError(t, err, false, "a.npz")
	}
}
