package page

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// full is a page with every kind of block, and names that would be markup.
func full(t testing.TB, layers int) *Page {
	t.Helper()
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	rows := [][]Cell{}
	var histograms Histograms
	for i := range layers {
		rows = append(rows, []Cell{{Text: fmt.Sprintf("layer%d.weight", i)}, {Text: "12.5 dB", Bar: 0.5}, {Text: "FAIL", Tone: Bad}})
		h := Histogram{Name: fmt.Sprintf("layer%d.weight", i), Caption: "affine, 4 bits", Low: -1, High: 16, Counts: make([]int, 32)}
		for k := range h.Counts {
			h.Counts[k] = 100 - 3*k
		}
		for k := range 16 {
			h.Levels, h.Edges = append(h.Levels, float64(k)), append(h.Edges, float64(k)+0.5)
		}
		histograms = append(histograms, h)
	}
	evil := `<script>alert(1)</script>"'&`
	return &Page{
		Title: evil, Lead: evil, Verdict: Verdict{"FAIL", evil, Bad}, Foot: evil,
		Sections: []Section{
			{"verdict", "Verdict", []Block{Text(evil), Code(evil), Tiles{{"KL", "0.01", evil}}, Table{Caption: evil, Columns: []Column{{evil, false}, {"b", true}, {"c", false}}, Rows: rows}}},
			{"size", "Size", []Block{
				Parts{evil, []Part{{evil, "10", 10}, {"none", "0", 0}, {"c", "30", 30}}},
				Curve{Caption: evil, X: "bytes", Y: evil, LogX: true, LogY: true, Line: []Point{{20e3, 1, evil}, {90e3, 1e-4, "b"}}, Marked: []Point{{30e3, 0.5, evil}}},
				Curve{Caption: "one point", Line: []Point{{1, 0, "a"}}}, Curve{Caption: "empty"},
			}},
			{"samples", "Samples", []Block{
				Strip{Caption: evil, X: "sample", Y: "KL", Floor: 1e-6, Values: []float64{0, 1e-9, 3, math.NaN()}, Worst: []Point{{2, 3, evil}}},
				Strip{Caption: "none", Floor: 1e-6}, Pictures{{pic.Bytes(), evil}},
			}},
			{"weights", "Weights", []Block{histograms, Details{evil, []Block{Histograms{{Name: evil, Caption: evil, Low: 0, High: 1}}}}}},
		},
	}
}

// walk calls f for every element of a document.
func walk(n *html.Node, f func(n *html.Node)) {
	if n.Type == html.ElementNode {
		f(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, f)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	text := ""
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		text += words(c)
	}
	return text
}

func TestStructure(t *testing.T) {
	b, err := full(t, 3).HTML()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte(Head)) {
		t.Errorf("begins with %q", b[:min(len(b), 100)])
	}
	doc, err := html.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	count, ids := map[string]int{}, map[string]bool{}
	var links []string
	walk(doc, func(n *html.Node) {
		count[n.Data]++
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s has a handler %s", n.Data, a.Key)
			}
		}
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("id %s stands twice", id)
			}
			ids[id] = true
		}
		switch n.Data {
		case "a":
			links = append(links, attr(n, "href"))
		case "img":
			if attr(n, "alt") == "" || !strings.HasPrefix(attr(n, "src"), "data:image/png;base64,") {
				t.Errorf("picture %v", n.Attr)
			}
		case "svg":
			title := n.FirstChild != nil && n.FirstChild.Data == "title" && words(n.FirstChild) != ""
			if attr(n, "role") != "img" || !title {
				t.Errorf("a chart without a title: %v", n.Attr)
			}
		case "th":
			if s := attr(n, "scope"); s != "col" && s != "row" {
				t.Errorf("a head %q without scope", words(n))
			}
		case "table":
			if attr(n, "aria-label") == "" {
				t.Error("a table without a name")
			}
		case "section":
			if h := attr(n, "aria-labelledby"); h != attr(n, "id")+"-title" {
				t.Errorf("section named by %q", h)
			}
		}
		if n.Data != "meta" && (attr(n, "src") != "" && n.Data != "img" || attr(n, "xlink:href") != "") {
			t.Errorf("%s reads %v", n.Data, n.Attr)
		}
	})
	for _, l := range links {
		if !strings.HasPrefix(l, "#") || !ids[l[1:]] {
			t.Errorf("link %s leads nowhere", l)
		}
	}
	for name, want := range map[string]int{"h1": 1, "main": 1, "nav": 1, "script": 0, "iframe": 0, "section": 4, "h2": 4, "table": 1, "details": 1, "link": 1, "style": 1, "img": 1} {
		if count[name] != want {
			t.Errorf("%d of %s, want %d", count[name], name, want)
		}
	}
	// a chart each: parts, three curves, two strips, three and one histograms
	if count["svg"] != 1+3+2+3+1 {
		t.Errorf("%d drawings", count["svg"])
	}
	if bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) || bytes.Contains(b, []byte("ZgotmplZ")) {
		t.Error("a number or a URL that is none")
	}
	if again, _ := full(t, 3).HTML(); !bytes.Equal(b, again) {
		t.Error("equal pages give other bytes")
	}
}

