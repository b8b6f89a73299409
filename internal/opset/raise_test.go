package opset

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"bq/onnxio"
)

// handTolerance is how far a result may lie from the one worked by hand in decimals.
const handTolerance = 1e-6

// TestHandCases raises each case to every version above its own, and compares with what the model was worked out to give;
// where the engine runs the model as it was, with that, too, bit for bit.
func TestHandCases(t *testing.T) {
	for _, c := range handCases() {
		before := c.model.Bytes()
		old, failed := run(reread(t, c.model), c.in)
		for to := max(c.model.Opset("")+1, 7); to <= Newest; to++ {
			m, err := onnxio.Parse(before)
			if err != nil {
				t.Fatal(err)
			}
			if err := Raise(m, to); err != nil {
				t.Errorf("%s to %d: %v", c.name, to, err)
				continue
			}
			if m.Opset("") != to || m.IRVersion < irVersion(to) {
				t.Errorf("%s to %d: operator set %d, IR version %d", c.name, to, m.Opset(""), m.IRVersion)
			}
			if again := reread(t, c.model); Raise(again, to) != nil || !bytes.Equal(again.Bytes(), m.Bytes()) {
				t.Errorf("%s to %d: raised a second time it is another model", c.name, to)
			}
			checkForms(t, c.name, m)
			got, err := run(reread(t, m), c.in)
			if err != nil {
				t.Errorf("%s to %d: %v", c.name, to, err)
				continue
			}
			for i, w := range c.want {
				if d, err := difference(got[i], w); err != nil || d > handTolerance {
					t.Errorf("%s to %d: output %d: %v is %.3g from the expected %v, %v", c.name, to, i, got[i].Data, d, w.Data, err)
				}
				if failed != nil || c.name == "shrinking" { // the engine takes the place below
					continue
				}
				if d, err := difference(got[i], old[i]); err != nil || d > 0 && experiments[c.model.Graph.Nodes[0].OpType].rule == nil {
					t.Errorf("%s to %d: output %d: %.3g from what it was, %v", c.name, to, i, d, err)
				}
			}
			if ops := opsOf(m.Graph.Nodes); to == Newest && c.ops != "" && ops != c.ops {
				t.Errorf("%s: nodes %s, want %s", c.name, ops, c.ops)
			}
		}
	}
}

// opsOf lists the operators of nodes but for constants.
func opsOf(nodes []*onnxio.Node) string {
	var list []string
	for _, n := range nodes {
		if n.OpType != "Constant" {
			list = append(list, n.OpType)
		}
	}
	return strings.Join(list, " ")
}

// TestWritten looks at what the engine takes in either form.
func TestWritten(t *testing.T) {
	x := arrays{counted(1, 1, 2, 2)}
	for _, c := range []struct {
		opset int64
		node  *onnxio.Node
		want  *onnxio.Attribute
	}{
		{16, newNode("GridSample", "x c0", "y"), text("mode", "linear")},
		{16, newNode("GridSample", "x c0", "y", text("mode", "bicubic")), text("mode", "cubic")},
		{16, newNode("GridSample", "x c0", "y", text("mode", "nearest")), text("mode", "nearest")},
		{12, newNode("Split", "x", "y z", integer("axis", 2)), integer("num_outputs", 2)},
		{2, newNode("GRU", "x c0 c0", "y", text("direction", "foward"), integer("output_sequence", 1)), text("direction", "forward")},
		{10, newNode("RoiAlign", "x c0 c0", "y"), text("coordinate_transformation_mode", "output_half_pixel")},
		{9, newNode("BatchNormalization", "x c0 c0 c0 c0", "y a b"), integer("training_mode", 1)},
		{1, newNode("Selu", "x", "y", integers("consumed_inputs", 0)), floating("gamma", 1.0507)},
		{20, newNode("GroupNormalization", "x c0 c0", "y", integer("num_groups", 1)), integer("stash_type", int64(onnxio.Double))},
	} {
		h := one("", c.opset, c.node, x, arrays{counted(1)}, nil, "")
		h.model.Graph.Inputs[0].Type.Elem = onnxio.Double
		if err := Raise(h.model, Newest); err != nil {
			t.Errorf("%s: %v", c.node.OpType, err)
			continue
		}
		checkForms(t, c.node.OpType, h.model)
		nodes := h.model.Graph.Nodes
		a := nodes[len(nodes)-1].Attr(c.want.Name)
		if a == nil || a.Type != c.want.Type || a.I != c.want.I || a.F != c.want.F || string(a.S) != string(c.want.S) {
			t.Errorf("%s: %+v, want %+v", c.node.OpType, a, c.want)
		}
	}
}

