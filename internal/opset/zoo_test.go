package opset

import (
	"path/filepath"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
)

// zooTolerance is the largest difference of outputs relative to their largest value: a raised model may be fused in
// other groups, whose sums are rounded in another order.
const zooTolerance = 1e-5

// heavy lists models that take seconds: they are raised, and not run.
var heavy = map[string]bool{"agllnet-256": true, "road-seg-adas-0001": true}

// TestZoo raises real models and runs them before and after.
func TestZoo(t *testing.T) {
	files := openZip(t, "zoo/golden.zip")
	paths, err := filepath.Glob(filepath.Join(shared, "zoo/models/*.onnx"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no models in the zoo: %v", err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		t.Run(name, func(t *testing.T) {
			inputs, ok := readSet(t, files, name, "input")
			if !ok || len(inputs) == 0 {
				t.Skip("no sample")
			}
			before, err := onnxio.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			var want []*onnxio.Array
			for _, to := range []int64{13, 21} {
				if before.Model.Opset("") >= to {
					continue
				}
				after, err := onnxio.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer after.Close()
				if err := Raise(after.Model, to); err != nil {
					t.Errorf("to %d: %v", to, err)
					continue
				}
				if after.Model.Opset("") != to {
					t.Errorf("to %d: gives %d", to, after.Model.Opset(""))
				}
				if err := after.Model.Check(); err != nil {
					t.Errorf("to %d: %v", to, err)
				}
				checkForms(t, name, after.Model)
				if heavy[name] || testing.Short() && name == "fns-candy" || raceEnabled { // the detector slows the kernels ten times
					continue
				}
				if want == nil {
					if want, err = run(before.Model, inputs); err != nil {
						t.Fatal(err)
					}
				}
				got, err := run(after.Model, inputs)
				if err != nil {
					t.Errorf("to %d: %v", to, err)
					continue
				}
				for i := range want {
					d, err := difference(got[i], want[i])
					if err != nil || d > zooTolerance {
						t.Errorf("to %d, output %d: relative difference %.3g, %v", to, i, d, err)
					} else if d > 0 {
						t.Logf("to %d, output %d: relative difference %.3g", to, i, d)
					}
				}
			}
		})
	}
}

// TestZooPlain compares every value of the raised small models bit for bit, node by node without fusion: with a visitor,
// the engine runs no node together with another.
func TestZooPlain(t *testing.T) {
	files := openZip(t, "zoo/golden.zip")
	if raceEnabled || testing.Short() {
		t.Skip("takes long: not in short runs or with the race detector")
	}
	for _, name := range []string{"squeezenet-imagenet-fp32", "ultraface-RFB-320", "nnsplit-en", "lgbm-classifier", "byte-sb-bidi-lstm", "silero-vad-v5", "gtcrn-simple"} {
		path := filepath.Join(shared, "zoo/models", name+".onnx")
		inputs, _ := readSet(t, files, name, "input")
		values := func(to int64) (map[string]*onnxio.Array, []*onnxio.Array) {
			f, err := onnxio.Open(path)
			if err != nil {
				t.Skipf("no model %s", name)
			}
			defer f.Close()
			if err := Raise(f.Model, to); err != nil {
				t.Fatal(err)
			}
			p, err := infer.Options{Threads: 1}.Compile(f.Model)
			if err != nil {
				t.Fatal(err)
			}
			main := map[*onnxio.Node]bool{}
			for _, n := range f.Model.Graph.Nodes {
				main[n] = true
			}
			feeds, seen := map[string]*onnxio.Array{}, map[string]*onnxio.Array{}
			for i, v := range p.Inputs() {
				feeds[v.Name] = inputs[i]
			}
			results, err := p.Run(feeds, func(n *onnxio.Node, output string, v *onnxio.Array) (*onnxio.Array, error) {
				if main[n] && v.Type.HasArray() {
					seen[output] = cloneOf(v)
				}
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var list []*onnxio.Array
			for _, o := range f.Model.Graph.Outputs {
				list = append(list, results[o.Name])
			}
			return seen, list
		}
		plain, want := values(1)
		raised, got := values(21)
		compared := 0
		for value, w := range plain {
			if g := raised[value]; g != nil {
				compared++
				if d, err := difference(g, w); err != nil || d != 0 {
					t.Errorf("%s: %s: relative difference %.3g, %v", name, value, d, err)
				}
			}
		}
		for i := range want {
			if d, err := difference(got[i], want[i]); err != nil || d != 0 {
				t.Errorf("%s: output %d: relative difference %.3g, %v", name, i, d, err)
			}
		}
		if compared == 0 {
			t.Errorf("%s: no value compared", name)
		}
	}
}

// cloneOf copies a value whose memory the engine uses again.
func cloneOf(a *onnxio.Array) *onnxio.Array {
	joined, err := onnxio.Concat([]*onnxio.Array{a})
	if err != nil {
		return a
	}
	return joined.Reshaped(a.Shape...)
}
