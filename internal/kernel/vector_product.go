package kernel

// Panels is a matrix laid out for products with single vectors: panels of eight vectors' width, each with the elements of
// its rows side by side. It belongs to the instruction set of the process that made it.
type Panels struct {
	data             []float32
	rows, cols, wide int
}

// NewPanels lays out w [rows, cols], row-major.
func NewPanels(w []float32, rows, cols int) *Panels {
	p := &Panels{rows: rows, cols: cols, wide: 8 * use.lanes()}
	p.data = make([]float32, p.count()*p.wide*cols)
	for q := range p.count() {
		n := min(p.wide, rows-q*p.wide)
		levels[use].transpose(p.data[q*p.wide*cols:], w[q*p.wide*cols:], n, cols, p.wide, cols)
	}
	return p
}

func (p *Panels) count() int { return (p.rows + p.wide - 1) / p.wide }

// Times writes the product of the matrix and x [cols] to dst [rows]. Each element is summed in ascending order of the
// columns, by fused multiply-adds where the processor has them.
func (p *Panels) Times(dst, x []float32) {
	dst, x = dst[:p.rows], x[:p.cols]
	if p.cols == 0 || p.rows == 0 {
		clear(dst)
		return
	}
	whole := p.rows / p.wide
	if whole > 0 {
		levels[use].gemv(dst, x, p.data, whole)
	}
	if rest := dst[whole*p.wide:]; len(rest) > 0 {
		var part [128]float32
		levels[use].gemv(part[:p.wide], x, p.data[whole*p.wide*p.cols:], 1)
		copy(rest, part[:])
	}
}

// gemvPlain multiplies panels of 8*plain.lanes() by x.
func gemvPlain(dst, x, w []float32, panels int) {
	wide := 8 * plain.lanes()
	for q := range panels {
		row := dst[q*wide : (q+1)*wide]
		clear(row)
		for p, v := range x {
			for j, u := range w[(q*len(x)+p)*wide:][:wide] {
				row[j] += float32(v * u)
			}
		}
	}
}
