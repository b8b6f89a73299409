package packing

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestExampleOfFormatDocument decodes the annotated file in FORMAT.md: lines of an offset, bytes in
// hexadecimal and, behind a semicolon, their meaning.
func TestExampleOfFormatDocument(t *testing.T) {
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindStringSubmatch(readFormat(t))
	if block == nil {
		t.Fatal("FORMAT.md has no hex block")
	}
	var file []byte
	for line := range strings.Lines(block[1]) {
		text, _, _ := strings.Cut(line, ";")
		fields := strings.Fields(text)
		b, err := hex.DecodeString(strings.Join(fields[1:], ""))
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if at, err := hex.DecodeString(fields[0]); err != nil || int(at[0])<<8|int(at[1]) != len(file) {
			t.Fatalf("line %q: want offset %04x", line, len(file))
		}
		file = append(file, b...)
	}
	got, err := decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := documented(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A writer would predict the index, which says less to people.
	d, err := takeApart(file)
	if err != nil {
		t.Fatal(err)
	}
	if again := d.build(); !bytes.Equal(again, file) {
		t.Errorf("put together again: % x", again)
	}
	values := make([]float32, 3)
	got.tensors[0].Quant.Dequantize(values)
	if want := []float32{-1.5, 0.5, 3}; !reflect.DeepEqual(values, want) {
		t.Errorf("values %v, want %v as in FORMAT.md", values, want)
	}
}

// documented is the content of the example.
func documented() *content {
	return &content{meta: Meta{{"a", []byte("b")}}, graph: []byte("g"), tensors: []Tensor{
		{Name: "w", Type: 1, Shape: []int64{3}, Quant: &Quant{Method: "affine", Bits: 4,
			Layout: Layout{1, 1, 3, 0}, Scales: []float32{0.5}, Zeros: []uint8{9}, Codes: []uint8{6, 10, 15}}}}}
}

// TestLimitsInFormatDocument compares the table of limits with the constants.
func TestLimitsInFormatDocument(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("format.go")
	if err != nil {
		t.Fatal(err)
	}
	limits := regexp.MustCompile(`(?m)^\t(Max\w+) += ([\d <]+\d)`).FindAllSubmatch(source, -1)
	if len(limits) != 17 {
		t.Errorf("%d limits in format.go, want 17", len(limits))
	}
	for _, m := range limits {
		if row := "| `" + string(m[1]) + "` | " + strings.TrimSpace(string(m[2])) + " |"; !bytes.Contains(doc, []byte(row)) {
			t.Errorf("FORMAT.md lacks the row %s", row)
		}
	}
}

// The check value of CRC-32C, from the catalogue of parametrised CRC algorithms (CRC-32/ISCSI).
func TestChecksum(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("got %08x, want e3069283", got)
	}
	if got := checksum(nil); got != 0 {
		t.Errorf("of nothing: %08x, want 0", got)
	}
}

func readFormat(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}
