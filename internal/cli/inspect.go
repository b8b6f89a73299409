package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
	"bq/verify"
)

func (s *session) inspectCommand() *urfave.Command {
	return s.command(urfave.Command{
		Name: "inspect", Usage: "show what is in a file", ArgsUsage: "FILE [--tensors] [--values] [--tensor GLOB]",
		Description: "bq inspect model.bq\nbq inspect model.bq --tensors\nbq inspect model.onnx --values\nbq inspect model.bq --tensor 'conv1.*'",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "tensors", Usage: "a line for each float tensor, with the reasons for keeping", DisableDefaultText: true},
			&urfave.BoolFlag{Name: "values", Usage: "a line for each value of the graph: type and shape, inferred", DisableDefaultText: true},
			&urfave.StringSliceFlag{Name: "tensor", Usage: "read the codes of the tensors that a glob fits: levels, scales, a histogram; repeatable"},
		},
	}, resultOutput, false, s.inspect)
}

type inspectRecord struct {
	Schema       string       `json:"schema"`
	Model        verify.Model `json:"model"`
	MadeBy       string       `json:"made_by"`
	SourceSHA256 string       `json:"source_sha256"`

	SourceWeightsSHA256 string `json:"source_weights_sha256,omitempty"` // of the weights in files beside the source

	Inputs      []valueRecord      `json:"inputs"`
	Outputs     []valueRecord      `json:"outputs"`
	Size        *sizeRecord        `json:"size"`
	Parts       *partsRecord       `json:"parts,omitempty"`
	Tensors     []tensorRecord     `json:"tensors"`
	Values      []inferredRecord   `json:"values,omitempty"` // under --values
	Activations []activationRecord `json:"activations,omitempty"`
	Data        *calibrationRecord `json:"data"`
	Drift       []heldOutRecord    `json:"drift"`
	Why         string             `json:"why,omitempty"`

	// Of containers, null where they do not say.
	Flags       *convert.TableFlags `json:"flags"`        // that the container was made with
	CalibSHA256 *string             `json:"calib_sha256"` // of the calibration table that repeats the conversion
}

type valueRecord struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []any  `json:"shape"`
}

// calibrationRecord tells of the samples that a container was calibrated on.
type calibrationRecord struct {
	Kind    string `json:"kind"`
	SHA256  string `json:"sha256"`
	Samples int    `json:"samples"`
	HeldOut int    `json:"held_out"`
}

type heldOutRecord struct {
	Output string   `json:"output"`
	Kind   string   `json:"kind"`
	Drift  *float64 `json:"drift"`
}

func (s *session) inspect(c *urfave.Context) error {
	if err := exactly(c, "one file"); err != nil {
		return err
	}
	path := c.Args().First()
	if s.isContainer(path) {
		return s.inspectContainer(c, path)
	}
	if s.isTable(path) {
		return s.inspectTable(c, path)
	}
	if looksLikeContainer(path) {
		return s.notAContainer(path)
	}
	return s.inspectModel(c, path)
}

func (s *session) inspectModel(c *urfave.Context, path string) error {
	in, err := s.openModel(path)
	if err != nil {
		return err
	}
	defer in.close()
	if len(c.StringSlice("tensor")) > 0 {
		return usagef("reading --tensor: %s is an ONNX model, codes stand in .bq files", path)
	}
	list, err := convert.ListTensors(in.file.Model)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	rec := inspectRecord{Schema: "bq.inspect/1", Model: in.header(), MadeBy: strings.TrimSpace(in.file.Model.ProducerName + " " + in.file.Model.ProducerVersion),
		Why: "an ONNX model: size, data and drift belong to containers"}
	rec.fill(in.file.Model, list)
	for i := range rec.Tensors {
		rec.Tensors[i].State, rec.Tensors[i].Why = "float", ""
	}
	if c.Bool("values") {
		if rec.Values, err = s.inferValues(in.file.Model, path); err != nil {
			return err
		}
	}
	if s.json {
		if rec.Model.SHA256, err = s.digest(path); err != nil {
			return err
		}
		rec.SourceSHA256 = rec.Model.SHA256
		return s.printJSON(rec)
	}
	m := in.file.Model
	s.printf("ONNX model, IR %d, opset %d, %s, producer %s\n", m.IRVersion, m.Opset(onnxio.DefaultDomain), plural(len(m.Graph.Nodes), "node"), escape(rec.MadeBy))
	s.interfaceLines(m)
	quantizable, weights := 0, 0
	for _, v := range list {
		if v.Quantized() {
			quantizable++
			weights += v.Elements
		}
	}
	s.printf("%s bytes, %s of %s values; %s, %s weights, can be quantized\n", thousands(in.bytes()), plural(len(list), "float tensor"),
		thousands(floatWeights(list)), plural(quantizable, "tensor"), thousands(weights))
	if c.Bool("tensors") {
		s.modelTable(list)
	}
	if c.Bool("values") {
		s.valueTable(rec.Values)
	}
	return nil
}

