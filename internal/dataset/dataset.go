// Package dataset turns what stands behind --data into named input samples for a model: .npy and .npz arrays,
// pictures, ONNX test sets, a data spec in YAML, or, only when asked for, normal random numbers.
//
// A set is a list of samples with random access. Each model input has a source, a sample is what every source gives
// at the same index, and nothing but the sample asked for is read (compressed .npz members are unpacked whole into a
// cache of bounded size), so that memory does not grow with the number of samples. Nothing about values is guessed:
// shapes are checked against the model's inputs, element types are converted only where that is said below, and
// pictures are not fed before their scaling was given.
//
//	Open -> spec, arrays, images, test sets, synthetic -> source per input -> Set -> Sample
//
// Files are taken in byte order of their paths. The same files and options give the same samples on every machine.
package dataset

import (
	"fmt"

	"bq/onnxio"
)

// Input describes one model input that is to be fed.
type Input struct {
	Name     string
	Type     onnxio.DataType
	Shape    []onnxio.Dim // a dimension that is not Known is free
	HasShape bool         // false: even the rank is unknown
}

// Inputs returns the inputs of g that a caller must feed, in graph order. An input that is no tensor has the type
// onnxio.Undefined; Open refuses it.
func Inputs(g *onnxio.Graph) []Input {
	var list []Input
	for _, v := range g.FeedInputs() {
		in := Input{Name: v.Name}
		if t := v.Type; t != nil {
			in.Type, in.Shape, in.HasShape = t.Elem, t.Shape, t.HasShape
		}
		list = append(list, in)
	}
	return list
}

// OutputNames returns the names of g's outputs in graph order, for Options.Outputs.
func OutputNames(g *onnxio.Graph) []string {
	var names []string
	for _, v := range g.Outputs {
		names = append(names, v.Name)
	}
	return names
}

// Options say where samples come from and how many are taken.
type Options struct {
	Path      string   // what --data names; "" with Synthetic
	Image     []string // KEY=VALUE settings of --image, in order; a later one wins; nil: none given
	Samples   int      // take this many, spread evenly; 0: all
	Synthetic int      // make this many samples of normal random numbers in place of reading Path; 0: read
	Seed      uint64   // of Synthetic
	Outputs   []string // names of the graph's outputs, in order, for the recorded outputs of test sets
}

// Sample is what is fed to a model at once. Its arrays are its own: nothing else holds them.
type Sample struct {
	Name    string                   // a file's path inside the data, with [index] where the file holds several
	Feeds   map[string]*onnxio.Array // by input name; element types and fixed dimensions are the model's
	Labels  []int64                  // class of each row, row-major; negative: none for that row; nil without labels
	Outputs map[string]*onnxio.Array // recorded outputs of an ONNX test set by output name, else nil
	Reset   bool                     // the first sample of a file: carried state starts from Feeds
}

// UsageError says that flags or a data spec are wrong: exit status 2. Hint, where not empty, is the way out.
type UsageError struct {
	Text string
	Hint string
}

// Error says it in one line, without the program's prefix.
func (e *UsageError) Error() string { return e.Text }

func usagef(format string, args ...any) *UsageError {
	return &UsageError{Text: fmt.Sprintf(format, args...)}
}

// A source gives the values of one input. Reads are safe for concurrent use.
type source interface {
	len() int                          // number of samples; -1: the same value for every sample
	read(i int) (*onnxio.Array, error) // sample i
	first(i int) bool                  // sample i is the first of its file
	name(i int) string                 // of sample i, for messages
}
