package dataset

import (
	"fmt"
	"math"

	"bq/onnxio"
)

// picturePlan says how pictures become the values of one input.
type picturePlan struct {
	imageSettings
	input    Input
	batch    int
	channels int
	height   int // 0: the picture's own
	width    int
	table    [3][256]float32 // value of each pixel, by channel of the input
}

// plan settles what the settings leave to the model's input, and checks that the two agree.
func (s *imageSettings) plan(in Input) (*picturePlan, error) {
	p := &picturePlan{imageSettings: *s, input: in, batch: 1}
	fail := func(format string, args ...any) (*picturePlan, error) {
		e := usagef(format, args...)
		e.Text = fmt.Sprintf("feeding %s %s with pictures: %s", onnxio.Quote(in.Name), in.dims(), e.Text)
		return nil, e
	}
	rank := len(in.Shape)
	if !in.HasShape || rank != 3 && rank != 4 {
		return fail("want an input of rank 3 or 4")
	}
	dims := in.Shape[rank-3:]
	if rank == 4 && in.Shape[0].Known {
		if p.batch = int(min(in.Shape[0].Value, 1<<20)); p.batch < 1 {
			return fail("batch %d is out of range", in.Shape[0].Value)
		}
	}
	if err := p.settleLayout(dims); err != nil {
		return fail("%v", err)
	}
	if err := p.settleSize(dims); err != nil {
		return fail("%v", err)
	}
	if err := p.settleValues(); err != nil {
		return fail("%v", err)
	}
	return p, nil
}

// settleLayout finds the one axis of the last three that can be channels.
func (p *picturePlan) settleLayout(dims []onnxio.Dim) error {
	fits := func(layout string, d onnxio.Dim) bool {
		if p.layout != "" && p.layout != layout {
			return false
		}
		if !d.Known {
			return p.layout != "" && p.color != ""
		}
		return d.Value == 1 && (p.color == "" || p.color == "gray") || d.Value == 3 && p.color != "gray"
	}
	first, last := fits("nchw", dims[0]), fits("nhwc", dims[2])
	if first == last {
		return fmt.Errorf("want exactly one of the first and last axis to have 3 channels, or 1 for gray: give color=rgb|bgr|gray and layout=nchw|nhwc")
	}
	axis := dims[2]
	if p.layout = "nhwc"; first {
		p.layout, axis = "nchw", dims[0]
	}
	if p.color == "" {
		if p.color = "rgb"; axis.Value == 1 {
			p.color = "gray"
		}
	}
	if p.channels = 3; p.color == "gray" {
		p.channels = 1
	}
	return nil
}

// settleSize takes height and width from the settings, else from the input.
func (p *picturePlan) settleSize(dims []onnxio.Dim) error {
	space := dims[:2]
	if p.layout == "nchw" {
		space = dims[1:]
	}
	p.height, p.width = p.size[0], p.size[1]
	for i, side := range []*int{&p.height, &p.width} {
		d := space[i]
		switch {
		case !d.Known:
		case d.Value < 1 || d.Value > maxSide:
			return fmt.Errorf("size %d is out of range", d.Value)
		case *side == 0:
			*side = int(d.Value)
		case int64(*side) != d.Value:
			return fmt.Errorf("size=%d,%d does not fit", p.size[0], p.size[1])
		}
	}
	if (p.height == 0 || p.width == 0) && p.resize != "none" {
		return fmt.Errorf("resize=%s needs size=HEIGHT,WIDTH, as the input's size is free", p.resize)
	}
	if p.resize == "short" && p.short > 0 && p.short < min(p.height, p.width) {
		return fmt.Errorf("short=%d is less than the size %d,%d to be cropped", p.short, p.height, p.width)
	}
	return nil
}

// settleValues fills the table: (pixel*scale - mean)/std in float64, each step rounded, then rounded to the type.
func (p *picturePlan) settleValues() error {
	for c := range p.channels {
		mean, std := pick(p.mean, c), pick(p.std, c)
		if len(p.mean) > 1 && len(p.mean) != p.channels || len(p.std) > 1 && len(p.std) != p.channels {
			return fmt.Errorf("want 1 or %d values for mean and std, got %d and %d", p.channels, len(p.mean), len(p.std))
		}
		for pixel := range 256 {
			v := (float64(float64(pixel)*p.scale) - mean) / std
			f := onnxio.Round(p.input.Type, float32(v))
			p.table[c][pixel] = f
			if p.input.Type.IsFloat() {
				continue
			}
			least, most := intRange(p.input.Type)
			if v != math.Trunc(v) || v < float64(least) || v > float64(most) {
				return fmt.Errorf("pixel %d becomes %v, which an input of type %v cannot hold", pixel, v, p.input.Type)
			}
		}
	}
	if p.input.Type == onnxio.String || p.input.Type == onnxio.Bool {
		return fmt.Errorf("an input of type %v cannot hold pixels", p.input.Type)
	}
	return nil
}

