package onnxio

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
)

// Tensor is a TensorProto: a named constant. Its elements stand in exactly one of the data fields, which one
// depends on the exporter; Array and Float32s read any of them.
type Tensor struct {
	Name        string
	Type        DataType
	Dims        []int64
	Raw         []byte // raw_data or the window of the external file: little-endian, a slice of the mapped file
	FloatData   []byte // float_data: float32, little-endian, a slice of the file where the file packs it
	DoubleData  []byte // double_data: float64, little-endian, likewise
	Int32Data   []byte // int32_data: varints; also int8, int16, uint8, uint16, bool, float16 and bfloat16 bits, 4-bit pairs
	Int64Data   []byte // int64_data: varints
	Uint64Data  []byte // uint64_data: varints; also uint32
	StringData  [][]byte
	External    []*StringEntry
	HasRaw      bool // raw_data is present, be it empty
	IsExternal  bool // data_location is EXTERNAL: Raw was filled from the file that External names
	Doc         string
	externalErr error  // why Raw could not be filled
	location    uint64 // data_location as read
	wire
}

// NewTensor makes a tensor of the elements of a, which are encoded as raw_data (strings as string_data).
func NewTensor(name string, a *Array) *Tensor {
	t := &Tensor{Name: name, Type: a.Type}
	for _, d := range a.Shape {
		t.Dims = append(t.Dims, int64(d))
	}
	if s, ok := a.Data.([]string); ok {
		for _, v := range s {
			t.StringData = append(t.StringData, []byte(v))
		}
		return t
	}
	t.SetRaw(encodeRaw(a))
	return t
}

// SetRaw makes raw, little-endian as onnx.proto says for raw_data, the tensor's only data.
func (t *Tensor) SetRaw(raw []byte) {
	t.Raw, t.HasRaw = raw, true
	t.FloatData, t.DoubleData, t.Int32Data, t.Int64Data, t.Uint64Data, t.StringData = nil, nil, nil, nil, nil, nil
	t.External, t.IsExternal, t.externalErr, t.location = nil, false, nil, 0
}

// maxRank is how many dimensions a tensor may have: numpy's limit. ONNX names none; real models stay below 10.
const maxRank = 64

// Shape returns the tensor's dimensions; an error where one is negative, or there are more than 64 of them or more than
// 2^40 elements.
func (t *Tensor) Shape() ([]int, error) {
	if len(t.Dims) > maxRank {
		return nil, formatErrorf(t.where(), "%d dimensions, want at most %d", len(t.Dims), maxRank)
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		if d < 0 || d > maxElements {
			return nil, formatErrorf(t.where(), "dimension %d of %v is out of range", i, t.Dims)
		}
		shape[i] = int(d)
	}
	if _, ok := CheckedLen(shape); !ok {
		return nil, formatErrorf(t.where(), "shape %v has too many elements", t.Dims)
	}
	return shape, nil
}

// Elements returns the number of elements that the dimensions say.
func (t *Tensor) Elements() (int, error) {
	shape, err := t.Shape()
	if err != nil {
		return 0, err
	}
	n, _ := CheckedLen(shape)
	return n, nil
}

func (t *Tensor) where() string { return "tensor " + Quote(t.Name) }

// Array decodes the tensor. The result shares nothing with the file.
func (t *Tensor) Array() (*Array, error) {
	shape, n, err := t.check()
	if err != nil {
		return nil, err
	}
	if !t.Type.HasArray() {
		return nil, unsupportedErrorf(t.where(), "element type %v", t.Type)
	}
	a := NewArray(t.Type, shape...)
	if n == 0 {
		return a, nil
	}
	switch {
	case t.Type == String:
		for i, s := range t.StringData {
			a.Data.([]string)[i] = string(s)
		}
	case t.HasRaw || t.IsExternal:
		decodeRaw(a, t.Raw)
	default:
		t.decodeTyped(a)
	}
	return a, nil
}

