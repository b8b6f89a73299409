package dataset

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"bq/onnxio"
)

// imageSource feeds one input from pictures, as many to a sample as the input's batch has.
type imageSource struct {
	plan    *picturePlan
	root    string
	files   []string // inside root, those with a readable header
	folders []string // parents of all pictures, sorted, each once: the classes under `labels: folder`
	skipped []Skipped
	rotated int
}

func (s *imageSource) len() int          { return len(s.files) / s.plan.batch }
func (s *imageSource) first(int) bool    { return true }
func (s *imageSource) name(i int) string { return s.files[i*s.plan.batch] }

// batch returns the files of sample i.
func (s *imageSource) batch(i int) []string {
	return s.files[i*s.plan.batch : (i+1)*s.plan.batch]
}

func (s *imageSource) read(i int) (*onnxio.Array, error) {
	var a *onnxio.Array
	for k, name := range s.batch(i) {
		p, err := readPicture(filepath.Join(s.root, name), s.plan.channels)
		if err == nil {
			p, err = s.plan.fit(p)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if a == nil {
			a = onnxio.NewArray(s.plan.input.Type, s.plan.shape(p)...)
		}
		if want := s.plan.shape(p); !slices.Equal(a.Shape, want) {
			return nil, fmt.Errorf("reading %s: shape %v in a batch of %v: give size=HEIGHT,WIDTH and resize=", name, want, a.Shape)
		}
		s.plan.store(a, k, p)
	}
	return a, nil
}

// labels returns the place of each picture's parent folder among the sorted folders.
func (s *imageSource) labels(i int) ([]int64, error) {
	var list []int64
	for _, name := range s.batch(i) {
		k, _ := slices.BinarySearch(s.folders, path.Dir(name))
		list = append(list, int64(k))
	}
	return list, nil
}

// newImageSource finds pictures in a folder and reads their headers. Those that have none worth reading are skipped.
func newImageSource(plan *picturePlan, root string, pictures []string) (*imageSource, error) {
	s := &imageSource{plan: plan, root: root}
	for _, name := range pictures {
		s.folders = append(s.folders, path.Dir(name))
		err := checkPicture(filepath.Join(root, name))
		switch unreadable := (*unreadableError)(nil); {
		case err == nil:
			s.files = append(s.files, name)
		case errors.As(err, &unreadable):
			s.skipped = append(s.skipped, Skipped{name, unreadable.Error()})
		default:
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	slices.Sort(s.folders)
	s.folders = slices.Compact(s.folders)
	if len(s.files) == 0 {
		if len(s.skipped) > 0 {
			return nil, fmt.Errorf("reading pictures: none is readable: %s: %s", s.skipped[0].File, s.skipped[0].Why)
		}
		return nil, fmt.Errorf("reading pictures: no JPEG or PNG in %s", root)
	}
	return s, nil
}

// probe decodes the pictures of the samples and returns the samples with an unreadable one. It notes skipped files
// and counts rotated ones. Any other error, such as a size that does not fit, is returned for the first sample.
func (s *imageSource) probe(samples []int) (bad map[int]bool, err error) {
	type result struct {
		skipped []Skipped
		rotated int
		err     error
	}
	results := make([]result, len(samples))
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(samples))
	for w := range workers {
		wg.Go(func() {
			for k := w; k < len(samples); k += workers {
				r := &results[k]
				r.skipped, r.rotated, r.err = s.check(s.batch(samples[k]))
			}
		})
	}
	wg.Wait()
	bad = map[int]bool{}
	for k, r := range results {
		if r.err != nil {
			return nil, r.err
		}
		bad[samples[k]] = len(r.skipped) > 0
		s.skipped = append(s.skipped, r.skipped...)
		s.rotated += r.rotated
	}
	return bad, nil
}

// check decodes files.
func (s *imageSource) check(files []string) (skipped []Skipped, rotated int, err error) {
	for _, name := range files {
		p, err := readPicture(filepath.Join(s.root, name), s.plan.channels)
		if err == nil {
			_, err = s.plan.target(p.width, p.height)
		}
		switch unreadable := (*unreadableError)(nil); {
		case errors.As(err, &unreadable):
			skipped = append(skipped, Skipped{name, unreadable.Error()})
		case err != nil:
			return nil, 0, fmt.Errorf("reading %s: %w", name, err)
		case p.rotated:
			rotated++
		}
	}
	return skipped, rotated, nil
}

// openPictures feeds a folder of pictures to the model's one input.
func openPictures(inputs []Input, o Options, pictures, others []string) (*Set, error) {
	if o.Image == nil {
		return nil, needSettings("opening "+o.Path+": pictures need --image", "--data "+quoteShell(o.Path)+" --image preset=")
	}
	settings, err := parseImage(o.Image)
	if err != nil {
		return nil, err
	}
	if len(inputs) != 1 {
		return nil, usagef("opening %s: a folder of pictures feeds one input, the model has %d (%s): want a data spec",
			o.Path, len(inputs), quoteNames(inputs))
	}
	s := newSet(inputs, "images")
	s.info.Noun = "images"
	src, err := s.addPictures(0, settings, o.Path, pictures)
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		s.info.Skipped = append(s.info.Skipped, Skipped{name, "not a .jpg, .jpeg or .png"})
	}
	s.files = below(o.Path, pictures)
	s.info.SHA256, err = digestFiles(o.Path, pictures, src.plan.String())
	return s, err
}

// addPictures makes pictures in folder root the source of input k.
func (s *Set) addPictures(k int, settings *imageSettings, root string, pictures []string) (*imageSource, error) {
	plan, err := settings.plan(s.inputs[k])
	if err != nil {
		return nil, err
	}
	src, err := newImageSource(plan, root, pictures)
	if err != nil {
		return nil, err
	}
	s.sources[k] = src
	s.info.Dropped += len(src.files) % plan.batch
	return src, nil
}

// needSettings is the answer to pictures whose scaling was not given; line is what to type, up to the preset.
func needSettings(text, line string) *UsageError {
	return &UsageError{
		Text: text + ": the model does not say how pixels are scaled",
		Hint: line + "unit (pixels 0 to 1; or raw: 0 to 255, signed: -1 to 1, imagenet: ImageNet's mean and deviation)",
	}
}

// quoteShell puts a path into single quotes where a shell would take it apart.
func quoteShell(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,@%", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// checkPicture reads a picture's header.
func checkPicture(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return checkHeader(f)
}