// digest returns the digest of an input file in hexadecimal.
func (s *session) digest(name string) (string, error) {
	f, _, err := s.openInput(name)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", shown(name), err)
	}
	defer f.Close()
	sum, err := fileSHA256(f)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", shown(name), err)
	}
	return sum, nil
}

// modelTable prints a line for each float tensor of an ONNX model.
func (s *session) modelTable(list []convert.Coverage) {
	for _, v := range list {
		state := "can be quantized"
		if !v.Quantized() {
			state = "would be kept (" + string(v.Reason) + ")"
		}
		s.printf("  %s  %s %s  %s bytes  %s\n", escape(v.Name), v.Op, shapeText(v.Shape), thousands(v.Bytes), state)
	}
}

func (s *session) inspectContainer(c *urfave.Context, path string) error {
	f, close, err := s.openContainer(path)
	if err != nil {
		return err
	}
	defer close()
	contents, err := convert.ReadContents(f.File)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if globs := c.StringSlice("tensor"); len(globs) > 0 {
		return s.inspectTensors(f.File, contents, globs)
	}
	var inferred []inferredRecord
	if c.Bool("values") {
		if inferred, err = s.inferValues(contents.Model, path); err != nil {
			return err
		}
	}
	if s.json {
		rec, err := f.record(contents)
		if err != nil {
			return err
		}
		rec.Values = inferred
		return s.printJSON(rec)
	}
	rec := f.header(contents)
	a, m := contents.About, contents.Model
	s.printf("bq container 1, made by %s from a model of %s bytes (sha256 %.8s...), opset %d, %s\n", escape(a.MadeBy), thousands(a.Source.Bytes), a.Source.SHA256,
		m.Opset(onnxio.DefaultDomain), plural(len(m.Graph.Nodes), "node"))
	if a.Flags != nil {
		s.printf("converted with %s\n", flagsText(a.Flags.Full()))
	}
	s.interfaceLines(m)
	s.printf("%s bytes, %.2f bits/weight:\n", thousands(rec.Size.FileBytes), rec.Size.BPW)
	s.sizeLine(*rec.Size)
	s.partLines(rec.Parts)
	s.printf("%s\n", coverageLine(contents.Tensors))
	if n := len(a.Activations); n > 0 {
		s.printf("%s of %d bits\n", plural(n, "quantized activation"), a.Activations[0].Bits)
	}
	if k := a.Calibration; k != nil {
		s.printf("calibrated on %s (data %.8s...), held out %d%s\n", plural(k.Samples, sampleNoun(k.Kind)), k.Data, k.HeldOut, heldOutText(k))
	}
	if a.Table != "" {
		s.printf("calibration table %.8s..., as --save-calib writes it\n", a.Table)
	}
	if c.Bool("tensors") {
		s.tensorTable(contents.Tensors)
	}
	if c.Bool("values") {
		s.valueTable(inferred)
	}
	return nil
}

// partsRecord says what every byte of a container is for; all but the decoded lengths add up to the size of the file.
type partsRecord struct {
	Header  int64        `json:"header_bytes"`
	Graph   int64        `json:"graph_bytes"`
	Codes   []codecBytes `json:"codes"`
	Scales  int64        `json:"scales_bytes"`
	Zeros   int64        `json:"zero_points_bytes"`
	Levels  int64        `json:"levels_bytes"`
	Kept    int64        `json:"kept_bytes"`
	Extras  int64        `json:"extras_bytes"`
	Padding int64        `json:"padding_bytes"`
	Index   int64        `json:"index_bytes"`
	Footer  int64        `json:"footer_bytes"`
	Decoded int64        `json:"index_decoded_bytes"`
	Meta    int64        `json:"metadata_decoded_bytes"` // a part of the index
}

// codecBytes counts the codes under a codec.
type codecBytes struct {
	Codec   string `json:"codec"`
	Tensors int    `json:"tensors"`
	Bytes   int64  `json:"bytes"`
}

func newPartsRecord(a packing.Account) *partsRecord {
	r := &partsRecord{Header: a.Header, Graph: a.Graph, Codes: []codecBytes{}, Scales: a.Scales, Zeros: a.Zeros, Levels: a.Levels, Kept: a.Kept.Bytes,
		Extras: a.Extras.Bytes, Padding: a.Padding, Index: a.Index, Footer: a.Footer, Decoded: a.IndexDecoded, Meta: a.MetaDecoded}
	for c, p := range a.Codes {
		if p.Sections > 0 {
			r.Codes = append(r.Codes, codecBytes{packing.Codec(c).Name(), p.Sections, p.Bytes})
		}
	}
	return r
}

