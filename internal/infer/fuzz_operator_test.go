package infer

import (
	"errors"
	"math"
	"testing"
	"time"

	"bq/onnxio"
)

// script reads decisions from the bytes of a fuzz input; behind their end all are 0.
type script []byte

func (s *script) next(n int) int {
	if len(*s) == 0 || n < 1 {
		return 0
	}
	v := int((*s)[0])
	*s = (*s)[1:]
	return v % n
}

// attributeNames are the attributes that decide shapes, with the type that most operators give them.
var attributeNames = []struct {
	name string
	kind onnxio.AttributeType
}{
	{"axis", onnxio.AttrInt}, {"axes", onnxio.AttrInts}, {"pads", onnxio.AttrInts}, {"strides", onnxio.AttrInts}, {"dilations", onnxio.AttrInts},
	{"kernel_shape", onnxio.AttrInts}, {"group", onnxio.AttrInt}, {"keepdims", onnxio.AttrInt}, {"perm", onnxio.AttrInts}, {"output_shape", onnxio.AttrInts},
	{"output_padding", onnxio.AttrInts}, {"auto_pad", onnxio.AttrString}, {"ceil_mode", onnxio.AttrInt}, {"blocksize", onnxio.AttrInt}, {"split", onnxio.AttrInts},
	{"starts", onnxio.AttrInts}, {"ends", onnxio.AttrInts}, {"scales", onnxio.AttrFloats}, {"mode", onnxio.AttrString}, {"k", onnxio.AttrInt},
	{"hidden_size", onnxio.AttrInt}, {"num_heads", onnxio.AttrInt}, {"kv_num_heads", onnxio.AttrInt}, {"num_groups", onnxio.AttrInt}, {"block_size", onnxio.AttrInt},
	{"K", onnxio.AttrInt}, {"N", onnxio.AttrInt}, {"bits", onnxio.AttrInt}, {"to", onnxio.AttrInt}, {"dtype", onnxio.AttrInt}, {"shape", onnxio.AttrInts},
	{"equation", onnxio.AttrString}, {"direction", onnxio.AttrString}, {"size", onnxio.AttrInt}, {"border", onnxio.AttrInts}, {"scale", onnxio.AttrInts},
	{"batch_dims", onnxio.AttrInt}, {"sample_size", onnxio.AttrInt}, {"transA", onnxio.AttrInt}, {"transB", onnxio.AttrInt}, {"largest", onnxio.AttrInt},
	{"num_outputs", onnxio.AttrInt}, {"seed", onnxio.AttrFloat}, {"coordinate_transformation_mode", onnxio.AttrString}, {"exclusive", onnxio.AttrInt},
}

var attributeTexts = []string{"", "SAME_UPPER", "SAME_LOWER", "VALID", "linear", "cubic", "reflect", "edge", "wrap", "bidirectional", "reverse",
	"ij,jk->ik", "...i,i->...", "ii->i", "align_corners", "tf_crop_and_resize", "bilinear", "DCR", "CRD"}

var numbers = []int64{0, 1, 2, 3, 4, -1, -2, 5, 7, 8, 16, 31, 255, -3, 1 << 20, 1 << 31, math.MaxInt64, math.MinInt64}

func (s *script) number() int64 { return numbers[s.next(len(numbers))] }

func (s *script) attribute() *onnxio.Attribute {
	d := attributeNames[s.next(len(attributeNames))]
	a := &onnxio.Attribute{Name: d.name, Type: d.kind, I: s.number(), F: float32(s.number()), S: []byte(attributeTexts[s.next(len(attributeTexts))])}
	for range s.next(5) {
		a.Ints = append(a.Ints, s.number())
		a.Floats = append(a.Floats, float32(s.number())/2)
	}
	return a
}

// value returns a small array of any type and shape, nil for an input that is left out.
func (s *script) value() *onnxio.Array {
	types := []onnxio.DataType{onnxio.Float, onnxio.Int64, onnxio.Uint8, onnxio.Int8, onnxio.Bool, onnxio.Int32, onnxio.Double, onnxio.Float16, onnxio.String, onnxio.BFloat16}
	pick := s.next(len(types) + 1)
	if pick == len(types) {
		return nil
	}
	shape := make([]int, s.next(5))
	for i := range shape {
		shape[i] = s.next(6)
	}
	a := onnxio.NewArray(types[pick], shape...)
	for i := range a.Len() {
		switch d := a.Data.(type) {
		case []float32:
			d[i] = float32(s.number()) / 4
		case []float64:
			d[i] = float64(s.number()) / 4
		case []int64:
			d[i] = s.number()
		case []int32:
			d[i] = int32(s.number())
		case []uint8:
			d[i] = uint8(s.number())
		case []int8:
			d[i] = int8(s.number())
		case []bool:
			d[i] = s.next(2) == 1
		}
	}
	return a
}

// FuzzOperator runs one operator of the table, in one of its versions, on inputs and attributes of any shape: no panic,
// memory within the limit, no run over ten seconds.
func FuzzOperator(f *testing.F) {
	table := operatorTable()
	for i := range table {
		f.Add([]byte{byte(i), byte(i >> 8), 3, 2, 0, 0, 2, 2, 3, 1, 2, 3, 4, 5, 0, 2, 3, 2, 1, 2, 3, 4, 5, 6})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := script(b)
		op := table[(s.next(256)+256*s.next(2))%len(table)]
		version := op.since[s.next(len(op.since))]
		n := &onnxio.Node{OpType: op.name, Domain: op.domain}
		m := modelOf(21, n)
		if op.domain == "" {
			m.Opsets[0].Version = version
		} else {
			m.Opsets = append(m.Opsets, &onnxio.Opset{Domain: op.domain, Version: version})
		}
		feeds := map[string]*onnxio.Array{}
		for i := range 1 + s.next(9) {
			name := ""
			if v := s.value(); v != nil {
				name = "x" + string(rune('0'+i))
				feeds[name] = v
				m.Graph.Inputs = append(m.Graph.Inputs, &onnxio.ValueInfo{Name: name})
			}
			n.Inputs = append(n.Inputs, name)
		}
		for range s.next(5) {
			n.Attributes = append(n.Attributes, s.attribute())
		}
		for i := range 1 + s.next(min(op.out, 4)) {
			name := "y" + string(rune('0'+i))
			n.Outputs = append(n.Outputs, name)
			m.Graph.Outputs = append(m.Graph.Outputs, &onnxio.ValueInfo{Name: name})
		}
		watchdog := time.AfterFunc(10*time.Second, func() { panic(op.name + " runs for more than ten seconds") })
		defer watchdog.Stop()
		p, err := Options{Threads: 1, MaxBytes: 1 << 20}.Compile(m)
		if err != nil {
			return
		}
		if _, err = p.Run(feeds, nil); errors.Is(err, errPanic) {
			t.Errorf("%s of opset %d on %v with %v: %v", op.name, version, feeds, n.Attributes, err)
		}
	})
}
