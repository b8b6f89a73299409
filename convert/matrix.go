package convert

import "bq/onnxio"

// matrix is a weight as the linear map that its node applies: groups of rows [rows, cols], a row for each output. Dense
// order is group by group, row by row.
//
// A matrix of many columns is cut into blocks of them, as large a Hessian as a layer is given: blocks of one row then stand where
// groups stand, and the last of them may end in places that hold no element.
type matrix struct {
	groups, rows, cols int
	blocks             int     // how many groups in succession share their rows; 1 where the matrix is not cut
	stored             []int32 // the element, in stored order, of each place in dense order; negative for none
}

// A matrix of more than wholeColumns columns is cut into blocks of about blockColumns (recipe.md A1.3).
const (
	wholeColumns = 2500
	blockColumns = 512
)

// cut returns m, or m in blocks where it has many columns.
func (m *matrix) cut() *matrix {
	if m.cols <= wholeColumns {
		return m
	}
	blocks := (m.cols + blockColumns - 1) / blockColumns
	c := &matrix{groups: m.groups * blocks, rows: m.rows, cols: (m.cols + blocks - 1) / blocks, blocks: blocks}
	for g := range m.groups {
		for b := range blocks {
			for r := range m.rows {
				line := m.stored[(g*m.rows+r)*m.cols:][:m.cols]
				for j := b * c.cols; j < (b+1)*c.cols; j++ {
					e := int32(-1)
					if j < m.cols {
						e = line[j]
					}
					c.stored = append(c.stored, e)
				}
			}
		}
	}
	return c
}

// width returns how many inputs a group of the matrix has before it is cut, and how many places these take.
func (m *matrix) width(inputs int) (each, places int) {
	return inputs / (m.groups / m.blocks), m.cols * m.blocks
}

// len returns the number of elements.
func (m *matrix) len() int { return m.groups * m.rows * m.cols }

// gather copies w from stored to dense order.
func (m *matrix) gather(w []float32) []float64 {
	dense := make([]float64, len(m.stored))
	for i, e := range m.stored {
		if e >= 0 {
			dense[i] = float64(w[e])
		}
	}
	return dense
}

// matrixOf returns the matrix of a weight of the given stored shape at use u; false where the node is no linear map that
// one matrix, or one for each group, describes.
func matrixOf(u use, stored []int) (*matrix, bool) {
	shape, n := u.shape(stored), u.node
	group := int(n.IntAttr("group", 1))
	m := &matrix{groups: 1, blocks: 1}
	transposed := false // columns before rows
	switch op := opOf(n); {
	case op == "Conv" && u.input == 1 && len(shape) > 2 && group > 0 && shape[0]%group == 0:
		m.groups, m.rows, m.cols = group, shape[0]/group, product(shape[1:])
	case op == "ConvTranspose" && u.input == 1 && len(shape) > 2 && group > 0 && shape[0]%group == 0:
		return transposedMatrix(u, stored, shape, group)
	case op == "Gemm" && len(shape) == 2:
		m.rows, m.cols = shape[0], shape[1]
		transposed = u.input == 0 && n.IntAttr("transA", 0) != 0 || u.input == 1 && n.IntAttr("transB", 0) == 0
	case op == "MatMul" && len(shape) >= 2 && product(shape[:len(shape)-2]) == 1:
		m.rows, m.cols = shape[len(shape)-2], shape[len(shape)-1]
		transposed = u.input == 1
	case (op == "LSTM" || op == "GRU" || op == "RNN") && u.input == 1 && len(shape) == 3:
		m.rows, m.cols = shape[0]*shape[1], shape[2]
	case (op == "LSTM" || op == "GRU" || op == "RNN") && u.input == 2 && len(shape) == 3:
		m.groups, m.rows, m.cols = shape[0], shape[1], shape[2]
	default:
		return nil, false
	}
	order := readOrder(u, product(stored))
	if transposed {
		m.rows, m.cols = m.cols, m.rows
		m.stored = make([]int32, len(order))
		for r := range m.rows {
			for c := range m.cols {
				m.stored[r*m.cols+c] = order[c*m.rows+r]
			}
		}
		return m, m.len() > 0
	}
	m.stored = order
	return m, m.len() > 0 && m.len() == len(order)
}

// transposedMatrix is matrixOf of ConvTranspose: W [C, M/group, kernel], a column for each input channel and tap.
func transposedMatrix(u use, stored, shape []int, group int) (*matrix, bool) {
	taps, ins := product(shape[2:]), shape[0]/group
	m := &matrix{groups: group, rows: shape[1], cols: ins * taps, blocks: 1}
	order := readOrder(u, product(stored))
	m.stored = make([]int32, 0, len(order))
	for g := range group {
		for r := range m.rows {
			for c := range ins {
				at := ((g*ins+c)*m.rows + r) * taps
				m.stored = append(m.stored, order[at:at+taps]...)
			}
		}
	}
	return m, m.len() > 0
}

// readOrder returns, for each element in the order in which u's node reads the constant, its place in stored order.
func readOrder(u use, n int) []int32 {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	for _, mv := range u.moves {
		if mv.perm != nil {
			order = permuted(order, mv)
		}
	}
	return order
}

// permuted returns the elements of list, of the shape before mv, in the order that mv's Transpose puts them.
func permuted(list []int32, mv move) []int32 {
	rank := len(mv.before)
	strides := make([]int, rank)
	step := 1
	for d := rank - 1; d >= 0; d-- {
		strides[d] = step
		step *= mv.before[d]
	}
	out := make([]int32, 0, len(list))
	index := make([]int, rank)
	for range list {
		at := 0
		for d, i := range index {
			at += i * strides[mv.perm[d]]
		}
		out = append(out, list[at])
		for d := rank - 1; d >= 0; d-- {
			if index[d]++; index[d] < mv.after[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}

// maxMatrix bounds the elements of a weight whose places int32 numbers.
const maxMatrix = 1 << 31

// floatType reports whether the engine computes with weights of type t in float32.
func computedInFloat32(t onnxio.DataType) bool {
	return t == onnxio.Float || t == onnxio.Float16 || t == onnxio.BFloat16
}