// TestRefused lists nodes without an equal: the error names the node and why, and the model stays as it was.
func TestRefused(t *testing.T) {
	x := arrays{counted(1, 2, 2)}
	for _, c := range []struct {
		opset     int64
		node      *onnxio.Node
		in        arrays
		constants arrays
		want      string
	}{
		{7, newNode("ATen", "x", "y"), x, nil, "this operator is not known"},
		{8, newNode("Where", "x x1 x2", "y"), arrays{x[0], x[0], x[0]}, nil, "begins with operator set 9"},
		{10, newNode("Upsample", "x x1", "y"), arrays{x[0], x[0]}, nil, "ends with operator set 10"},
		{9, newNode("Dropout", "x", "y z"), x, nil, "the mask of inference"},
		{6, newNode("Dropout", "x", "y", integer("is_test", 0)), x, nil, "training mode"},
		{6, newNode("BatchNormalization", "x x1 x2 x3 x4", "y", integer("is_test", 0)), arrays{x[0], x[0], x[0], x[0], x[0]}, nil, "training mode"},
		{9, newNode("BatchNormalization", "x x1 x2 x3 x4", "y a b c d"), arrays{x[0], x[0], x[0], x[0], x[0]}, nil, "saved statistics"},
		{8, newNode("BatchNormalization", "x x1 x2 x3 x4", "y a", integer("spatial", 0)), arrays{x[0], x[0], x[0], x[0], x[0]}, nil, "statistics of the batch per feature"},
		{10, newNode("Resize", "x x1", "y"), arrays{x[0], floats([]int{3}, 1, 1, 2)}, nil, `the scales "x1" are not constant`},
		{10, newNode("Resize", "x c0", "y"), x, arrays{floats([]int{3}, 1, .5, 2)}, "shrink in another"},
		{11, newNode("Resize", "x _ c0", "y", text("coordinate_transformation_mode", "tf_half_pixel_for_nn")), x, arrays{floats([]int{3}, 1, 1, 2)}, "tf_half_pixel_for_nn"},
		{1, newNode("Split", "x", "y z"), x, nil, "axis is not given"},
		{1, newNode("LpPool", "x", "y"), x, nil, "kernel_shape"},
		{1, newNode("GlobalLpPool", "x", "y", floating("p", 1.5)), x, nil, "p = 1.5"},
		{1, newNode("Cast", "x", "y", text("to", "COMPLEX64")), x, nil, `"COMPLEX64"`},
		{6, newNode("Add", "x x1", "y", integer("broadcast", 1), integer("axis", -2)), arrays{x[0], counted(2)}, nil, "axis -2"},
		{8, newNode("Scan", "x x1", "y"), arrays{longs(1), x[0]}, nil, "sequence_lens"},
		{9, newNode("Clip", "x", "y"), arrays{longs(1)}, nil, "want floats"},
		{12, newNode("Squeeze", "x", "y", &onnxio.Attribute{Name: "axes", Type: onnxio.AttrInts, RefName: "a"}), x, nil, "that of a function"},
		{12, newNode("Squeeze", "x", "y", integer("axes", 1)), x, nil, "of type INT, want INTS"},
		{12, newNode("Unsqueeze", "x", "y"), x, nil, "no attribute axes"},
		{7, newNode("Crop", "x", "y"), x, nil, "border []"},
		{7, newNode("GivenTensorFill", "x", "y", floatsAttr("values", 1), integers("shape", 1)), x, nil, "a shape that an input gives"},
		{9, newNode("TopK", "x", "y z"), x, nil, "no attribute k"},
		{9, newNode("Slice", "x", "y", integers("starts", 1)), x, nil, "1 starts, 0 ends"},
	} {
		h := one("", c.opset, c.node, c.in, c.constants, nil, "")
		c.node.Name = "n7"
		before := h.model.Bytes()
		err := Raise(h.model, Newest)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `node 0 "n7" (`+c.node.OpType+`)`) {
			t.Errorf("%s: %v, want it to say %q and where", c.node.OpType, err, c.want)
		}
		if !bytes.Equal(h.model.Bytes(), before) {
			t.Errorf("%s: refused, and changed", c.node.OpType)
		}
	}
	m := modelOf(13)
	var u *onnxio.UnsupportedError
	if err := Raise(m, Newest+1); !errors.As(err, &u) {
		t.Errorf("beyond the newest: %v", err)
	}
	var f *onnxio.FormatError
	if m.Graph = nil; !errors.As(Raise(m, 14), &f) {
		t.Error("a model without graph is raised")
	}
}

