// Package convert turns an ONNX model into a .bq container of quantized weights, and a container back into a model.
//
//	model -> sites (every constant float tensor and its readers) -> quantized or kept, with a reason
//	      -> with data: bias correction and activation ranges, layer by layer on the quantized model
//	      -> packing
//	.bq   -> Restore: the graph again, weights as float32 or behind DequantizeLinear
//
// Nothing is silent: Result.Tensors lists every constant float tensor of the model, and what became of it. The
// bytes depend on the model, the options and the samples alone; not on threads, clock or machine.
package convert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"bq/balance"
	"bq/internal/compare"
	"bq/internal/infer"
	"bq/internal/parallel"
	"bq/onnxio"
	"bq/packing"
)

// Result is what a conversion did.
type Result struct {
	Tensors     []Coverage        // every constant float tensor, in file order
	Activations []Activation      // quantized activations, in the order of the graph
	Corrected   int               // biases that bias correction changed or added
	Uncorrected int               // nodes of quantized weights that have no place for a correction
	Spared      []Spared          // values that stay float, as coding them would cost most of what coding all does
	Ranges      string            // the rule by which the ranges of activations were chosen; "": there are none, or a table has them
	Layers      int               // weights whose codes were fitted to what their layers see
	Rescaled    int               // of these, those whose outputs were brought to the size they had
	Chained     bool              // each of them made up for what the earlier ones had changed
	Calibration int               // samples that fitted biases and activation ranges
	Drift       []compare.Figures // of each output on HeldOut samples; nil without data
	HeldOut     int
	Checked     []int  // the HeldOut samples, by their place in Options.Samples; nil without these
	Table       *Table // under Options.Record
	Notes       []string
	Warnings    []string
}

// job is one site on its way into the container.
type job struct {
	*site
	layout    balance.Layout
	reason    Reason
	bits      int
	fixed     bool // bits were asked for by name, and a budget leaves them alone
	forecasts []*forecast
	q         *quantized
	data      []byte // kept: the raw values, where bias correction changed them
	store     Codec
	entry     packing.Entry // what the container holds of it
	recoded   bool          // moments will decide the codes again
	coupled   bool          // the change of data belongs to the codes of a layer
}

// Convert reads the model of src and writes a container to w. The model is not changed. Errors name the tensor or
// node; after an error what was written to w is to be thrown away.
func Convert(ctx context.Context, src *onnxio.File, w io.Writer, o Options) (*Result, error) {
	c := &converter{Options: o, ctx: ctx, src: src, out: &countingWriter{w: w}}
	if err := c.plan(); err != nil {
		return nil, err
	}
	if c.Threads > 1 {
		c.digest.start(c)
		defer func() { <-c.digest.done }()
	}
	var err error
	if o.Samples == nil && o.Table == nil && o.Budget.Kind == NoBudget {
		err = c.stream()
	} else {
		err = c.withData()
	}
	if err != nil {
		return nil, err
	}
	return &c.result, nil
}

// sourceDigest is what identifies the model, perhaps still in the making.
type sourceDigest struct {
	done   chan struct{} // closed when the rest is known; nil before a goroutine makes it
	source Source
	err    error
}

// start hashes the source beside other work. The caller waits for done before the source may be closed.
func (d *sourceDigest) start(c *converter) {
	d.done = make(chan struct{})
	go func() {
		defer close(d.done)
		d.hash(c)
	}()
}

// hash turns a fault, as where the mapped file shrinks, into an error.
func (d *sourceDigest) hash(c *converter) {
	d.err = parallel.Each(c.ctx, 1, 1, func(int) error {
		sum := c.src.SHA256()
		d.source = Source{SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(c.src.Bytes)), Weights: weightsDigest(c.src)}
		return nil
	}, func(int) {})
	if d.err != nil {
		d.err = fmt.Errorf("hashing the model: %w", d.err)
	}
}

// hashStep is how many bytes of a weight are hashed before their pages are let go of.
const hashStep = 4 << 20

