package cli

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"bq/convert"
	"bq/internal/compare"
	"bq/internal/dataset"
	"bq/internal/infer"
	"bq/onnxio"
	"bq/verify"
)

// blame fills a report with the tensors that cause the drift and, for those that cause most of it, with the flags of
// convert that would help.
type blame struct {
	*session
	a, b   *side
	ladder *ladder // nil where A cannot be converted
	blamer *verify.Blamer
	report *verify.Report
	kinds  []compare.Override
	fit    *dataset.Set // to fit biases and activations on; nil: B was made without data

	own   map[string]onnxio.Constant // A's constants by name
	other map[string]*onnxio.Tensor  // B's
}

// The remedies that are tried, in bits above those of the tensor, and what is left of its drift where one is enough.
const (
	firstStep = 2
	maxBits   = 8
	enough    = 0.25
)

// blameTensors ranks the quantized tensors of B. fit opens samples to calibrate on.
func (s *session) blameTensors(a, b *side, l *ladder, set *dataset.Set, kinds []compare.Override, r *verify.Report, fit func() (*dataset.Set, error)) error {
	progress := s.newProgress()
	defer progress.stop()
	bl := &blame{session: s, a: a, b: b, ladder: l, report: r, kinds: kinds, own: map[string]onnxio.Constant{}, other: map[string]*onnxio.Tensor{}}
	for _, k := range a.Graph.Constants() {
		bl.own[inPath(k.Path, k.Name)] = k
	}
	other := b.Graph
	if b.plain != nil {
		m, err := b.plain()
		if err != nil {
			return fmt.Errorf("reading %s: %w", b.Model.Path, err)
		}
		other = m
	}
	for _, k := range other.Constants() {
		bl.other[inPath(k.Path, k.Name)] = k.Tensor
	}
	names := bl.suspects()
	if len(names) == 0 {
		return &hintError{errors.New("applying --blame: no tensor of B stands in the place of one of A"), "give the .bq as B, and the model that it was made from as A"}
	}
	var err error
	if bl.blamer, err = verify.NewBlamer(s.ctx, a.Side, set, kinds, r.Figures, len(names), s.threads); err != nil {
		return err
	}
	if b.contents != nil && b.contents.About.Calibration != nil {
		if bl.fit, err = fit(); err != nil {
			return err
		}
	}
	list := make([]verify.Suspect, len(names))
	for i, name := range names {
		progress.update("quantizing one tensor at a time", i, len(names))
		array, err := bl.other[name].Array()
		if err != nil {
			return fmt.Errorf("reading tensor %s of %s: %w", onnxio.Quote(name), shown(b.Model.Path), err)
		}
		list[i].Tensor = name
		if list[i].Alone, err = bl.alone(name, array); err != nil {
			return err
		}
	}
	verify.Rank(list)
	if err := bl.remedies(list, progress); err != nil {
		return err
	}
	bl.fill(list)
	return nil
}

// suspects lists the names of the tensors to blame in file order: the quantized ones of a container, else those whose
// values differ between the two models.
func (bl *blame) suspects() []string {
	var names []string
	if c := bl.b.contents; c != nil {
		for _, t := range c.Tensors {
			if t.Quantized() && bl.swappable(t.Name) {
				names = append(names, t.Name)
			}
		}
		return names
	}
	for _, k := range bl.a.Graph.Constants() {
		name := inPath(k.Path, k.Name)
		if !k.Tensor.Type.IsFloat() || !bl.swappable(name) {
			continue
		}
		x, errX := k.Tensor.Array()
		y, errY := bl.other[name].Array()
		if errX != nil || errY != nil {
			continue // told by who runs the models
		}
		if equal, _, _ := difference(x, y); !equal {
			names = append(names, name)
		}
	}
	return names
}

// swappable reports whether A has a tensor of that name whose values B's can stand for. The list forms of a Constant
// node hold no tensor to put another in the place of.
func (bl *blame) swappable(name string) bool {
	k, ok := bl.own[name]
	t := bl.other[name]
	if !ok || t == nil || k.Node != nil && k.Node.Attr("value") == nil {
		return false
	}
	a, errA := k.Tensor.Shape()
	b, errB := t.Shape()
	return errA == nil && errB == nil && slices.Equal(a, b) && k.Tensor.Type == t.Type
}

