package infer

import (
	"fmt"
	"math"
	"sort"

	"bq/internal/kernel"
	"bq/onnxio"
)

// suppression is NonMaxSuppression for one model.
type suppression struct {
	center   bool // boxes are [x centre, y centre, width, height], else two opposite corners [y, x, y, x]
	most     int  // boxes of a batch entry and class
	overlap  float64
	least    float64 // scores must be above
	hasLeast bool
}

// bindNonMaxSuppression: boxes [N, B, 4], scores [N, C, B], max_output_boxes_per_class, iou_threshold, score_threshold to
// rows [batch, class, box]: in each class the boxes of highest score of which none overlaps an earlier one by more than
// the threshold.
func bindNonMaxSuppression(b *binding) runFunc {
	center := b.bool("center_point_box", false)
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		boxes, scores := in[0], in[1]
		if len(boxes.Shape) != 3 || boxes.Shape[2] != 4 || len(scores.Shape) != 3 || scores.Shape[0] != boxes.Shape[0] ||
			scores.Shape[2] != boxes.Shape[1] {
			return nil, fmt.Errorf("suppressing boxes %v with scores %v", boxes.Shape, scores.Shape)
		}
		s, err := newSuppression(center, in[2], in[3], in[4])
		if err != nil {
			return nil, err
		}
		p, err := r.float32s(boxes)
		if err != nil {
			return nil, err
		}
		v, err := r.float32s(scores)
		if err != nil {
			return nil, err
		}
		var rows []int64
		n, classes := boxes.Shape[1], scores.Shape[1]
		for i := range boxes.Shape[0] * classes {
			for _, k := range s.choose(p[i/classes*n*4:][:n*4], v[i*n:(i+1)*n]) {
				rows = append(rows, int64(i/classes), int64(i%classes), int64(k))
			}
		}
		return []*onnxio.Array{onnxio.Int64s(rows, len(rows)/3, 3)}, nil
	}
}

func newSuppression(center bool, most, overlap, least *onnxio.Array) (*suppression, error) {
	s := &suppression{center: center, hasLeast: least != nil}
	m, err := scalarOr(most, 0)
	if err != nil {
		return nil, err
	}
	if s.overlap, err = scalarOr(overlap, 0); err != nil {
		return nil, err
	}
	if s.least, err = scalarOr(least, 0); err != nil {
		return nil, err
	}
	s.most = int(min(max(m, 0), maxValueElements))
	return s, nil
}

// choose returns the boxes kept, by falling score, the earlier of equals first.
func (s *suppression) choose(boxes, scores []float32) []int {
	var order []int
	for i, v := range scores {
		if v == v && (!s.hasLeast || float64(v) > s.least) {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return scores[order[i]] > scores[order[j]] })
	var kept []int
	for _, i := range order {
		if len(kept) >= s.most {
			break
		}
		free := true
		for _, k := range kept {
			if s.iou(boxes[4*i:4*i+4], boxes[4*k:4*k+4]) > s.overlap {
				free = false
				break
			}
		}
		if free {
			kept = append(kept, i)
		}
	}
	return kept
}

// iou returns the area that two boxes share divided by the area that they cover, 0 where either has none.
func (s *suppression) iou(p, q []float32) float64 {
	a, b := s.corners(p), s.corners(q)
	shared := 1.0
	areaA, areaB := 1.0, 1.0
	for d := range 2 {
		shared *= max(0, min(a[d+2], b[d+2])-max(a[d], b[d]))
		areaA *= a[d+2] - a[d]
		areaB *= b[d+2] - b[d]
	}
	if areaA <= 0 || areaB <= 0 || shared <= 0 {
		return 0
	}
	return shared / (areaA + areaB - shared)
}

