package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bq/onnxio"
)

// find opens what o.Path names by what it is: a spec, an array file, or a folder of one kind of file.
func find(inputs []Input, o Options) (*Set, error) {
	if o.Synthetic > 0 {
		return synthetic(inputs, o.Synthetic, o.Seed)
	}
	st, err := os.Stat(o.Path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.Path, statCause(err))
	}
	ext := strings.ToLower(filepath.Ext(o.Path))
	switch {
	case st.IsDir():
		return findFolder(inputs, o)
	case ext == ".yaml" || ext == ".yml":
		if o.Image != nil {
			return nil, usagef("opening %s: --image has no meaning with a data spec, which has its own", o.Path)
		}
		return openSpec(inputs, o)
	case ext == ".npy" || ext == ".npz":
		return openArrays(inputs, o, filepath.Dir(o.Path), []string{filepath.Base(o.Path)})
	}
	return nil, usagef("opening %s: want a data spec (.yaml), .npz, .npy, or a folder", o.Path)
}

// statCause strips the operation and path of a PathError, which the place names.
func statCause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// findFolder opens a folder by what stands directly in it, pictures also in folders below.
func findFolder(inputs []Input, o Options) (*Set, error) {
	entries, err := os.ReadDir(o.Path) // in byte order
	if err != nil {
		return nil, err
	}
	var arrays, sets []string
	for _, e := range entries {
		switch name := e.Name(); {
		case isArray(name):
			arrays = append(arrays, name)
		case strings.HasPrefix(name, "test_data_set_"):
			sets = append(sets, name)
		case name == "input_0.pb":
			sets = append(sets, ".")
		}
	}
	pictures, others, err := walkPictures(o.Path)
	if err != nil {
		return nil, err
	}
	switch {
	case len(sets) > 0 && len(arrays) == 0 && len(pictures) == 0:
		if o.Image == nil {
			return openTestSets(inputs, o, sets)
		}
	case len(arrays) > 0 && len(sets) == 0 && len(pictures) == 0:
		return openArrays(inputs, o, o.Path, arrays)
	case len(pictures) > 0 && len(sets) == 0 && len(arrays) == 0:
		return openPictures(inputs, o, pictures, others)
	case len(pictures)+len(sets)+len(arrays) == 0:
		return nil, fmt.Errorf("opening %s: no .npz, .npy, JPEG, PNG or test_data_set_* in it", o.Path)
	default:
		return nil, usagef("opening %s: %d array files, %d test sets and %d pictures: want one kind, or a data spec",
			o.Path, len(arrays), len(sets), len(pictures))
	}
	return nil, errNoImages(o.Path)
}

func errNoImages(path string) error {
	return usagef("opening %s: --image is for pictures, of which it holds none", path)
}

func isArray(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return (ext == ".npy" || ext == ".npz") && name[0] != '.'
}

func isPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".png":
		return true
	}
	return false
}

// walkPictures returns the pictures under root and the other files, both as paths inside root in byte order. Names
// that begin with a dot are passed over.
func walkPictures(root string) (pictures, others []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != root && d.Name()[0] == '.':
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if isPicture(rel) {
			pictures = append(pictures, filepath.ToSlash(rel))
		} else {
			others = append(others, filepath.ToSlash(rel))
		}
		return nil
	})
	slices.Sort(pictures)
	slices.Sort(others)
	return pictures, others, err
}

// openArrays feeds every input from .npy or .npz files in folder root.
func openArrays(inputs []Input, o Options, root string, files []string) (*Set, error) {
	if o.Image != nil {
		return nil, errNoImages(o.Path)
	}
	s := newSet(inputs, "npy")
	sum, err := digestFiles(root, files)
	if len(files) == 1 && files[0] == filepath.Base(o.Path) {
		sum, err = digestFile(o.Path)
	}
	if err != nil {
		return nil, err
	}
	s.info.SHA256, s.files = sum, below(root, files)
	b := arrayBuilder{Set: s, root: root, cache: newCache(maxUnpacked)}
	for range inputs {
		b.feeds = append(b.feeds, &arraySource{})
	}
	for i, in := range inputs {
		b.feeds[i].input, s.sources[i] = in, b.feeds[i]
	}
	for _, name := range files {
		if err := b.add(name, len(files) > 1); err != nil {
			return nil, err
		}
	}
	return s, b.finish()
}

func newSet(inputs []Input, kind string) *Set {
	s := &Set{inputs: inputs, sources: make([]source, len(inputs))}
	s.info.Kind, s.info.Noun = kind, "samples"
	return s
}

