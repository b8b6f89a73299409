package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bq/onnxio"

	"go.yaml.in/yaml/v3"
)

// readInput finds the one source of input k. A mistake that only shows at the file is no usage error.
func (r *specReader) readInput(k int, n *yaml.Node) error {
	list, err := r.mapping(n, "images", "image", "npy", "npz", "value", "zeros")
	if err != nil {
		return err
	}
	var from, image *pair
	for i := range list {
		switch {
		case list[i].key.Value == "image":
			image = &list[i]
		case from != nil:
			return r.errorf(list[i].key, "input %s has a source already: %s", onnxio.Quote(r.inputs[k].Name), from.key.Value)
		default:
			from = &list[i]
		}
	}
	switch {
	case from == nil:
		return r.errorf(n, "want one of images, npy, npz, value, zeros")
	case image != nil && from.key.Value != "images":
		return r.errorf(image.key, "image is for images only")
	}
	switch from.key.Value {
	case "images":
		err = r.images(k, from.value, image)
	case "npy", "npz":
		err = r.arrays(k, from.key.Value, from.value)
	case "value":
		err = r.value(k, from.value)
	case "zeros":
		err = r.zeros(k, from.value)
	}
	return r.place(from.key, err)
}

// inside returns a path of the spec as one inside root.
func (r *specReader) inside(n *yaml.Node) (string, error) {
	path, err := r.scalar(n)
	if err != nil {
		return "", err
	}
	if path == "" {
		return "", r.errorf(n, "want a path")
	}
	if !filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Rel(r.root, path)
}

func (r *specReader) images(k int, n *yaml.Node, image *pair) error {
	folder, err := r.inside(n)
	if err != nil {
		return err
	}
	var list []setting
	if image != nil {
		pairs, err := r.mapping(image.value)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			values, err := r.scalars(p.value)
			if err != nil {
				return err
			}
			list = append(list, setting{p.key.Value, values, fmt.Sprintf("%s:%d: %s", r.path, p.key.Line, p.key.Value)})
		}
	}
	settings, err := newImageSettings(list)
	if err != nil {
		return err
	}
	if !settings.scaled {
		return needSettings("images without preset and without scale, mean or std", "image: {preset: ...}, with ")
	}
	pictures, others, err := walkPictures(filepath.Join(r.root, folder))
	if err != nil {
		return err
	}
	src, err := r.addPictures(k, settings, filepath.Join(r.root, folder), pictures)
	if err != nil {
		return err
	}
	for _, name := range others {
		r.info.Skipped = append(r.info.Skipped, Skipped{name, "not a .jpg, .jpeg or .png"})
	}
	for _, name := range pictures {
		r.files = append(r.files, filepath.Join(folder, name))
	}
	r.settings = append(r.settings, src.plan.String())
	r.info.Noun = "images"
	if r.pictures == nil {
		r.pictures = src
	}
	return nil
}

// arrays feeds input k from a file or all files of a folder.
func (r *specReader) arrays(k int, kind string, n *yaml.Node) error {
	list, err := r.arrayFiles(kind, r.inputs[k].Name, n)
	if err != nil {
		return err
	}
	src := &arraySource{input: r.inputs[k]}
	for _, rows := range list {
		p, err := cutRows(r.inputs[k], rows)
		if err != nil {
			return err
		}
		src.add(p)
		r.info.Dropped += p.dropped
	}
	r.sources[k] = src
	return nil
}

// arrayFiles opens the array that n names, in one file or in each file of a folder.
func (r *specReader) arrayFiles(kind, key string, n *yaml.Node) ([]*rows, error) {
	file := n
	if kind == "npz" && n.Kind == yaml.MappingNode {
		list, err := r.mapping(n, "file", "key")
		if err != nil {
			return nil, err
		}
		file = nil
		for _, p := range list {
			if p.key.Value == "file" {
				file = p.value
			} else if key, err = r.scalar(p.value); err != nil {
				return nil, err
			}
		}
		if file == nil {
			return nil, r.errorf(n, "want a file")
		}
	}
	name, err := r.inside(file)
	if err != nil {
		return nil, err
	}
	names, err := r.expand(name, "."+kind)
	if err != nil {
		return nil, err
	}
	var list []*rows
	for _, name := range names {
		one, err := r.openArray(kind, name, key)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	r.files = append(r.files, names...)
	return list, nil
}

// expand returns name itself, or the files in the folder name with extension ext, in byte order.
func (r *specReader) expand(name, ext string) ([]string, error) {
	st, err := os.Stat(filepath.Join(r.root, name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, statCause(err))
	}
	if !st.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(filepath.Join(r.root, name))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if isArray(e.Name()) && strings.EqualFold(filepath.Ext(e.Name()), ext) {
			names = append(names, filepath.Join(name, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no %s in %s", ext, name)
	}
	return names, nil
}

func (r *specReader) openArray(kind, name, key string) (*rows, error) {
	path, show := filepath.Join(r.root, name), filepath.ToSlash(name)
	if kind == "npy" {
		return openNPY(path, show, r.cache)
	}
	list, names, err := openNPZ(path, show, r.cache)
	if err == nil && list[key] == nil {
		err = fmt.Errorf("%s holds no array %q, it holds %q", show, key, names)
	}
	return list[key], err
}

// constant feeds the same array to every sample.
type constant struct{ make func() (*onnxio.Array, error) }

func (c constant) len() int                        { return -1 }
func (c constant) first(int) bool                  { return false }
func (c constant) name(int) string                 { return "constant" }
func (c constant) read(int) (*onnxio.Array, error) { return c.make() }

func (r *specReader) constant(k int, values []float64, shape []int) error {
	in := r.inputs[k]
	if n, ok := onnxio.CheckedLen(shape); !ok || n > maxSynthetic {
		return usagef("shape %v is out of range, at most %d elements", shape, maxSynthetic)
	}
	c := constant{func() (*onnxio.Array, error) { return fillValue(in.Type, values, shape) }}
	if _, err := c.make(); err != nil {
		return usagef("feeding %s: %v", onnxio.Quote(in.Name), err)
	}
	r.sources[k] = c
	return nil
}

// value fills the input's shape; a free first dimension is a batch of 1.
func (r *specReader) value(k int, n *yaml.Node) error {
	words, err := r.scalars(n)
	if err != nil {
		return err
	}
	values, err := numbers(words)
	if err != nil {
		return r.errorf(n, "%v", err)
	}
	in := r.inputs[k]
	shape, ok := in.bound(1)
	for i, d := range in.Shape {
		ok = ok && (d.Known || i == 0)
	}
	if !ok || !in.HasShape {
		return r.errorf(n, "input %s %s has free dimensions, which value does not fill: want zeros or an array", onnxio.Quote(in.Name), in.dims())
	}
	return r.constant(k, values, shape)
}

func (r *specReader) zeros(k int, n *yaml.Node) error {
	words, err := r.scalars(n)
	if err != nil {
		return err
	}
	shape := make([]int, len(words))
	for i, w := range words {
		if shape[i], err = whole(w, 0, maxSynthetic); err != nil {
			return r.errorf(n, "%v", err)
		}
	}
	if in := r.inputs[k]; !in.accepts(shape) {
		return r.errorf(n, "zeros %v for input %s, want %s", shape, onnxio.Quote(in.Name), in.dims())
	}
	return r.constant(k, []float64{0}, shape)
}