// corners returns a box as its smallest and largest coordinates.
func (s *suppression) corners(p []float32) [4]float64 {
	v := [4]float64{float64(p[0]), float64(p[1]), float64(p[2]), float64(p[3])}
	if s.center {
		return [4]float64{v[0] - v[2]/2, v[1] - v[3]/2, v[0] + v[2]/2, v[1] + v[3]/2}
	}
	return [4]float64{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
}

// roiAlign pools regions of a feature map (He et al., "Mask R-CNN", arXiv 1703.06870, section 3).
type roiAlign struct {
	height, width, ratio int
	scale, offset        float64
	atLeastOne, largest  bool
}

// maxSamples bounds the samples along one dimension of one bin of RoiAlign.
const maxSamples = 1 << 10

// bindRoiAlign: X [N, C, H, W], rois [R, 4] as x1, y1, x2, y2, batch_indices [R] to [R, C, height, width]: the mean or the
// largest of samples spread evenly over each bin.
func bindRoiAlign(b *binding) runFunc {
	z := &roiAlign{height: int(b.int("output_height", 1)), width: int(b.int("output_width", 1)),
		ratio: int(b.int("sampling_ratio", 0)), scale: float64(b.float("spatial_scale", 1)),
		largest: b.str("mode", "avg", "avg", "max") == "max"}
	def := "half_pixel"
	if b.version < 16 {
		def = "output_half_pixel"
	}
	if b.str("coordinate_transformation_mode", def, "half_pixel", "output_half_pixel") == "half_pixel" {
		z.offset = 0.5
	}
	z.atLeastOne = z.offset == 0
	if z.height < 1 || z.width < 1 || z.ratio < 0 || z.ratio > maxSamples || z.height > maxValueElements || z.width > maxValueElements {
		b.malformed("output of %d x %d, sampling_ratio %d", z.height, z.width, z.ratio)
	}
	return z.run
}

func (z *roiAlign) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	x, rois := in[0], in[1]
	if len(x.Shape) != 4 || len(rois.Shape) != 2 || rois.Shape[1] != 4 || !equalShape(in[2].Shape, rois.Shape[:1]) || x.Len() == 0 {
		return nil, fmt.Errorf("regions %v of %v with batch_indices %v", rois.Shape, x.Shape, in[2].Shape)
	}
	batch, err := indices(in[2], x.Shape[0])
	if err != nil {
		return nil, err
	}
	regions, err := r.float32s(rois)
	if err != nil {
		return nil, err
	}
	c, h, w := x.Shape[1], x.Shape[2], x.Shape[3]
	return r.pooled(x, []int{len(batch), c, z.height, z.width}, func(dst, src []float32) {
		kernel.Parallel(r.threads, len(batch)*c, func(i int) {
			plane := src[(batch[i/c]*c+i%c)*h*w:][:h*w]
			z.region(dst[i*z.height*z.width:][:z.height*z.width], plane, regions[i/c*4:][:4], h, w)
		})
	})
}

// region fills the bins of one region of one plane.
func (z *roiAlign) region(dst, plane []float32, roi []float32, h, w int) {
	var start, bin [2]float64 // of y, x
	var samples [2]int
	for d, n := range []int{z.height, z.width} {
		start[d] = float64(roi[1-d])*z.scale - z.offset
		size := float64(roi[3-d])*z.scale - z.offset - start[d]
		if z.atLeastOne {
			size = max(size, 1)
		}
		bin[d] = size / float64(n)
		if samples[d] = z.ratio; z.ratio == 0 {
			samples[d] = int(min(max(math.Ceil(bin[d]), 0), maxSamples))
		}
	}
	for i := range dst {
		y0, x0 := start[0]+float64(i/z.width)*bin[0], start[1]+float64(i%z.width)*bin[1]
		var sum, best float64
		for s := range samples[0] * samples[1] {
			y := y0 + (float64(s/samples[1])+0.5)*bin[0]/float64(samples[0])
			x := x0 + (float64(s%samples[1])+0.5)*bin[1]/float64(samples[1])
			total, top := sampleAt(plane, h, w, y, x)
			sum += total
			if best = max(best, top); s == 0 {
				best = top
			}
		}
		if dst[i] = float32(sum / float64(max(1, samples[0]*samples[1]))); z.largest {
			dst[i] = float32(best)
		}
	}
}

// sampleAt interpolates between the four neighbours of (y, x) and returns the sum of their shares and the largest of
// them; points more than one position outside give zero.
func sampleAt(plane []float32, h, w int, y, x float64) (sum, top float64) {
	if !(y >= -1 && y <= float64(h) && x >= -1 && x <= float64(w)) {
		return 0, 0
	}
	y, x = min(max(y, 0), float64(h-1)), min(max(x, 0), float64(w-1))
	y0, x0 := int(y), int(x)
	y1, x1 := min(y0+1, h-1), min(x0+1, w-1)
	fy, fx := y-float64(y0), x-float64(x0)
	for i, share := range []float64{
		(1 - fy) * (1 - fx) * float64(plane[y0*w+x0]), (1 - fy) * fx * float64(plane[y0*w+x1]),
		fy * (1 - fx) * float64(plane[y1*w+x0]), fy * fx * float64(plane[y1*w+x1]),
	} {
		sum += share
		if top = max(top, share); i == 0 {
			top = share
		}
	}
	return sum, top
}

