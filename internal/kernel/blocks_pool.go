package kernel

// MaxPoolBlocks is MaxPool without positions for images in blocks: x [batch, blocks, In, Block] to dst [batch, blocks, Out,
// Block]. BlockWindow must hold.
func MaxPoolBlocks(dst, x []float32, batch, blocks int, w *Window, threads int) {
	bias := make([]float32, blocks*Block)
	fillRow(bias, -infinity)
	poolBlocks(dst, x, bias, nil, batch, blocks, w, largest, threads)
}

// AveragePoolBlocks writes the mean of each window of x [batch, blocks, In, Block] to dst [batch, blocks, Out, Block]:
// sums, the taps in row-major order, are divided by count [Out], or by the number of input positions of the window where
// count is nil, as AveragePool does. BlockWindow must hold.
func AveragePoolBlocks(dst, x []float32, batch, blocks int, w *Window, count []float32, threads int) {
	ones := make([]float32, blocks*w.KernelSize()*Block)
	fillRow(ones, 1)
	poolBlocks(dst, x, make([]float32, blocks*Block), ones, batch, blocks, w, deep, threads)
	divisors, out := w.divisors(count), w.OutSize()
	Parallel(threadsFor(threads, batch*blocks*out*Block), batch*blocks, func(i int) {
		plane := dst[i*out*Block : (i+1)*out*Block]
		for p, v := range divisors {
			pixel := plane[p*Block : (p+1)*Block]
			spans.div(pixel, pixel, divisors[p:], 1, 0)
			_ = v
		}
	})
}

// poolBlocks runs a deep kernel over every block.
func poolBlocks(dst, x, bias, weights []float32, batch, blocks int, w *Window, kind blockKind, threads int) {
	w, out := w.Packed(), w.OutSize()
	if out == 0 || batch == 0 {
		return
	}
	c := &BlockConv{inC: blocks * Block, outC: blocks * Block, taps: w.KernelSize(), deep: true, bias: bias, weights: weights}
	j := &blockJob{BlockConv: c, blockLines: newBlockLines(w, Block, 1), dst: dst, x: x, kind: kind, low: -infinity, high: infinity,
		in: blocks * Block * w.InSize(), each: out * Block}
	if kind == largest {
		j.padding = -infinity
	}
	j.spread(batch, threadsFor(threads, batch*blocks*Block*out*c.taps/4))
}

// GlobalAveragePoolBlocks writes the mean over size pixels of x [batch, blocks, size, Block] to dst [batch, blocks, Block].
// Sums run over every eighth pixel, are added by halves of the pixels, and divided last.
func GlobalAveragePoolBlocks(dst, x []float32, batch, blocks, size, threads int) {
	n := [1]float32{float32(size)}
	Parallel(threadsFor(threads, batch*blocks*size*Block/4), batch*blocks, func(i int) {
		var sums [8 * Block]float32
		src := x[i*size*Block : (i+1)*size*Block]
		for len(src) > 0 {
			part := min(len(src), len(sums))
			spans.add(sums[:part], sums[:part], src[:part], 1, 1)
			src = src[part:]
		}
		for half := 4 * Block; half >= Block; half /= 2 {
			spans.add(sums[:half], sums[:half], sums[half:2*half], 1, 1)
		}
		spans.div(dst[i*Block:(i+1)*Block], sums[:Block], n[:], 1, 0)
	})
}

// ScaleBlocks writes x [blocks, pixels, Block] times factors [blocks, Block] to dst.
func ScaleBlocks(dst, x, factors []float32, threads int) {
	perBlock(dst, x, make([]float32, len(factors)), factors, threads)
}

// ShiftBlocks writes x [blocks, pixels, Block] plus shifts [blocks, Block] to dst.
func ShiftBlocks(dst, x, shifts []float32, threads int) {
	ones := make([]float32, len(shifts))
	fillRow(ones, 1)
	perBlock(dst, x, shifts, ones, threads)
}

// perBlock computes shift + x*factor, with one of each for every lane of a block.
func perBlock(dst, x, shifts, factors []float32, threads int) {
	if len(x) == 0 {
		return
	}
	each := len(x) / len(factors) * Block
	table := []tap{{0, Block}}
	Parallel(threadsFor(threads, len(x)/4), len(factors)/Block, func(i int) {
		r := blockRun{kind: deep, blocks: 1, pixels: each / Block, lines: 1, dstLine: each, dst: dst[i*each : (i+1)*each], src: x[i*each : (i+1)*each], step: Block,
			taps: table, rows: 1, weights: factors[i*Block : (i+1)*Block], bias: shifts[i*Block : (i+1)*Block], low: -infinity, high: infinity}
		r.run()
	})
}