// alone returns the drift of A with other values in one tensor.
func (bl *blame) alone(name string, values *onnxio.Array) (float64, error) {
	t := bl.own[name].Tensor
	float := *t
	defer func() { *t = float }()
	*t = *onnxio.NewTensor(float.Name, values)
	d, err := bl.driftOf(bl.a.Graph)
	if err != nil {
		return 0, fmt.Errorf("quantizing tensor %s alone: %w", onnxio.Quote(name), err)
	}
	return d, nil
}

// maxRemedies bounds how many tensors get a remedy, minRemedies how few where there are as many.
const (
	maxRemedies = 10
	minRemedies = 2
)

// safety is the part of a limit that a forecast must keep, as it is one.
const safety = 0.9

// remedies finds remedies for the worst tensors, one after the other, until B with all of them keeps the limits on KL
// or, without such, half of the drift is gone. What is left is measured, on the samples that tensors are blamed on.
func (bl *blame) remedies(list []verify.Suspect, progress *progress) error {
	if bl.ladder == nil || bl.b.contents == nil {
		return nil
	}
	now := verify.MainDrift(bl.report.Figures)
	was, bytes, err := bl.converted(nil, false)
	if err != nil || !(was > 0) || now-now != 0 {
		return err // equal models, or outputs that are not finite: nothing to forecast
	}
	target := now / 2
	for _, l := range bl.report.Limits {
		if l.Metric == "max-kl" && !l.Pass {
			target = min(target, safety*l.Limit)
		}
	}
	f := &verify.RemedyForecast{Was: now, About: now, Samples: bl.blamer.Samples()}
	changes := map[string]int{}
	for i := range list[:min(maxRemedies, len(list))] {
		if i >= minRemedies && f.About <= target || !(list[i].Alone > 0) {
			break
		}
		progress.update("trying remedies", i, maxRemedies)
		if changes[list[i].Tensor], err = bl.remedy(&list[i]); err != nil {
			return err
		}
		left, size, err := bl.converted(changes, false)
		if err != nil {
			return fmt.Errorf("applying %s: %w", list[i].Remedy, err)
		}
		f.About = now * left / was
		f.Flags, f.PriceBytes = append(f.Flags, list[i].Remedy), size-bytes
	}
	if bl.fit != nil && len(f.Flags) > 0 {
		if f.About, err = bl.fitted(now, changes); err != nil {
			return err
		}
	}
	if len(f.Flags) > 0 && f.About-f.About == 0 {
		bl.report.Forecast = f
	}
	return nil
}

// fitted is the forecast where B was calibrated: calibration takes more of some tensors' drift than of others'.
func (bl *blame) fitted(now float64, changes map[string]int) (float64, error) {
	was, _, err := bl.converted(nil, true)
	if err != nil {
		return 0, err
	}
	left, _, err := bl.converted(changes, true)
	return now * left / was, err
}

// converted converts A again as B was, but for the widths of some tensors, and returns its drift and its size. Codes
// alone cannot be exchanged in B: its biases are corrected for those that it has.
func (bl *blame) converted(changes map[string]int, withData bool) (float64, int64, error) {
	o := convert.Options{}
	if withData {
		o.Samples, o.OutputKinds = bl.fit, bl.kinds
		for _, a := range bl.b.contents.About.Activations {
			o.ActBits = a.Bits
		}
	}
	r, err := bl.ladder.like(bl.b.contents.Tensors, changes, o)
	if err != nil {
		return 0, 0, err
	}
	m, err := convert.Runnable(r.file)
	if err != nil {
		return 0, 0, err
	}
	d, err := bl.driftOf(m)
	return d, r.bytes, err
}

// driftOf compiles a model and returns its drift from A.
func (bl *blame) driftOf(m *onnxio.Model) (float64, error) {
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return 0, err
	}
	return bl.blamer.Drift(bl.ctx, p)
}

