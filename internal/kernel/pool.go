package kernel

import "math"

// eachWindow calls f for every output position of w with the input positions that its window reads inside the
// input: offsets along the three dimensions run from lo to hi in steps of the dilation.
func (w *Window) eachWindow(f func(o int, lo, hi [3]int)) {
	o := 0
	for od := range w.Out[0] {
		for oh := range w.Out[1] {
			for ow := range w.Out[2] {
				var lo, hi [3]int
				for d, p := range [3]int{od, oh, ow} {
					start := p*w.Stride[d] - w.Pad[d]
					hi[d] = min(w.In[d], start+(w.Kernel[d]-1)*w.Dilation[d]+1)
					if start < 0 { // first position inside
						start += (-start + w.Dilation[d] - 1) / w.Dilation[d] * w.Dilation[d]
					}
					lo[d] = start
				}
				f(o, lo, hi)
				o++
			}
		}
	}
}

// MaxPool writes the largest value of each window of every plane of x [planes, In] to dst [planes, Out] and, where
// index is not nil, its position in x, counted in row-major order (column-major within the plane where colMajor).
// A window without any input position gives -Inf and index -1. The first of equal values wins. NaN wins over any number.
func MaxPool(dst []float32, index []int64, x []float32, planes int, w *Window, colMajor bool, threads int) {
	if index == nil && w.flat() {
		r := poolRows{w: w, fill: float32(math.Inf(-1)), tap: levels[use].tapMax, even: levels[use].tapMaxEven}
		r.all(dst, x, planes, threads, r.byLines())
		return
	}
	in, out := w.InSize(), w.OutSize()
	Parallel(threadsFor(threads, planes*out*w.KernelSize()), planes, func(c int) {
		src := x[c*in : (c+1)*in]
		w.eachWindow(func(o int, lo, hi [3]int) {
			best, at := w.largest(src, lo, hi)
			dst[c*out+o] = best
			if index == nil {
				return
			}
			if at >= 0 && colMajor {
				iw, ih, id := at%w.In[2], at/w.In[2]%w.In[1], at/(w.In[2]*w.In[1])
				at = (iw*w.In[1]+ih)*w.In[0] + id
			}
			if at >= 0 {
				at += c * in
			}
			index[c*out+o] = int64(at)
		})
	})
}

func (w *Window) largest(src []float32, lo, hi [3]int) (best float32, at int) {
	best, at = float32(math.Inf(-1)), -1
	for d := lo[0]; d < hi[0]; d += w.Dilation[0] {
		for h := lo[1]; h < hi[1]; h += w.Dilation[1] {
			row := (d*w.In[1] + h) * w.In[2]
			for i := lo[2]; i < hi[2]; i += w.Dilation[2] {
				if v := src[row+i]; v > best || at < 0 || v != v && best == best {
					best, at = v, row+i
				}
			}
		}
	}
	return best, at
}

// AveragePool writes the mean of each window of every plane of x [planes, In] to dst [planes, Out]. Where count is
// nil the divisor is the number of input positions in the window; else count gives the divisor of each output
// position (padding included). A window without any input position gives NaN, or 0 with count. Sums are taken in
// row-major order; where one window takes in a whole plane, as Total takes them.
func AveragePool(dst, x []float32, planes int, w *Window, count []float32, threads int) {
	if w.flat() {
		if w.takesAll() {
			w.averages(dst, x, planes*w.In[0], float64(w.divisors(count)[0]), threads)
			return
		}
		r := poolRows{w: w, tap: levels[use].tapSum, even: levels[use].tapSumEven, divisors: w.divisors(count)}
		r.all(dst, x, planes, threads, r.byWindows())
		return
	}
	in, out := w.InSize(), w.OutSize()
	Parallel(threadsFor(threads, planes*out*w.KernelSize()), planes, func(c int) {
		src := x[c*in : (c+1)*in]
		w.eachWindow(func(o int, lo, hi [3]int) {
			sum, n := w.sum(src, lo, hi)
			if count != nil {
				n = count[o]
			}
			dst[c*out+o] = sum / n
		})
	})
}

// averages writes the sum of each of the planes, which one window takes in, by divisor.
func (w *Window) averages(dst, x []float32, planes int, divisor float64, threads int) {
	size := w.In[1] * w.In[2]
	threads = threadsFor(threads, planes*size/4)
	units := min(planes, 8*threads)
	Parallel(threads, units, func(u int) {
		for i := planes * u / units; i < planes*(u+1)/units; i++ {
			dst[i] = float32(Total(x[i*size:(i+1)*size]) / divisor)
		}
	})
}

func (w *Window) sum(src []float32, lo, hi [3]int) (sum, n float32) {
	for d := lo[0]; d < hi[0]; d += w.Dilation[0] {
		for h := lo[1]; h < hi[1]; h += w.Dilation[1] {
			row := (d*w.In[1] + h) * w.In[2]
			for i := lo[2]; i < hi[2]; i += w.Dilation[2] {
				sum += src[row+i]
				n++
			}
		}
	}
	return sum, n
}

// LpPool writes (sum |x|^p)^(1/p) over each window of every plane of x [planes, In] to dst [planes, Out].
func LpPool(dst, x []float32, planes int, p float64, w *Window, threads int) {
	in, out := w.InSize(), w.OutSize()
	Parallel(threadsFor(threads, planes*out*w.KernelSize()), planes, func(c int) {
		src := x[c*in : (c+1)*in]
		w.eachWindow(func(o int, lo, hi [3]int) {
			var sum float64
			for d := lo[0]; d < hi[0]; d += w.Dilation[0] {
				for h := lo[1]; h < hi[1]; h += w.Dilation[1] {
					row := (d*w.In[1] + h) * w.In[2]
					for i := lo[2]; i < hi[2]; i += w.Dilation[2] {
						sum += math.Pow(math.Abs(float64(src[row+i])), p)
					}
				}
			}
			dst[c*out+o] = float32(math.Pow(sum, 1/p))
		})
	})
}
