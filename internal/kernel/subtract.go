package kernel

// subtractDepth is how many products are subtracted from an element while it stays in a register.
const subtractDepth = 64

// SubtractProduct subtracts the product of e [m, k] and u [k, n] from dst [m, n], row-major with ldd, lde and ldu values from
// row to row:
//
//	dst[i][j] -= e[i][p] * u[p][j], one p after another
//
// with each product rounded to float64 before it is subtracted, so that the bits are the same on every machine. dst shares no
// element with e or u.
func SubtractProduct(dst []float64, ldd, m, n, k int, e []float64, lde int, u []float64, ldu int) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	_, _, _ = dst[(m-1)*ldd+n-1], e[(m-1)*lde+k-1], u[(k-1)*ldu+n-1]
	if use == plain || use == neon {
		subtractPlain(dst, ldd, m, n, k, e, lde, u, ldu)
		return
	}
	tall := use.lanes() / 2
	whole := m / tall * tall
	if whole > 0 {
		subtractRows(dst, ldd, whole, n, k, e, lde, u, ldu)
	}
	for i := whole; i < m; i++ {
		subtractTile(dst[i*ldd:], ldd, 1, e[i*lde:], u, ldu, n, k)
	}
}

// subtractRows is SubtractProduct of rows that fill tiles.
func subtractRows(dst []float64, ldd, m, n, k int, e []float64, lde int, u []float64, ldu int) {
	var packed [8 * subtractDepth]float64 // of e: the rows of a tile side by side
	tall := use.lanes() / 2
	for at := 0; at < k; at += subtractDepth {
		depth := min(subtractDepth, k-at)
		for i := 0; i < m; i += tall {
			for r := range tall {
				for p, v := range e[(i+r)*lde+at : (i+r)*lde+at+depth] {
					packed[p*tall+r] = v
				}
			}
			subtractTile(dst[i*ldd:], ldd, tall, packed[:], u[at*ldu:], ldu, n, depth)
		}
	}
}

// subtractPlain is SubtractProduct without vectors.
func subtractPlain(dst []float64, ldd, m, n, k int, e []float64, lde int, u []float64, ldu int) {
	for i := range m {
		row := dst[i*ldd : i*ldd+n]
		for p, v := range e[i*lde : i*lde+k] {
			for j, x := range u[p*ldu : p*ldu+n] {
				row[j] -= float64(v * x)
			}
		}
	}
}
