package page_test

import (
	"bytes"
	"fmt"
	"log"

	"bq/internal/page"
)

// A page of one table: the first column names the rows, and numbers may have a bar.
func ExamplePage_HTML() {
	p := &page.Page{
		Title: "m.bq against m.onnx", Lead: "64 samples", Verdict: page.Verdict{Word: "PASS", Text: "1 limit", Tone: page.Good},
		Sections: []page.Section{{ID: "layers", Title: "Layers", Blocks: []page.Block{page.Table{
			Caption: "Noise by layer", Columns: []page.Column{{Title: "layer"}, {Title: "SQNR", Number: true}},
			Rows: [][]page.Cell{{{Text: "conv1"}, {Text: "24.1 dB", Bar: 0.6}}},
		}}}},
	}
	b, err := p.HTML()
	if err != nil {
		log.Fatal(err)
	}
	for _, part := range []string{`<th scope="row">conv1</th>`, `24.1 dB<i style="width:60%"></i>`, "<script"} {
		fmt.Println(bytes.Contains(b, []byte(part)))
	}
	// Output:
	// true
	// true
	// false
}
