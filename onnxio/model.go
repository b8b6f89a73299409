package onnxio

// Model is a ModelProto: a graph with the operator sets it is written in.
type Model struct {
	IRVersion       int64
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Graph           *Graph
	Opsets          []*Opset
	Metadata        []*StringEntry
	Functions       []*Function
	wire
}

// Opset is an OperatorSetIdProto: a domain and the version of it that the model uses.
type Opset struct {
	Domain  string
	Version int64
	wire
}

// StringEntry is a StringStringEntryProto.
type StringEntry struct {
	Key, Value string
	wire
}

// Graph is a GraphProto: nodes in topological order, constants (initializers), and the names that go in and out.
type Graph struct {
	Name         string
	Doc          string
	Nodes        []*Node
	Initializers []*Tensor
	Inputs       []*ValueInfo
	Outputs      []*ValueInfo
	ValueInfo    []*ValueInfo
	wire         // sparse initializers, quantization annotations and metadata are kept as bytes
}

// Node is a NodeProto: one operator applied to named values. An empty input or output name means "not given".
type Node struct {
	Name       string
	OpType     string
	Domain     string
	Overload   string
	Doc        string
	Inputs     []string
	Outputs    []string
	Attributes []*Attribute
	Metadata   []*StringEntry
	wire
}

// AttributeType says which field of an Attribute holds its value.
type AttributeType int32

// The attribute types of onnx.proto.
const (
	AttrUndefined     AttributeType = 0
	AttrFloat         AttributeType = 1
	AttrInt           AttributeType = 2
	AttrString        AttributeType = 3
	AttrTensor        AttributeType = 4
	AttrGraph         AttributeType = 5
	AttrFloats        AttributeType = 6
	AttrInts          AttributeType = 7
	AttrStrings       AttributeType = 8
	AttrTensors       AttributeType = 9
	AttrGraphs        AttributeType = 10
	AttrSparseTensor  AttributeType = 11
	AttrSparseTensors AttributeType = 12
	AttrTypeProto     AttributeType = 13
	AttrTypeProtos    AttributeType = 14
)

// Attribute is an AttributeProto: a named constant of a node. Sparse tensors and types are kept as bytes.
type Attribute struct {
	Name    string
	Type    AttributeType
	F       float32
	I       int64
	S       []byte
	T       *Tensor
	G       *Graph
	Floats  []float32
	Ints    []int64
	Strings [][]byte
	Tensors []*Tensor
	Graphs  []*Graph
	RefName string // inside a Function: the function's attribute this one stands for
	Doc     string
	wire
}

// ValueInfo is a ValueInfoProto: the name and, where it is a tensor, the type and shape of a value.
type ValueInfo struct {
	Name string
	Doc  string
	Type *TensorType // nil when the value is not a tensor or nothing is said
	wire
}

// TensorType is a TypeProto of the tensor kind: element type and shape.
type TensorType struct {
	Elem     DataType
	HasShape bool // false: even the rank is unknown
	Shape    []Dim
	wire
}

// Dim is one dimension of a TensorType: a fixed Value, else a symbolic Param, which may be empty.
type Dim struct {
	Value int64
	Known bool // Value counts
	Param string
	wire
}

// Function is a FunctionProto: an operator defined by the model itself.
type Function struct {
	Name       string
	Domain     string
	Overload   string
	Doc        string
	Inputs     []string
	Outputs    []string
	Attributes []string     // names without default
	Defaults   []*Attribute // attributes with default value
	Nodes      []*Node
	Opsets     []*Opset
	ValueInfo  []*ValueInfo
	Metadata   []*StringEntry
	wire
}

// Opset returns the version of domain that the model imports, 0 where it does not import it.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Opsets {
		if CanonicalDomain(o.Domain) == CanonicalDomain(domain) {
			return o.Version
		}
	}
	return 0
}

// Attr returns the node's attribute of that name, nil where the node has none.
func (n *Node) Attr(name string) *Attribute {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Input returns the name of input i, "" where it is not given.
func (n *Node) Input(i int) string {
	if i < 0 || i >= len(n.Inputs) {
		return ""
	}
	return n.Inputs[i]
}

// Initializer returns the graph's initializer of that name, nil where there is none.
func (g *Graph) Initializer(name string) *Tensor {
	for _, t := range g.Initializers {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// FeedInputs returns the graph's inputs that a caller must feed: those that no initializer gives a default
// (up to IR version 3 every initializer is listed among the inputs too).
func (g *Graph) FeedInputs() []*ValueInfo {
	given := make(map[string]bool, len(g.Initializers))
	for _, t := range g.Initializers {
		given[t.Name] = true
	}
	var feeds []*ValueInfo
	for _, v := range g.Inputs {
		if !given[v.Name] {
			feeds = append(feeds, v)
		}
	}
	return feeds
}

// IntAttr returns attribute name of n as an integer, def where n has none.
func (n *Node) IntAttr(name string, def int64) int64 {
	if a := n.Attr(name); a != nil {
		return a.I
	}
	return def
}

// FloatAttr returns attribute name of n as a float, def where n has none.
func (n *Node) FloatAttr(name string, def float32) float32 {
	if a := n.Attr(name); a != nil {
		return a.F
	}
	return def
}

// StringAttr returns attribute name of n as a string, def where n has none.
func (n *Node) StringAttr(name, def string) string {
	if a := n.Attr(name); a != nil {
		return string(a.S)
	}
	return def
}

// IntsAttr returns attribute name of n as a list of integers, nil where n has none.
func (n *Node) IntsAttr(name string) []int64 {
	if a := n.Attr(name); a != nil {
		return a.Ints
	}
	return nil
}
