package kernel

// stretch is a run of output positions along one dimension whose windows have the same taps inside the input: those from
// first on, up to end.
type stretch struct{ from, to, first, end int }

// stretches cuts output positions from..to-1 of dimension d.
func (w *Window) stretches(d, from, to int) []stretch {
	var list []stretch
	for o := from; o < to; o++ {
		start, step := o*w.Stride[d]-w.Pad[d], w.Dilation[d]
		s := stretch{from: o, to: o + 1}
		if start < 0 {
			s.first = min(w.Kernel[d], (-start+step-1)/step)
		}
		if room := w.In[d] - 1 - start; room >= 0 {
			s.end = min(w.Kernel[d], room/step+1)
		}
		s.first = min(s.first, s.end)
		if k := len(list) - 1; k >= 0 && list[k].first == s.first && list[k].end == s.end {
			list[k].to = s.to
		} else {
			list = append(list, s)
		}
	}
	return list
}

// edgeColumns is the number of columns from which a deep convolution reads its source where it stands: at the edges it
// takes pixels one by one, which narrow images have too many of.
const edgeColumns = 14

// deepInPlace computes lines l0..l1 of blocks i0..i1 of image n without laying out any padding: at the edges, the taps in
// the padding are left out.
func (j *blockJob) deepInPlace(n, l0, l1, i0, i1 int) {
	w := j.w
	rows, columns := w.stretches(1, l0, l1), w.stretches(2, 0, j.columns)
	table, weights := borrowTaps(j.taps), borrow(j.taps*Block)
	defer scratchTaps.Put(table)
	defer scratch.Put(weights)
	size, width := w.InSize()*Block, w.In[2]
	r := blockRun{kind: deep, blocks: 1, step: w.Stride[2] * Block, pitch: w.Stride[1] * width * Block, dstLine: j.columns * Block,
		low: j.low, high: j.high}
	for i := i0; i < i1; i++ {
		src := j.x[n*j.in+i*size:][:size]
		first := (n*Blocks(j.outC) + i) * j.each
		r.bias = j.bias[i*Block : (i+1)*Block]
		for _, y := range rows {
			for _, x := range columns {
				r.taps, r.weights = (*table)[:0], (*weights)[:0]
				for kh := y.first; kh < y.end; kh++ {
					for kw := x.first; kw < x.end; kw++ {
						at := ((kh-y.first)*w.Dilation[1]*width + (kw-x.first)*w.Dilation[2]) * Block
						r.taps = append(r.taps, tap{4 * at, Block})
						t := (i*w.Kernel[1]+kh)*w.Kernel[2] + kw
						r.weights = append(r.weights, j.weights[t*Block:(t+1)*Block]...)
					}
				}
				r.rows, r.lines, r.pixels = len(r.taps), y.to-y.from, x.to-x.from
				r.dst, r.src = j.dst[first+(y.from*j.columns+x.from)*Block:], src
				if r.rows > 0 {
					top := y.from*w.Stride[1] - w.Pad[1] + y.first*w.Dilation[1]
					left := x.from*w.Stride[2] - w.Pad[2] + x.first*w.Dilation[2]
					r.src = src[(top*width+left)*Block:]
				}
				r.run()
			}
		}
		j.finish(first, l0, l1, 1)
	}
}
