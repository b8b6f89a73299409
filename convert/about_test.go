package convert

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bq/balance"
	"bq/onnxio"
	"bq/packing"
)

// What a container says of its making is what was asked for, the digest of the table that would be saved, and the error of
// each tensor as the values have it.
func TestAContainerSaysHowItWasMade(t *testing.T) {
	f := newBuilder(13).input("x", 1, 16).output("z", 1, 20).floats("w", normal(1, 512), 16, 32).floats("b", normal(3, 32), 32).floats("v", normal(4, 640), 32, 20).
		node("MatMul", []string{"x", "w"}, "a").node("Add", []string{"a", "b"}, "s").node("Relu", []string{"s"}, "y").node("Gemm", []string{"y", "v"}, "z").file(t)
	samples := samplesOf(t, f.Model, onnxio.Floats(normal(2, 16*40), 40, 16))
	o := Options{Budget: Budget{BudgetBPW, 6}, Method: Method{name: "lloyd"}, BitsOf: []BitsOf{{"w", 3}}, Samples: samples, Record: true}
	r, p, recorded := converted(t, f, o)
	var table bytes.Buffer
	if err := r.Table.Write(&table); err != nil {
		t.Fatal(err)
	}
	about, err := ReadAbout(p)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(table.Bytes()); about.Table != hex.EncodeToString(sum[:]) {
		t.Errorf("table %s, want %x", about.Table, sum)
	}
	want := TableFlags{Bits: 0, Budget: "bpw", Value: 6, Method: "lloyd", Group: "channel", Codec: "auto", Keep: []string{}, BitsOf: []string{"w=3"}, MinElements: MinElements}
	if got := about.Flags.Full(); !reflect.DeepEqual(got, want) {
		t.Errorf("flags %+v, want %+v", got, want)
	}
	text, _ := p.Meta().Get(keyFlags)
	if want := `{"budget":"bpw","value":6,"method":"lloyd","group":"channel","codec":"auto","bits_of":["w=3"]}`; string(text) != want {
		t.Errorf("flags are written as %s, want %s", text, want)
	}
	if err := sqnrIsOf(p, map[string][]float32{"w": normal(1, 512), "v": normal(4, 640)}); err != nil {
		t.Error(err)
	}
	// a conversion without a table names none, and is the same but for that
	o.Record, o.Threads = false, 3
	r, p, plain := converted(t, f, o)
	if about, err = ReadAbout(p); err != nil || about.Table != "" || r.Table != nil || len(plain) >= len(recorded) {
		t.Errorf("%d bytes without the table, %d with it, table %q, %v, %v", len(plain), len(recorded), about.Table, r.Table, err)
	}
	// and without data there is none
	o.Samples, o.BitsOf = nil, nil
	if _, p, _ = converted(t, f, o); !slices.ContainsFunc(p.Meta(), func(p packing.Pair) bool { return p.Key == keyFlags }) {
		t.Error("no flags without data")
	}
	if about, err = ReadAbout(p); err != nil || about.Table != "" || about.Calibration != nil {
		t.Errorf("without data: table %q, %v", about.Table, err)
	}
}

// sqnrIsOf compares what the contents say of each tensor with the values that it restores to.
func sqnrIsOf(f *packing.File, weights map[string][]float32) error {
	c, err := ReadContents(f)
	if err != nil {
		return err
	}
	for _, v := range c.Tensors {
		w, known := weights[v.Name]
		if !known {
			continue
		}
		i, _ := f.Lookup(v.Name)
		x, err := f.Tensor(i)
		if err != nil {
			return err
		}
		got := make([]float32, len(w))
		x.Quant.Dequantize(got)
		if want := balance.SQNR(w, got); math.Abs(v.SQNR-want) > 0.0501 {
			return errors.New(v.Name + " has another error than the metadata say")
		}
	}
	return nil
}

// Weights that all have bits of their own leave a budget nothing to turn; their codes still go by the data, and are repeated.
func TestATableOfFixedBitsRepeats(t *testing.T) {
	f, o, want, table := recorded(t, Options{Budget: Budget{BudgetBPW, 8}, BitsOf: []BitsOf{{"*", 4}}})
	o.Table = table
	if _, _, got := converted(t, f, o); !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from the %d of the conversion with data", len(got), len(want))
	}
}

// Metadata are as hostile as the rest of a file.
func TestMetadataThatDoNotFit(t *testing.T) {
	f := newBuilder(13).input("x", 1, 16).output("y", 1, 32).floats("w", normal(1, 512), 16, 32).node("MatMul", []string{"x", "w"}, "y").file(t)
	_, p, _ := converted(t, f, Options{Bits: 4})
	for name, c := range map[string]struct{ key, value, want string }{
		"digest":         {keyTable, "abc", "no SHA-256"},
		"unknown flag":   {keyFlags, `{"clock":1}`, "unknown field"},
		"more behind":    {keyFlags, `{} {}`, "more behind"},
		"too many":       {keySQNR, "[1,2]", "figures of 2 tensors, want 1"},
		"no number":      {keySQNR, `["x"]`, "cannot unmarshal"},
		"none of a list": {keySQNR, "7", "cannot unmarshal"},
	} {
		var b bytes.Buffer
		w := packing.NewWriter(&b, packing.Meta{{Key: c.key, Value: []byte(c.value)}})
		graph, err := p.Graph()
		if err == nil {
			err = w.Graph(graph)
		}
		x, err2 := p.Tensor(0)
		if err2 == nil {
			err2 = w.Tensor(x)
		}
		if _, err3 := w.Close(); errors.Join(err, err2, err3) != nil {
			t.Fatal(err, err2, err3)
		}
		changed, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var format *onnxio.FormatError
		if _, err = ReadContents(changed); !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

// The format document lists the keys in the order in which they are written.
func TestMetadataAreSpecified(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "packing", "FORMAT.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "### Metadata of `bq`\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
	}
	a := About{Flags: &Flags{}, Table: "x", SQNR: []*float64{nil}, Calibration: &Calibration{}, Activations: []Activation{{}}}
	meta, err := a.meta()
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, p := range meta {
		written = append(written, p.Key)
	}
	if !slices.Equal(listed, written) {
		t.Errorf("FORMAT.md lists %q, written are %q", listed, written)
	}
}