// bindDeformConv: Conv whose window positions are moved by offset [N, groups*kernel*2, out] and weighted by mask
// [N, groups*kernel, out] (arXiv 1811.11168, equation 1), read between positions, zero outside. Inputs X, W, offset, B, mask.
func bindDeformConv(b *binding) runFunc {
	win, group, parts := bindWindow(b), int(b.int("group", 1)), int(b.int("offset_group", 1))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		x, w := in[0], in[1]
		n, c, m, err := channels(x, w, in[3], group, false)
		if err != nil {
			return nil, err
		}
		if len(x.Shape) != 4 || parts < 1 || c%parts != 0 {
			return nil, fmt.Errorf("deformed convolution of %v with %d offset groups", x.Shape, parts)
		}
		k, spatial, _, err := win.forward(x.Shape[2:], w.Shape[2:])
		if err != nil {
			return nil, err
		}
		taps := product(w.Shape[2:])
		if !equalShape(in[2].Shape, append([]int{n, 2 * parts * taps}, spatial...)) ||
			in[4] != nil && !equalShape(in[4].Shape, append([]int{n, parts * taps}, spatial...)) {
			return nil, fmt.Errorf("offsets %v for [%d %d] of %v", in[2].Shape, n, 2*parts*taps, spatial)
		}
		d := &deformed{k: k, c: c, parts: parts, taps: taps, points: product(spatial)}
		if d.offset, err = r.float32s(in[2]); err != nil {
			return nil, err
		}
		if in[4] != nil {
			if d.mask, err = r.float32s(in[4]); err != nil {
				return nil, err
			}
		}
		cols, err := r.new(onnxio.Float, c*taps, d.points)
		if err != nil {
			return nil, err
		}
		return r.convolve([]*onnxio.Array{x, w, in[3]}, append([]int{n, m}, spatial...), func(dst, x, w, bias []float32) {
			for i := range n {
				d.columns(cols.F32(), x[i*len(x)/n:(i+1)*len(x)/n], i, r.threads)
				d.multiply(dst[i*m*d.points:(i+1)*m*d.points], w, bias, cols.F32(), m, group, r.threads)
			}
		})
	}
}

// deformed holds the shapes of one DeformConv.
type deformed struct {
	k                      *kernel.Window
	c, parts, taps, points int
	offset, mask           []float32
}

// columns fills dst [c*taps, points] with what the windows of batch entry n read.
func (d *deformed) columns(dst, x []float32, n, threads int) {
	h, w := d.k.In[1], d.k.In[2]
	kernel.Parallel(threads, d.c*d.taps, func(row int) {
		ch, tap := row/d.taps, row%d.taps
		part := ch / (d.c / d.parts)
		off := d.offset[((n*d.parts+part)*d.taps+tap)*2*d.points:]
		for p := range d.points {
			y := p/d.k.Out[2]*d.k.Stride[1] - d.k.Pad[1] + tap/d.k.Kernel[2]*d.k.Dilation[1]
			z := p%d.k.Out[2]*d.k.Stride[2] - d.k.Pad[2] + tap%d.k.Kernel[2]*d.k.Dilation[2]
			v := between(x[ch*h*w:(ch+1)*h*w], h, w, float64(y)+float64(off[p]), float64(z)+float64(off[d.points+p]))
			if d.mask != nil {
				v *= float64(d.mask[((n*d.parts+part)*d.taps+tap)*d.points+p])
			}
			dst[row*d.points+p] = float32(v)
		}
	})
}

// multiply writes bias plus the product of the weights and the columns, group by group.
func (d *deformed) multiply(dst, w, bias, cols []float32, m, group, threads int) {
	for i := range dst {
		if bias != nil {
			dst[i] = bias[i/d.points]
		}
	}
	rows, depth := m/group, d.c/group*d.taps
	for g := range group {
		kernel.Gemm(dst[g*rows*d.points:], d.points, rows, d.points, depth,
			kernel.RowMajor(w[g*rows*depth:], depth), kernel.RowMajor(cols[g*depth*d.points:], d.points), threads)
	}
}

// between interpolates a plane at (y, x); positions outside count as zero.
func between(plane []float32, h, w int, y, x float64) float64 {
	if !(y > -1 && y < float64(h) && x > -1 && x < float64(w)) {
		return 0
	}
	y0, x0 := math.Floor(y), math.Floor(x)
	var sum float64
	for i := range 4 {
		py, px := int(y0)+i/2, int(x0)+i%2
		if py >= 0 && py < h && px >= 0 && px < w {
			sum += (1 - math.Abs(y-float64(py))) * (1 - math.Abs(x-float64(px))) * float64(plane[py*w+px])
		}
	}
	return sum
}
