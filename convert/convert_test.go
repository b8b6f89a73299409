package convert

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
	"bq/packing"
)

// everyReason is a model with a tensor for each reason that the graph shows, and two that are quantized.
func everyReason() *builder {
	nan := normal(5, 512)
	nan[100] = float32(math.NaN())
	double := make([]float64, 512)
	return newBuilder(13).input("x", 1, 16).
		floats("w", normal(1, 512), 16, 32).
		floats("bias", normal(2, 300), 300).
		floats("tiny", normal(3, 32), 32, 1).
		floats("scale", normal(4, 600), 1, 600).
		floats("nan", nan, 16, 32).
		constant("double", &onnxio.Array{Type: onnxio.Double, Shape: []int{16, 32}, Data: double}).
		floats("norm", normal(6, 300), 300).
		floats("head", normal(7, 512), 16, 32).
		constant("half", &onnxio.Array{Type: onnxio.Float16, Shape: []int{16, 32}, Data: normal(8, 512)}).
		node("MatMul", []string{"x", "w"}, "y").
		node("Add", []string{"a", "bias"}, "b").
		node("MatMul", []string{"y", "tiny"}, "t").
		node("Mul", []string{"q", "scale"}, "m").
		node("MatMul", []string{"x", "nan"}, "n").
		node("MatMul", []string{"x", "double"}, "d").
		node("LayerNormalization", []string{"l", "norm"}, "k").
		node("MatMul", []string{"x", "head"}, "h").
		node("MatMul", []string{"xh", "half"}, "hh").output("y", 1, 32)
}

func TestEveryTensorIsListedWithItsReason(t *testing.T) {
	r, _, _ := converted(t, everyReason().file(t), Options{Keep: []string{"he*"}})
	want := map[string]Reason{
		"w": "", "half": "", "bias": Bias, "tiny": Small, "scale": Op, "nan": Nonfinite, "double": "", "norm": Norm, "head": Asked,
	}
	if len(r.Tensors) != len(want) {
		t.Errorf("%d tensors listed, want %d", len(r.Tensors), len(want))
	}
	for name, reason := range want {
		if c := find(t, r.Tensors, name); c.Reason != reason {
			t.Errorf("%s: reason %q, want %q", name, c.Reason, reason)
		}
	}
}

// 17 rows of 16 at 8 bits on a float16 tensor: 272 codes and 17 scales are not below the 544 bytes by more than the
// index entry costs once the group is one weight wide.
func TestTensorsThatWouldNotShrinkAreKept(t *testing.T) {
	b := newBuilder(13).input("x", 1, 1).
		constant("w", &onnxio.Array{Type: onnxio.Float16, Shape: []int{1, 300}, Data: normal(1, 300)}).
		floats("v", normal(2, 512), 16, 32).
		node("MatMul", []string{"x", "w"}, "y").node("MatMul", []string{"z", "v"}, "u").output("y", 1, 300)
	r, _, _ := converted(t, b.file(t), Options{Bits: 8})
	if c := find(t, r.Tensors, "w"); c.Reason != Gain {
		t.Errorf("a weight of one element per channel: reason %q, want gain", c.Reason)
	}
}

func TestBitsOfAndMethods(t *testing.T) {
	f := everyReason().file(t)
	for _, name := range []string{"auto", "affine", "lloyd", "balanced", "balanced:1/3", "balanced:0", "paper"} {
		m, err := ParseMethod(name)
		if err != nil {
			t.Fatal(err)
		}
		r, p, _ := converted(t, f, Options{Bits: 3, Method: m, BitsOf: []BitsOf{{"*", 6}, {"w", 2}}})
		c := find(t, r.Tensors, "w")
		if c.Bits != 2 || find(t, r.Tensors, "half").Bits != 6 {
			t.Errorf("%s: w has %d bits, half %d", name, c.Bits, find(t, r.Tensors, "half").Bits)
		}
		i, _ := p.Lookup("w")
		q, err := p.Tensor(i)
		if err != nil {
			t.Fatal(err)
		}
		if want, _, _ := strings.Cut(name, ":"); name != "auto" && (q.Quant.Method != want || c.Method != want) {
			t.Errorf("%s is stored as %s and listed as %s", name, q.Quant.Method, c.Method)
		}
		if name == "balanced:1/3" && math.Abs(c.P-1.0/3) > 1e-6 {
			t.Errorf("exponent %v, want 1/3", c.P)
		}
	}
}

func TestParseMethod(t *testing.T) {
	for _, bad := range []string{"", "Lloyd", "entropy:1", "balanced:", "balanced:2", "balanced:-1", "balanced:NaN", "balanced:1/0", "lloyd:1/3", "affine:"} {
		if m, err := ParseMethod(bad); err == nil {
			t.Errorf("%q was read as %v", bad, m)
		}
	}
	for in, want := range map[string]string{"balanced:1": "balanced", "balanced:0.5": "balanced:0.5", "balanced:1/2": "balanced:0.5", "auto": "auto", "entropy": "entropy"} {
		if m, err := ParseMethod(in); err != nil || m.String() != want {
			t.Errorf("%q was read as %v, %v, want %s", in, m, err, want)
		}
	}
}

