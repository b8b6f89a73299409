package kernel

// flat reports whether windows lie within one plane of the last two dimensions, whose padding is not out of proportion.
func (w *Window) flat() bool {
	most := 16*(w.In[1]*w.In[2]+w.Out[1]*w.Out[2]) + 1<<12
	h, v := w.extent(1), w.extent(2)
	return w.Kernel[0] == 1 && w.Stride[0] == 1 && w.Pad[0] == 0 && w.Out[0] == w.In[0] && h > 0 && v > 0 && h <= most/v
}

// takesAll reports whether there is one window, over every position of a plane.
func (w *Window) takesAll() bool {
	for d := 1; d < 3; d++ {
		first, n := w.inside(d, 0)
		if w.Out[d] != 1 || w.Dilation[d] != 1 || first != 0 || n != w.In[d] || n == 0 {
			return false
		}
	}
	return true
}

// poolRows pools plane by plane, a row of the output at a time, from rows that hold their padding.
type poolRows struct {
	w         *Window
	fill      float32   // what stands in the padding
	tap, even tapFunc   // of stride 1 and 2
	divisors  []float32 // of the positions of an output plane, nil for none
}

// poolPlan is a way to pool a plane: how many values of padding and input it lays out, and what it does.
type poolPlan struct {
	size  int
	plane func(dst, src, buf []float32)
}

// all pools planes of x [planes, In] to dst [planes, Out].
func (r *poolRows) all(dst, x []float32, planes, threads int, p poolPlan) {
	planes *= r.w.In[0]
	in, out := r.w.In[1]*r.w.In[2], r.w.Out[1]*r.w.Out[2]
	if out == 0 {
		return
	}
	threads = threadsFor(threads, planes*out*r.w.KernelSize()/4)
	units := min(planes, 8*threads)
	Parallel(threads, units, func(u int) {
		buf := borrow(p.size + tapSlack)
		defer scratch.Put(buf)
		fillRow(*buf, r.fill)
		for i := planes * u / units; i < planes*(u+1)/units; i++ {
			p.plane(dst[i*out:(i+1)*out], x[i*in:(i+1)*in], *buf)
		}
	})
}

func fillRow[T any](row []T, v T) {
	for i := range row {
		row[i] = v
	}
}

// extent is how many values of dimension d windows reach over: the padding before, the input, and the padding behind.
func (w *Window) extent(d int) int {
	reach := (w.Out[d]-1)*w.Stride[d] + (w.Kernel[d]-1)*w.Dilation[d] + 1
	return max(reach, w.Pad[d]+w.In[d])
}

// offsets returns the first positions of a window's n taps that stand step apart.
func offsets(n, step int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i * step
	}
	return list
}

// byLines joins the rows of all windows of an output row into one line, then columns of the line: for operations whose
// order does not matter.
func (r *poolRows) byLines() poolPlan {
	w := r.w
	width := w.In[2]
	down, along := offsets(w.Kernel[1], w.Dilation[1]*width), offsets(w.Kernel[2], w.Dilation[2])
	return poolPlan{w.extent(2), func(dst, src, line []float32) {
		middle := line[w.Pad[2]:][:width]
		for o := range w.Out[1] {
			first, rows := w.inside(1, o)
			if rows == 0 {
				fillRow(middle, r.fill)
			} else {
				r.tap(middle, src[first*width:], down[:rows])
			}
			r.join(dst, o, line, along)
		}
	}}
}

// byWindows lays out the plane in its padding and joins the elements of every window in row-major order.
func (r *poolRows) byWindows() poolPlan {
	w := r.w
	width := w.extent(2)
	var window []int
	for _, y := range offsets(w.Kernel[1], w.Dilation[1]*width) {
		for _, x := range offsets(w.Kernel[2], w.Dilation[2]) {
			window = append(window, y+x)
		}
	}
	return poolPlan{w.extent(1) * width, func(dst, src, buf []float32) {
		for y := range w.In[1] {
			copy(buf[(w.Pad[1]+y)*width+w.Pad[2]:], src[y*w.In[2]:(y+1)*w.In[2]])
		}
		for o := range w.Out[1] {
			r.join(dst, o, buf[o*w.Stride[1]*width:], window)
		}
	}}
}

// join writes row o of the output from the taps of its windows, the first of which begins where line does.
func (r *poolRows) join(dst []float32, o int, line []float32, taps []int) {
	row := dst[o*r.w.Out[2] : (o+1)*r.w.Out[2]]
	switch step := r.w.Stride[2]; step {
	case 1:
		r.tap(row, line, taps)
	case 2:
		r.even(row, line, taps)
	default:
		for i := range row {
			r.tap(row[i:i+1], line[i*step:], taps)
		}
	}
	if r.divisors != nil {
		spans.div(row, row, r.divisors[o*len(row):], 1, 1)
	}
}

// inside returns the first input position of window o along dimension d that lies inside of the input, and how many do.
func (w *Window) inside(d, o int) (first, n int) {
	step := w.Dilation[d]
	first = o*w.Stride[d] - w.Pad[d]
	end := min(w.In[d], first+(w.Kernel[d]-1)*step+1)
	if first < 0 {
		first += (-first + step - 1) / step * step
	}
	if first >= end {
		return 0, 0
	}
	return first, (end - first + step - 1) / step
}

// divisors returns what the sums of a plane are divided by: count, or the input positions in each window.
func (w *Window) divisors(count []float32) []float32 {
	size := w.Out[1] * w.Out[2]
	if count != nil {
		return count[:size]
	}
	list, cols := make([]float32, 0, size), make([]int, w.Out[2])
	for ow := range cols {
		_, cols[ow] = w.inside(2, ow)
	}
	for oh := range w.Out[1] {
		_, rows := w.inside(1, oh)
		for _, n := range cols {
			list = append(list, float32(rows*n))
		}
	}
	return list
}
