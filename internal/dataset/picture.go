package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoders that image.Decode finds by signature
	_ "image/png"
	"io"
	"os"
)

// Limits of one picture: a small file can unpack into a huge one.
const (
	maxPixels      = 1 << 27 // of a file, and of any step of resizing
	maxPictureSide = 1 << 16 // likewise; a JPEG's sides are below it by its format
	maxPictureFile = 1 << 28 // bytes
)

// unreadableError says why a file is no picture that can be used; the file is skipped.
type unreadableError struct{ why string }

func (e *unreadableError) Error() string { return e.why }

func unreadablef(format string, args ...any) error {
	return &unreadableError{fmt.Sprintf(format, args...)}
}

// picture holds 8-bit pixels, channels interleaved: [height, width, channels].
type picture struct {
	width, height int
	channels      int // 3: red, green, blue; 1: grey
	pix           []byte
	rotated       bool // its EXIF data ask for a rotation, which is not done
}

func newPicture(width, height, channels int) *picture {
	return &picture{width: width, height: height, channels: channels, pix: make([]byte, width*height*channels)}
}

// checkHeader reads as much of a picture as says its size.
func checkHeader(r io.Reader) error {
	c, _, err := image.DecodeConfig(r)
	switch {
	case err != nil:
		return unreadablef("not a readable JPEG or PNG: %v", err)
	case c.Width <= 0 || c.Height <= 0:
		return unreadablef("empty picture of %dx%d", c.Width, c.Height)
	case max(c.Width, c.Height) > maxPictureSide || c.Width*c.Height > maxPixels:
		return unreadablef("%dx%d pixels are too many, at most %d, a side at most %d", c.Width, c.Height, maxPixels, maxPictureSide)
	}
	return nil
}

// readPicture decodes a JPEG or PNG file into channels (3 or 1) of 8 bits. Palettes are expanded, alpha is dropped
// (colours stay as they are stored, not multiplied), of 16 bits the high 8 are taken. Where one channel is wanted,
// grey is ITU-R BT.601 luma, rounded: (19595 R + 38470 G + 7471 B + 32768) >> 16. The colour of a JPEG with fewer
// colour samples than pixels is that of the nearest sample (image/jpeg), not interpolated as in libjpeg: resized photos
// differ from Pillow's by less than one grey level on average.
func readPicture(path string, channels int) (*picture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPictureFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPictureFile {
		return nil, unreadablef("more than %d bytes", maxPictureFile)
	}
	return decodePicture(b, channels)
}

func decodePicture(b []byte, channels int) (*picture, error) {
	if err := checkHeader(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, unreadablef("not a readable JPEG or PNG: %v", err)
	}
	bounds := img.Bounds()
	p := newPicture(bounds.Dx(), bounds.Dy(), channels)
	p.rotated = orientation(b) > 1
	rgb, out := rgbReader(img), p.pix
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b := rgb(x, y)
			if channels == 1 {
				out[0] = byte((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 32768) >> 16)
			} else {
				out[0], out[1], out[2] = r, g, b
			}
			out = out[channels:]
		}
	}
	return p, nil
}

// rgbReader returns a function that reads a pixel's stored colour, for the types that image/png and image/jpeg make.
func rgbReader(img image.Image) func(x, y int) (r, g, b byte) {
	switch img := img.(type) {
	case *image.YCbCr:
		return func(x, y int) (r, g, b byte) {
			yi, ci := img.YOffset(x, y), img.COffset(x, y)
			return color.YCbCrToRGB(img.Y[yi], img.Cb[ci], img.Cr[ci])
		}
	case *image.Gray:
		return func(x, y int) (r, g, b byte) {
			v := img.GrayAt(x, y).Y
			return v, v, v
		}
	case *image.CMYK:
		return func(x, y int) (r, g, b byte) {
			c := img.CMYKAt(x, y)
			return color.CMYKToRGB(c.C, c.M, c.Y, c.K)
		}
	case *image.NRGBA64:
		return func(x, y int) (r, g, b byte) {
			c := img.NRGBA64At(x, y)
			return byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8)
		}
	}
	return func(x, y int) (r, g, b byte) {
		c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
		return c.R, c.G, c.B
	}
}

// orientation returns the EXIF orientation of a JPEG file, 1 (upright) to 8, or 0 where there is none (JPEG: ITU-T
// T.81 B.1.1; EXIF 2.32: segment APP1 with a TIFF directory, tag 0x0112, type SHORT).
func orientation(b []byte) int {
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return 0
	}
	for b = b[2:]; len(b) >= 4 && b[0] == 0xff; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if b[1] == 0xda || size < 2 || len(b) < 2+size {
			return 0
		}
		if tiff, ok := bytes.CutPrefix(b[4:2+size], []byte("Exif\x00\x00")); ok && b[1] == 0xe1 {
			return tiffOrientation(tiff)
		}
		b = b[2+size:]
	}
	return 0
}

func tiffOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if tiff[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 0
	}
	n := int(order.Uint16(tiff[at:]))
	for entries := tiff[at+2:]; n > 0 && len(entries) >= 12; n, entries = n-1, entries[12:] {
		if order.Uint16(entries) == 0x0112 && order.Uint16(entries[2:]) == 3 {
			return int(order.Uint16(entries[8:]))
		}
	}
	return 0
}