// Float32s decodes a tensor of Float, Float16, BFloat16 or Double as float32 into dst, which must hold
// Elements() values. Doubles are rounded to nearest even.
func (t *Tensor) Float32s(dst []float32) error {
	_, n, err := t.check()
	if err != nil {
		return err
	}
	if !t.Type.IsFloat() {
		return unsupportedErrorf(t.where(), "%v read as float32", t.Type)
	}
	if len(dst) != n {
		return formatErrorf(t.where(), "%d elements, %d wanted", n, len(dst))
	}
	switch {
	case t.Type == Float && t.HasRaw || t.Type == Float && t.IsExternal:
		getFloat32s(dst, t.Raw)
	case t.Type == Float:
		getFloat32s(dst, t.FloatData)
	case t.Type == Double:
		raw := t.Raw
		if !t.HasRaw && !t.IsExternal {
			raw = t.DoubleData
		}
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	case t.HasRaw || t.IsExternal:
		for i := range dst {
			dst[i] = widenHalf(t.Type, binary.LittleEndian.Uint16(t.Raw[2*i:]))
		}
	default:
		eachVarint(t.Int32Data, func(i int, v uint64) { dst[i] = widenHalf(t.Type, uint16(v)) })
	}
	return nil
}

func widenHalf(t DataType, bits uint16) float32 {
	if t == BFloat16 {
		return math.Float32frombits(uint32(bits) << 16)
	}
	return float16.Frombits(bits).Float32()
}

func getFloat32s(dst []float32, raw []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

// Check compares the data that the tensor holds with what its type and dimensions want, before anything is allocated
// for them.
func (t *Tensor) Check() error {
	_, _, err := t.check()
	return err
}

// check compares the bytes or values that the tensor holds with what its type and dimensions want.
func (t *Tensor) check() (shape []int, n int, err error) {
	if t.externalErr != nil {
		return nil, 0, t.externalError()
	}
	if shape, err = t.Shape(); err != nil {
		return nil, 0, err
	}
	n, _ = CheckedLen(shape)
	bits := t.Type.Bits()
	if bits == 0 && t.Type != String {
		return nil, 0, unsupportedErrorf(t.where(), "element type %v", t.Type)
	}
	want, got := n, 0
	if t.HasRaw || t.IsExternal {
		if t.Type == String {
			return nil, 0, formatErrorf(t.where(), "strings in raw_data")
		}
		want, got = (n*bits+7)/8, len(t.Raw)
	} else if want, got, err = t.typedCount(n); err != nil {
		return nil, 0, err
	}
	if got != want {
		return nil, 0, formatErrorf(t.where(), "%v %v wants %d values or bytes of data, got %d", t.Type, t.Dims, want, got)
	}
	return shape, n, nil
}

// typedCount returns how many entries of the type's own data field n elements need, and how many there are.
func (t *Tensor) typedCount(n int) (want, got int, err error) {
	switch t.Type {
	case Float:
		return 4 * n, len(t.FloatData), nil
	case Double:
		return 8 * n, len(t.DoubleData), nil
	case Complex64:
		return 8 * n, len(t.FloatData), nil
	case Complex128:
		return 16 * n, len(t.DoubleData), nil
	case Int64:
		return n, countVarints(t.Int64Data), nil
	case Uint32, Uint64:
		return n, countVarints(t.Uint64Data), nil
	case String:
		return n, len(t.StringData), nil
	}
	return (n*t.Type.Bits() + 7) / max(8, t.Type.Bits()), countVarints(t.Int32Data), nil
}

// RawBytes returns the tensor's elements as raw_data holds them, little-endian: the file's own bytes where it
// stores them so, else an encoding made anew. Strings have no such form.
func (t *Tensor) RawBytes() ([]byte, error) {
	if _, _, err := t.check(); err != nil {
		return nil, err
	}
	switch {
	case t.Type == String:
		return nil, unsupportedErrorf(t.where(), "strings as raw_data")
	case t.HasRaw || t.IsExternal:
		return t.Raw, nil
	}
	return t.typedRaw(), nil
}

// ClearData takes the elements away, name, type and dimensions stay: the form in which a container holds the graph
// apart from its tensors. SetRaw gives elements again.
func (t *Tensor) ClearData() {
	t.SetRaw(nil)
	t.HasRaw = false
}

// externalError says which tensor lacks its external data, where they should stand, and why they were not read.
func (t *Tensor) externalError() error {
	loc, _, _, err := t.externalRange()
	if err != nil {
		return fmt.Errorf("%s: external data %s: %w", t.where(), Quote(loc), err)
	}
	if t.externalErr == errNotOpened {
		return formatErrorf(t.where(), "%v", errNotOpened)
	}
	return fmt.Errorf("%s: external data %s: %w", t.where(), Quote(loc), t.externalErr)
}