// TestUntouched: a model of the target or above, and one that imports none of ONNX's own operators.
func TestUntouched(t *testing.T) {
	for _, m := range []*onnxio.Model{
		modelOf(13, newNode("Squeeze", "x", "y")), modelOf(14, newNode("Nonsense", "x", "y")),
		{IRVersion: 3, Graph: &onnxio.Graph{Nodes: []*onnxio.Node{{OpType: "Scaler", Domain: "ai.onnx.ml"}}}, Opsets: []*onnxio.Opset{{Domain: "ai.onnx.ml", Version: 1}}},
	} {
		before := m.Bytes()
		if err := Raise(m, 13); err != nil || !bytes.Equal(m.Bytes(), before) {
			t.Errorf("changed, %v", err)
		}
	}
}

// TestNames: what is added avoids the names of all values and nodes, in subgraphs, too, and everything else keeps its own.
func TestNames(t *testing.T) {
	n := newNode("Unsqueeze", "x", "y", integers("axes", 0))
	n.Name = "y/axes.2"
	m := modelOf(11, newNode("Identity", "x", "y/axes"), n, newNode("Squeeze", "y", "z", integers("axes", 0)))
	m.Graph.Inputs = []*onnxio.ValueInfo{declare("x", onnxio.Float, 2)}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "z"}, {Name: "y/axes"}}
	if err := Raise(m, 13); err != nil {
		t.Fatal(err)
	}
	if n := m.Graph.Nodes[1]; n.Name != "y/axes.2" || !slices.Equal(n.Inputs, []string{"x", "y/axes.3"}) || !slices.Equal(n.Outputs, []string{"y"}) {
		t.Errorf("node %q of %q to %q", n.Name, n.Inputs, n.Outputs)
	}
	if len(m.Graph.Initializers) != 2 || m.Graph.Initializers[0].Name != "y/axes.3" || m.Graph.Initializers[1].Name != "z/axes" {
		t.Errorf("initializers %v", m.Graph.Initializers)
	}
}

// TestOldIR: up to IR version 3 an initializer must be a graph input, so that constants are nodes; those that are inputs
// stay so when the IR version rises.
func TestOldIR(t *testing.T) {
	c := one("", 6, newNode("Add", "x c0", "y", integer("broadcast", 1), integer("axis", 0)), arrays{counted(2, 2)}, arrays{counted(2)}, nil, "")
	c.model.Graph.Inputs = append(c.model.Graph.Inputs, declare("c0", onnxio.Float, 2))
	c.model.Graph.Nodes = append(c.model.Graph.Nodes, newNode("Slice", "y", "z", integers("starts", 0), integers("ends", 1)))
	for to, constants := range map[int64]string{8: "Unsqueeze Add Slice", 13: "Unsqueeze Add Slice"} {
		m := reread(t, c.model)
		if err := Raise(m, to); err != nil {
			t.Fatal(err)
		}
		if got := opsOf(m.Graph.Nodes); got != constants || len(m.Graph.Inputs) != 2 || m.Graph.Inputs[1].Name != "c0" {
			t.Errorf("to %d: %s, %d inputs", to, got, len(m.Graph.Inputs))
		}
		if to == 13 && (m.IRVersion != 7 || len(m.Graph.Initializers) != 5) {
			t.Errorf("IR version %d, %d initializers", m.IRVersion, len(m.Graph.Initializers))
		}
	}
	reshape := one("", 4, newNode("Reshape", "x", "y", integers("shape", 1)), arrays{counted(1, 1)}, nil, nil, "")
	if err := Raise(reshape.model, 8); err != nil || reshape.model.IRVersion != 3 || len(reshape.model.Graph.Initializers) != 0 || len(reshape.model.Graph.Nodes) != 2 {
		t.Errorf("to 8: %v, IR version %d, %d nodes", err, reshape.model.IRVersion, len(reshape.model.Graph.Nodes))
	}
}

// TestMany: time grows with the nodes, not with their square, be their outputs of one name too.
func TestMany(t *testing.T) {
	const count = 100000
	m := modelOf(9)
	for i := range count {
		n := newNode("Squeeze", "x", "y", integers("axes", 0))
		if i%2 == 0 {
			n = newNode("Softmax", "x", "y")
		}
		m.Graph.Nodes = append(m.Graph.Nodes, n)
	}
	if err := Raise(m, Newest); err != nil {
		t.Fatal(err)
	}
	if len(m.Graph.Nodes) != count/2*5 || len(m.Graph.Initializers) != count/2 {
		t.Errorf("%d nodes, %d initializers", len(m.Graph.Nodes), len(m.Graph.Initializers))
	}
}