// partLines prints what the line of sizes leaves out: codes by codec, and what the container consists of.
func (s *session) partLines(r *partsRecord) {
	var list []string
	for _, c := range r.Codes {
		list = append(list, fmt.Sprintf("%s %s in %s", c.Codec, thousands(c.Bytes), plural(c.Tensors, "tensor")))
	}
	if len(list) > 0 {
		s.printf("  codes by codec: %s\n", strings.Join(list, ", "))
	}
	s.printf("  scales: %s and zero points %s and levels %s; container: header %s   index %s   padding %s   footer %s\n", thousands(r.Scales), thousands(r.Zeros),
		thousands(r.Levels), thousands(r.Header), thousands(r.Index), thousands(r.Padding+r.Extras), thousands(r.Footer))
}

// sampleNoun says what a sample is, and that it was made up where it was.
func sampleNoun(kind string) string {
	if kind == syntheticKind {
		return "synthetic sample"
	}
	return "sample"
}

func heldOutText(k *convert.Calibration) string {
	var b strings.Builder
	for _, o := range k.Outputs {
		unit := " nats"
		if o.Kind == "values" {
			unit = " noise/signal"
		}
		fmt.Fprintf(&b, ", %s drift %s%s", escape(o.Name), figure(o.Drift, "%.4g"), unit)
	}
	return b.String()
}

func (s *session) interfaceLines(m *onnxio.Model) {
	for _, v := range m.Graph.FeedInputs() {
		s.printf("input   %s\n", valueText(v))
	}
	for _, v := range m.Graph.Outputs {
		s.printf("output  %s\n", valueText(v))
	}
}

// valueText writes a value as `logits [N 10] float32`.
func valueText(v *onnxio.ValueInfo) string {
	if v.Type == nil {
		return escape(v.Name)
	}
	shape := "of unknown rank"
	if v.Type.HasShape {
		shape = escape(fmt.Sprint(shapeOf(v)))
	}
	return fmt.Sprintf("%s %s %s", escape(v.Name), shape, v.Type.Elem)
}

// shapeOf lists dimensions: numbers, names, or "?".
func shapeOf(v *onnxio.ValueInfo) []any {
	list := []any{}
	if v.Type == nil {
		return list
	}
	for _, d := range v.Type.Shape {
		switch {
		case d.Known:
			list = append(list, d.Value)
		case d.Param != "":
			list = append(list, d.Param)
		default:
			list = append(list, "?")
		}
	}
	return list
}

func valueRecords(values []*onnxio.ValueInfo) []valueRecord {
	list := []valueRecord{}
	for _, v := range values {
		r := valueRecord{Name: v.Name, Shape: shapeOf(v)}
		if v.Type != nil {
			r.DType = v.Type.Elem.String()
		}
		list = append(list, r)
	}
	return list
}

// fill gives a record what graph and coverage say.
func (r *inspectRecord) fill(m *onnxio.Model, list []convert.Coverage) {
	r.Inputs, r.Outputs = valueRecords(m.Graph.FeedInputs()), valueRecords(m.Graph.Outputs)
	r.Tensors = []tensorRecord{}
	for _, v := range list {
		r.Tensors = append(r.Tensors, newTensorRecord(v))
	}
}

// histogramWidth is the length of the longest bar of a code histogram.
const histogramWidth = 50

// inspectTensors reads the tensors that a glob fits and prints levels, scales and how often each code is used.
func (s *session) inspectTensors(f *packing.File, contents *convert.Contents, globs []string) error {
	chosen, err := convert.Match(contents.Tensors, "--tensor", globs)
	if err != nil {
		return err
	}
	rec := tensorsRecord{Schema: "bq.inspect/1", Tensors: []detailRecord{}}
	for _, v := range chosen {
		i, ok := f.Lookup(v.Name)
		if !ok {
			rec.Tensors = append(rec.Tensors, detailRecord{tensorRecord: newTensorRecord(v)})
			if !s.json {
				s.printf("%s  %s, kept (%s) in the graph\n", escape(v.Name), shapeText(v.Shape), v.Reason)
			}
			continue
		}
		t, err := f.Tensor(i)
		if err != nil {
			return err
		}
		rec.Tensors = append(rec.Tensors, newDetailRecord(v, t))
		if !s.json {
			s.tensorDetail(v, t)
		}
	}
	if s.json {
		return s.printJSON(rec)
	}
	return nil
}

// tensorsRecord is the JSON of inspect --tensor.
type tensorsRecord struct {
	Schema  string         `json:"schema"`
	Tensors []detailRecord `json:"tensors"`
}

