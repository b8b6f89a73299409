package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// dft: transforms along an axis of input [..., 1 or 2], cut or padded to dft_length; with onesided half of the spectrum of
// a real input, or, inverse, real values from half of a spectrum.
func dft(c *call) error {
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(s) < 2 {
		return fmt.Errorf("transforming shape %s", shapeText(s))
	}
	along, known := c.node.IntAttr("axis", 1), true
	if c.version >= 20 {
		if along = -2; c.given(2) {
			along, known = c.number(2)
		}
	}
	out := slices.Clone(s)
	half, inverse := c.node.IntAttr("onesided", 0) != 0, c.node.IntAttr("inverse", 0) != 0
	if out[len(out)-1] = Size(2); half && inverse {
		out[len(out)-1] = Size(1)
	}
	if !known {
		for i := range out[:len(out)-1] {
			out[i] = c.size()
		}
		return c.give(0, c.elem(0), out...)
	}
	a, err := axis(along, len(s))
	if err != nil || a == len(s)-1 {
		return fmt.Errorf("transforming shape %s along axis %d", shapeText(s), along)
	}
	n := s[a]
	if half && inverse {
		n = scaled(addInt(n, -1), 2)
	}
	if c.given(1) {
		n = c.sizeFrom(1)
	}
	if out[a] = n; half && !inverse {
		out[a] = addInt(floorDiv(n, 2), 1)
	}
	return c.give(0, c.elem(0), out...)
}

// stft: signal [N, L] or [N, L, 1 or 2] cut into frames every frame_step and transformed: [N, frames, bins, 2].
func stft(c *call) error {
	batch, length := c.size(), c.size()
	if s, ok := c.shape(0); ok {
		if len(s) < 2 {
			return fmt.Errorf("frames of shape %s", shapeText(s))
		}
		batch, length = s[0], s[1]
	}
	frame := c.size()
	if c.given(3) {
		frame = c.sizeFrom(3)
	} else if w, ok := c.shape(2); ok {
		frame = product(w)
	}
	frames := c.size()
	if step, ok := c.number(1); ok {
		if step < 1 {
			return fmt.Errorf("frames every %d", step)
		}
		frames = addInt(floorDiv(sub(length, frame), step), 1)
	}
	bins := frame
	if c.node.IntAttr("onesided", 1) != 0 {
		bins = addInt(floorDiv(frame, 2), 1)
	}
	if s, ok := c.shape(0); ok && len(s) == 3 && !s[2].is(1) { // the spectrum of complex values has no symmetry
		if bins = c.size(); s[2].is(2) {
			bins = frame
		}
	}
	return c.give(0, c.elem(0), batch, frames, bins, Size(2))
}

// windowOf: as many values as the input says.
func windowOf(c *call) error {
	return c.give(0, c.typeAttr("output_datatype", onnxio.Float), c.sizeFrom(0))
}

// melWeightMatrix: [dft_length/2 + 1, num_mel_bins].
func melWeightMatrix(c *call) error {
	return c.give(0, c.typeAttr("output_datatype", onnxio.Float), addInt(floorDiv(c.sizeFrom(1), 2), 1), c.sizeFrom(0))
}

// stringSplit: the parts of every string in a new last dimension, and their number.
func stringSplit(c *call) error {
	if err := c.giveLike(1, 0, onnxio.Int64); err != nil {
		return err
	}
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, onnxio.String)
	}
	return c.give(0, onnxio.String, append(slices.Clone(s), c.size())...)
}

// stringNormalizer: those of the strings [C] or [1, C] that are no stopwords.
func stringNormalizer(c *call) error {
	if err := c.rank(0, 1, 2); err != nil {
		return err
	}
	s, ok := c.shape(0)
	switch {
	case !ok:
		return c.giveUnranked(0, onnxio.String)
	case len(s) == 2:
		return c.give(0, onnxio.String, Size(1), c.size())
	}
	return c.give(0, onnxio.String, c.size())
}

// stringConcat: strings of both inputs joined.
func stringConcat(c *call) error { return c.giveBroadcast(0, onnxio.String) }

// tfIdfVectorizer: for [C] or [N, C] one count for each column of ngram_indexes.
func tfIdfVectorizer(c *call) error {
	width := int64(0)
	for _, v := range c.node.IntsAttr("ngram_indexes") {
		width = max(width, min(v, maxSize-1)+1)
	}
	s, ok := c.shape(0)
	switch {
	case !ok:
		return c.giveUnranked(0, onnxio.Float)
	case len(s) == 2:
		return c.give(0, onnxio.Float, s[0], Size(width))
	}
	return c.give(0, onnxio.Float, Size(width))
}

// random: attribute shape and dtype.
func random(c *call) error {
	if !c.has("shape") {
		return c.giveUnranked(0, c.typeAttr("dtype", onnxio.Float))
	}
	return c.give(0, c.typeAttr("dtype", onnxio.Float), numbersOf(c.node.IntsAttr("shape"))...)
}

// randomLike: the shape of the input, in its type unless dtype says otherwise.
func randomLike(c *call) error { return c.giveLike(0, 0, c.typeAttr("dtype", c.elem(0))) }

// multinomial: scores [N, classes] to sample_size choices for each row.
func multinomial(c *call) error {
	if err := c.rank(0, 2); err != nil {
		return err
	}
	return c.give(0, c.typeAttr("dtype", onnxio.Int32), c.rowsOf(0), Size(c.int("sample_size", 1)))
}

// imageDecoder: an encoded picture to [H, W, channels].
func imageDecoder(c *call) error {
	channels := Size(3)
	if c.node.StringAttr("pixel_format", "RGB") == "Grayscale" {
		channels = Size(1)
	}
	return c.give(0, onnxio.Uint8, c.size(), c.size(), channels)
}
