package packing

import "math/bits"

// What the range coder knows of a value before it reads it: magnitudes and signs of the values around it.

// A geometry tells which values of a tensor are neighbours: the tensor is a matrix, stored row by row, whose rows are
// filters; a filter has kernel values of each input channel.
type geometry struct {
	columns, kernel int
}

// maxColumns bounds the columns of a geometry, and with them the memory of a coder.
const maxColumns = 1 << 16

// geometryOf finds the matrix in a tensor. Where the layout's channels come first, each is a row, and the dimension
// behind them counts the input channels; where they come last, each is a column; between the two, each is a kernel.
// With one channel the shape alone speaks: the first dimension counts the rows and the second the input channels.
// Dimensions of 1 count nowhere. FORMAT.md, "Codes, codec 3".
func geometryOf(shape []int64, l Layout) geometry {
	n := int64(l.Elements())
	if n == 0 {
		return geometry{columns: 1, kernel: 1}
	}
	columns, kernel := n, int64(1)
	switch {
	case l.Channels > 1 && l.Outer == 1:
		columns = int64(l.Inner)
		kernel = columns / dimensionBehind(shape, int64(l.Channels))
	case l.Channels > 1 && l.Inner == 1:
		columns = int64(l.Channels)
	case l.Channels > 1:
		columns, kernel = int64(l.Channels)*int64(l.Inner), int64(l.Inner)
	default:
		if rows := dimensionBehind(shape, 1); rows < n {
			columns = n / rows
			kernel = columns / dimensionBehind(shape, rows)
		}
	}
	return geometry{columns: int(min(columns, maxColumns)), kernel: int(min(kernel, maxColumns))}
}

// dimensionBehind returns the first dimension above 1 behind those whose product is done, or 1 where there is none. No
// dimension is 0.
func dimensionBehind(shape []int64, done int64) int64 {
	product := int64(1)
	for _, d := range shape {
		if product == done && d > 1 {
			return d
		}
		product *= d
	}
	return 1
}

// halfOctave returns the class of x: 0, 1, then two classes for each power of two.
func halfOctave(x uint32) int {
	if x < 2 {
		return int(x)
	}
	l := bits.Len32(x)
	return 2*(l-1) + int(x>>(l-2)&1)
}

// quarterOctave returns the class of x: 0 to 3, then four classes for each power of two.
func quarterOctave(x uint32) int {
	if x < 4 {
		return int(x)
	}
	l := bits.Len32(x)
	return 4*(l-2) + int(x>>(l-3)&3)
}

// Averages are in units of 1/256, and move by the part 1/(n+1.5) of the difference when they have seen n values, n at most
// as below.
const (
	rowWindow    = 15
	columnWindow = 31
	rowStart     = 3 // what the first average of a row counts for
	pastShift    = 6 // the average of everything moves by 1/64
)

// parts holds 2^16/(n+1.5).
var parts = func() (t [columnWindow + 1]int64) {
	for n := range t {
		t[n] = (2 << 16) / int64(2*n+3)
	}
	return t
}()

// follow moves an average towards a magnitude in units of 1/256.
func follow(average *int32, to int32, n int) {
	*average += int32(int64(to-*average) * parts[n] >> 16)
}

// neighbours keeps what was coded of a chunk.
type neighbours struct {
	geometry
	magnitudes []int32 // behind room for those before the first value, which are 0
	signs      []uint8 // 0: zero, 1: above, 2: below
	at         int     // of the next value in these two
	column     int     // of the next value
	columns    []int32 // average of each column
	seen       []uint8 // values of each column, up to columnWindow
	row, past  int32   // averages of this row and of everything
	rowSeen    int
}

// newNeighbours prepares for n values, the first of which is in the given column; past is the average to start with.
func newNeighbours(g geometry, n, column int, past int32) *neighbours {
	room := 2*g.columns + g.kernel + 2
	return &neighbours{geometry: g, magnitudes: make([]int32, room+n), signs: make([]uint8, room+n), at: room, column: column,
		columns: make([]int32, g.columns), seen: make([]uint8, g.columns), row: past, past: past, rowSeen: rowStart}
}

// surroundings are the contexts of one value. Magnitudes are classes of halfOctave and quarterOctave of 16 times the mean.
type surroundings struct {
	row, column int    // half octaves
	near, above int    // half octaves: of the values just before, and of those in the rows above
	both        int    // quarter octaves: of row and column together
	signs       [3]int // of pairs and triples of neighbours
}

// look fills in s for the next value.
func (b *neighbours) look(s *surroundings) {
	column := b.columns[b.column]
	if b.seen[b.column] == 0 {
		column = b.past
		if before := b.column - b.kernel; before >= 0 && b.seen[before] > 0 {
			column = b.columns[before]
		}
	}
	m, i := b.magnitudes, b.at
	left, channel, up := m[i-1], m[i-b.kernel], m[i-b.geometry.columns]
	near := 8 * (left + channel)
	if b.kernel == 1 {
		near = 5 * (2*left + m[i-2])
	}
	above := 4 * (2*up + m[i-2*b.geometry.columns] + m[i-b.geometry.columns+1])
	s.row, s.column = halfOctave(uint32(b.row>>4)), halfOctave(uint32(column>>4))
	s.near, s.above = halfOctave(uint32(near)), halfOctave(uint32(above))
	s.both = quarterOctave(uint32(b.row+column) >> 5)
	g, j := b.signs, i-b.geometry.columns
	l, c, u := int(g[i-1]), int(g[i-b.kernel]), int(g[j])
	s.signs = [3]int{3*l + u, 9*int(g[i-2]) + 3*l + c, 9*int(g[j-b.geometry.columns]) + 3*u + c}
}

// add takes the value that look was asked about.
func (b *neighbours) add(v int32) {
	magnitude := v
	if v < 0 {
		magnitude = -v
		b.signs[b.at] = 2
	} else if v > 0 {
		b.signs[b.at] = 1
	}
	b.magnitudes[b.at] = magnitude
	b.at++
	to := magnitude << 8
	follow(&b.row, to, min(b.rowSeen, rowWindow))
	b.rowSeen++
	seen := &b.seen[b.column]
	follow(&b.columns[b.column], to, int(*seen))
	*seen = min(*seen+1, columnWindow)
	b.past += (to - b.past) >> pastShift
	if b.column++; b.column == b.geometry.columns {
		b.column, b.row, b.rowSeen = 0, b.past, rowStart
	}
}
