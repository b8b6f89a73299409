package kernel

// transposePlain writes dst[j*ldd + i] = x[i*ldx + j] for i < rows and j < cols, by blocks that use whole cache lines of
// both.
func transposePlain[T any](dst, x []T, rows, cols, ldd, ldx int) {
	const block = 16
	for j0 := 0; j0 < cols; j0 += block {
		j1 := min(cols, j0+block)
		for i0 := 0; i0 < rows; i0 += block {
			i1 := min(rows, i0+block)
			for j := j0; j < j1; j++ {
				row := dst[j*ldd+i0 : j*ldd+i1]
				at := i0*ldx + j
				for i := range row {
					row[i] = x[at]
					at += ldx
				}
			}
		}
	}
}

// transposeMatrix is transposePlain, with the vectors that there are for T.
func transposeMatrix[T any](dst, x []T, rows, cols, ldd, ldx int) {
	if d, ok := any(dst).([]float32); ok {
		levels[use].transpose(d, any(x).([]float32), rows, cols, ldd, ldx)
		return
	}
	transposePlain(dst, x, rows, cols, ldd, ldx)
}

// PackTransposed is Pack of the transpose of w [rows, cols], row-major: the right operand is [cols, rows].
func PackTransposed(w []float32, rows, cols int) *Packed {
	buf := borrow(rows * cols)
	defer scratch.Put(buf)
	if rows > 0 && cols > 0 {
		levels[use].transpose(*buf, w, rows, cols, rows, cols)
	}
	return Pack(RowMajor(*buf, rows), cols, rows)
}
