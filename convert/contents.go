package convert

import (
	"fmt"
	"math"
	"slices"

	"bq/balance"
	"bq/onnxio"
	"bq/packing"
)

// Contents is what a container holds, without any tensor's values.
type Contents struct {
	About   *About
	Model   *onnxio.Model // the graph; its stored tensors have no data
	Tensors []Coverage    // every constant float tensor; SQNR is that of the metadata, NaN where these hold none
}

// ReadContents reads graph, metadata and index of a container.
func ReadContents(f *packing.File) (*Contents, error) {
	about, err := ReadAbout(f)
	if err != nil {
		return nil, err
	}
	graph, err := f.Graph()
	if err != nil {
		return nil, err
	}
	m, err := onnxio.Parse(graph)
	if err != nil {
		return nil, fmt.Errorf("reading the container's graph: %w", err)
	}
	list, err := sites(m)
	if err != nil {
		return nil, err
	}
	c := &Contents{About: about, Model: m}
	sqnr, err := about.sqnrs(f)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		v, err := s.stored(f)
		if err != nil {
			return nil, err
		}
		if known, ok := sqnr[v.Name]; ok {
			v.SQNR = known
		}
		c.Tensors = append(c.Tensors, v)
	}
	c.Tensors = append(append(c.Tensors, others(m)...), coded(m)...)
	return c, nil
}

// sqnrs returns what the metadata say of the error of quantized tensors, by name.
func (a *About) sqnrs(f *packing.File) (map[string]float64, error) {
	if a.SQNR == nil {
		return nil, nil
	}
	var names []string
	for _, e := range f.Entries() {
		if e.Quantized {
			names = append(names, e.Name)
		}
	}
	if len(names) != len(a.SQNR) {
		return nil, &onnxio.FormatError{Where: "metadata " + onnxio.Quote(keySQNR), Text: fmt.Sprintf("figures of %d tensors, want %d", len(a.SQNR), len(names))}
	}
	list := map[string]float64{}
	for i, v := range a.SQNR {
		if v != nil {
			list[names[i]] = *v
		}
	}
	return list, nil
}

// stored describes a site by its entry in the container.
func (s *site) stored(f *packing.File) (Coverage, error) {
	v, err := s.describe()
	if err != nil {
		return v, err
	}
	i, ok := f.Lookup(s.name)
	if !ok {
		_, v.Reason, err = s.classify(&Options{})
		if v.Reason == "" {
			err = &onnxio.FormatError{Where: "tensor " + onnxio.Quote(s.name), Text: "in the graph, not in the container"}
		}
		return v, err
	}
	e := f.Entries()[i]
	if !e.Quantized {
		v.Reason, v.Bytes = Reason(e.Note), e.KeptBytes
		return v, nil
	}
	l := balance.Layout{Outer: e.Layout.Outer, Channels: e.Layout.Channels, Inner: e.Layout.Inner, Block: e.Layout.Block}
	v.Method, v.P, v.Bits, v.Group, v.Codec = e.Method, float64(e.P), e.Bits, groupName(l), codecName(e.Codec)
	v.Bytes = e.CodesBytes + e.ScalesBytes
	return v, nil
}

// describe fills what the graph says of a site.
func (s *site) describe() (Coverage, error) {
	shape, err := s.Tensor.Shape()
	if err != nil {
		return Coverage{}, err
	}
	n := product(shape)
	return Coverage{Name: s.name, Op: s.op(), Via: s.via(), Shape: shape, Elements: n, SQNR: math.NaN(),
		Bytes: int64(n) * int64(s.Tensor.Type.Bits()) / 8}, nil
}

// ListTensors lists the constant float tensors of an ONNX model and, from the graph alone, the reasons for which
// Convert would keep them; an empty reason means that it would quantize them.
func ListTensors(m *onnxio.Model) ([]Coverage, error) {
	list, err := sites(m)
	if err != nil {
		return nil, err
	}
	tensors := make([]Coverage, len(list))
	for i, s := range list {
		if tensors[i], err = s.describe(); err != nil {
			return nil, err
		}
		if _, tensors[i].Reason, err = s.classify(&Options{}); err != nil {
			return nil, err
		}
	}
	return append(append(tensors, others(m)...), coded(m)...), nil
}

// codeReaders are operators whose constant integer inputs are quantized weights: what they are in the ONNX and
// com.microsoft operator lists, by name and weight input.
var codeReaders = map[string]int{
	"ConvInteger": 1, "DequantizeLinear": 0, "DynamicQuantizeLSTM": 1, "DynamicQuantizeMatMul": 1,
	"GatherBlockQuantized": 0, "MatMulInteger": 1, "MatMulIntegerToFloat": 1, "MatMulNBits": 1, "QAttention": 1,
	"QGemm": 3, "QLinearConv": 3, "QLinearMatMul": 3,
}

// readsCodes reports whether u is an input for quantized weights.
func readsCodes(u use) bool {
	domain := onnxio.CanonicalDomain(u.node.Domain)
	i, ok := codeReaders[u.node.OpType]
	return ok && i == u.input && (domain == onnxio.DefaultDomain || domain == "com.microsoft")
}

// coded lists the constants of up to 8-bit integers that the model reads as quantized weights: they are left alone.
func coded(m *onnxio.Model) []Coverage {
	w := newWiring(m)
	var list []Coverage
	for _, k := range m.Constants() {
		if b := k.Tensor.Type.Bits(); b <= 0 || b > 8 || k.Tensor.Type.IsFloat() {
			continue
		}
		s := &site{name: k.Name, Constant: k, uses: w.uses[value{w.graphOf(k), k.Name}]}
		if k.Path != "" {
			s.name = k.Path + " / " + k.Name
		}
		w.follow(s)
		if !slices.ContainsFunc(s.uses, readsCodes) {
			continue
		}
		if v, err := s.describe(); err == nil {
			v.Reason, v.Bytes = Coded, (int64(v.Elements)*int64(k.Tensor.Type.Bits())+7)/8
			list = append(list, v)
		}
	}
	return list
}

// others lists the float tensors that no node reads by name: they stay in the graph, and so are never quantized.
func others(m *onnxio.Model) []Coverage {
	var list []Coverage
	for _, t := range m.OtherTensors() {
		if !t.Tensor.Type.IsFloat() {
			continue
		}
		s := &site{name: t.Name, Constant: t}
		if t.Path != "" {
			s.name = t.Path + " / " + t.Name
		}
		v, err := s.describe()
		if err != nil {
			continue // a shape that can't be is reported by whoever reads the tensor
		}
		if v.Reason = Op; v.Elements < MinElements {
			v.Reason = Small
		}
		list = append(list, v)
	}
	return list
}
