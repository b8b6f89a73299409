package convert

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"bq/balance"
	"bq/internal/moments"
)

// Table is a calibration table: what was measured of a model on samples, so that conversions need not run it again.
//
// The first part, Values and Weights, is what the float model shows; Calibrate makes it. The second, Conversion and what follows,
// is what one conversion decided by its data (Options.Record): with it Options.Table repeats that conversion byte for byte.
//
// A table is written as canonical JSON: fields in the order of these structs, an element of a list to a line, numbers in their
// shortest form, large vectors as base64 (see vector). There is one spelling of a table, and what is spelt otherwise is refused.
type Table struct {
	Schema  string        `json:"schema"`
	MadeBy  string        `json:"made_by"`
	Model   Source        `json:"model"`
	Data    TableData     `json:"data"`
	Values  []TableValue  `json:"values"`  // that weights are multiplied with, in the order of the graph
	Weights []TableWeight `json:"weights"` // that can be quantized, in file order

	Conversion  *TableConversion  `json:"conversion"` // null: the table holds the first part only
	Codes       []TableCodes      `json:"codes"`
	Biases      []TableBias       `json:"biases"`
	Activations []TableActivation `json:"activations"`
	Drift       []TableDrift      `json:"drift"` // of each output on the held-out samples

	sums map[string]*moments.Sums // of the inputs of layers, by weight, of a table that was just measured; not written
}

// TableSchema is the first field of a table.
const TableSchema = "bq.calib/1"

// TableData identifies the samples.
type TableData struct {
	Kind    string `json:"kind"` // as in dataset.Info
	SHA256  string `json:"sha256"`
	Samples int    `json:"samples"` // that were measured
}

// TableValue is a value of the float model, over all samples.
type TableValue struct {
	Name       string         `json:"name"`
	Count      int64          `json:"count"`
	Min        float32        `json:"min"`
	Max        float32        `json:"max"`
	Sum        float64        `json:"sum"`
	Histogram  TableHistogram `json:"histogram"`
	Axis       int            `json:"axis"` // of the channels; negative: from the end
	Means      []float64      `json:"means"`
	Deviations []float64      `json:"deviations"` // standard deviation by channel
}

// Mean returns the mean of all elements, 0 without any.
func (v *TableValue) Mean() float64 { return v.Sum / float64(max(1, v.Count)) }

// TableHistogram is the rest of a balance.HistogramState.
type TableHistogram struct {
	Exponent int     `json:"exponent"`
	Signed   bool    `json:"signed"`
	First    int     `json:"first"`
	Counts   []int64 `json:"counts"`
}

// histogram returns the histogram of the value.
func (v *TableValue) histogram() (*balance.Histogram, error) {
	h := v.Histogram
	return balance.FromState(balance.HistogramState{Min: v.Min, Max: v.Max, Sum: v.Sum, Exponent: h.Exponent, Signed: h.Signed, First: h.First, Counts: h.Counts})
}

// TableWeight is a weight that can be quantized.
type TableWeight struct {
	Name        string       `json:"name"`
	Importance  *float64     `json:"importance"`  // mean square of the inputs it multiplies; null where they cannot be seen
	Sensitivity *float64     `json:"sensitivity"` // by which bits are allocated; null: not measured
	Alone       []TableAlone `json:"alone"`       // empty: not measured
}

// TableAlone is the drift of the model when one weight alone is quantized: KL in nats of the worst class output, or noise power over
// signal power where there is none.
type TableAlone struct {
	Bits  int     `json:"bits"`
	Drift float64 `json:"drift"`
}

// TableConversion is what a conversion was asked and what it decided.
type TableConversion struct {
	Flags       TableFlags   `json:"flags"`
	Calibration *Calibration `json:"calibration"`
	Compensate  bool         `json:"compensate"` // layers made up for what earlier ones had changed
	Rate        float64      `json:"rate"`       // strength of the rate term
	Knob        float64      `json:"knob"`       // of the budget's search, 0 without budget
	Corrected   int          `json:"corrected"`
	Uncorrected int          `json:"uncorrected"`
}

