package cli

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	urfave "github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"bq/convert"
)

// field is an entry of a JSON object whose order is kept.
type field struct {
	name  string
	value any
}

// object is a JSON object with its fields in order.
type object []field

// MarshalJSON writes the fields in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// flagSchema says what a flag may be in bq.yaml.
func flagSchema(f urfave.Flag) object {
	usage, value := usageOf(f)
	scalar := object{{"type", []string{"string", "number"}}}
	o := object{{"description", usage}}
	switch f.(type) {
	case *urfave.BoolFlag:
		return append(o, field{"type", "boolean"})
	case *urfave.StringSliceFlag:
		return append(o, field{"oneOf", []any{scalar, object{{"type", "array"}, {"items", scalar}}}})
	}
	o = append(o, scalar...)
	if value != "" {
		o = append(o, field{"default", value})
	}
	return o
}

// configSchema makes the schema of bq.yaml (cli.md section 4) from the command table.
func configSchema(app *urfave.App) []byte {
	properties := object{
		{"version", object{{"const", 1}}},
		{"model", object{{"type", "string"}, {"description", "the ONNX model"}}},
		{"data", object{{"type", "string"}, {"description", "samples for every command that takes --data"}}},
	}
	for _, c := range app.VisibleCommands() {
		if c.Name == "completion" {
			continue
		}
		flags := object{}
		for _, f := range c.VisibleFlags() {
			if slices.Contains(configKeys(c), f.Names()[0]) {
				flags = append(flags, field{f.Names()[0], flagSchema(f)})
			}
		}
		for _, f := range expertKeys(c) {
			flags = append(flags, field{f.Names()[0], flagSchema(f)})
		}
		properties = append(properties, field{c.Name, object{{"description", "flags of bq " + c.Name}, {"type", "object"}, {"additionalProperties", false}, {"properties", flags}}})
	}
	b, err := json.MarshalIndent(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "bq.yaml: flags of bq, by command, for one model"},
		{"type", "object"}, {"additionalProperties", false}, {"required", []string{"version"}}, {"properties", properties},
	}, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and lists can be written
	}
	return append(b, '\n')
}

func TestConfigSchema(t *testing.T) {
	golden(t, filepath.Join("..", "..", "schemas", "bq.json"), configSchema(table()))
}

