package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Parts shows how a whole is made up: a bar in pieces, and a legend with the numbers.
type Parts struct {
	Caption string
	Parts   []Part // at most five are told apart by colour
}

// Part is a piece of a whole. Text is its size in words.
type Part struct {
	Name, Text string
	Size       float64
}

// colours is how many the style sheet has.
const colours = 5

func (p Parts) html() (template.HTML, error) {
	const height = 26
	total := 0.0
	for _, part := range p.Parts {
		total += max(0, part.Size)
	}
	d := newDrawing(height, p.Caption)
	var legend strings.Builder
	x := 0.0
	for i, part := range p.Parts {
		colour := fmt.Sprintf("c%d", i%colours+1)
		if w := chartWidth * max(0, part.Size) / max(total, math.SmallestNonzeroFloat64); w > 0 {
			fmt.Fprintf(d, `<rect x="%s" y="0" width="%s" height="%d" class="%s"><title>%s</title></rect>`, decimal(x), decimal(w), height, colour,
				html.EscapeString(part.Name+" "+part.Text))
			x += w
		}
		fmt.Fprintf(&legend, `<li><i class="%s"></i>%s %s</li>`, colour, html.EscapeString(part.Name), html.EscapeString(part.Text))
	}
	return figure{p.Caption, d.end() + template.HTML(`<ul class="legend">`+legend.String()+"</ul>\n")}.html()
}

// Curve is a line through points, and points beside it that are marked.
type Curve struct {
	Caption      string
	X, Y         string // what the axes count
	LogX, LogY   bool
	Line, Marked []Point
}

// Point is a point of a curve with its name.
type Point struct {
	X, Y float64
	Name string
}

func (c Curve) html() (template.HTML, error) {
	const height = 230
	var xs, ys []float64
	for _, p := range append(append([]Point{}, c.Line...), c.Marked...) {
		xs, ys = append(xs, p.X), append(ys, p.Y)
	}
	x := newScale(xs, marginLeft, chartWidth-marginRight, c.LogX)
	y := newScale(ys, height-marginBase, marginTop+8, c.LogY)
	d := newDrawing(height, c.Caption)
	d.axes(x, y, c.X, c.Y)
	var line strings.Builder
	for i, p := range c.Line {
		move := "L"
		if i == 0 {
			move = "M"
		}
		fmt.Fprintf(&line, "%s%s %s", move, decimal(x.at(p.X)), decimal(y.at(p.Y)))
	}
	d.path("line", line.String())
	for _, p := range c.Line {
		d.circle(x.at(p.X), y.at(p.Y), 4, "dot", p.Name)
		d.label(x, x.at(p.X), y.at(p.Y), "", p.Name)
	}
	for _, p := range c.Marked {
		d.circle(x.at(p.X), y.at(p.Y), 6, "mark", p.Name)
		d.mark(x.at(p.X), y.at(p.Y), p.Name)
	}
	return figure{c.Caption, d.end()}.html()
}

// label writes a name above a point and to its right, where a falling line leaves room, unless the frame ends there.
func (d *drawing) label(x scale, px, py float64, class, words string) {
	anchor, at := "start", px+7
	if px > x.to-50 {
		anchor, at = "end", px
	}
	d.text(at, max(py-7, 9), anchor, class, words)
}

// mark writes a name beside a point, left of it where there is room: the names of a line stand above its points.
func (d *drawing) mark(px, py float64, words string) {
	if px > marginLeft+75 {
		d.text(px-10, py+4, "end", "strong", words)
		return
	}
	d.text(px, py+20, "start", "strong", words)
}

// Strip shows a figure of every sample, the worst marked.
type Strip struct {
	Caption string
	X, Y    string
	Floor   float64   // positive; smaller values are drawn there
	Values  []float64 // one for each sample
	Worst   []Point   // X is a place in Values
}

func (s Strip) html() (template.HTML, error) {
	x := scale{0, float64(max(1, len(s.Values)-1)), marginLeft, chartWidth - marginRight, false}
	y := newScale(append([]float64{s.Floor}, s.Values...), chartHeight-marginBase, marginTop+8, true)
	y.low = s.Floor
	d := newDrawing(chartHeight, s.Caption)
	d.axes(x, y, s.X, s.Y)
	var dots strings.Builder
	for i, v := range s.Values {
		if v == v {
			fmt.Fprintf(&dots, "M%s %sh0", decimal(x.at(float64(i))), decimal(y.at(v)))
		}
	}
	d.path("dots", dots.String())
	for _, p := range s.Worst {
		d.circle(x.at(p.X), y.at(p.Y), 4, "mark", p.Name)
	}
	return figure{s.Caption, d.end()}.html()
}

// Histogram counts values in equal bins, with the levels that a quantizer gives them and the edges between.
type Histogram struct {
	Name      string  // what is counted; read out in place of the picture
	Caption   string  // more about it
	Low, High float64 // of the bins together; High above Low
	Counts    []int
	Levels    []float64
	Edges     []float64
}

// Histograms are drawn side by side.
type Histograms []Histogram

func (h Histograms) html() (template.HTML, error) {
	all := template.HTML(`<div class="histograms">` + "\n")
	for _, one := range h {
		f, err := one.html()
		if err != nil {
			return "", err
		}
		all += f
	}
	return all + "</div>\n", nil
}

func (h Histogram) html() (template.HTML, error) {
	const height, base, top = 120, 100, 14
	most := 1
	for _, n := range h.Counts {
		most = max(most, n)
	}
	x := scale{h.Low, h.High, 4, chartWidth - 4, false}
	d := newDrawing(height, h.Name)
	d.path("edge", strokes(x, h.Edges, top, base))
	d.path("count", skyline(h.Counts, most, x, top, base))
	d.path("level", strokes(x, h.Levels, base-6, base+4))
	for _, v := range x.ticks() {
		if at := x.at(v); at > 16 && at < chartWidth-16 {
			d.text(at, height-3, "middle", "", tickText(v))
		}
	}
	return figure{strings.TrimPrefix(h.Name+": "+h.Caption, ": "), d.end()}.html()
}

// skyline draws bins as one shape: the heights of its steps are whole units, any that counts something at least one.
func skyline(counts []int, most int, x scale, top, base int) string {
	if len(counts) == 0 {
		return ""
	}
	var b strings.Builder
	step := decimal((x.to - x.from) / float64(len(counts)))
	fmt.Fprintf(&b, "M%s %d", decimal(x.from), base)
	last := base
	for _, n := range counts {
		y := base
		if n > 0 {
			y = min(base-1, base-int(math.Round(float64(n)/float64(most)*float64(base-top))))
		}
		if y != last {
			fmt.Fprintf(&b, "V%d", y)
			last = y
		}
		b.WriteString("h" + step)
	}
	fmt.Fprintf(&b, "V%dz", base)
	return b.String()
}

// strokes draws a vertical line at each value inside the scale.
func strokes(x scale, values []float64, from, to int) string {
	var b strings.Builder
	for _, v := range values {
		if v >= x.low && v <= x.high {
			fmt.Fprintf(&b, "M%s %dV%d", coarse(x.at(v)), from, to)
		}
	}
	return b.String()
}