// remedy tries more bits for a tensor until little of the drift that it causes alone is left, and returns them. One
// that no more bits help is kept in float: 0.
func (bl *blame) remedy(s *verify.Suspect) (int, error) {
	was, own := bl.coverage(s.Tensor), bl.own[s.Tensor].Tensor
	best := 0
	for bits := min(was.Bits+firstStep, maxBits); bits <= maxBits && bits > was.Bits && own.Type != onnxio.Double; bits++ {
		r, err := bl.ladder.at(bits)
		if err != nil {
			return 0, err
		}
		values, err := r.values(s.Tensor)
		if err != nil {
			return 0, err
		}
		if values == nil {
			break // it would not shrink at these bits
		}
		array := onnxio.Floats(values, was.Shape...)
		array.Type = own.Type
		after, err := bl.alone(s.Tensor, array)
		if err != nil {
			return 0, err
		}
		best = bits
		s.Remedy, s.Price = "--bits-of "+shellQuote(fmt.Sprintf("%s=%d", s.Tensor, bits)), r.tensors[s.Tensor].Bytes-was.Bytes
		if after <= enough*s.Alone {
			break
		}
	}
	if best == 0 {
		s.Remedy, s.Price = "--keep "+shellQuote(s.Tensor), int64(was.Elements)*int64(own.Type.Bits())/8-was.Bytes
	}
	return best, nil
}

// coverage returns what B says of a tensor.
func (bl *blame) coverage(name string) convert.Coverage {
	list := bl.b.contents.Tensors
	return list[slices.IndexFunc(list, func(c convert.Coverage) bool { return c.Name == name })]
}

// fill writes the suspects into the report.
func (bl *blame) fill(list []verify.Suspect) {
	r := bl.report
	nats := verify.InNats(r.Figures)
	for _, s := range list {
		b := verify.Blame{Tensor: s.Tensor, Remedy: s.Remedy}
		if s.Alone-s.Alone == 0 {
			if nats {
				b.AloneNats = new(s.Alone)
			} else {
				b.AloneNoise = new(s.Alone)
			}
		}
		if s.Remedy != "" {
			b.PriceBytes = new(s.Price)
		}
		r.Blame = append(r.Blame, b)
	}
}

// shellQuote quotes a word for a shell where it has to be.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._/:=@%+,-", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// blameRows is how many tensors without a remedy the text shows, where there are no others.
const blameRows = 10

// blameTable prints the tensors most to blame, their remedies, and what all of them together would do.
func (s *session) blameTable(r *verify.Report) {
	if len(r.Blame) == 0 {
		return
	}
	rows := 0
	for _, b := range r.Blame {
		if b.Remedy != "" {
			rows++
		}
	}
	if rows == 0 {
		rows = min(blameRows, len(r.Blame))
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	unit := "nats"
	if !verify.InNats(r.Figures) {
		unit = "noise/signal"
	}
	fmt.Fprintf(w, "blame\talone, %s\tremedy\tprice\n", unit)
	for _, x := range r.Blame[:rows] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cell(x.Tensor), figure(x.Alone(), "%.4g"), cell(x.Remedy), priceText(x.PriceBytes))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
	if n := len(r.Blame) - rows; n > 0 {
		s.printf("%s cause less\n", plural(n, "other tensor"))
	}
	if f := r.Forecast; f != nil {
		what := map[bool]string{true: "KL", false: "noise/signal"}[unit == "nats"]
		if f.About >= f.Was {
			s.printf("%s: no better on these samples\n", remedyCount(len(f.Flags)))
			return
		}
		s.printf("%s: %s %.4g to about %.3g, %s\n", remedyCount(len(f.Flags)), what, f.Was, f.About, strings.TrimSpace(priceText(&f.PriceBytes)))
	}
}

func remedyCount(n int) string {
	switch n {
	case 1:
		return "this remedy"
	case 2:
		return "both remedies"
	}
	return fmt.Sprintf("all %d remedies", n)
}

// worstAlone returns the largest drift that a tensor causes alone, 0 where none is known.
func worstAlone(list []verify.Blame) float64 {
	most := 0.0
	for _, b := range list {
		if v := b.Alone(); v != nil {
			most = math.Max(most, *v)
		}
	}
	return most
}