// Every option that decides the bytes of a conversion has a key in bq.yaml, that of a flag or one of its own; and every flag of
// every command has its key.
func TestEveryOptionHasAKey(t *testing.T) {
	keys := map[string]string{"Bits": "bits", "Method": "method", "Group": "group", "ActBits": "act-bits", "Keep": "keep", "BitsOf": "bits-of", "Strict": "strict",
		"MinElements": "min-elements", "KeepBiases": "correct", "Codec": "codec", "Samples": "data", "Table": "calib", "Record": "save-calib",
		"OutputKinds": "output-kind", "Threads": "threads", "Budget": "bpw", "MadeBy": "", "Progress": ""}
	app := table()
	known := configKeys(app.Command("convert"))
	for f := range reflect.TypeFor[convert.Options]().Fields() {
		if key, listed := keys[f.Name]; f.IsExported() && (!listed || key != "" && !slices.Contains(known, key)) {
			t.Errorf("convert.Options.%s has no key in bq.yaml", f.Name)
		}
	}
	for _, budget := range []string{"bits", "bpw", "max-size", "max-drift"} {
		if !slices.Contains(known, budget) {
			t.Errorf("the budget %s has no key", budget)
		}
	}
	var doc struct {
		Properties map[string]struct{ Properties map[string]any }
	}
	if err := json.Unmarshal(readFile(t, filepath.Join("..", "..", "schemas", "bq.json")), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range app.VisibleCommands() {
		if c.Name == "completion" {
			continue
		}
		for _, f := range c.Flags {
			if name := f.Names()[0]; name != "config" && name != "help" && doc.Properties[c.Name].Properties[name] == nil {
				t.Errorf("--%s of %s has no key in the schema", name, c.Name)
			}
		}
	}
}

// yamlValue reads YAML as JSON has it.
func yamlValue(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSchemasOfYAML(t *testing.T) {
	config, data := schema(t, "bq.json"), schema(t, "data.json")
	cases := []struct {
		s    *jsonschema.Schema
		good bool
		text string
	}{
		{config, true, "version: 1\nmodel: m.onnx\ndata: d.yaml\nconvert: {output: m.bq, bits: 4, keep: [\"linear.*\"], strict: true}\nverify: {max-kl: 0.02, min-agree: 99%, baseline: drift.json, junit: drift.xml, report: drift.html}"},
		{config, true, "version: 1"},
		{config, true, "version: 1\nverify: {max-kl: [logits=0.02, 0.1]}\nconvert: {strict: false}"},
		{config, true, "version: 1\nconvert: {correct: false, min-elements: 64}\nplan: {correct: true}"},
		{config, false, "version: 1\nverify: {correct: false}"},
		{config, false, "version: 1\nconvert: {correct: 1}"},
		{config, false, "model: m.onnx"},
		{config, false, "version: 2"},
		{config, false, "version: 1\nverify: {max-kll: 0.02}"},
		{config, false, "version: 1\nconvert: {strict: 3}"},
		{config, false, "version: 1\nshrink: {}"},
		{data, true, "version: 1\ninputs:\n  input_1:\n    images: photos/\n    image: {size: [224, 224], resize: short, short: 256, crop: center, color: rgb, layout: nchw, scale: 0.00392157, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}\ncarry: {stateN: state}\nlabels: folder"},
		{data, true, "version: 1\ninputs:\n  a: {npz: {file: x.npz, key: b}}\n  b: {npy: x.npy}\n  sr: {value: 16000}\n  h: {zeros: [2, 1, 128]}\nlabels: {npz: {file: x.npz, key: labels}}"},
		{data, true, "version: 1\ninputs: {t: {npy: t.npy}}\nlabels: {next: t}"},
		{data, true, "version: 1\ninputs: {x: {images: p, image: {scale: 1/255, pad: 0, size: 96}}}"},
		{data, false, "inputs: {t: {npy: t.npy}}"},
		{data, false, "version: 1"},
		{data, false, "version: 1\ninputs: {t: {npy: t.npy, npz: t.npz}}"},
		{data, false, "version: 1\ninputs: {t: {}}"},
		{data, false, "version: 1\ninputs: {t: {npy: t.npy, image: {scale: 1}}}"},
		{data, false, "version: 1\ninputs: {t: {images: p, image: {colour: rgb}}}"},
		{data, false, "version: 1\ninputs: {t: {npy: t.npy}}\nlabel: folder"},
		{data, false, "version: 1\ninputs: {t: {images: p, image: {resize: fit}}}"},
	}
	for _, c := range cases {
		if err := c.s.Validate(yamlValue(t, c.text)); (err == nil) != c.good {
			t.Errorf("%s\nvalid is %v, want %v: %v", c.text, err == nil, c.good, err)
		}
	}
}

// The schema of data specs knows the keys that the reader knows: each unknown key there is named with what is wanted.
func TestDataSchemaHasTheReadersKeys(t *testing.T) {
	var doc struct {
		Properties map[string]any
		Defs       struct {
			Input struct{ Properties map[string]any }
			Image struct{ Properties map[string]any }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(readFile(t, filepath.Join("..", "..", "schemas", "data.json")), &doc); err != nil {
		t.Fatal(err)
	}
	// what the errors about unknown keys list
	for _, c := range []struct {
		spec string
		keys map[string]any
	}{
		{"version: 1\nfoo: 1\n", doc.Properties},
		{"version: 1\ninputs: {image: {foo: 1}}\n", doc.Defs.Input.Properties},
		{"version: 1\ninputs: {image: {images: ., image: {foo: 1}}}\n", doc.Defs.Image.Properties},
	} {
		want := wantedKeys(t, c.spec)
		var got []string
		for k := range c.keys {
			got = append(got, k)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the schema has %v, the reader %v", got, want)
		}
	}
}

// wantedKeys returns the keys that the message about an unknown one in a spec lists.
func wantedKeys(t *testing.T, spec string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.yaml")
	writeFile(t, path, spec)
	out := string(runMain(t, statusUsage, "run", filepath.Join("..", "..", "testdata", "digits.onnx"), "--data", path, "--json"))
	var e errorRecord
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(e.Error, "want ")
	if !ok {
		t.Fatalf("error %q lists no keys", e.Error)
	}
	keys := strings.Split(strings.ReplaceAll(list, " or ", ", "), ", ")
	slices.Sort(keys)
	return keys
}
