package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// Charts are drawn in units of a phone's pixels: 360 wide, so that their text can be read there, and larger elsewhere.
const (
	chartWidth  = 360
	chartHeight = 170
	marginLeft  = 46
	marginRight = 10
	marginTop   = 10
	marginBase  = 34
)

// decimal writes a coordinate: at most two decimals, no more than drawing needs.
func decimal(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// coarse writes a coordinate with one decimal, for strokes of which there are many.
func coarse(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// drawing collects the elements of one SVG.
type drawing struct {
	strings.Builder
	height int
}

// newDrawing starts an SVG whose title is read out in place of the picture.
func newDrawing(height int, title string) *drawing {
	d := &drawing{height: height}
	fmt.Fprintf(d, `<svg viewBox="0 0 %d %d" role="img"><title>%s</title>`, chartWidth, height, html.EscapeString(title))
	return d
}

func (d *drawing) end() template.HTML {
	d.WriteString("</svg>\n")
	return template.HTML(d.String())
}

// text writes words at a place; anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor, class, words string) {
	fmt.Fprintf(d, `<text x="%s" y="%s" text-anchor="%s"`, decimal(x), decimal(y), anchor)
	if class != "" {
		fmt.Fprintf(d, ` class="%s"`, class)
	}
	fmt.Fprintf(d, `>%s</text>`, html.EscapeString(words))
}

// circle draws a point with the words that stand for it.
func (d *drawing) circle(x, y, r float64, class, words string) {
	fmt.Fprintf(d, `<circle cx="%s" cy="%s" r="%s" class="%s"><title>%s</title></circle>`, decimal(x), decimal(y), decimal(r), class, html.EscapeString(words))
}

// path draws one of many strokes.
func (d *drawing) path(class, strokes string) {
	if strokes != "" {
		fmt.Fprintf(d, `<path class="%s" d="%s"/>`, class, strokes)
	}
}

// scale maps values to coordinates, by their logarithms where log is set.
type scale struct {
	low, high float64 // values; high above low
	from, to  float64 // coordinates
	log       bool
}

// newScale spans values; logarithmic where all are positive and far apart. from and to are the coordinates of its ends.
func newScale(values []float64, from, to float64, log bool) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v-v == 0 && !(log && v <= 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	switch {
	case low > high:
		low, high = 1, 10
	case log:
		low, high = roundBelow(low), roundStep(high)
		if low == high {
			high *= 10
		}
	case low == high:
		low, high = low-1, high+1
	}
	return scale{low, high, from, to, log}
}

// at returns the coordinate of a value, those outside at the nearer end.
func (s scale) at(v float64) float64 {
	v = min(max(v, s.low), s.high)
	share := (v - s.low) / (s.high - s.low)
	if s.log {
		share = math.Log(v/s.low) / math.Log(s.high/s.low)
	}
	return s.from + share*(s.to-s.from)
}

// maxTicks is how many labels an axis has room for.
const maxTicks = 6

// ticks returns round values inside the scale: powers of ten, with their doubles and fives where there is room, or
// steps of 1, 2 or 5 times a power of ten.
func (s scale) ticks() []float64 {
	var list []float64
	if s.log {
		first, last := int(math.Floor(math.Log10(s.low))), int(math.Ceil(math.Log10(s.high)))
		step, within := (last-first)/maxTicks+1, []float64{1}
		if last-first <= 2 {
			within = []float64{1, 2, 5}
		}
		for e := first; e <= last; e += step {
			for _, m := range within {
				if v := m * math.Pow(10, float64(e)); v >= s.low*(1-slim) && v <= s.high*(1+slim) {
					list = append(list, v)
				}
			}
		}
		return list
	}
	step := roundStep((s.high - s.low) / maxTicks)
	for k := math.Ceil(s.low/step - slim); k*step <= s.high+slim*step && len(list) <= 2*maxTicks; k++ {
		list = append(list, k*step+0) // never minus zero
	}
	return list
}

// slim is the error of float64 arithmetic over a few operations, with room to spare.
const slim = 1e-9

// roundStep returns the smallest of 1, 2, 5 times a power of ten that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-slim) {
			return m * power
		}
	}
	return 10 * power
}

// roundBelow returns the largest of 1, 2, 5 times a power of ten that is not above v.
func roundBelow(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*power <= v*(1+slim) {
			return m * power
		}
	}
	return power
}

// tickText writes the value of a tick: 0.05, 20k, 5e-6.
func tickText(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	case a != 0 && a < 1e-3:
		return strings.Replace(strconv.FormatFloat(v, 'e', 0, 64), "e-0", "e-", 1)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// axes draws the frame of a chart: ticks of both scales, and what they count.
func (d *drawing) axes(x, y scale, xName, yName string) {
	base := float64(d.height - marginBase)
	var grid strings.Builder
	for _, v := range y.ticks() {
		fmt.Fprintf(&grid, "M%d %sH%d", marginLeft, decimal(y.at(v)), chartWidth-marginRight)
		d.text(marginLeft-5, y.at(v)+4, "end", "", tickText(v))
	}
	for _, v := range x.ticks() {
		at, anchor := x.at(v), "middle"
		if at > chartWidth-marginRight-12 {
			anchor = "end"
		}
		fmt.Fprintf(&grid, "M%s %sv4", decimal(at), decimal(base))
		d.text(at, base+15, anchor, "", tickText(v))
	}
	d.path("axis", grid.String())
	d.text((marginLeft+chartWidth-marginRight)/2, float64(d.height)-4, "middle", "", xName)
	if yName != "" {
		d.text(2, marginTop, "start", "", yName)
	}
}
