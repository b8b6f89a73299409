package kernel

import (
	"encoding/binary"
	"sync"
)

// Pools of images of codes whose channels lie side by side. Steps from pixel to pixel are multiples of PixelBlock and the
// same for the image and the result.

// PixelMax writes the largest code of each window of x [batch, In, step] to dst [batch, Out, step], padding left out. The
// window lies in planes, and every one of its places holds a pixel of the image: see Covers.
func PixelMax(dst, x []uint8, step, batch int, w *Window, threads int) {
	in, out := w.In[2]*step, w.Out[2]*step
	lines := batch * w.Out[1]
	left, right := w.whole(2)
	threads = threadsFor(threads, lines*out*w.KernelSize()/16)
	units := min(lines, 8*threads)
	Parallel(threads, units, func(u int) {
		ints := borrowInts(w.KernelSize() + 1)
		defer scratchInts.Put(ints)
		for l := lines * u / units; l < lines*(u+1)/units; l++ {
			y, rows := w.inside(1, l%w.Out[1])
			src, to := x[(l/w.Out[1]*w.In[1]+y)*in:], dst[l*out:(l+1)*out]
			pool := func(o, n int) { // n places from o on that see the same taps
				first, columns := w.inside(2, o)
				taps := (*ints)[:0]
				for i := range rows {
					for j := range columns {
						taps = append(taps, i*w.Dilation[1]*in+j*w.Dilation[2]*step)
					}
				}
				pixelsMax(to[o*step:(o+n)*step], src[first*step:], step, w.Stride[2]*step, n, taps)
			}
			for o := range left {
				pool(o, 1)
			}
			if right > left {
				pool(left, right-left)
			}
			for o := max(left, right); o < w.Out[2]; o++ {
				pool(o, 1)
			}
		}
	})
}

// whole returns the places lo..hi-1 along dimension d whose taps all lie inside.
func (w *Window) whole(d int) (lo, hi int) {
	for lo < w.Out[d] && w.taps(d, lo) < w.Kernel[d] {
		lo++
	}
	hi = lo
	for hi < w.Out[d] && w.taps(d, hi) == w.Kernel[d] {
		hi++
	}
	return lo, hi
}

func (w *Window) taps(d, o int) int {
	_, n := w.inside(d, o)
	return n
}

// Covers reports whether w lies in planes and every place of it holds a position of the input.
func (w *Window) Covers() bool {
	if !w.flat() || w.In[0] != 1 || w.OutSize() == 0 {
		return false
	}
	for d := 1; d < 3; d++ {
		for o := range w.Out[d] {
			if w.taps(d, o) == 0 {
				return false
			}
		}
	}
	return true
}

// pixelsMaxPlain is pixelsMax in Go: dst[p*width + c] = the largest of x[p*step + taps[t] + c].
func pixelsMaxPlain(dst, x []uint8, width, step, n int, taps []int) {
	for p := range n {
		for c := range width {
			best := uint8(0)
			for _, t := range taps {
				best = max(best, x[p*step+t+c])
			}
			dst[p*width+c] = best
		}
	}
}

// PixelMean writes the mean of each window of x [batch, In, step] to dst [batch, Out, step], over the positions inside:
// mean says how that of n codes becomes a code.
func PixelMean(dst, x []uint8, step, batch int, w *Window, mean func(n int) CodeMean, threads int) {
	out := w.OutSize()
	var means sync.Map
	meanOf := func(n int) *CodeMean {
		if m, ok := means.Load(n); ok {
			return m.(*CodeMean)
		}
		m := mean(n)
		means.Store(n, &m)
		return &m
	}
	threads = threadsFor(threads, batch*out*step*w.KernelSize()/16)
	units := min(batch*out, 8*threads)
	Parallel(threads, units, func(u int) {
		buf := borrow(step)
		defer scratch.Put(buf)
		sums := sumsOfFloats(*buf)
		for p := batch * out * u / units; p < batch*out*(u+1)/units; p++ {
			clear(sums)
			y, rows := w.inside(1, p%out/w.Out[2])
			first, columns := w.inside(2, p%w.Out[2])
			for i := range rows {
				at := (p/out*w.InSize() + (y+i*w.Dilation[1])*w.In[2] + first) * step
				addPixels(sums, x[at:], w.Dilation[2]*step, columns)
			}
			n := rows * columns
			m, to := meanOf(n), dst[p*step:(p+1)*step]
			for c, sum := range sums {
				to[c] = m.code(sum, n)
			}
		}
	})
}

// addPixelsPlain adds n pixels to sums, in Go.
func addPixelsPlain(sums []int32, x []uint8, step, n int) {
	for p := range n {
		for c := range sums {
			sums[c] += int32(x[p*step+c])
		}
	}
}

