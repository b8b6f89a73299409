package infer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

// TestMinstd checks the generator's ten thousandth number, which the C++ standard gives ([rand.predef]: 1043618065).
func TestMinstd(t *testing.T) {
	g := newGenerator(1)
	var last uint64
	for range 10000 {
		last = g.next() + 1
	}
	if last != 1043618065 {
		t.Errorf("got %d, want 1043618065", last)
	}
	for _, seed := range []uint32{0, minstdModulus} { // both would stay 0
		if newGenerator(seed).state != 1 {
			t.Errorf("seed %d starts at %d, want 1", seed, newGenerator(seed).state)
		}
	}
}

// TestRandomMoments checks mean and deviation of many numbers, within five standard errors.
func TestRandomMoments(t *testing.T) {
	const n = 100000
	for _, c := range []struct {
		op         string
		mean, sd   float64
		attributes []*onnxio.Attribute
	}{
		{"RandomUniform", 1, 2 / math.Sqrt(12), []*onnxio.Attribute{floatAttr("low", 0), floatAttr("high", 2)}},
		{"RandomNormal", -1, 3, []*onnxio.Attribute{floatAttr("mean", -1), floatAttr("scale", 3)}},
	} {
		for _, elem := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16} {
			attrs := append(c.attributes, ints("shape", n), floatAttr("seed", 42), integerAttr("dtype", int64(elem)))
			got, err := runNode(22, c.op, nil, 1, attrs...)
			if err != nil {
				t.Fatal(err)
			}
			v, err := asFloats(got[0])
			if err != nil || got[0].Type != elem {
				t.Fatal(got[0].Type, err)
			}
			var sum, sq float64
			for _, x := range v {
				sum += x
				sq += (x - c.mean) * (x - c.mean)
			}
			if e := math.Abs(sum/n-c.mean) / (c.sd / math.Sqrt(n)); e > 5 {
				t.Errorf("%s %v: the mean is %.1f standard errors off", c.op, elem, e)
			}
			if sd := math.Sqrt(sq / n); math.Abs(sd-c.sd) > 0.02*c.sd {
				t.Errorf("%s %v: deviation %v, want %v", c.op, elem, sd, c.sd)
			}
		}
	}
}

// TestRandomRuns: every run gives the same numbers, every step of a loop others, and two nodes without seed differ.
func TestRandomRuns(t *testing.T) {
	body := &onnxio.Graph{
		Inputs:  []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}},
		Nodes:   []*onnxio.Node{newNode("Identity", "c", "d"), newNode("RandomNormal", "", "v", ints("shape", 3))},
		Outputs: []*onnxio.ValueInfo{{Name: "d"}, {Name: "v"}},
	}
	m := small(newNode("Loop", "c0", "y", graphAttr("body", body)), longs(nil, 2))
	m.Graph.Nodes = append(m.Graph.Nodes, newNode("RandomNormal", "", "z", ints("shape", 3)))
	m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: "z"})
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]*onnxio.Array
	for range 2 {
		out, err := p.Run(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
		}
		y := out["y"].F32()
		if len(y) != 6 || slices.Equal(y[:3], y[3:]) || slices.Equal(y[:3], out["z"].F32()) {
			t.Errorf("got %v and %v, want all different", y, out["z"].F32())
		}
		if !slices.Equal(y, first["y"].F32()) || !slices.Equal(out["z"].F32(), first["z"].F32()) {
			t.Error("the second run gives other numbers")
		}
	}
}

// TestMultinomial draws where only one class can come, where none can, and from weights that are no numbers.
func TestMultinomial(t *testing.T) {
	none := float32(math.Inf(-1))
	for _, c := range []struct {
		logits []float32
		want   int32
	}{
		{[]float32{5}, 0}, {[]float32{none, 3, none}, 1}, {[]float32{-1000, 0, -1000}, 1}, {[]float32{nan, 0, nan}, 1},
		{[]float32{none, none, 1000}, 2}, {[]float32{nan, nan}, 1}, {[]float32{inf, 0, none}, 1},
	} {
		got, err := runNode(22, "Multinomial", arrays{floats([]int{1, len(c.logits)}, c.logits...)}, 1, integerAttr("sample_size", 50))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range got[0].Data.([]int32) {
			if v != c.want {
				t.Errorf("%v: class %d, want %d", c.logits, v, c.want)
				break
			}
		}
	}
	for name, in := range map[string]*onnxio.Array{"rank": floats([]int{2}, 1, 2), "no class": floats([]int{2, 0})} {
		if _, err := runNode(22, "Multinomial", arrays{in}, 1); err == nil || !strings.Contains(err.Error(), "weights of shape") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeeds(t *testing.T) {
	for _, seed := range []float32{nan, inf, -1, 5e9} {
		if _, err := runNode(22, "RandomNormal", nil, 1, ints("shape", 1), floatAttr("seed", seed)); err == nil || !strings.Contains(err.Error(), "seed") {
			t.Errorf("seed %v: %v", seed, err)
		}
	}
	if _, err := runNode(22, "RandomNormal", nil, 1); err == nil || !strings.Contains(err.Error(), `attribute "shape" is missing`) {
		t.Errorf("no shape: %v", err)
	}
	if _, err := runNode(22, "RandomNormal", nil, 1, ints("shape", -1)); err == nil {
		t.Error("a negative dimension was accepted")
	}
}

// A node that draws random numbers starts anew in every run: two models compared on one input see the same noise.
func ExampleProgram_Run_random() {
	m := modelOf(13, newNode("RandomUniform", "", "y", ints("shape", 2), floatAttr("seed", 5)))
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	p, err := Compile(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		out, err := p.Run(nil, nil)
		fmt.Printf("%.6f %v\n", out["y"].F32(), err)
	}
	// Output:
	// [0.000039 0.657689] <nil>
	// [0.000039 0.657689] <nil>
}
