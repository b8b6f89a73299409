package onnxio

import (
	"slices"
	"strings"
	"testing"
)

// sparseGraph makes a graph with one sparse initializer by hand.
func sparseGraph(t *testing.T, values, indices *Array, dims ...int64) *Graph {
	t.Helper()
	sparse := &encoder{}
	sparse.msg(sparseValues, NewTensor("w", values))
	sparse.msg(sparseIndices, NewTensor("", indices))
	sparse.packed(sparseDims, dims)
	graph := &encoder{}
	graph.sub(sparseInitializer, sparse)
	model := &encoder{}
	model.int(1, 8)
	model.sub(7, graph)
	m, err := Parse(slices.Concat(model.finish()...))
	if err != nil {
		t.Fatal(err)
	}
	return m.Graph
}

func TestSparseInitializers(t *testing.T) {
	for name, indices := range map[string]*Array{
		"places":      Int64s([]int64{1, 3, 5}, 3),
		"coordinates": Int64s([]int64{0, 1, 1, 0, 1, 2}, 3, 2),
	} {
		list, err := sparseGraph(t, Floats([]float32{7, 8, 9}, 3), indices, 2, 3).SparseInitializers()
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %d sparse initializers, %v", name, len(list), err)
		}
		a, err := list[0].Dense(100)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := []float32{0, 7, 0, 8, 0, 9}; !slices.Equal(a.F32(), want) || !slices.Equal(a.Shape, []int{2, 3}) {
			t.Errorf("%s: %v %v, want %v", name, a.Shape, a.F32(), want)
		}
	}
}

func TestSparseInitializersThatCannotBe(t *testing.T) {
	tests := []struct {
		indices *Array
		dims    []int64
		text    string
	}{
		{Int64s([]int64{1, 6}, 2), []int64{2, 3}, "index 6 of value 1, want less than 6"},
		{Int64s([]int64{-1, 2}, 2), []int64{2, 3}, "index -1 of value 0"},
		{Int64s([]int64{0, 3, 0, 0}, 2, 2), []int64{2, 3}, "index 3 of value 0, want less than 3"},
		{Int64s([]int64{1}, 1), []int64{2, 3}, "1 indices"},
		{Int64s([]int64{1, 2}, 2), []int64{1 << 40, 1 << 40}, "dimensions"},
		{Int64s([]int64{1, 2}, 2), []int64{50, 3}, "more than 100 elements"},
		{Int64s([]int64{1, 2}, 2), []int64{-1, 3}, "dimensions [-1 3]"},
	}
	for _, tt := range tests {
		list, err := sparseGraph(t, Floats([]float32{7, 8}, 2), tt.indices, tt.dims...).SparseInitializers()
		if err == nil && len(list) == 1 {
			_, err = list[0].Dense(100)
		}
		if err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%v of %v: %v, want %q", tt.indices.Data, tt.dims, err, tt.text)
		}
	}
}