// Half a thousand layers stay under a megabyte.
func TestSizeOfManyLayers(t *testing.T) {
	b, err := full(t, 500).HTML()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(b))
	if len(b) > 1e6 {
		t.Errorf("%d bytes", len(b))
	}
}

// Nothing in the style reaches out, and text has the contrast that WCAG 2.2 asks for (1.4.3: 4.5 to 1) in both schemes.
func TestStyle(t *testing.T) {
	for _, bad := range []string{"url(", "@import", "@font-face", "http"} {
		if strings.Contains(style, bad) {
			t.Errorf("the style holds %s", bad)
		}
	}
	light, dark, ok := strings.Cut(style, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark scheme")
	}
	for name, text := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(text, -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for _, pair := range [][2]string{{"text", "back"}, {"text", "card"}, {"soft", "back"}, {"soft", "card"}, {"link", "back"}, {"link", "card"}, {"good", "card"},
			{"bad", "card"}, {"good", "good-back"}, {"bad", "bad-back"}, {"text", "good-back"}, {"text", "bad-back"}} {
			a, b := colour[pair[0]], colour[pair[1]]
			if a == 0 && b == 0 {
				t.Fatalf("%s: no colours %v", name, pair)
			}
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has contrast %.2f", name, pair[0], pair[1], ratio)
			}
		}
		for i, c := range []string{"one", "two", "three", "four", "five"} { // graphics: 3 to 1 (1.4.11)
			if ratio := (max(colour[c], colour["card"]) + 0.05) / (min(colour[c], colour["card"]) + 0.05); ratio < 3 {
				t.Errorf("%s: colour %d has contrast %.2f", name, i+1, ratio)
			}
		}
	}
}

// luminance is the relative luminance of WCAG 2.2 of a colour rrggbb.
func luminance(t *testing.T, hex string) float64 {
	v, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(v>>(16-8*i)&255) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestScales(t *testing.T) {
	cases := []struct {
		values []float64
		log    bool
		low    float64
		high   float64
		ticks  []float64
	}{
		{[]float64{0, 10}, false, 0, 10, []float64{0, 2, 4, 6, 8, 10}},
		{[]float64{-0.3, 0.4}, false, -0.3, 0.4, []float64{-0.2, 0, 0.2, 0.4}},
		{[]float64{5}, false, 4, 6, []float64{4, 4.5, 5, 5.5, 6}},
		{[]float64{23e3, 81e3}, true, 20e3, 100e3, []float64{20e3, 50e3, 100e3}},
		{[]float64{1e-6, 3}, true, 1e-6, 5, []float64{1e-6, 1e-4, 0.01, 1}},
		{[]float64{7}, true, 5, 10, []float64{5, 10}},
		{[]float64{0, math.NaN()}, true, 1, 10, []float64{1, 2, 5, 10}},
		{nil, false, 1, 10, []float64{2, 4, 6, 8, 10}},
	}
	for _, c := range cases {
		s := newScale(c.values, 0, 100, c.log)
		ticks := s.ticks()
		same := len(ticks) == len(c.ticks) && math.Abs(s.low-c.low) <= 1e-12*math.Abs(c.low) && math.Abs(s.high-c.high) <= 1e-9*math.Abs(c.high)
		for i := range ticks {
			same = same && math.Abs(ticks[i]-c.ticks[i]) < 1e-9*math.Abs(s.high)
		}
		if !same {
			t.Errorf("%v: %v to %v, ticks %v; want %v to %v, %v", c.values, s.low, s.high, ticks, c.low, c.high, c.ticks)
		}
	}
	if s := (scale{1, 100, 0, 10, true}); s.at(10) != 5 || s.at(0) != 0 || s.at(1e9) != 10 {
		t.Errorf("places %v %v %v", s.at(10), s.at(0), s.at(1e9))
	}
	for v, want := range map[float64]string{0: "0", 0.25: "0.25", 20e3: "20k", 1.5e6: "1.5M", 1e-6: "1e-6", 0.001: "0.001", -3: "-3"} {
		if got := tickText(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
