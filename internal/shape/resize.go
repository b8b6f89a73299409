package shape

import (
	"fmt"
	"math"
	"slices"
)

// resize: the input resampled by scales or to sizes. Version 10 has the inputs (X, scales), later ones (X, roi, scales,
// sizes).
func resize(c *call) error {
	scales, sizes := 2, 3
	if c.version < 11 {
		scales, sizes = 1, -1
	}
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	at := sequence(0, len(s))
	if c.has("axes") {
		list := c.node.IntsAttr("axes")
		if _, err := axes(list, len(s)); err != nil {
			return err
		}
		at = at[:len(list)]
		for i, v := range list {
			at[i], _ = axis(v, len(s))
		}
	}
	if n, counted := c.count(sizes); c.given(sizes) && !(counted && n == 0) {
		return c.resizeTo(s, at, sizes)
	}
	return c.resizeBy(s, at, c.arg(scales).floats)
}

// resizeTo sets output 0 to the sizes of input i, of which an aspect ratio policy makes one scale.
func (c *call) resizeTo(s []Dim, at []int, i int) error {
	want, known := c.sizesInput(i)
	out := slices.Clone(s)
	if known && len(want) != len(at) {
		return fmt.Errorf("sizes %s for %d dimensions", shapeText(want), len(at))
	}
	for k, a := range at {
		if out[a] = c.size(); known {
			out[a] = want[k]
		}
	}
	if policy := c.node.StringAttr("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		c.keepAspect(s, out, at, policy)
	}
	return c.give(0, c.elem(0), out...)
}

// keepAspect scales the dimensions at by the smallest (not_larger) or largest (not_smaller) of the scales that out asks
// for, and rounds half up.
func (c *call) keepAspect(s, out []Dim, at []int, policy string) {
	scale := 0.0
	for i, a := range at {
		n, ok := s[a].Known()
		m, ok2 := out[a].Known()
		if !ok || !ok2 {
			for _, a := range at {
				out[a] = c.size()
			}
			return
		}
		f := float64(m) / float64(max(n, 1))
		if i == 0 || policy == "not_larger" && f < scale || policy == "not_smaller" && f > scale {
			scale = f
		}
	}
	for _, a := range at {
		n, _ := s[a].Known()
		out[a] = Size(int64(min(math.Floor(scale*float64(n)+0.5), 2*maxSize)))
	}
}

// resizeBy sets output 0 to floor(size * scale) in the dimensions at; scales may be nil.
func (c *call) resizeBy(s []Dim, at []int, scales []float64) error {
	out := slices.Clone(s)
	if scales != nil && len(scales) != len(at) {
		return fmt.Errorf("%d scales for %d dimensions", len(scales), len(at))
	}
	for i, a := range at {
		if scales == nil {
			out[a] = c.size()
			continue
		}
		if !(scales[i] > 0) {
			return fmt.Errorf("scale %v of dimension %d", scales[i], a)
		}
		out[a] = c.scaledSize(s[a], scales[i])
	}
	return c.give(0, c.elem(0), out...)
}

// scaledSize returns floor(n * f). Of a symbol that is followed for factors p/q with q a small power of two.
func (c *call) scaledSize(n Dim, f float64) Dim {
	if v, ok := n.Known(); ok {
		if p := math.Floor(float64(v) * f); p <= maxSize {
			return Size(int64(p))
		}
		return lost
	}
	for q := int64(1); q <= 1<<10; q *= 2 {
		if p := f * float64(q); p == math.Trunc(p) && p <= maxSize {
			return floorDiv(scaled(n, int64(p)), q)
		}
	}
	return c.size()
}

// upsample: Resize of versions 1 and 7 (scales as attributes) and 9 (scales as input).
func upsample(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	at := sequence(0, len(s))
	switch {
	case c.version >= 9:
		return c.resizeBy(s, at, c.arg(1).floats)
	case c.version < 7 && len(s) == 4:
		return c.resizeBy(s, at, []float64{1, 1, float64(c.node.FloatAttr("height_scale", 1)), float64(c.node.FloatAttr("width_scale", 1))})
	}
	var scales []float64
	if a := c.node.Attr("scales"); a != nil {
		for _, v := range a.Floats {
			scales = append(scales, float64(v))
		}
	}
	return c.resizeBy(s, at, scales)
}
