// Package page writes a report as one HTML file that needs nothing else: no script, no network, no other file.
//
//	Page -> sections of blocks (text, tables, charts, pictures) -> HTML with inline SVG and data URIs
//
// It knows numbers and words, no models. The page adapts to width and colour scheme by style sheet alone, headings and
// tables say what they are to a screen reader, and every chart has a title and stands beside the numbers it shows.
// Equal pages give equal bytes.
package page

import (
	"bytes"
	_ "embed" // the style sheet
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// Page is a whole report.
type Page struct {
	Title    string // also of the document
	Lead     string // one line below the title
	Verdict  Verdict
	Sections []Section
	Foot     string
}

// Add adds a section of the blocks that are not nil, unless there is none.
func (p *Page) Add(id, title string, blocks ...Block) {
	if blocks = slices.DeleteFunc(blocks, func(b Block) bool { return b == nil }); len(blocks) > 0 {
		p.Sections = append(p.Sections, Section{ID: id, Title: title, Blocks: blocks})
	}
}

// Verdict is the one word that a reader wants first, and what it rests on.
type Verdict struct {
	Word, Text string
	Tone       Tone
}

// Tone colours a word; it never says anything that the words do not.
type Tone string

// The tones.
const (
	Plain Tone = ""
	Good  Tone = "good"
	Bad   Tone = "bad"
)

// Section is a part of a page under a heading. ID is its anchor: lower case letters and dashes.
type Section struct {
	ID, Title string
	Blocks    []Block
}

// Block is a part of a section: one of the types of this package.
type Block interface{ html() (template.HTML, error) }

// Text is a paragraph.
type Text string

// Code is what a person copies into a terminal.
type Code string

// Tiles are a few figures that stand for the whole.
type Tiles []Tile

// Tile is a figure with its name and a remark.
type Tile struct{ Name, Figure, Note string }

// Details hides blocks behind a line that opens them.
type Details struct {
	Summary string
	Blocks  []Block
}

// Table is a table whose first column names its rows.
type Table struct {
	Caption string
	Columns []Column
	Rows    [][]Cell // as long as Columns
}

// Column is the head of a column. Numbers stand at the right.
type Column struct {
	Title  string
	Number bool
}

// Cell is a cell of a table, with a bar of a share of the column where Bar is positive.
type Cell struct {
	Text string
	Tone Tone
	Bar  float64 // 0 to 1
}

// Pictures are a row of small pictures.
type Pictures []Picture

// Picture is a PNG and what it shows.
type Picture struct {
	PNG     []byte
	Caption string
}

//go:embed style.css
var style string

// Head is how every page begins, by which it is known again.
const Head = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"bq\">\n"

var document = template.Must(template.New("page").Funcs(template.FuncMap{"show": Block.html, "style": func() template.CSS { return template.CSS(style) }}).Parse(
	Head + `<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{{.Title}}</title>
<style>{{style}}</style>
</head>
<body>
<a class="skip" href="#{{(index .Sections 0).ID}}">to the figures</a>
<header>
<h1>{{.Title}}</h1>
<p class="lead">{{.Lead}}</p>
<p class="verdict {{.Verdict.Tone}}"><strong>{{.Verdict.Word}}</strong> <span>{{.Verdict.Text}}</span></p>
<nav aria-label="Sections"><ul>
{{range .Sections}}<li><a href="#{{.ID}}">{{.Title}}</a></li>
{{end}}</ul></nav>
</header>
<main>
{{range .Sections}}<section id="{{.ID}}" aria-labelledby="{{.ID}}-title">
<h2 id="{{.ID}}-title">{{.Title}}</h2>
{{range .Blocks}}{{show .}}{{end}}</section>
{{end}}</main>
<footer><p>{{.Foot}}</p></footer>
</body>
</html>
`))

// HTML returns the document. A page has at least one section.
func (p *Page) HTML() ([]byte, error) {
	var b bytes.Buffer
	if err := document.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	return b.Bytes(), nil
}

// fragments are the forms of the blocks that need no drawing.
var fragments = template.Must(template.New("").Funcs(template.FuncMap{"show": Block.html, "percent": percent, "uri": uri}).Parse(`
{{define "text"}}<p>{{.}}</p>
{{end}}
{{define "code"}}<pre class="scroll" tabindex="0"><code>{{.}}</code></pre>
{{end}}
{{define "tiles"}}<dl class="tiles">
{{range .}}<div><dt>{{.Name}}</dt><dd>{{.Figure}}{{if .Note}} <small>{{.Note}}</small>{{end}}</dd></div>
{{end}}</dl>
{{end}}
{{define "details"}}<details>
<summary>{{.Summary}}</summary>
{{range .Blocks}}{{show .}}{{end}}</details>
{{end}}
{{define "table"}}<figure>
<figcaption>{{.Caption}}</figcaption>
<div class="scroll" role="region" aria-label="{{.Caption}}" tabindex="0"><table aria-label="{{.Caption}}">
<thead><tr>{{range .Columns}}<th scope="col"{{if .Number}} class="n"{{end}}>{{.Title}}</th>{{end}}</tr></thead>
<tbody>
{{$columns := .Columns}}{{range .Rows}}<tr>{{range $i, $c := .}}{{$n := (index $columns $i).Number}}{{if eq $i 0}}<th scope="row">{{$c.Text}}</th>{{else}}<td{{if or $n $c.Tone}} class="{{if $n}}n{{if $c.Tone}} {{end}}{{end}}{{$c.Tone}}"{{end}}>{{$c.Text}}{{if gt $c.Bar 0.0}}<i style="width:{{percent $c.Bar}}%"></i>{{end}}</td>{{end}}{{end}}</tr>
{{end}}</tbody></table></div>
</figure>
{{end}}
{{define "pictures"}}<div class="pictures">
{{range .}}<figure><img src="{{uri .PNG}}" alt="{{.Caption}}"><figcaption>{{.Caption}}</figcaption></figure>
{{end}}</div>
{{end}}
{{define "figure"}}<figure class="chart">
<figcaption>{{.Caption}}</figcaption>
{{.SVG}}</figure>
{{end}}
`))

// percent writes a share as a width of 100, at least visible.
func percent(share float64) string { return strconv.Itoa(int(max(1, 100*min(1, share)))) }

func uri(png []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}

func render(name string, data any) (template.HTML, error) {
	var b strings.Builder
	if err := fragments.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

func (t Text) html() (template.HTML, error)     { return render("text", string(t)) }
func (c Code) html() (template.HTML, error)     { return render("code", string(c)) }
func (t Tiles) html() (template.HTML, error)    { return render("tiles", t) }
func (d Details) html() (template.HTML, error)  { return render("details", d) }
func (t Table) html() (template.HTML, error)    { return render("table", t) }
func (p Pictures) html() (template.HTML, error) { return render("pictures", p) }

// figure is a drawing with its caption.
type figure struct {
	Caption string
	SVG     template.HTML
}

func (f figure) html() (template.HTML, error) { return render("figure", f) }
