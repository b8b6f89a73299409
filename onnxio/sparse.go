package onnxio

import "google.golang.org/protobuf/encoding/protowire"

// SparseTensor is a SparseTensorProto: a tensor of which the values that are not zero are stored, under the name of
// Values (onnx.proto).
type SparseTensor struct {
	Values  *Tensor // [NNZ]
	Indices *Tensor // int64 [NNZ], places in row-major order, or [NNZ, rank]
	Dims    []int64
}

// Fields of SparseTensorProto beside sparseValues.
const (
	sparseIndices = 2
	sparseDims    = 3
)

// SparseInitializers returns the sparse initializers of a graph that was read, in the order of the file. The memory they
// take is bounded by that of the graph's bytes, as that of reading is.
func (g *Graph) SparseInitializers() ([]*SparseTensor, error) {
	var list []*SparseTensor
	var failed error
	p := newParser(len(g.src))
	inside(g.src, sparseInitializer, func(b []byte) {
		s := &SparseTensor{}
		read := func(t **Tensor) func(b []byte) {
			return func(b []byte) {
				var err error
				if *t, err = p.tensor(b); err != nil && failed == nil {
					failed = err
				}
			}
		}
		inside(b, sparseValues, read(&s.Values))
		inside(b, sparseIndices, read(&s.Indices))
		s.Dims = integersOf(b, sparseDims)
		list = append(list, s)
	})
	return list, failed
}

// Dense returns the tensor in full, of at most limit elements.
func (s *SparseTensor) Dense(limit int) (*Array, error) {
	if s.Values == nil || s.Indices == nil {
		return nil, formatErrorf("sparse tensor", "no values or no indices")
	}
	where := "sparse tensor " + Quote(s.Values.Name)
	shape := make([]int, len(s.Dims))
	for i, d := range s.Dims {
		if d < 0 || d > int64(limit) {
			return nil, formatErrorf(where, "dimensions %v", s.Dims)
		}
		shape[i] = int(d)
	}
	n, ok := CheckedLen(shape)
	if !ok || n > limit {
		return nil, formatErrorf(where, "dimensions %v: more than %d elements", s.Dims, limit)
	}
	values, err := s.Values.Array()
	if err != nil {
		return nil, err
	}
	indices, err := s.Indices.Array()
	if err != nil {
		return nil, err
	}
	at, count := indices.Ints(), values.Len()
	rank := 1
	if len(indices.Shape) == 2 {
		rank = len(shape)
	}
	if s.Indices.Type != Int64 || len(at) != count*rank {
		return nil, formatErrorf(where, "%d indices of %v for %d values of rank %d", len(at), s.Indices.Type, count, rank)
	}
	dense := NewArray(s.Values.Type, shape...)
	for i := range count {
		place := 0
		for k, v := range at[i*rank : (i+1)*rank] {
			size := n
			if rank > 1 || len(indices.Shape) == 2 {
				size = shape[k]
			}
			if v < 0 || v >= int64(size) {
				return nil, formatErrorf(where, "index %d of value %d, want less than %d", v, i, size)
			}
			place = place*size + int(v)
			if rank == 1 {
				place = int(v)
			}
		}
		if !copyElement(dense, place, values, i) {
			return nil, unsupportedErrorf(where, "values of %v", s.Values.Type)
		}
	}
	return dense, nil
}

// copyElement sets element i of dst to element k of src, of the same type; false for types that it does not know.
func copyElement(dst *Array, i int, src *Array, k int) bool {
	switch d := dst.Data.(type) {
	case []float32:
		d[i] = src.Data.([]float32)[k]
	case []float64:
		d[i] = src.Data.([]float64)[k]
	case []int64:
		d[i] = src.Data.([]int64)[k]
	case []int32:
		d[i] = src.Data.([]int32)[k]
	case []int8:
		d[i] = src.Data.([]int8)[k]
	case []uint8:
		d[i] = src.Data.([]uint8)[k]
	default:
		return false
	}
	return true
}

// integersOf returns the integers of a repeated field, packed or not; too many for a shape are cut off.
func integersOf(msg []byte, num protowire.Number) []int64 {
	var list []int64
	eachField(msg, func(f field) error { // well formed: it was read before
		if f.num != num {
			return nil
		}
		if f.typ == protowire.VarintType {
			list = append(list, int64(f.u))
			return nil
		}
		for b := f.b; len(b) > 0 && len(list) <= maxRank; {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return nil
			}
			list, b = append(list, int64(v)), b[n:]
		}
		return nil
	})
	return list[:min(len(list), maxRank)]
}
