package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bq/onnxio"

	"go.yaml.in/yaml/v3"
)

// maxSpec bounds the bytes of a data spec.
const maxSpec = 1 << 20

// specReader builds a set from a data spec:
//
//	version: 1
//	inputs:
//	  NAME:                         # one of
//	    images: FOLDER              #   pictures, also in folders below; with `image: {settings}`
//	    npy: FILE or FOLDER
//	    npz: FILE or FOLDER, or {file: FILE or FOLDER, key: ARRAY}; the key is NAME unless given
//	    value: NUMBER or [NUMBERS]  #   the same for every sample
//	    zeros: [SHAPE]              #   likewise
//	carry: {OUTPUT: INPUT}
//	labels: folder                  # or FILE.npy, {npz: ...}, {next: NAME}
//
// Paths are relative to the spec. Unknown keys and wrong values are a *UsageError with file and line. An input that
// carry names and inputs does not starts from zeros; its dimensions must then be fixed.
type specReader struct {
	*Set
	path     string   // for messages
	root     string   // the spec's folder
	files    []string // read, inside root, for the digest
	settings []string // likewise
	cache    *cache
	outputs  []string
	pictures *imageSource // the first source of pictures
}

func openSpec(inputs []Input, o Options) (*Set, error) {
	r := &specReader{Set: newSet(inputs, "spec"), path: o.Path, root: filepath.Dir(o.Path), cache: newCache(maxUnpacked), outputs: o.Outputs}
	text, err := readLimited(o.Path, maxSpec)
	if err != nil {
		return nil, err
	}
	doc, err := YAMLDocument(text)
	if err != nil {
		return nil, &UsageError{Text: fmt.Sprintf("reading %s%s", o.Path, YAMLFault(text, err))}
	}
	if len(doc.Content) != 1 {
		return nil, usagef("reading %s: the spec is empty", o.Path)
	}
	if err := r.spec(doc.Content[0]); err != nil {
		return nil, err
	}
	slices.Sort(r.files)
	r.files = append([]string{filepath.Base(o.Path)}, slices.Compact(r.files)...)
	r.Set.files = below(r.root, r.files)
	r.info.SHA256, err = digestFiles(r.root, r.files, r.settings...)
	return r.Set, err
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("reading %s: more than %d bytes", path, limit)
	}
	return b, err
}

// errorf points at n's line.
func (r *specReader) errorf(n *yaml.Node, format string, args ...any) error {
	return usagef("reading %s:%d: %s", r.path, n.Line, fmt.Sprintf(format, args...))
}

// pair is one entry of a mapping.
type pair struct{ key, value *yaml.Node }

// mapping returns n's entries, whose keys must be among known (any where nil) and stand once.
func (r *specReader) mapping(n *yaml.Node, known ...string) ([]pair, error) {
	if n.Kind != yaml.MappingNode {
		return nil, r.errorf(n, "want keys and values")
	}
	var list []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode || key.Kind != yaml.ScalarNode {
			return nil, r.errorf(key, "aliases and compound keys are not supported")
		}
		if len(known) > 0 && !slices.Contains(known, key.Value) {
			return nil, r.errorf(key, "unknown key %q, want %s", key.Value, strings.Join(known, ", "))
		}
		if seen[key.Value] {
			return nil, r.errorf(key, "key %q stands twice", key.Value)
		}
		seen[key.Value] = true
		list = append(list, pair{key, value})
	}
	return list, nil
}

func (r *specReader) scalar(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", r.errorf(n, "want a single value")
	}
	return n.Value, nil
}

// scalars returns the values of a flat list, or of a single value.
func (r *specReader) scalars(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		v, err := r.scalar(n)
		return []string{v}, err
	}
	list := []string{}
	for _, item := range n.Content {
		v, err := r.scalar(item)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// spec reads the whole document. Labels come last, as they may need the inputs' sources.
func (r *specReader) spec(n *yaml.Node) error {
	list, err := r.mapping(n, "version", "inputs", "carry", "labels")
	if err != nil {
		return err
	}
	parts := map[string]*yaml.Node{}
	for _, p := range list {
		parts[p.key.Value] = p.value
	}
	if v := parts["version"]; v == nil || v.Value != "1" {
		return r.errorf(n, "want version: 1")
	}
	if parts["inputs"] == nil {
		return r.errorf(n, "want inputs")
	}
	if err := r.readInputs(parts["inputs"]); err != nil {
		return err
	}
	if c := parts["carry"]; c != nil {
		if err := r.readCarry(c); err != nil {
			return err
		}
	}
	for i, in := range r.inputs {
		if r.sources[i] == nil {
			return r.errorf(parts["inputs"], "input %s is missing", onnxio.Quote(in.Name))
		}
	}
	if l := parts["labels"]; l != nil {
		if err := r.readLabels(l); err != nil {
			return err
		}
	}
	return nil
}

func (r *specReader) readInputs(n *yaml.Node) error {
	list, err := r.mapping(n)
	if err != nil {
		return err
	}
	for _, p := range list {
		k := r.index(p.key.Value)
		if k < 0 {
			return r.errorf(p.key, "no input %s, inputs: %s", onnxio.Quote(p.key.Value), quoteNames(r.inputs))
		}
		if err := r.readInput(k, p.value); err != nil {
			return err
		}
	}
	return nil
}

func (r *specReader) index(input string) int {
	return slices.IndexFunc(r.inputs, func(in Input) bool { return in.Name == input })
}

// place puts file and line in front of an error that has none.
func (r *specReader) place(n *yaml.Node, err error) error {
	var usage *UsageError
	where := fmt.Sprintf("reading %s:", r.path)
	switch {
	case err == nil || strings.HasPrefix(err.Error(), where):
		return err
	case errors.As(err, &usage):
		return &UsageError{Text: fmt.Sprintf("%s%d: %s", where, n.Line, usage.Text), Hint: usage.Hint}
	}
	return fmt.Errorf("%s%d: %w", where, n.Line, err)
}

// readCarry reads which output is which input of the next step.
func (r *specReader) readCarry(n *yaml.Node) error {
	list, err := r.mapping(n)
	if err != nil {
		return err
	}
	r.carry = map[string]string{}
	taken := map[string]bool{}
	for _, p := range list {
		input, err := r.scalar(p.value)
		if err != nil {
			return err
		}
		k := r.index(input)
		switch {
		case k < 0:
			return r.errorf(p.value, "no input %s, inputs: %s", onnxio.Quote(input), quoteNames(r.inputs))
		case taken[input]:
			return r.errorf(p.value, "input %s is carried twice", onnxio.Quote(input))
		case len(r.outputs) > 0 && !slices.Contains(r.outputs, p.key.Value):
			return r.errorf(p.key, "no output %s, outputs: %q", onnxio.Quote(p.key.Value), r.outputs)
		}
		taken[input], r.carry[p.key.Value] = true, input
		if r.sources[k] == nil {
			shape, ok := r.inputs[k].bound(-1)
			if !ok || !r.inputs[k].HasShape || slices.Contains(shape, -1) {
				return r.errorf(p.value, "input %s %s starts from zeros, but of which shape: give it as zeros: [SHAPE] under inputs",
					onnxio.Quote(input), r.inputs[k].dims())
			}
			if err := r.place(p.value, r.constant(k, []float64{0}, shape)); err != nil {
				return err
			}
		}
	}
	return nil
}
