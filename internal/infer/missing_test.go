package infer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bq/onnxio"
)

// gapsModel has two operators that nobody knows, one of them twice, and a known one with an attribute it does not have.
func gapsModel() *onnxio.Model {
	m := modelOf(12, newNode("Frob", "x", "a"), newNode("Relu", "a", "b", floatAttr("slope", 1)), newNode("Nicate", "b", "c"), newNode("Frob", "c", "y"))
	m.Graph.Nodes[2].Domain, m.Graph.Nodes[2].Name = "com.acme", "last"
	m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: "com.acme", Version: 3})
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	return m
}

func TestMissingErrorNamesAll(t *testing.T) {
	_, err := Compile(gapsModel())
	const want = `cannot run: 3 operators are missing: ` +
		`node 0 (Frob): operator Frob of domain ai.onnx, opset 12 (and 1 more node); ` +
		`node 1 (Relu): attribute "slope" of operator Relu; ` +
		`node 2 "last" (Nicate): operator Nicate of domain com.acme, opset 3`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var missing *MissingError
	if !errors.As(err, &missing) || len(missing.List) != 4 {
		t.Fatalf("got %#v, want a MissingError of four nodes", err)
	}
	if got := missing.List[3]; got.Domain != "ai.onnx" || got.Op != "Frob" || got.Node != "node 3 (Frob)" {
		t.Errorf("the last one is %+v", got)
	}
	var unsupported *onnxio.UnsupportedError
	if !errors.As(err, &unsupported) || unsupported.Where != "node 0 (Frob)" {
		t.Errorf("got %v, want an UnsupportedError of node 0", unsupported)
	}
	list, err := Missing(gapsModel())
	if err != nil || len(list) != 4 || list[2].Node != `node 2 "last" (Nicate)` {
		t.Errorf("missing: %v, %v", list, err)
	}
	if list, err = Missing(smallConvNet()); err != nil || len(list) != 0 {
		t.Errorf("missing of a model that runs: %v, %v", list, err)
	}
	if _, err = Missing(&onnxio.Model{}); err == nil {
		t.Error("a model without graph has nothing missing")
	}
}

// TestMissingErrorIsBounded gives a model of many unknown operators with very long names.
func TestMissingErrorIsBounded(t *testing.T) {
	var nodes []*onnxio.Node
	for i := range 500 {
		n := newNode("O"+strings.Repeat("日", 1000)+fmt.Sprint(i), "x", fmt.Sprint("y", i))
		n.Name = strings.Repeat("n", 5000)
		nodes = append(nodes, n)
	}
	m := modelOf(13, nodes...)
	m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "x"}}, []*onnxio.ValueInfo{{Name: "y0"}}
	_, err := Compile(m)
	if err == nil || len(err.Error()) > 2000 || strings.ContainsAny(err.Error(), "\n\r") {
		t.Fatalf("%d bytes: %v", len(err.Error()), err)
	}
	for _, want := range []string{"500 operators are missing", "and 494 more reasons"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestMissingInSubgraphNamesThePlace(t *testing.T) {
	m := modelOf(13, newNode("If", "c", "y", graphAttr("then_branch", branch("Frob", "x")), graphAttr("else_branch", branch("Identity", "x"))))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}, {Name: "c"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	const want = "cannot run: 1 operator is missing: node 0 (If) then_branch: node 0 (Frob): operator Frob of domain ai.onnx, opset 13"
	if _, err := Compile(m); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestOldAndUnknownSets compiles one node in operator sets that have another form of it or do not have it at all.
func TestOldAndUnknownSets(t *testing.T) {
	type row struct {
		opset      int64
		op, domain string
		want       string
	}
	var rows []row
	for opset := int64(1); opset < 7; opset++ {
		for _, op := range []string{"Add", "Gemm", "BatchNormalization", "PRelu", "AveragePool", "Pow"} {
			rows = append(rows, row{opset, op, "", fmt.Sprintf("node 0 %q (%s): operator %s of domain ai.onnx, opset %d: implemented from opset 7 on", "n", op, op, opset)})
		}
	}
	rows = append(rows,
		row{0, "Relu", "", `node 0 "n" (Relu): operator Relu of domain ai.onnx, opset 0: the model does not import the domain`},
		row{5, "Relu", "", `operator Relu of domain ai.onnx, opset 5: implemented from opset 6 on`},
		row{11, "Upsample", "", `operator Upsample of domain ai.onnx, opset 11: taken away in opset 10`},
		row{11, "Scatter", "", `operator Scatter of domain ai.onnx, opset 11: taken away in opset 11`},
		row{newestOpset + 1, "Relu", "", fmt.Sprintf("operator Relu of domain ai.onnx, opset %d: known up to opset %d", newestOpset+1, newestOpset)},
		row{13, "Relu", "com.acme", `node 0 "n" (Relu): operator Relu of domain com.acme, opset 1`},
		row{13, "NoSuchFusion", "com.microsoft", `operator NoSuchFusion of domain com.microsoft, opset 1`},
		row{13, "Adam", "ai.onnx.preview.training", `operator Adam of domain ai.onnx.preview.training, opset 1`},
		row{20, "ImageDecoder", "", `operator ImageDecoder of domain ai.onnx, opset 20`},
	)
	for _, c := range rows {
		n := newNode(c.op, "x", "y")
		n.Name, n.Domain = "n", c.domain
		m := modelOf(c.opset, n)
		if c.domain != "" {
			m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: c.domain, Version: 1})
		}
		m.Graph.Inputs, m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "x"}}, []*onnxio.ValueInfo{{Name: "y"}}
		_, err := Compile(m)
		var unsupported *onnxio.UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(unsupported.Error(), c.want) {
			t.Errorf("%s, opset %d: got %v, want %s", c.op, c.opset, err, c.want)
		}
	}
}

func ExampleMissingError() {
	_, err := Compile(gapsModel())
	var missing *MissingError
	if errors.As(err, &missing) {
		for _, m := range missing.List {
			fmt.Println(m.Domain, m.Op, "at", m.Node)
		}
	}
	// Output:
	// ai.onnx Frob at node 0 (Frob)
	// ai.onnx Relu at node 1 (Relu)
	// com.acme Nicate at node 2 "last" (Nicate)
	// ai.onnx Frob at node 3 (Frob)
}
