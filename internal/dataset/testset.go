package dataset

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"bq/onnxio"
)

// maxTensorFile bounds one .pb file of a test set: protobuf's own limit for a message.
const maxTensorFile = 1 << 31

// tensorSource feeds one input from input_K.pb of each test set folder (ONNX "test data sets": a TensorProto per
// file, numbered in graph order).
type tensorSource struct {
	input Input
	index int
	root  string
	sets  []string
}

func (s *tensorSource) len() int          { return len(s.sets) }
func (s *tensorSource) first(int) bool    { return true }
func (s *tensorSource) name(i int) string { return s.sets[i] }

func (s *tensorSource) read(i int) (*onnxio.Array, error) {
	show := fmt.Sprintf("%s/input_%d.pb", s.sets[i], s.index)
	t, err := readTensor(filepath.Join(s.root, show))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", show, err)
	}
	a, err := t.Array()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", show, err)
	}
	if a.Type != s.input.Type || !s.input.accepts(a.Shape) {
		return nil, fmt.Errorf("feeding %s from %s: %v %v, want %v %s", onnxio.Quote(s.input.Name), show,
			a.Type, a.Shape, s.input.Type, s.input.dims())
	}
	return a, nil
}

func readTensor(path string) (*onnxio.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTensorFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxTensorFile {
		return nil, fmt.Errorf("more than %d bytes", maxTensorFile)
	}
	return onnxio.ParseTensor(b)
}

// openTestSets feeds from the folders sets of o.Path, "." for o.Path itself. Every folder needs a file per input;
// output_K.pb, where there, are the recorded outputs.
func openTestSets(inputs []Input, o Options, sets []string) (*Set, error) {
	s := newSet(inputs, "testset")
	var files []string
	recorded := make([]int, len(sets))
	for i, set := range sets {
		for k := range inputs {
			name := fmt.Sprintf("%s/input_%d.pb", set, k)
			if _, err := os.Stat(filepath.Join(o.Path, name)); err != nil {
				return nil, fmt.Errorf("feeding %s: %w", onnxio.Quote(inputs[k].Name), err)
			}
			files = append(files, name)
		}
		extra := fmt.Sprintf("%s/input_%d.pb", set, len(inputs))
		if _, err := os.Stat(filepath.Join(o.Path, extra)); err == nil {
			return nil, fmt.Errorf("feeding from %s: the model has only %d inputs", extra, len(inputs))
		}
		for ; ; recorded[i]++ {
			name := fmt.Sprintf("%s/output_%d.pb", set, recorded[i])
			if _, err := os.Stat(filepath.Join(o.Path, name)); err != nil {
				break
			}
			files = append(files, name)
		}
	}
	for k, in := range inputs {
		s.sources[k] = &tensorSource{in, k, o.Path, sets}
	}
	s.outputs = func(i int) (map[string]*onnxio.Array, error) { return readOutputs(o, sets[i], recorded[i]) }
	var err error
	s.files = below(o.Path, files)
	s.info.SHA256, err = digestFiles(o.Path, files)
	return s, err
}

// readOutputs reads n recorded outputs, named by the model's outputs where they are known, else by the files.
func readOutputs(o Options, set string, n int) (map[string]*onnxio.Array, error) {
	if n == 0 {
		return nil, nil
	}
	outputs := make(map[string]*onnxio.Array, n)
	for k := range n {
		show := fmt.Sprintf("%s/output_%d.pb", set, k)
		t, err := readTensor(filepath.Join(o.Path, show))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", show, err)
		}
		name := t.Name
		if k < len(o.Outputs) {
			name = o.Outputs[k]
		}
		if outputs[name], err = t.Array(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", show, err)
		}
	}
	return outputs, nil
}
