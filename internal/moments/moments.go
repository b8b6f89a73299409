// Package moments gathers the first and second moments of what a linear layer multiplies its weights with.
//
// The rows of a Geometry are the input vectors of the layer, one for each place of its output:
//
//	H = E[z z^T]        Second, the Hessian of the layer's squared output error up to a factor
//	E[(x - z) z^T]      Shift, of two streams: x what the layer was trained on, z what it will see
//
// by group of channels that share no input (Conv with groups, the directions of a recurrent layer). Products are those of
// package kernel over short runs of rows, in float32 where there are many inputs, added up in float64 in the order of the rows.
package moments

import (
	"fmt"
	"math"

	"bq/internal/kernel"
)

// chunk is how many rows are multiplied in float32 before they are added to the sums.
const chunk = 512

// Sums are the sums over all rows added so far.
type Sums struct {
	groups, k int
	n         int
	second    [][]float64 // by group, [k, k]: of z z^T, on and right of the diagonal
	shift     [][]float64 // of (x-z) z^T; nil without a twin
	z, x      []float64   // [groups, k]
	product   []float32   // of a chunk, a band of it
	diff      []float32   // x - z of it
	columns   []float32   // its columns, those of a group together
	moved     []float32   // those of diff
}

// New returns empty sums for rows of groups*k values; twin tells whether a second stream goes beside the first.
func New(groups, k int, twin bool) *Sums {
	s := &Sums{groups: groups, k: k, z: make([]float64, groups*k), x: make([]float64, groups*k)}
	for range groups {
		s.second = append(s.second, make([]float64, k*k))
		if twin {
			s.shift = append(s.shift, make([]float64, k*k))
		}
	}
	return s
}

// Bytes returns the memory that the second moments of that size take, and with a twin the shift, math.MaxInt64 where that is
// more. Sizes are not below 0.
func Bytes(groups, k int, twin bool) int64 {
	n := int64(8)
	if twin {
		n = 16
	}
	if groups == 0 || k == 0 {
		return 0
	}
	for _, f := range []int{groups, k, k} {
		if n > math.MaxInt64/int64(f) {
			return math.MaxInt64
		}
		n *= int64(f)
	}
	return n
}

// Groups and K return the sizes that New was given.
func (s *Sums) Groups() int { return s.groups }

// K returns the number of inputs in each group.
func (s *Sums) K() int { return s.k }

// Len returns the number of rows added.
func (s *Sums) Len() int { return s.n }

// Add adds n rows [n, groups*k] of z, and of its twin x where there is one, else nil. The result does not depend on threads.
func (s *Sums) Add(z, x []float32, n, threads int) {
	width := s.groups * s.k
	if len(z) < n*width || s.shift != nil && len(x) < n*width {
		panic(fmt.Sprintf("moments: adding %d rows of %d from %d and %d values", n, width, len(z), len(x)))
	}
	for at := 0; at < n; at += chunk {
		m := min(chunk, n-at)
		part := z[at*width : (at+m)*width]
		var twin []float32
		if s.shift != nil {
			twin = x[at*width : (at+m)*width]
		}
		s.add(part, twin, m, threads)
	}
	s.n += n
}

// add is Add of at most one chunk.
func (s *Sums) add(z, x []float32, n, threads int) {
	addRows(s.z, z)
	if x != nil {
		addRows(s.x, x)
		s.diff = grown(s.diff, len(z))
		for i, v := range z {
			s.diff[i] = x[i] - v
		}
	}
	if s.k <= direct {
		s.addDirect(z, x != nil, n, threads)
		return
	}
	s.product = grown(s.product, min(s.k, band)*s.k)
	for g := range s.groups {
		for i := 0; i < s.k; i += band {
			end := min(s.k, i+band)
			s.multiply(s.second[g], z, z, g, n, i, end, i, threads)
			if x != nil {
				s.multiply(s.shift[g], s.diff, z, g, n, i, end, 0, threads)
			}
		}
	}
}

// direct is the number of inputs up to which products of single columns are quicker than a matrix product; band is how many
// rows of the moments of wider ones are computed together, those of the square from the first of their columns on.
const (
	direct = 12
	band   = 192
)

