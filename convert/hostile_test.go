package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bq/internal/infer"
	"bq/onnxio"
	"bq/packing"
)

// damaged returns the container p with another graph, where one is given, and with these activations.
func damaged(t testing.TB, p *packing.File, graph, activations []byte) *packing.File {
	t.Helper()
	var b bytes.Buffer
	w := packing.NewWriter(&b, packing.Meta{{Key: keyActivations, Value: activations}})
	var err error
	if graph == nil {
		graph, err = p.Graph()
	}
	list := []error{err, w.Graph(graph)}
	for i := range p.Entries() {
		x, err := p.Tensor(i)
		list = append(list, err)
		if err == nil {
			list = append(list, w.Tensor(x))
		}
	}
	_, err = w.Close()
	if err := errors.Join(append(list, err)...); err != nil {
		t.Fatal(err)
	}
	changed, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// hostileModel is x -> Conv w1 -> Relu r -> depthwise Conv wd -> Conv w2 -> y -> Reshape, MatMul wm, and values of other kinds on the way.
func hostileModel() *builder {
	b := newBuilder(13).input("x", 1, 4, 8, 8).floats("w1", normal(1, 16), 4, 4, 1, 1).floats("wd", normal(2, 36), 4, 1, 3, 3).floats("w2", normal(3, 16), 4, 4, 1, 1).
		floats("wm", normal(4, 64), 8, 8).floats("kept", []float32{1, 2, 3, 4}, 4, 1, 1)
	b.constant("numbers", onnxio.Int64s([]int64{0, 1}, 2))
	b.node("Conv", []string{"x", "w1"}, "c").node("Relu", []string{"c"}, "r").node("Conv", []string{"r", "wd"}, "d", deep...).node("Conv", []string{"d", "w2"}, "e")
	b.node("Add", []string{"e", "kept"}, "a").node("MatMul", []string{"a", "wm"}, "y").output("y", 1, 4, 8, 8)
	b.node("Shape", []string{"y"}, "sizes").node("Gather", []string{"sizes", "numbers"}, "some")
	b.m.Graph.Nodes = append(b.m.Graph.Nodes, &onnxio.Node{OpType: "Constant", Outputs: []string{"made"},
		Attributes: []*onnxio.Attribute{{Name: "value", Type: onnxio.AttrTensor, T: onnxio.NewTensor("", onnxio.Floats([]float32{1}))}}})
	return b
}

func hostileContainer(t testing.TB) *packing.File {
	_, p, err := open(hostileModel().file(t), Options{Bits: 8, MinElements: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p.File
}

// Activations that the graph has no place for are refused by name, in every form.
func TestActivationsThatDoNotFit(t *testing.T) {
	p := hostileContainer(t)
	all := func(name string) Activation {
		return Activation{Name: name, Bits: 8, Scale: .1, Zero: 3, Everywhere: true}
	}
	few := func(name string) Activation { return Activation{Name: name, Bits: 8, Scale: .1, Zero: 3} }
	rows := func(name string) Activation { return Activation{Name: name, Bits: 8, ByRow: true} }
	shifted := func(name string, rank, n int) Activation {
		a := all(name)
		a.Rank, a.Shifts = rank, make([]int8, n)
		return a
	}
	for name, c := range map[string]struct {
		list []Activation
		want string // "": none
	}{
		"good":                      {[]Activation{all("x"), shifted("r", 4, 4), all("d"), all("e"), rows("a")}, ""},
		"in another order":          {[]Activation{rows("a"), all("e"), shifted("r", 4, 4), all("x")}, ""},
		"narrow":                    {[]Activation{few("x"), few("a")}, ""},
		"twice":                     {[]Activation{all("r"), all("r")}, `"r"`},
		"twice, narrow":             {[]Activation{few("x"), few("x")}, `"x"`},
		"twice, rows and all":       {[]Activation{rows("a"), all("a")}, `"a"`},
		"unknown":                   {[]Activation{all("nothing")}, `"nothing"`},
		"without name":              {[]Activation{all("")}, `""`},
		"unknown, narrow":           {[]Activation{few("nothing")}, `"nothing"`},
		"narrow, of no product":     {[]Activation{few("c")}, `"c"`},
		"a weight":                  {[]Activation{all("w1")}, `"w1"`},
		"a weight, narrow":          {[]Activation{few("w1")}, `"w1"`},
		"a kept constant":           {[]Activation{all("kept")}, `"kept"`},
		"a Constant node":           {[]Activation{all("made")}, `"made"`},
		"integers":                  {[]Activation{all("sizes")}, `"sizes"`},
		"integers of constants":     {[]Activation{all("numbers")}, `"numbers"`},
		"gathered integers":         {[]Activation{all("some")}, `"some"`},
		"rows of what a Conv reads": {[]Activation{rows("x")}, `"x"`},
		"rows of no product":        {[]Activation{rows("e")}, `"e"`},
		"shifts too few":            {[]Activation{shifted("r", 4, 3)}, `"r"`},
		"shifts too many":           {[]Activation{shifted("r", 4, 16)}, `"r"`},
		"one shift":                 {[]Activation{shifted("r", 4, 1)}, `"r"`},
		"shifts of another rank":    {[]Activation{shifted("r", 3, 4)}, `"r"`},
		"no shifts":                 {[]Activation{shifted("r", 4, 0)}, ""},
	} {
		meta, err := json.Marshal(c.list)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []Form{FormFloat, FormQDQ} {
			m, _, err := Restore(damaged(t, p, nil, meta), form)
			var format *onnxio.FormatError
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s, form %d: %v", name, form, err)
			case c.want == "":
				outputOf(t, m, onnxio.Floats(normal(9, 256), 1, 4, 8, 8), nil)
			case !errors.As(err, &format) || !strings.Contains(err.Error(), "activation "+c.want):
				t.Errorf("%s, form %d: error %v, want one that names activation %s", name, form, err, c.want)
			}
		}
	}
}

// Nodes with fewer inputs and outputs than their operators have are no reason to panic.
func TestNodesCutShort(t *testing.T) {
	p := hostileContainer(t)
	graph, err := p.Graph()
	if err != nil {
		t.Fatal(err)
	}
	const list = `[{"name":"x","bits":8,"scale":0.1,"zero":3,"everywhere":true},
		{"name":"r","bits":4,"scale":0.1,"zero":3,"shifts":[0,1,2,3],"rank":4,"everywhere":true},
		{"name":"d","bits":8,"scale":1,"everywhere":true},{"name":"e","bits":8,"scale":1,"everywhere":true},{"name":"a","bits":8,"by_row":true}]`
	for k := range hostileModel().m.Graph.Nodes {
		for n := range 2 {
			for _, cut := range []func(n *onnxio.Node, to int){
				func(n *onnxio.Node, to int) { n.Inputs = n.Inputs[:min(to, len(n.Inputs))] },
				func(n *onnxio.Node, to int) { n.Outputs = n.Outputs[:0] },
				func(n *onnxio.Node, to int) { n.Inputs, n.Outputs = n.Inputs[:min(to, len(n.Inputs))], n.Outputs[:0] },
			} {
				m, err := onnxio.Parse(graph)
				if err != nil {
					t.Fatal(err)
				}
				cut(m.Graph.Nodes[k], n)
				changed := damaged(t, p, m.Bytes(), []byte(list))
				for _, form := range []Form{FormFloat, FormQDQ} {
					if m, _, err := Restore(changed, form); err == nil {
						m.Bytes()
					}
				}
			}
		}
	}
}

// FuzzActivations restores a container whose metadata and graph are anything: an error, or a model that can be written and read again.
func FuzzActivations(f *testing.F) {
	p := hostileContainer(f)
	graph, err := p.Graph()
	if err != nil {
		f.Fatal(err)
	}
	for _, list := range []string{
		`[{"name":"x","bits":8,"scale":0.1,"zero":3,"everywhere":true},{"name":"r","bits":4,"scale":0.1,"zero":3,"shifts":[0,1,2,3],"rank":4,"everywhere":true},{"name":"d","bits":8,"scale":1,"everywhere":true}]`,
		`[{"name":"a","bits":8,"by_row":true},{"name":"x","bits":2,"scale":1}]`,
		`[{"name":"e","bits":8,"scale":1e-38,"everywhere":true},{"name":"e","bits":8,"scale":1,"everywhere":true}]`,
	} {
		f.Add(graph, []byte(list))
	}
	f.Fuzz(func(t *testing.T, graph, list []byte) {
		if len(graph) == 0 || len(graph) > 1<<16 || len(list) > 1<<12 {
			return
		}
		changed := damaged(t, p, graph, list)
		for _, form := range []Form{FormFloat, FormQDQ} {
			m, _, err := Restore(changed, form)
			if err != nil {
				continue
			}
			again, err := onnxio.Parse(m.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if len(graph) < 1<<12 {
				_, _ = infer.Compile(again)
			}
		}
	})
}