// TableFlags are the options that decide the bytes of a conversion.
type TableFlags struct {
	Bits        int      `json:"bits"` // 0 under a budget
	Budget      string   `json:"budget"`
	Value       float64  `json:"value"`
	Method      string   `json:"method"`
	Group       string   `json:"group"`
	Codec       string   `json:"codec"`
	ActBits     int      `json:"act_bits"`
	Keep        []string `json:"keep"`
	BitsOf      []string `json:"bits_of"`
	MinElements int      `json:"min_elements"`
	KeepBiases  bool     `json:"keep_biases"`
}

// TableCodes is what the codes of a weight follow from.
type TableCodes struct {
	Name    string    `json:"name"`
	Kept    Reason    `json:"kept"`    // why there are none; "": there are
	Bits    int       `json:"bits"`    // of a whole number of bits; 0: integers times steps
	Steps   []float32 `json:"steps"`   // by group; one for the whole weight
	Scales  []float32 `json:"scales"`  // behind the codes, where they are not those that rounding went by; else empty
	Centred bool      `json:"centred"` // a bias takes the mean error back
	Rows    int       `json:"rows"`    // rows of inputs in the moments; 0: rounded without moments
	Z       vector    `json:"z"`       // sums of the inputs, see moments.State
	X       vector    `json:"x"`
	Second  vector    `json:"second"`
	Shift   vector    `json:"shift"`
}

// TableBias holds the values of a bias that a conversion changed or added.
type TableBias struct {
	Name  string `json:"name"`  // of the tensor; of the node's output for an added one
	Added bool   `json:"added"` //
	Data  []byte `json:"data"`  // little-endian, of the tensor's element type
}

// TableActivation is the range of a quantized activation.
type TableActivation struct {
	Name   string  `json:"name"`
	Low    float32 `json:"low"`
	High   float32 `json:"high"`
	Shifts []int8  `json:"shifts,omitempty"` // as in Activation
	Rank   int     `json:"rank,omitempty"`
	ByRow  bool    `json:"by_row,omitempty"`
	Spared float64 `json:"spared,omitempty"` // the value stays float: the share that it has of what coding values costs
}

// TableError says that a table does not fit the model or is damaged.
type TableError struct{ Text string }

// Error says it without the name of the file.
func (e *TableError) Error() string { return e.Text }

func tableErrorf(format string, args ...any) error { return &TableError{fmt.Sprintf(format, args...)} }

// ForeignTableError says that a table was made for another model.
type ForeignTableError struct{ Table, Model string } // SHA-256 in hexadecimal

// Error says it without the name of the file.
func (e *ForeignTableError) Error() string {
	return fmt.Sprintf("made for another model (sha256 %.4s..., this one %.4s...)", e.Table, e.Model)
}

// Write writes the table in its one spelling.
func (t *Table) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	if err := t.encode(out); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return out.Flush()
}