// arrayBuilder collects array files.
type arrayBuilder struct {
	*Set
	root    string
	cache   *cache
	feeds   []*arraySource
	marks   arraySource // labels, one part per file
	all     *rows       // labels of all files in one: labels.npy
	without string      // a file without labels
}

// add takes the arrays of one file.
func (b *arrayBuilder) add(name string, folder bool) error {
	path := filepath.Join(b.root, name)
	if strings.EqualFold(filepath.Ext(name), ".npz") {
		b.info.Kind = "npz"
		return b.addArchive(path, name)
	}
	r, err := openNPY(path, name, b.cache)
	if err != nil {
		return err
	}
	if folder && name == "labels.npy" {
		b.all = r
		return nil
	}
	if len(b.inputs) != 1 {
		return fmt.Errorf("feeding from %s: a .npy file holds one array, the model has %d inputs (%s): want .npz",
			name, len(b.inputs), quoteNames(b.inputs))
	}
	return b.addFile(name, map[string]*rows{b.inputs[0].Name: r})
}

func (b *arrayBuilder) addArchive(path, name string) error {
	list, names, err := openNPZ(path, name, b.cache)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n != "labels" && !slices.ContainsFunc(b.inputs, func(in Input) bool { return in.Name == n }) {
			return fmt.Errorf("feeding from %s: array %s is no input; inputs: %s", name, onnxio.Quote(n), quoteNames(b.inputs))
		}
	}
	return b.addFile(name, list)
}

// addFile takes the arrays of one file by input name, and labels.
func (b *arrayBuilder) addFile(name string, list map[string]*rows) error {
	var like part
	for i, in := range b.inputs {
		r := list[in.Name]
		if r == nil {
			return fmt.Errorf("feeding %s: %s holds no array of that name", onnxio.Quote(in.Name), name)
		}
		p, err := cutRows(in, r)
		if err != nil {
			return err
		}
		if i == 0 {
			like = p
			b.info.Dropped += p.dropped
		} else if p.count != like.count {
			return fmt.Errorf("feeding %s from %s: %d samples, while %s has %d", onnxio.Quote(in.Name), name,
				p.count, onnxio.Quote(b.inputs[0].Name), like.count)
		}
		b.feeds[i].add(p)
	}
	r := list["labels"]
	if r == nil || slices.ContainsFunc(b.inputs, func(in Input) bool { return in.Name == "labels" }) {
		b.without = name
		return nil
	}
	p, err := cutLabels(r, like)
	b.marks.add(p)
	return err
}

// finish settles the labels: all files have them, or none.
func (b *arrayBuilder) finish() error {
	switch {
	case b.all != nil && len(b.marks.parts) > 0:
		return errors.New("reading labels: both labels.npy and arrays labels in .npz files")
	case b.all != nil:
		return b.labelRows(b.all, b.feeds[0])
	case len(b.marks.parts) == 0:
		return nil
	case b.without != "":
		return fmt.Errorf("reading labels: %s has none, while other files have", b.without)
	}
	b.marks.input = Input{Name: "labels", Type: onnxio.Int64}
	b.labels = b.marks.ints
	return nil
}

// labelRows takes one array of labels for all samples of src: as many as samples, or as its files' rows where no file
// but the last has rows left over.
func (s *Set) labelRows(r *rows, src *arraySource) error {
	total, whole := 0, 0
	if len(r.shape) > 0 {
		total = r.shape[0]
	}
	chunk := 1
	if n := src.len(); n > 0 && total != n {
		chunk = src.parts[0].chunk
		for i, p := range src.parts {
			if p.chunk != chunk || p.dropped > 0 && i < len(src.parts)-1 {
				chunk = 1
				break
			}
			whole += p.count*p.chunk + p.dropped
		}
		if whole != total {
			chunk = 1
		}
	}
	p, err := cutLabelRows(r, src.len(), chunk, []int{src.len()})
	if err != nil {
		return err
	}
	marks := &arraySource{input: Input{Name: "labels", Type: onnxio.Int64}}
	marks.add(p)
	s.labels = marks.ints
	return nil
}

// ints reads sample i as integers.
func (s *arraySource) ints(i int) ([]int64, error) {
	a, err := s.read(i)
	if err != nil {
		return nil, err
	}
	return a.Ints(), nil
}

func quoteNames(inputs []Input) string {
	var names []string
	for _, in := range inputs {
		names = append(names, onnxio.Quote(in.Name))
	}
	return strings.Join(names, ", ")
}