// addDirect adds the products of the columns of each group, every one exact and summed in float64.
func (s *Sums) addDirect(z []float32, twin bool, n, threads int) {
	width, k := s.groups*s.k, s.k
	s.columns = grown(s.columns, n*width)
	if twin {
		s.moved = grown(s.moved, n*width)
	}
	kernel.Parallel(threads, s.groups, func(g int) {
		at, end := g*k*n, (g+1)*k*n
		columns := turned(s.columns[at:end], z, width, g*k, n)
		for i := range k {
			for j := i; j < k; j++ {
				s.second[g][i*k+j] += kernel.SumProducts(columns[i*n:(i+1)*n], columns[j*n:(j+1)*n])
			}
		}
		if !twin {
			return
		}
		moved := turned(s.moved[at:end], s.diff, width, g*k, n)
		for i := range k {
			for j := range k {
				s.shift[g][i*k+j] += kernel.SumProducts(moved[i*n:(i+1)*n], columns[j*n:(j+1)*n])
			}
		}
	})
}

// turned writes the columns from column c on of n rows of width values, as many as dst holds, to dst, one after another.
func turned(dst, rows []float32, width, c, n int) []float32 {
	k := len(dst) / n
	for r := range n {
		for i, v := range rows[r*width+c : r*width+c+k] {
			dst[i*n+r] = v
		}
	}
	return dst
}

// multiply adds rows i0 to i1-1 of a^T b, from column j0 on.
func (s *Sums) multiply(dst []float64, a, b []float32, g, n, i0, i1, j0, threads int) {
	width, k, cols := s.groups*s.k, s.k, s.k-j0
	left := kernel.Matrix{Data: a[g*k+i0:], RowStride: 1, ColStride: width}
	right := kernel.Matrix{Data: b[g*k+j0:], RowStride: width, ColStride: 1}
	kernel.Product(s.product, cols, i1-i0, cols, n, left, right, kernel.Epilogue{}, threads)
	for i := i0; i < i1; i++ {
		line := dst[i*k+j0 : (i+1)*k]
		for j, v := range s.product[(i-i0)*cols : (i-i0+1)*cols] {
			line[j] += float64(v)
		}
	}
}

// addRows adds rows as long as dst to it.
func addRows(dst []float64, rows []float32) {
	for len(dst) > 0 && len(rows) >= len(dst) {
		for i, v := range rows[:len(dst)] {
			dst[i] += float64(v)
		}
		rows = rows[len(dst):]
	}
}

func grown(b []float32, n int) []float32 {
	if cap(b) < n {
		return make([]float32, n)
	}
	return b[:n]
}

// Mean returns E[z] of group g, [k].
func (s *Sums) Mean(g int) []float64 { return s.mean(s.z, g) }

// TwinMean returns E[x] of group g, [k].
func (s *Sums) TwinMean(g int) []float64 { return s.mean(s.x, g) }

func (s *Sums) mean(sum []float64, g int) []float64 {
	m := make([]float64, s.k)
	for i := range m {
		m[i] = sum[g*s.k+i] / float64(max(1, s.n))
	}
	return m
}

// Second returns E[z z^T] of group g, [k, k], less the product of the means where it is centred: the part of the error that a
// bias cannot take back.
func (s *Sums) Second(g int, centred bool) []float64 {
	h := s.moment(s.second[g], s.Mean(g), s.Mean(g), centred)
	for i := range s.k {
		for j := range i {
			h[i*s.k+j] = h[j*s.k+i]
		}
	}
	return h
}

// Shift returns E[(x-z) z^T] of group g, [k, k], centred as Second is.
func (s *Sums) Shift(g int, centred bool) []float64 {
	d := s.TwinMean(g)
	for i, v := range s.Mean(g) {
		d[i] -= v
	}
	return s.moment(s.shift[g], d, s.Mean(g), centred)
}

func (s *Sums) moment(sum, a, b []float64, centred bool) []float64 {
	out := make([]float64, len(sum))
	n := float64(max(1, s.n))
	for i, v := range sum {
		out[i] = v / n
		if centred {
			out[i] -= float64(a[i/s.k] * b[i%s.k])
		}
	}
	return out
}
