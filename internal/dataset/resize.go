package dataset

// Resizing is separable: rows first, then columns, each rounded to 8 bits. An output pixel is the mean of the input
// pixels under a triangle (linear interpolation; when shrinking, widened by the factor, which is what makes it
// antialiased). With in and out the two lengths, pixel x of the input has, for pixel y of the output, the weight
//
//	max(in, out) - |(2x+1) out - (2y+1) in| / 2        where positive
//
// up to a factor: all weights are integers. They are scaled to sum to about 2^22 each, rounded, and applied in integer
// arithmetic, so that results are the same on every machine. Pillow's BILINEAR is the same filter with weights
// computed in floating point; the two differ by at most one grey level.

// weightBits is the precision of the filter's weights; 2^22 times 255 fits 32 bits, as in Pillow.
const weightBits = 22

// taps are the weights of one output pixel: of the input pixels first, first+1, ...
type taps struct {
	first   int
	weights []int64 // scaled by 2^weightBits
}

// triangle returns the weights of each of out pixels over in pixels; both at least 1.
func triangle(in, out int) []taps {
	list := make([]taps, out)
	reach := 2 * int64(max(in, out))
	for y := range list {
		centre := (2*int64(y) + 1) * int64(in) // in units of 1/(2 out) pixels
		first := max(0, int((centre-reach)/(2*int64(out)))-1)
		last := min(in-1, int((centre+reach)/(2*int64(out)))+1)
		t := taps{first: first}
		var sum int64
		for x := first; x <= last; x++ {
			w := max(0, reach-abs((2*int64(x)+1)*int64(out)-centre))
			if w == 0 && len(t.weights) == 0 {
				t.first = x + 1
				continue
			}
			t.weights = append(t.weights, w)
			sum += w
		}
		for i, w := range t.weights {
			// w <= 2^17 (maxPictureSide bounds both lengths), so that the product fits.
			t.weights[i] = (w<<(weightBits+1) + sum) / (2 * sum)
		}
		list[y] = t
	}
	return list
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// resize returns p with another size; each length at least 1.
func resize(p *picture, width, height int) *picture {
	if width != p.width {
		dst := newPicture(width, p.height, p.channels)
		t := triangle(p.width, width)
		for y := range p.height {
			row := p.pix[y*p.width*p.channels:]
			filter(dst.pix[y*width*p.channels:], row, t, p.channels, p.channels, p.channels)
		}
		p = dst
	}
	if height != p.height {
		dst := newPicture(p.width, height, p.channels)
		t := triangle(p.height, height)
		step := p.width * p.channels
		filter(dst.pix, p.pix, t, step, step, step)
		p = dst
	}
	return p
}

// filter computes len(t) outputs, outStep apart in dst, each of n neighbouring lanes, from inputs inStep apart in src.
func filter(dst, src []byte, t []taps, inStep, outStep, n int) {
	for y, tap := range t {
		out := dst[y*outStep : y*outStep+n]
		for lane := range out {
			sum := int64(1) << (weightBits - 1)
			at := tap.first*inStep + lane
			for _, w := range tap.weights {
				sum += w * int64(src[at])
				at += inStep
			}
			out[lane] = byte(min(sum>>weightBits, 255))
		}
	}
}

// crop returns the width x height pixels of p at its centre; where the margins differ, the left and the upper one is
// the smaller. p is at least that large.
func crop(p *picture, width, height int) *picture {
	if width == p.width && height == p.height {
		return p
	}
	dst := newPicture(width, height, p.channels)
	left, top := (p.width-width)/2, (p.height-height)/2
	for y := range height {
		from := ((top+y)*p.width + left) * p.channels
		copy(dst.pix[y*width*p.channels:(y+1)*width*p.channels], p.pix[from:])
	}
	return dst
}

// frame returns p in the middle of width x height pixels of value pad in all channels; where the margins differ, the
// left and the upper one is the smaller. p is at most that large.
func frame(p *picture, width, height int, pad byte) *picture {
	dst := newPicture(width, height, p.channels)
	for i := range dst.pix {
		dst.pix[i] = pad
	}
	left, top := (width-p.width)/2, (height-p.height)/2
	for y := range p.height {
		from := y * p.width * p.channels
		copy(dst.pix[((top+y)*width+left)*p.channels:], p.pix[from:from+p.width*p.channels])
	}
	return dst
}
