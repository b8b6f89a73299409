package infer

import (
	"archive/zip"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"bq/onnxio"
)

// hostileFeeds are values that no operator case expects; they take the place of its inputs one at a time.
func hostileFeeds() []*onnxio.Array {
	return []*onnxio.Array{
		floats([]int{}, 2), floats([]int{0}), floats([]int{1}, -1), floats([]int{3}, 1, nan, inf),
		floats([]int{2, 0, 3}), floats([]int{1, 1, 1, 1, 1, 1, 1}, 7), floats([]int{2, 3}, 1, 2, 3, 4, 5, 6),
		longs([]int{}, -5), longs([]int{2}, 1<<62, -1<<62), longs([]int{1, 4}, 9, -9, 0, 3), longs([]int{0}),
		bytesOf(1, 2, 255), truths(true, false), sign8([]int{1, 1, 2, 2}, -128, 127, 0, 1),
		{Type: onnxio.String, Shape: []int{2}, Data: []string{"", "x"}},
		{Type: onnxio.Double, Shape: []int{2, 2}, Data: []float64{1, 2, 3, 4}},
	}
}

// TestHostileInputs runs every operator case with one input after another replaced by a value of another type or
// shape. Whatever comes of it, checks must come before the runtime's own.
func TestHostileInputs(t *testing.T) {
	files := openZip(t, "conformance/onnx-node-1.22.0.zip")
	var names []string
	for name := range files {
		if dir, ok := strings.CutSuffix(name, "/model.onnx"); ok {
			names = append(names, dir)
		}
	}
	sort.Strings(names)
	if testing.Short() || raceEnabled {
		names = names[:len(names)/8]
	}
	for _, name := range names {
		for _, line := range attack(files, name) {
			t.Errorf("%s: %s", name, line)
		}
	}
}

// TestHostileArchiveInputs does the same with the cases of TestArchives.
func TestHostileArchiveInputs(t *testing.T) {
	for _, archive := range archives {
		files, names := archiveCases(t, archive)
		for _, name := range names {
			for _, line := range attack(files, name) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// attack returns what one case did that it must not.
func attack(files map[string]*zip.File, name string) (faults []string) {
	b, err := readZip(files[name+"/model.onnx"])
	if err != nil {
		return []string{err.Error()}
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		return nil
	}
	for _, in := range m.Graph.Inputs {
		in.Type = nil // feeds are then not checked against the declaration
	}
	p, err := Options{Threads: 1, MaxBytes: 1 << 22}.Compile(m)
	if err != nil {
		return nil
	}
	inputs, err := readSet(files, name, "input")
	if err != nil {
		return nil
	}
	feeds, err := feedsOf(p, inputs)
	if err != nil {
		return nil
	}
	for _, in := range p.Inputs() {
		good := feeds[in.Name]
		for _, bad := range hostileFeeds() {
			feeds[in.Name] = bad
			if _, err := p.Run(feeds, nil); errors.Is(err, errPanic) {
				faults = append(faults, fmt.Sprintf("input %s = %v %v: %v", in.Name, bad.Type, bad.Shape, err))
			}
		}
		feeds[in.Name] = good
	}
	return faults
}
