package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"bq/convert"
)

// tableRecord is the JSON result of inspect on a calibration table.
type tableRecord struct {
	Schema       string              `json:"schema"`
	MadeBy       string              `json:"made_by"`
	SourceSHA256 string              `json:"source_sha256"`
	Data         convert.TableData   `json:"data"`
	Values       []tableValueRecord  `json:"values"`
	Weights      []tableWeightRecord `json:"weights"`
	Conversion   *convert.TableFlags `json:"conversion"` // the flags of the conversion that the table repeats
}

// tableWeightRecord is a weight of a calibration table.
type tableWeightRecord struct {
	Name        string               `json:"name"`
	Importance  *float64             `json:"importance"`
	Sensitivity *float64             `json:"sensitivity"`
	Alone       []convert.TableAlone `json:"alone"`
}

// inspectTable prints what a calibration table holds.
func (s *session) inspectTable(c *urfave.Context, path string) error {
	if len(c.StringSlice("tensor")) > 0 {
		return usagef("reading --tensor: %s is a calibration table, codes stand in .bq files", path)
	}
	t, _, err := s.readTable(path)
	if err != nil {
		return err
	}
	if s.json {
		return s.printJSON(newTableRecord(t))
	}
	s.printf("calibration table 1, made by %s from a model of %s bytes (sha256 %.8s...)\n", escape(t.MadeBy), thousands(t.Model.Bytes), t.Model.SHA256)
	s.printf("%s, %s, %s (data %.8s...)\n", plural(len(t.Values), "value"), plural(len(t.Weights), "weight"), plural(t.Data.Samples, sampleNoun(t.Data.Kind)), t.Data.SHA256)
	s.printf("%s\n", conversionText(t))
	if c.Bool("tensors") {
		s.weightTable(t)
	}
	if c.Bool("values") {
		s.rangeTable(t)
	}
	return nil
}

func newTableRecord(t *convert.Table) tableRecord {
	r := tableRecord{Schema: "bq.inspect/1", MadeBy: t.MadeBy, SourceSHA256: t.Model.SHA256, Data: t.Data, Values: tableValues(t), Weights: []tableWeightRecord{}}
	for _, w := range t.Weights {
		r.Weights = append(r.Weights, tableWeightRecord(w))
	}
	if t.Conversion != nil {
		r.Conversion = &t.Conversion.Flags
	}
	return r
}

// conversionText says which conversion a table repeats.
func conversionText(t *convert.Table) string {
	if t.Conversion == nil {
		return "holds no conversion: convert --calib measures nothing again, and decides by this table"
	}
	return "repeats the conversion " + flagsText(t.Conversion.Flags)
}

// flagsText writes the flags of a conversion as they would be given.
func flagsText(f convert.TableFlags) string {
	text := fmt.Sprintf("--method %s --codec %s --group %s", f.Method, f.Codec, f.Group)
	switch f.Budget {
	case "bpw":
		text += fmt.Sprintf(" --bpw %v", f.Value)
	case "size":
		text += fmt.Sprintf(" --max-size %.0f", f.Value)
	case "drift":
		text += fmt.Sprintf(" --max-drift %v", f.Value)
	default:
		text += fmt.Sprintf(" --bits %d", f.Bits)
	}
	if f.ActBits > 0 {
		text += fmt.Sprintf(" --act-bits %d", f.ActBits)
	}
	for _, k := range f.Keep {
		text += " --keep " + shellQuote(k)
	}
	for _, b := range f.BitsOf {
		text += " --bits-of " + shellQuote(b)
	}
	for _, key := range []struct {
		differs bool
		text    string
	}{{f.KeepBiases, "correct: false"}, {f.MinElements != convert.MinElements, fmt.Sprintf("min-elements: %d", f.MinElements)}} {
		if key.differs {
			text += ", " + key.text // keys of bq.yaml: there are no flags
		}
	}
	return escape(text)
}

// weightTable prints a line for each weight.
func (s *session) weightTable(t *convert.Table) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "weight\timportance\tsensitivity\talone at 2 bits\t3\t4\t6")
	for _, v := range t.Weights {
		fmt.Fprintf(w, "%s\t%s\t%s", cell(v.Name), figure(v.Importance, "%.4g"), figure(v.Sensitivity, "%.4g"))
		for _, a := range v.Alone {
			fmt.Fprintf(w, "\t%.3g", a.Drift)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}

// rangeTable prints a line for each value.
func (s *session) rangeTable(t *convert.Table) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "value\telements\tmin\tmax\tmean\tchannels")
	for i := range t.Values {
		v := &t.Values[i]
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%.4g\t%d\n", cell(v.Name), thousands(v.Count), v.Min, v.Max, v.Mean(), len(v.Means))
	}
	w.Flush()
	s.printf("%s", trimLines(b.String()))
}