func pick(list []float64, c int) float64 {
	if len(list) == 1 {
		return list[0]
	}
	return list[min(c, len(list)-1)]
}

// String returns all settings in a fixed form, for the digest.
func (p *picturePlan) String() string {
	return fmt.Sprintf("image %s size %d,%d resize %s short %d crop %s pad %d color %s layout %s scale %v mean %v std %v",
		onnxio.Quote(p.input.Name), p.height, p.width, p.resize, p.short, p.crop, p.pad, p.color, p.layout, p.scale, p.mean, p.std)
}

// geometry is what resizing makes of a picture: first scaled, then cut or framed.
type geometry struct{ scaledWidth, scaledHeight, width, height int }

// target returns the sizes for a picture. Lengths that follow from a ratio are rounded down, as torchvision does for
// the longer side, to at least 1; those of letterbox to nearest.
func (p *picturePlan) target(width, height int) (geometry, error) {
	g := geometry{width, height, p.width, p.height}
	if g.width == 0 {
		g.width = width
	}
	if g.height == 0 {
		g.height = height
	}
	switch p.resize {
	case "stretch":
		g.scaledWidth, g.scaledHeight = g.width, g.height
	case "short":
		g.scaledWidth, g.scaledHeight = p.cover(width, height)
		if p.crop == "none" && (g.scaledWidth != p.width || g.scaledHeight != p.height) {
			return g, usagef("%dx%d pixels after resize=short, want %dx%d: give crop=center", g.scaledWidth, g.scaledHeight, p.width, p.height)
		}
	case "letterbox":
		g.scaledWidth, g.scaledHeight = p.inside(width, height)
	default:
		if width < g.width || height < g.height || p.crop != "center" && (width != g.width || height != g.height) {
			return g, usagef("%dx%d pixels, want %dx%d: give resize=short, stretch or letterbox", width, height, g.width, g.height)
		}
	}
	if max(g.scaledWidth, g.scaledHeight) > maxPictureSide || g.scaledWidth*max(height, g.scaledHeight) > maxPixels {
		return g, unreadablef("%dx%d pixels become %dx%d on resizing, which are too many", width, height, g.scaledWidth, g.scaledHeight)
	}
	return g, nil
}

// cover returns the size whose short side is p.short, or the smallest that covers the target.
func (p *picturePlan) cover(width, height int) (w, h int) {
	switch {
	case p.short > 0 && width <= height:
		return p.short, p.short * height / width
	case p.short > 0:
		return p.short * width / height, p.short
	case width*p.height >= height*p.width:
		return width * p.height / height, p.height
	}
	return p.width, height * p.width / width
}

// inside returns the largest size that fits the target.
func (p *picturePlan) inside(width, height int) (w, h int) {
	if width*p.height >= height*p.width {
		return p.width, max(1, (2*height*p.width+width)/(2*width))
	}
	return max(1, (2*width*p.height+height)/(2*height)), p.height
}

// fit resizes, crops or frames a picture.
func (p *picturePlan) fit(src *picture) (*picture, error) {
	g, err := p.target(src.width, src.height)
	if err != nil {
		return nil, err
	}
	if g.scaledWidth < g.width && p.resize == "short" || g.scaledHeight < g.height && p.resize == "short" {
		return nil, usagef("%dx%d pixels after resize=short, want at least %dx%d", g.scaledWidth, g.scaledHeight, g.width, g.height)
	}
	dst := resize(src, g.scaledWidth, g.scaledHeight)
	if p.resize == "letterbox" {
		return frame(dst, g.width, g.height, p.pad), nil
	}
	return crop(dst, g.width, g.height), nil
}

// shape returns the input's shape for pictures of p's size.
func (p *picturePlan) shape(pic *picture) []int {
	shape := []int{pic.height, pic.width, p.channels}
	if p.layout == "nchw" {
		shape = []int{p.channels, pic.height, pic.width}
	}
	if len(p.input.Shape) == 4 {
		shape = append([]int{p.batch}, shape...)
	}
	return shape
}

// store writes picture k of a batch into a.
func (p *picturePlan) store(a *onnxio.Array, k int, pic *picture) {
	pixels := pic.width * pic.height
	put := putter(a)
	for c := range p.channels {
		from := c
		if p.color == "bgr" {
			from = 2 - c
		}
		at, step := k*pixels*p.channels+c, p.channels
		if p.layout == "nchw" {
			at, step = (k*p.channels+c)*pixels, 1
		}
		for i := range pixels {
			put(at+i*step, p.table[c][pic.pix[i*p.channels+from]])
		}
	}
}

// putter returns a function that sets an element of a numeric array.
func putter(a *onnxio.Array) func(i int, v float32) {
	switch s := a.Data.(type) {
	case []float32:
		return func(i int, v float32) { s[i] = v }
	case []float64:
		return func(i int, v float32) { s[i] = float64(v) }
	}
	return func(i int, v float32) { setInt(a.Data, i, int64(v)) }
}