// weightsDigest returns the SHA-256 in hexadecimal of the data that stand in other files, "" where none do: tensor after tensor, in
// the order of the model.
func weightsDigest(src *onnxio.File) string {
	h := sha256.New()
	found := false
	src.Model.EachTensor(func(t *onnxio.Tensor) {
		if !t.IsExternal {
			return
		}
		found = true
		for rest := t.Raw; len(rest) > 0; {
			step := rest[:min(hashStep, len(rest))]
			h.Write(step)
			src.Release(step)
			rest = rest[len(step):]
		}
	})
	if !found {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// get waits for the digest, or makes it.
func (d *sourceDigest) get(c *converter) (Source, error) {
	if d.done == nil {
		d.hash(c)
	} else {
		<-d.done
	}
	return d.source, d.err
}

// stream quantizes and writes one site after the other, so that few are in memory at a time; biases that take a
// correction come last, when all weights are known.
func (c *converter) stream() error {
	list := c.forecasts()
	c.reserve(list)
	late := map[*job]bool{}
	for _, k := range list {
		late[k.bias] = true
	}
	w, err := c.begin(c.out)
	if err != nil {
		return err
	}
	err = parallel.InOrder(c.ctx, c.Threads, len(c.jobs), func(i int) (*job, error) {
		return c.jobs[i], c.quantize(i)
	}, func(i int, j *job) error {
		c.progress("quantizing", i+1, len(c.jobs))
		if late[j] {
			return nil
		}
		return c.put(w, i)
	})
	if err != nil {
		return err
	}
	if err := c.store(list); err != nil {
		return err
	}
	for i, j := range c.jobs {
		if late[j] {
			if err := c.put(w, i); err != nil {
				return err
			}
		}
	}
	return c.end(w)
}

// withData quantizes everything, fits biases and activations on the quantized model, and writes the result.
func (c *converter) withData() error {
	var float *infer.Program
	var feeds []map[string]*onnxio.Array
	var err error
	if c.Samples != nil {
		if float, feeds, err = c.feed(); err != nil {
			return err
		}
	}
	if c.Record && c.Samples != nil {
		if err = c.beginTable(float); err != nil {
			return err
		}
	}
	switch {
	case c.Table != nil:
		err = c.fromTable()
	case c.Budget.Kind != NoBudget:
		err = c.withBudget(float, feeds)
	default:
		err = c.quantizeAll(float, feeds)
	}
	if err != nil {
		return c.named(err)
	}
	if err := c.checkCoverage(); err != nil {
		return err
	}
	if c.Samples != nil {
		if err := c.calibrate(float, feeds); err != nil {
			return err
		}
	}
	if err := c.closeTable(); err != nil {
		return err
	}
	w, err := c.begin(c.out)
	if err != nil {
		return err
	}
	for i := range c.jobs {
		if err := errors.Join(c.ctx.Err(), c.put(w, i)); err != nil {
			return err
		}
		c.progress("writing", i+1, len(c.jobs))
	}
	return c.end(w)
}

// quantize codes site i and lets go of the pages of the file that its values stand on.
func (c *converter) quantize(i int) error {
	j := c.jobs[i]
	err := j.quantize(c.method(), c.typical, c.Samples == nil) // with data, bias correction does better
	c.src.Release(j.Tensor.Raw)
	return err
}

// converter carries one conversion from plan to file.
type converter struct {
	Options
	ctx      context.Context
	src      *onnxio.File
	out      *countingWriter
	digest   sourceDigest
	jobs     []*job
	typical  int               // elements of a weight, on average
	added    []*addedBias      // by bias correction
	fitted   []int             // the samples that calibrate
	checked  []int             // the samples that the closing check sees
	paying   map[int]bool      // nodes, by index, at which an optional bias vector saves more bits than it takes
	rule     balance.RangeRule // of activations
	choosing bool              // corrections are tried again and again on the same samples
	means    [][]float64       // of the float model on these, by correction
	spared   []Spared          // values that stay float
	byRow    bool              // what MatMul multiplies by a weight has steps for each row
	kept     *recording        // under Record
	knob     float64           // of the codes so far, under a budget
	told     *Calibration      // what a table says of the samples
	table    string            // SHA-256 of the calibration table; "": there is none, or none yet
	result   Result
}

// plan lists the sites and decides from the graph what becomes of each.
func (c *converter) plan() error {
	if err := checkSupport(c.src.Model); err != nil {
		return err
	}
	list, err := sites(c.src.Model)
	if err != nil {
		return err
	}
	if err := c.checkPatterns(list); err != nil {
		return err
	}
	for _, s := range list {
		if err := s.Tensor.Check(); err != nil {
			return err
		}
		layout, reason, err := s.classify(&c.Options)
		if err != nil {
			return err
		}
		bits, fixed := c.bitsFor(s)
		c.jobs = append(c.jobs, &job{site: s, layout: layout, reason: reason, bits: bits, fixed: fixed, store: c.Codec})
	}
	c.codeSmall()
	c.typical = typicalSize(c.jobs)
	c.result.Tensors = make([]Coverage, len(c.jobs))
	return nil
}

// minInteger is how many elements the weight of a Conv must have to be coded for the sake of its neighbours.
const minInteger = 32

// codeSmall codes small weights of Convs whose results become codes, with 8 bits as they take few bytes: one that stays float would have
// its neighbours compute in float as well.
func (c *converter) codeSmall() {
	if c.ActBits == 0 || c.MinElements > 0 {
		return
	}
	var list []*site
	small := map[*site]*job{}
	for _, j := range c.jobs {
		list = append(list, j.site)
		if shape := dims(j.Tensor.Dims); j.reason == Small && j.op() == "Conv" && product(shape) >= minInteger {
			small[j.site] = j
		}
	}
	made := map[string]bool{}
	for _, p := range placements(c.src.Model, list, func(s *site) bool { return s.op() == "Conv" }, false, nil) {
		made[p.name] = true
	}
	readers := readersOf(c.src.Model)
	for s, j := range small {
		layout, ok := s.weightLayout(dims(s.Tensor.Dims))
		if n := s.uses[0].node; !ok || len(n.Outputs) == 0 || !made[endOf(readers, n.Outputs[0])] {
			continue
		}
		j.layout, j.reason = c.Group.apply(layout), ""
		if !j.fixed {
			j.bits, j.fixed = balance.MaxBits, true
		}
	}
}

// typicalSize returns the mean size of the weights that are to be quantized, at least 1.
func typicalSize(jobs []*job) int {
	count, elements := 0, 0
	for _, j := range jobs {
		if j.reason == "" {
			count++
			elements += j.layout.Len()
		}
	}
	return max(1, elements/max(1, count))
}

// NothingError says that a model has no tensor to quantize.
type NothingError struct {
	Already int            // tensors of integer codes that the model's operators dequantize already
	Kept    map[Reason]int // float tensors by reason
}

// Error says it in one line, without the program's prefix.
func (e *NothingError) Error() string {
	var kept []string
	for _, r := range reasons {
		if n := e.Kept[r]; n > 0 {
			kept = append(kept, fmt.Sprintf("%s %d", r, n))
		}
	}
	why := "no constant float tensor"
	if len(kept) > 0 {
		why = "every float tensor is kept (" + strings.Join(kept, ", ") + ")"
	}
	if e.Already > 0 {
		return fmt.Sprintf("nothing to quantize: %d weights are quantized already, %s", e.Already, why)
	}
	return "nothing to quantize: " + why
}

// reasons lists the reasons in the order of summaries.
var reasons = []Reason{Asked, Bias, Norm, Small, Op, Nonfinite, Gain}

// checkCoverage refuses a model without anything to quantize, and under Strict a tensor that nobody asked to keep.
func (c *converter) checkCoverage() error {
	count, kept := 0, map[Reason]int{}
	for _, j := range c.jobs {
		if j.q != nil {
			count++
			continue
		}
		kept[j.reason]++
		if c.Strict && (j.reason == Op || j.reason == Nonfinite || j.reason == Gain) {
			return fmt.Errorf("quantizing %s: kept (%s) under --strict", onnxio.Quote(j.name), j.reason)
		}
	}
	if count == 0 {
		return &NothingError{Already: len(coded(c.src.Model)), Kept: kept}
	}
	return nil
}

// ErrLarger says that the container would be larger than the model.
var ErrLarger = errors.New("the result is larger than the model")

// begin starts a container on dst with the graph.
func (c *converter) begin(dst io.Writer) (*packing.Writer, error) {
	graph, err := c.graphBytes()
	if err != nil {
		return nil, err
	}
	w := packing.NewWriter(dst, nil)
	return w, w.Graph(graph)
}

// put writes the entry of site i, lists what became of it, and lets go of its codes.
func (c *converter) put(w *packing.Writer, i int) error {
	j := c.jobs[i]
	t, err := j.tensor()
	if err != nil {
		return err
	}
	if t != nil {
		if err := w.Tensor(t); err != nil {
			return err
		}
		j.entry = w.Last()
	}
	c.result.Tensors[i], err = j.coverage()
	j.q.release()
	return err
}

// end closes the container, and lists what has no entry of its own.
func (c *converter) end(w *packing.Writer) error {
	if err := c.checkCoverage(); err != nil {
		return err
	}
	c.result.Tensors = append(append(c.result.Tensors, others(c.src.Model)...), coded(c.src.Model)...)
	if err := c.close(w); err != nil {
		return err
	}
	if c.Budget.Kind == BudgetSize && float64(c.out.n) > c.Budget.Value {
		return &ReachError{c.Budget, float64(c.out.n)}
	}
	if limit := int64(len(c.src.Bytes)) + c.externalBytes(); c.out.n > limit {
		return fmt.Errorf("%w: %d bytes against %d", ErrLarger, c.out.n, limit)
	}
	return nil
}

// close writes the added biases and the metadata, and closes the container.
func (c *converter) close(w *packing.Writer) error {
	for _, a := range c.added {
		if err := w.Tensor(a.tensor()); err != nil {
			return err
		}
	}
	about, err := c.about()
	if err != nil {
		return err
	}
	meta, err := about.meta()
	if err != nil {
		return err
	}
	if err := w.SetMeta(meta); err != nil {
		return err
	}
	_, err = w.Close()
	return err
}

// externalBytes returns the bytes of the model's tensors that stand in other files.
func (c *converter) externalBytes() int64 {
	n := int64(0)
	c.src.Model.EachTensor(func(t *onnxio.Tensor) {
		if t.IsExternal {
			n += int64(len(t.Raw))
		}
	})
	return n
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// tensor returns the site's entry in the container, nil for a list attribute, which stays in the graph.
func (j *job) tensor() (*packing.Tensor, error) {
	if j.listForm() {
		return nil, nil
	}
	t := &packing.Tensor{Name: j.name, Type: int32(j.Tensor.Type), Shape: append([]int64{}, j.Tensor.Dims...)}
	if j.q != nil {
		t.Quant = j.packed()
		return t, nil
	}
	t.Note, t.Data = string(j.reason), j.data
	if t.Data == nil {
		raw, err := j.Tensor.RawBytes()
		if err != nil {
			return nil, err
		}
		t.Data = raw
		if raw == nil {
			t.Data = []byte{} // no elements
		}
	}
	return t, nil
}

// packed returns the job's codes as the container takes them.
func (j *job) packed() *packing.Quant {
	q := j.q.packed()
	q.Codec = j.store.packing()
	return q
}

// graphBytes returns the model without the values of the tensors that have an entry in the container.
func (c *converter) graphBytes() ([]byte, error) {
	m, err := onnxio.Parse(c.src.Bytes)
	if err != nil {
		return nil, err
	}
	list, err := sites(m)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if !s.listForm() {
			s.Tensor.ClearData()
		}
	}
	if err := c.embed(m); err != nil {
		return nil, err
	}
	fix(m)
	c.addBiases(m)
	return m.Bytes(), nil
}

// fix makes constants of the initializers that m lists as inputs too, so that whoever runs it may give other values: what is
// quantized, or corrected for it, has no other values. Up to IR version 3 every initializer stands there (ONNX, IR.md).
func fix(m *onnxio.Model) {
	if m.IRVersion >= firstIRWithoutInputs {
		m.Graph.Inputs = m.Graph.FeedInputs()
	}
}

// embed gives m, a copy of the source model, the data of other files that are no entry of the container: those of
// integers, and of tensors in attributes and functions.
func (c *converter) embed(m *onnxio.Model) error {
	var source []*onnxio.Tensor
	c.src.Model.EachTensor(func(t *onnxio.Tensor) { source = append(source, t) })
	var failed error
	i := 0
	m.EachTensor(func(t *onnxio.Tensor) {
		from := source[i]
		i++
		if !t.IsExternal || failed != nil {
			return
		}
		raw, err := from.RawBytes()
		if err != nil {
			failed = err
			return
		}
		t.SetRaw(raw)
	})
	return failed
}

// coverage says what became of the site.
func (j *job) coverage() (Coverage, error) {
	v, err := j.describe()
	v.Reason = j.reason
	if j.q != nil {
		v.Method, v.P = j.q.member()
		v.Bits, v.Group, v.Codec = j.q.Bits, groupName(j.q.Layout), codecName(j.entry.Codec)
		v.Bytes, v.SQNR = j.entry.CodesBytes+j.entry.ScalesBytes, j.q.sqnr
	}
	return v, err
}

// about gathers what the container says of its making.
func (c *converter) about() (*About, error) {
	source, err := c.digest.get(c)
	if err != nil {
		return nil, err
	}
	a := &About{
		MadeBy:      c.MadeBy,
		Source:      source,
		Flags:       newFlags(c.flags()),
		Table:       c.table,
		Activations: c.result.Activations,
	}
	for _, j := range c.jobs {
		if j.q != nil && !j.listForm() {
			a.SQNR = append(a.SQNR, tenths(j.q.sqnr))
		}
	}
	if c.Samples == nil {
		a.Calibration = c.told
		return a, nil
	}
	info := c.Samples.Info()
	a.Calibration = &Calibration{Kind: info.Kind, Samples: c.result.Calibration, HeldOut: c.result.HeldOut, Data: info.SHA256}
	for _, d := range c.result.Drift {
		h := HeldOutDrift{Name: d.Name, Kind: d.Kind.String()}
		if v := d.Drift(); v-v == 0 {
			h.Drift = &v
		}
		a.Calibration.Outputs = append(a.Calibration.Outputs, h)
	}
	return a, nil
}

// tenths rounds a figure for the metadata to one decimal; nil where it is NaN or infinite.
func tenths(v float64) *float64 {
	if v-v != 0 {
		return nil
	}
	v = math.Round(10*v) / 10
	return &v
}
