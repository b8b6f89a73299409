package dataset

import (
	"path/filepath"

	"bq/onnxio"

	"go.yaml.in/yaml/v3"
)

// readLabels reads the spec's labels: folder, FILE.npy, {npz: FILE or {file, key}} or {next: NAME}.
func (r *specReader) readLabels(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		list, err := r.mapping(n, "npz", "next")
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return r.errorf(n, "want one of npz, next")
		}
		if list[0].key.Value == "next" {
			return r.nextLabels(list[0].value)
		}
		return r.place(n, r.arrayLabels("npz", list[0].value))
	}
	v, err := r.scalar(n)
	switch {
	case err != nil:
		return err
	case v == "folder" && r.pictures == nil:
		return r.errorf(n, "labels: folder is for images")
	case v == "folder":
		r.Set.labels = r.pictures.labels
		return nil
	case filepath.Ext(v) == ".npy":
		return r.place(n, r.arrayLabels("npy", n))
	}
	return r.errorf(n, "labels %q: want folder, a .npy file, npz: or next:", v)
}

// arrayLabels takes labels from array files: one for all samples, or as many as the first array input has, one each.
func (r *specReader) arrayLabels(kind string, n *yaml.Node) error {
	list, err := r.arrayFiles(kind, "labels", n)
	if err != nil {
		return err
	}
	for _, src := range r.sources {
		src, ok := src.(*arraySource)
		switch {
		case !ok:
		case len(list) == 1:
			return r.labelRows(list[0], src)
		case len(list) == len(src.parts):
			return r.labelParts(list, src)
		}
	}
	if len(list) > 1 {
		return usagef("%d files of labels fit no input", len(list))
	}
	total, chunk := 0, 1
	for _, src := range r.sources {
		if src.len() >= 0 {
			total = src.len()
		}
		if images, ok := src.(*imageSource); ok {
			chunk = images.plan.batch
			if len(images.skipped) > 0 {
				return usagef("labels by number, but %d pictures are unreadable, the first is %s", len(images.skipped), images.skipped[0].File)
			}
			break
		}
	}
	p, err := cutLabelRows(list[0], total, chunk, []int{total * chunk})
	if err != nil {
		return err
	}
	marks := &arraySource{input: Input{Name: "labels", Type: onnxio.Int64}}
	marks.add(p)
	r.Set.labels = marks.ints
	return nil
}

// labelParts takes the labels of each file of src from the file at the same place.
func (r *specReader) labelParts(list []*rows, src *arraySource) error {
	marks := &arraySource{input: Input{Name: "labels", Type: onnxio.Int64}}
	for i, one := range list {
		p, err := cutLabels(one, src.parts[i])
		if err != nil {
			return err
		}
		marks.add(p)
	}
	r.Set.labels = marks.ints
	return nil
}

// nextLabels judges row t of a sequence by token t+1 of the input that n names. The last row of a sample has the
// first token of the next sample where carried state joins the two, else no label.
func (r *specReader) nextLabels(n *yaml.Node) error {
	name, err := r.scalar(n)
	if err != nil {
		return err
	}
	k := r.index(name)
	switch {
	case k < 0:
		return r.errorf(n, "no input %s, inputs: %s", onnxio.Quote(name), quoteNames(r.inputs))
	case r.inputs[k].Type.IsFloat() || r.sources[k].len() < 0:
		return r.errorf(n, "input %s gives no tokens: want integers from an array", onnxio.Quote(name))
	}
	s := r.Set
	s.labels = func(i int) ([]int64, error) { return s.next(k, i) }
	return nil
}

// next returns tokens 1, 2, ... of input k in sample i, and what follows the last.
func (s *Set) next(k, i int) ([]int64, error) {
	a, err := s.sources[k].read(i)
	if err != nil {
		return nil, err
	}
	long := 0
	for _, n := range a.Shape {
		if n > 1 {
			long++
		}
	}
	if long > 1 {
		return nil, usagef("labels: next: %s: array %v holds several sequences, want one per sample", s.inputs[k].Name, a.Shape)
	}
	tokens := a.Ints()
	if len(tokens) == 0 {
		return []int64{}, nil
	}
	labels := append(append([]int64{}, tokens[1:]...), -1)
	if s.carry != nil && i+1 < s.sources[k].len() && !s.reset(i+1) {
		follow, err := s.sources[k].read(i + 1)
		if err != nil {
			return nil, err
		}
		if next := follow.Ints(); len(next) > 0 {
			labels[len(labels)-1] = next[0]
		}
	}
	return labels, nil
}