func TestStrictRefusesKeepsNobodyAskedFor(t *testing.T) {
	f := everyReason().file(t)
	_, err := Convert(context.Background(), f, &bytes.Buffer{}, Options{Bits: 4, Strict: true})
	if err == nil || !strings.Contains(err.Error(), `quantizing "scale": kept (op) under --strict`) {
		t.Errorf("error %v", err)
	}
	_, _, _ = converted(t, f, Options{Strict: true, Keep: []string{"scale", "nan", "double"}})
}

func TestPatternsMustMatch(t *testing.T) {
	f := everyReason().file(t)
	var no *NoMatchError
	if _, err := Convert(context.Background(), f, &bytes.Buffer{}, Options{Bits: 4, Keep: []string{"nothing*"}}); !errors.As(err, &no) || no.Flag != "--keep" {
		t.Errorf("--keep that fits nothing: %v", err)
	}
	if _, err := Convert(context.Background(), f, &bytes.Buffer{}, Options{Bits: 4, BitsOf: []BitsOf{{"x", 2}}}); !errors.As(err, &no) || no.Flag != "--bits-of" {
		t.Errorf("--bits-of that fits nothing: %v", err)
	}
	r, _, _ := converted(t, f, Options{Keep: []string{"y"}}) // a node's name
	if c := find(t, r.Tensors, "w"); c.Reason != Asked {
		t.Errorf("w behind --keep of its node: reason %q", c.Reason)
	}
}

func TestNothingToQuantize(t *testing.T) {
	b := newBuilder(13).input("x", 4).floats("bias", normal(1, 4), 4).node("Add", []string{"x", "bias"}, "y").output("y", 4)
	var nothing *NothingError
	_, err := Convert(context.Background(), b.file(t), &bytes.Buffer{}, Options{Bits: 4})
	if !errors.As(err, &nothing) || err.Error() != "nothing to quantize: every float tensor is kept (bias 1)" {
		t.Errorf("error %v", err)
	}
	b.constant("codes", &onnxio.Array{Type: onnxio.Int8, Shape: []int{2, 2}, Data: []int8{1, 2, 3, 4}}).
		floats("s", []float32{1}).node("DequantizeLinear", []string{"codes", "s"}, "w")
	_, err = Convert(context.Background(), b.file(t), &bytes.Buffer{}, Options{Bits: 4})
	if !errors.As(err, &nothing) || nothing.Already != 1 || !strings.Contains(err.Error(), "1 weights are quantized already") {
		t.Errorf("error %v", err)
	}
}

func TestSameBytesForAnyNumberOfThreads(t *testing.T) {
	f := everyReason().file(t)
	before := slices.Clone(f.Bytes)
	var first []byte
	for _, threads := range []int{1, 2, 7} {
		_, _, got := converted(t, f, Options{Threads: threads})
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Errorf("%d threads give other bytes", threads)
		}
	}
	if !bytes.Equal(f.Bytes, before) || !bytes.Equal(f.Model.Bytes(), before) {
		t.Error("the model was changed")
	}
}

func TestTiedWeightsAreStoredOnce(t *testing.T) {
	b := newBuilder(13).input("x", 1, 32).floats("table", normal(1, 1024), 32, 32).
		constant("i", onnxio.Int64s([]int64{1}, 1)).
		node("Gather", []string{"table", "i"}, "e").
		node("Gemm", []string{"e", "table"}, "y", intAttr("transB", 1)).output("y", 1, 32)
	r, p, _ := converted(t, b.file(t), Options{})
	if len(r.Tensors) != 1 || !r.Tensors[0].Quantized() || len(p.Entries()) != 1 {
		t.Errorf("coverage %+v, %d entries", r.Tensors, len(p.Entries()))
	}
}

func TestLargerThanTheModelIsAnError(t *testing.T) {
	c := &converter{ctx: context.Background(), src: &onnxio.File{Model: &onnxio.Model{}, Bytes: make([]byte, 10)}, out: &countingWriter{w: &bytes.Buffer{}, n: 11}}
	c.jobs = []*job{{site: &site{}, q: &quantized{}}}
	c.jobs[0].Tensor = &onnxio.Tensor{}
	w := packing.NewWriter(c.out, nil)
	if err := c.end(w); !errors.Is(err, ErrLarger) {
		t.Errorf("error %v, want ErrLarger", err)
	}
}

func TestCancelledConversionStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Convert(ctx, everyReason().file(t), &bytes.Buffer{}, Options{Bits: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestDeclaredSizesAreCheckedBeforeAllocation(t *testing.T) {
	b := newBuilder(13).input("x", 1, 16).node("MatMul", []string{"x", "w"}, "y").output("y", 1, 16)
	b.m.Graph.Initializers = append(b.m.Graph.Initializers, &onnxio.Tensor{Name: "w", Type: onnxio.Float, Dims: []int64{1 << 20, 1 << 20}, HasRaw: true})
	_, err := Convert(context.Background(), b.file(t), &bytes.Buffer{}, Options{Bits: 8})
	if err == nil || !strings.Contains(err.Error(), `tensor "w": float32 [1048576 1048576] wants 4398046511104`) {
		t.Errorf("error %v", err)
	}
}

func TestModelsInMemoryAreLeftAlone(t *testing.T) {
	raw := newBuilder(13).input("x", 1, 256).floats("w", normal(1, 256*256), 256, 256).node("MatMul", []string{"x", "w"}, "y").output("y", 1, 256).m.Bytes()
	was := bytes.Clone(raw)
	m, err := onnxio.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Convert(context.Background(), &onnxio.File{Model: m, Bytes: raw}, &bytes.Buffer{}, Options{Bits: 8}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, was) {
		t.Error("the caller's bytes were changed")
	}
}

// Integers in another file go into the container; nothing that it says points outside.
func TestExternalIntegersAreEmbedded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ext.bin"), []byte{3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0}, 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).
		node("MatMul", []string{"x", "w"}, "a").node("Gather", []string{"a", "i"}, "y", intAttr("axis", 1)).output("y", 1, 2)
	b.m.Graph.Initializers = append(b.m.Graph.Initializers, &onnxio.Tensor{Name: "i", Type: onnxio.Int64, Dims: []int64{2}, IsExternal: true,
		External: []*onnxio.StringEntry{{Key: "location", Value: "ext.bin"}}})
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, b.m.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, p, _ := converted(t, f, Options{Bits: 8})
	// sha256sum ext.bin
	if about, err := ReadAbout(p); err != nil || about.Source.Weights != "a9928084ac1eb58388ddd0cb77f713f1fe657aa31d596e0dc5d1a13baf987f71" {
		t.Errorf("digest of the weights %q, %v", about.Source.Weights, err)
	}
	m, _, err := Restore(p, FormFloat)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Graph.Initializer("i").Array()
	if err != nil || !slices.Equal(a.Ints(), []int64{3, 5}) {
		t.Errorf("restored %v, %v", a, err)
	}
}

// An initializer that is a graph input too could be given other values by who runs the model. Its quantized form can not: the
// container's graph no longer lists it, but where the IR version asks for that.
func TestDefaultsThatCanBeReplacedBecomeConstants(t *testing.T) {
	for ir, want := range map[int64]int{3: 3, 8: 1} {
		b := newBuilder(13).input("x", 1, 16).input("w", 16, 32).input("v", 16, 32).floats("w", normal(1, 512), 16, 32).floats("v", normal(2, 512), 16, 32).
			node("MatMul", []string{"x", "w"}, "y").node("MatMul", []string{"x", "v"}, "z").output("y", 1, 32)
		b.m.IRVersion = ir
		r, p, _ := converted(t, b.file(t), Options{Bits: 8})
		if c := find(t, r.Tensors, "w"); c.Reason != "" {
			t.Errorf("IR %d: reason %q, want none", ir, c.Reason)
		}
		m, _, err := Restore(p, FormFloat)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(m.Graph.Inputs); got != want {
			t.Errorf("IR %d: %d inputs listed, want %d", ir, got, want)
		}
	}
}

func TestForeignOperatorsHaveNoBias(t *testing.T) {
	u := use{node: &onnxio.Node{OpType: "Conv", Domain: "com.microsoft"}, input: 2}
	if u.isBias([]int{4}) || (use{node: &onnxio.Node{OpType: "LayerNormalization", Domain: "x"}, input: 1}).isNorm() {
		t.Error("an operator of another domain was taken for ONNX's own")
	}
}

// Float tensors that no node reads by name are listed too: in attributes, in functions, in sparse form.
func TestTensorsInAttributesAreListed(t *testing.T) {
	fill := onnxio.NewTensor("", onnxio.Floats([]float32{1}, 1))
	b := newBuilder(13).input("x", 1, 16).floats("w", normal(1, 512), 16, 32).constant("s", onnxio.Int64s([]int64{1}, 1)).
		node("ConstantOfShape", []string{"s"}, "f", &onnxio.Attribute{Name: "value", Type: onnxio.AttrTensor, T: fill}).
		node("MatMul", []string{"x", "w"}, "y").output("y", 1, 32)
	r, p, _ := converted(t, b.file(t), Options{Bits: 8})
	if c := find(t, r.Tensors, `ConstantOfShape "f" value`); c.Reason != Small {
		t.Errorf("reason %q, want small", c.Reason)
	}
	contents, err := ReadContents(p)
	if err != nil || len(contents.Tensors) != len(r.Tensors) {
		t.Errorf("%d tensors in the container's list, %v, want %d", len(contents.Tensors), err, len(r.Tensors))
	}
}
