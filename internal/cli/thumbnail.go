package cli

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	"bq/onnxio"
)

// thumbnailSide is the longer side of a thumbnail in pixels, at most.
const thumbnailSide = 96

// minPictureSide is the shorter side of what is taken for a picture, at least.
const minPictureSide = 8

// raster is an array seen as the first picture of a batch.
type raster struct {
	values             []float32
	height, width      int
	channels           int
	row, column, plane int // distances in values
}

// rasterOf sees an array as a picture of one or three channels, [N, C, H, W] or [N, H, W, C]; false where it is none.
func rasterOf(a *onnxio.Array) (raster, bool) {
	v := a.F32()
	if len(a.Shape) != 4 || a.Shape[0] == 0 {
		return raster{}, false
	}
	for _, r := range []raster{
		{v, a.Shape[2], a.Shape[3], a.Shape[1], a.Shape[3], 1, a.Shape[2] * a.Shape[3]},
		{v, a.Shape[1], a.Shape[2], a.Shape[3], a.Shape[2] * a.Shape[3], a.Shape[3], 1},
	} {
		if (r.channels == 1 || r.channels == 3) && min(r.height, r.width) >= minPictureSide && len(v) >= r.channels*r.height*r.width {
			return r, true
		}
	}
	return raster{}, false
}

// thumbnail draws what a model is fed with, scaled to its own range; nil where it is no picture. What is fed is what
// counts: a picture in wrong colours or wrong way up shows as one.
func thumbnail(feeds []*onnxio.Array) []byte {
	for _, a := range feeds {
		r, ok := rasterOf(a)
		if !ok {
			continue
		}
		step := (max(r.height, r.width) + thumbnailSide - 1) / thumbnailSide
		low, high := r.bounds()
		img := image.NewRGBA(image.Rect(0, 0, r.width/step, r.height/step))
		for y := range r.height / step {
			for x := range r.width / step {
				img.SetRGBA(x, y, r.pixel(x*step, y*step, low, high))
			}
		}
		var b bytes.Buffer
		if img.Rect.Empty() || png.Encode(&b, img) != nil {
			return nil
		}
		return b.Bytes()
	}
	return nil
}

// bounds returns the smallest and largest finite value of the picture.
func (r raster) bounds() (low, high float32) {
	first := true
	for _, v := range r.values[:r.channels*r.height*r.width] {
		if v-v != 0 {
			continue
		}
		if first {
			low, high, first = v, v, false
		}
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// pixel returns the colour of a place; of one channel it is grey. What is not finite is black.
func (r raster) pixel(x, y int, low, high float32) color.RGBA {
	var c [3]uint8
	for k := range c {
		v := r.values[y*r.row+x*r.column+min(k, r.channels-1)*r.plane]
		if v-v == 0 && high > low {
			c[k] = uint8(255 * ((float64(v) - float64(low)) / (float64(high) - float64(low))))
		}
	}
	return color.RGBA{c[0], c[1], c[2], 255}
}