// detailRecord is a tensor with what its codes stand for and how often each is used.
type detailRecord struct {
	tensorRecord
	Scales  []float32 `json:"scales,omitempty"`
	Stretch float32   `json:"stretch,omitempty"`
	Zeros   []int     `json:"zero_points,omitempty"`
	Levels  []float32 `json:"levels,omitempty"`
	Edges   []float32 `json:"edges,omitempty"`
	Counts  []int     `json:"counts,omitempty"`          // of each code; above 8 bits see the two below
	First   int       `json:"first_code,omitempty"`      // that the first count is of
	Each    int       `json:"codes_per_count,omitempty"` // how many neighbours share a count
}

func newDetailRecord(v convert.Coverage, t *packing.Tensor) detailRecord {
	r := detailRecord{tensorRecord: newTensorRecord(v)}
	q := t.Quant
	if q == nil {
		return r
	}
	r.Scales, r.Stretch, r.Levels = q.Scales, q.Stretch, q.Levels
	h := newHistogram(q)
	if r.Counts = h.counts; q.Bits > packing.MaxNarrow {
		r.First, r.Each = h.first, h.each
	}
	for _, z := range q.Zeros {
		r.Zeros = append(r.Zeros, int(z))
	}
	for i := 1; i < len(q.Levels); i++ {
		r.Edges = append(r.Edges, edge(q, i-1))
	}
	return r
}

// histogram tells how often each code is used, or each run of neighbours.
type histogram struct {
	counts []int
	first  int // code that the first count starts with
	each   int // codes of a count
}

// histogramRows is the most counts for codes of more than 8 bits.
const histogramRows = 64

// newHistogram counts the codes of a tensor: up to 8 bits all that there are, each by itself; above, those from the
// lowest to the highest that is used, in runs of a power of two.
func newHistogram(q *packing.Quant) histogram {
	counts := make([]int, 1<<q.Bits)
	for i := range q.Len() {
		counts[q.Code(i)]++
	}
	h := histogram{counts: counts, each: 1}
	if q.Bits <= packing.MaxNarrow {
		return h
	}
	end := len(counts)
	for ; end > 1 && counts[end-1] == 0; end-- {
	}
	for ; h.first < end-1 && counts[h.first] == 0; h.first++ {
	}
	for (end-h.first+h.each-1)/h.each > histogramRows {
		h.each *= 2
	}
	h.counts = make([]int, (end-h.first+h.each-1)/h.each)
	for code := h.first; code < end; code++ {
		h.counts[(code-h.first)/h.each] += counts[code]
	}
	return h
}

// edge returns the border between code and the next, half-way between their levels.
func edge(q *packing.Quant, code int) float32 { return (q.Levels[code] + q.Levels[code+1]) / 2 }

func (s *session) tensorDetail(v convert.Coverage, t *packing.Tensor) {
	if t.Quant == nil {
		s.printf("%s  %s %s  %s %s, kept (%s), %s bytes\n", escape(v.Name), v.Op, shapeText(v.Shape), plural(v.Elements, "value"), onnxio.DataType(t.Type), v.Reason, thousands(v.Bytes))
		return
	}
	q := t.Quant
	s.printf("%s  %s %s  %s, %d bits, codec %s, %.2f bits/weight, %s bytes\n", escape(v.Name), v.Op, shapeText(v.Shape), memberText(v), v.Bits, v.Codec, v.BitsPerWeight(), thousands(v.Bytes))
	low, high := math.Inf(1), math.Inf(-1)
	for _, x := range q.Scales {
		low, high = min(low, float64(x)), max(high, float64(x))
	}
	s.printf("  %s from %.6g to %.6g\n", plural(len(q.Scales), "scale"), low, high)
	h := newHistogram(q)
	most := slices.Max(append([]int{1}, h.counts...))
	for i, n := range h.counts {
		code := h.first + i*h.each
		s.printf("  %3d  %s  %8s  %s\n", code, levelText(q, code), thousands(n), strings.Repeat("#", (n*histogramWidth+most-1)/most))
	}
	if h.each > 1 {
		s.printf("  each line counts %d codes, the one named and those above it\n", h.each)
	}
}

// levelText writes the value of a code in units of the scale, and for a codebook the edge above it.
func levelText(q *packing.Quant, code int) string {
	if q.Levels == nil {
		return fmt.Sprintf("%+5d less the zero point", code)
	}
	above := "      -"
	if code+1 < len(q.Levels) {
		above = fmt.Sprintf("%+7.4f", edge(q, code))
	}
	return fmt.Sprintf("level %+7.4f  edge %s", q.Levels[code], above)
}