// ToPixels lays images of codes out pixel by pixel: x [batch, channels, size] to dst [batch, size, step]. What stands
// behind the channels of a pixel is 0.
func ToPixels(dst, x []uint8, step, batch, channels, size, threads int) {
	eachPixels(batch, size, channels, threads, func(n, lo, hi int) {
		to, from := dst[n*size*step:(n+1)*size*step], x[n*channels*size:(n+1)*channels*size]
		switch {
		case channels == 3 && step == 4:
			threeToPixels(to[4*lo:4*hi], from[lo:hi], from[size+lo:size+hi], from[2*size+lo:2*size+hi])
			return
		case step != channels:
			clear(to[lo*step : hi*step])
		}
		turnBytes(to[lo*step:], from[lo:], channels, hi-lo, step, size)
	})
}

// FromPixels is the inverse of ToPixels.
func FromPixels(dst, x []uint8, step, batch, channels, size, threads int) {
	eachPixels(batch, size, channels, threads, func(n, lo, hi int) {
		to, from := dst[n*channels*size:(n+1)*channels*size], x[n*size*step:(n+1)*size*step]
		turnBytes(to[lo:], from[lo*step:], hi-lo, channels, size, step)
	})
}

// eachPixels calls f with runs of pixels lo..hi-1 of images n.
func eachPixels(batch, size, channels, threads int, f func(n, lo, hi int)) {
	const part = 1 << 10
	parts := (size + part - 1) / part
	Parallel(threadsFor(threads, batch*size*channels/4), batch*parts, func(u int) {
		lo := u % parts * part
		f(u/parts, lo, min(size, lo+part))
	})
}

// turnBytes writes dst[j*ldd + i] = x[i*ldx + j] for i < rows and j < cols, eight by eight in words.
func turnBytes(dst, x []uint8, rows, cols, ldd, ldx int) {
	i := 0
	for ; i+8 <= rows; i += 8 {
		j := 0
		for ; j+8 <= cols; j += 8 {
			var w [8]uint64
			for k := range w {
				w[k] = binary.LittleEndian.Uint64(x[(i+k)*ldx+j:])
			}
			turnWords(&w)
			for k, v := range w {
				binary.LittleEndian.PutUint64(dst[(j+k)*ldd+i:], v)
			}
		}
		for ; j < cols; j++ {
			for k := i; k < i+8; k++ {
				dst[j*ldd+k] = x[k*ldx+j]
			}
		}
	}
	for ; i < rows; i++ {
		for j := range cols {
			dst[j*ldd+i] = x[i*ldx+j]
		}
	}
}

// turnWords transposes a matrix of 8x8 bytes: quarters of 4x4 change places, then those of the quarters, and so on.
func turnWords(w *[8]uint64) {
	for k := range 4 {
		w[k], w[k+4] = w[k]&0x00000000ffffffff|w[k+4]<<32, w[k]>>32|w[k+4]&0xffffffff00000000
	}
	for _, k := range [4]int{0, 1, 4, 5} {
		w[k], w[k+2] = w[k]&0x0000ffff0000ffff|w[k+2]<<16&0xffff0000ffff0000, w[k]>>16&0x0000ffff0000ffff|w[k+2]&0xffff0000ffff0000
	}
	for k := 0; k < 8; k += 2 {
		w[k], w[k+1] = w[k]&0x00ff00ff00ff00ff|w[k+1]<<8&0xff00ff00ff00ff00, w[k]>>8&0x00ff00ff00ff00ff|w[k+1]&0xff00ff00ff00ff00
	}
}

// threeToPixels joins three channels.
func threeToPixels(dst, r, g, b []uint8) {
	g, b = g[:len(r)], b[:len(r)]
	for i, v := range r {
		to := dst[4*i : 4*i+4 : 4*i+4]
		to[0], to[1], to[2], to[3] = v, g[i], b[i], 0
	}
}

// JoinPixels copies the channels of pixels x, step bytes apart, to channels at... of pixels dst, width bytes apart, through
// a table where that is not nil.
func JoinPixels(dst, x []uint8, width, step, at, channels int, table *[256]uint8, threads int) {
	n := len(x) / step
	threads = threadsFor(threads, n*channels/4)
	units := min(n, 4*threads)
	Parallel(threads, units, func(u int) {
		for p := n * u / units; p < n*(u+1)/units; p++ {
			to, from := dst[p*width+at:][:channels], x[p*step:][:channels]
			if table == nil {
				copy(to, from)
				continue
			}
			for i := lookUpVectors(to, from, table); i < channels; i++ {
				to[i] = table[from[i]]
			}
		}
	})
}

// SpreadPixels copies pixels [n, channels] to [n, step]; what stands behind the channels is 0.
func SpreadPixels(dst, x []uint8, step, channels, threads int) {
	n := len(x) / channels
	if channels != 3 || step != 4 {
		clear(dst)
		JoinPixels(dst, x, step, channels, 0, channels, nil, threads)
		return
	}
	eachPixels(1, n, channels, threads, func(_, lo, hi int) {
		from, to := x[3*lo:3*hi], dst[4*lo:4*hi]
		for i := range hi - lo {
			p := from[3*i : 3*i+3 : 3*i+3]
			binary.LittleEndian.PutUint32(to[4*i:], uint32(p[0])|uint32(p[1])<<8|uint32(p[2])<<16)
		}
	})
}