// SHA256 returns the digest, in hexadecimal, of what Write writes.
func (t *Table) SHA256() (string, error) {
	h := sha256.New()
	if err := t.encode(h); err != nil {
		return "", fmt.Errorf("hashing a table: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// tableWriter writes the text of a table. After an error it writes no more.
type tableWriter struct {
	io.Writer
	err error
}

func (w *tableWriter) text(s string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.Writer, s)
	}
}

// field writes a field of the table; last tells that none follows.
func (w *tableWriter) field(name string, v any, last bool) {
	w.text(fmt.Sprintf("  %q: ", name))
	w.value(v)
	w.end(last)
}

func (w *tableWriter) value(v any) {
	b, err := json.Marshal(v)
	if w.err == nil {
		w.err = err
	}
	if w.err == nil {
		_, w.err = w.Write(b)
	}
}

func (w *tableWriter) end(last bool) {
	if !last {
		w.text(",")
	}
	w.text("\n")
}

// list writes a field whose elements stand in lines of their own.
func list[T any](w *tableWriter, name string, items []T, last bool) {
	w.text(fmt.Sprintf("  %q: [", name))
	for i := range items {
		w.text("\n    ")
		w.value(items[i])
		if i < len(items)-1 {
			w.text(",")
		} else {
			w.text("\n  ")
		}
	}
	w.text("]")
	w.end(last)
}

// encode writes the table to out, in many small pieces.
func (t *Table) encode(out io.Writer) error {
	if err := t.checkNames(); err != nil {
		return err
	}
	w := &tableWriter{Writer: out}
	w.text("{\n")
	w.field("schema", t.Schema, false)
	w.field("made_by", t.MadeBy, false)
	w.field("model", t.Model, false)
	w.field("data", t.Data, false)
	list(w, "values", t.Values, false)
	list(w, "weights", t.Weights, false)
	w.field("conversion", t.Conversion, false)
	list(w, "codes", t.Codes, false)
	list(w, "biases", t.Biases, false)
	list(w, "activations", t.Activations, false)
	list(w, "drift", t.Drift, true)
	w.text("}\n")
	return w.err
}

// names returns the lists of names in the table; within each a name stands once.
func (t *Table) names() [][]string {
	lists := make([][]string, 6)
	for _, v := range t.Values {
		lists[0] = append(lists[0], v.Name)
	}
	for _, v := range t.Weights {
		lists[1] = append(lists[1], v.Name)
	}
	for _, v := range t.Codes {
		lists[2] = append(lists[2], v.Name)
	}
	for _, v := range t.Biases {
		lists[3] = append(lists[3], fmt.Sprint(v.Name, v.Added))
	}
	for _, v := range t.Activations {
		lists[4] = append(lists[4], v.Name)
	}
	for _, v := range t.Drift {
		lists[5] = append(lists[5], v.Name)
	}
	return lists
}

// checkNames refuses names that stand twice, and those that JSON cannot hold.
func (t *Table) checkNames() error {
	for _, names := range t.names() {
		seen := map[string]bool{}
		for _, n := range names {
			if !utf8.ValidString(n) {
				return tableErrorf("the name %q is not UTF-8", n)
			}
			if seen[n] {
				return tableErrorf("the name %q stands twice", n)
			}
			seen[n] = true
		}
	}
	return nil
}

// maxTableBytes bounds the file that ReadTable reads.
const maxTableBytes = 1 << 32

// ReadTable reads a table. Its memory is a small multiple of the file, which may have at most 4 GiB. Errors are a *TableError or
// those of r.
func ReadTable(r io.Reader) (*Table, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTableBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxTableBytes {
		return nil, tableErrorf("over %d bytes", int64(maxTableBytes))
	}
	if !bytes.HasPrefix(b, []byte(TableHead)) {
		return nil, tableErrorf("not a calibration table (want %q first)", TableSchema)
	}
	t := &Table{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(t); err != nil {
		return nil, tableErrorf("%v", err)
	}
	var again bytes.Buffer
	if err := t.encode(&again); err != nil {
		return nil, err
	}
	if !bytes.Equal(again.Bytes(), b) {
		return nil, tableErrorf("line %d is not spelt as bq writes it", 1+bytes.Count(b[:common(b, again.Bytes())], []byte("\n")))
	}
	return t, t.check()
}

// common returns how many bytes two texts begin alike with.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// TableHead is how the file of a calibration table begins.
const TableHead = "{\n  \"schema\": \"" + TableSchema + "\",\n"

// flags returns the options that decide the bytes.
func (o *Options) flags() TableFlags {
	f := TableFlags{Bits: o.Bits, Budget: o.Budget.Kind.String(), Value: o.Budget.Value, Method: o.method().String(), Group: "channel",
		Codec: o.Codec.String(), ActBits: o.ActBits, Keep: append([]string{}, o.Keep...), BitsOf: []string{}, MinElements: o.minElements(), KeepBiases: o.KeepBiases}
	if o.Budget.Kind != NoBudget {
		f.Bits = 0
	}
	switch {
	case o.Group.PerTensor:
		f.Group = "tensor"
	case o.Group.Block > 0:
		f.Group = fmt.Sprint(o.Group.Block)
	}
	for _, b := range o.BitsOf {
		f.BitsOf = append(f.BitsOf, fmt.Sprintf("%s=%d", b.Glob, b.Bits))
	}
	return f
}

func (f TableFlags) equal(g TableFlags) bool {
	return slices.Equal(f.Keep, g.Keep) && slices.Equal(f.BitsOf, g.BitsOf) && f.scalars() == g.scalars()
}

// scalars returns the flags but for the lists, in a form that can be compared.
func (f TableFlags) scalars() string {
	return fmt.Sprint(f.Bits, f.Budget, f.Value, " ", f.Method, " ", f.Group, " ", f.Codec, f.ActBits, " ", f.MinElements, f.KeepBiases)
}
