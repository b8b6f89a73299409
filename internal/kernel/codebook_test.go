package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// codebookCase is a product with a codebook and its weights.
type codebookCase struct {
	m, rows, k, block int
	codes             []uint8
	tables, scales, x []float32
}

// newCodebookCase draws a case; values are integers and scales powers of two where exact, so that no sum is rounded.
func newCodebookCase(rng *rand.Rand, m, rows, k, block int, perRow, exact bool) *codebookCase {
	c := &codebookCase{m: m, rows: rows, k: k, block: block, codes: randomCodes(rng, rows*k, 4)}
	value := func() float32 { return float32(rng.NormFloat64()) }
	if exact {
		value = func() float32 { return float32(rng.IntN(31) - 15) }
	}
	fill := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = value()
		}
		return v
	}
	tables, blocks := 1, 1
	if perRow {
		tables = max(rows, 1)
	}
	if block > 0 && k > 0 {
		blocks = (k + block - 1) / block
	}
	c.tables, c.scales, c.x = fill(16*tables), fill(rows*blocks), fill(m*k)
	if exact {
		for i := range c.scales {
			c.scales[i] = float32(int(1) << rng.IntN(4))
		}
	}
	return c
}

// ref returns the product, and the sum of the sizes of what is added up.
func (c *codebookCase) ref() (want, size []float64) {
	want, size = make([]float64, c.m*c.rows), make([]float64, c.m*c.rows)
	blocks := 0
	if c.rows > 0 {
		blocks = len(c.scales) / c.rows
	}
	for i := range want {
		a, r := i/c.rows, i%c.rows
		table := c.tables
		if len(table) > 16 {
			table = table[16*r:]
		}
		for j := range c.k {
			s := c.scales[r*blocks]
			if c.block > 0 {
				s = c.scales[r*blocks+j/c.block]
			}
			v := float64(table[c.codes[r*c.k+j]]) * float64(s) * float64(c.x[a*c.k+j])
			want[i] += v
			size[i] += math.Abs(v)
		}
	}
	return want, size
}

func (c *codebookCase) run(threads int) []float32 {
	got := make([]float32, c.m*c.rows)
	for i := range got {
		got[i] = 7 // what stands there is overwritten
	}
	NewCodebook(c.codes, c.tables, c.scales, c.rows, c.k, c.block).Product(got, c.x, c.m, threads)
	return got
}

var codebookShapes = [][4]int{ // m, rows, k, block
	{0, 3, 5, 0}, {3, 0, 5, 0}, {2, 3, 0, 0}, {1, 1, 1, 0}, {1, 3, 31, 32}, {3, 33, 32, 32}, {2, 5, 33, 32}, {1, 70, 128, 64}, {5, 65, 130, 32},
	{4, 17, 127, 64}, {13, 31, 260, 128}, {1, 2, 1030, 256}, {7, 40, 1000, 96}, {1, 9, 513, 0}, {25, 130, 300, 0}, {1, 4, 640, 192},
}

func TestCodebookExact(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 4))
		for _, s := range codebookShapes {
			for _, perRow := range []bool{false, true} {
				c := newCodebookCase(rng, s[0], s[1], s[2], s[3], perRow, true)
				want, _ := c.ref()
				for threads := 1; threads < 4; threads++ {
					for i, v := range c.run(threads) {
						if float64(v) != want[i] {
							t.Fatalf("%v, per row %v, %d threads: sum %d is %v, want %v", s, perRow, threads, i, v, want[i])
						}
					}
				}
			}
		}
	})
}

// codebookError bounds the relative rounding of a term on its way through a sum of k: half a unit of the last place, 2^-24,
// for each addition, the products with value and scale, and the lanes that are added up (Higham, "Accuracy and Stability of
// Numerical Algorithms", 2002, section 4.2).
func codebookError(k int) float64 { return float64(k+8) / (1 << 24) }

func checkCodebook(t *testing.T, c *codebookCase) {
	t.Helper()
	want, size := c.ref()
	for i, v := range c.run(2) {
		if diff := math.Abs(float64(v) - want[i]); !(diff <= codebookError(c.k)*size[i]) {
			t.Fatalf("%dx%dx%d, block %d: sum %d is %v, want %v +- %v", c.m, c.rows, c.k, c.block, i, v, want[i], codebookError(c.k)*size[i])
		}
	}
}

func TestCodebook(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(2, 4))
		for _, s := range codebookShapes {
			checkCodebook(t, newCodebookCase(rng, s[0], s[1], s[2], s[3], true, false))
		}
	})
}

// A NaN or an infinity of one row of activations spreads over its sums, and over no others.
func TestCodebookNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, m := range []int{2, 6} {
			c := newCodebookCase(rand.New(rand.NewPCG(3, 4)), m, 20, 70, 32, false, true)
			for i := range c.tables {
				c.tables[i] = 1
			}
			c.x[69], c.x[70+3] = float32(math.NaN()), float32(math.Inf(1))
			for i, v := range c.run(1) {
				if row := i / 20; row == 0 != (v != v) || row == 1 != math.IsInf(float64(v), 1) {
					t.Fatalf("%d rows: sum %d is %v", m, i, v)
				}
			}
		}
	})
}

func TestCodebookRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 4))
		for _, s := range codebookShapes {
			c := newCodebookCase(rng, 0, s[1], s[2], s[3], true, false)
			book := NewCodebook(c.codes, c.tables, c.scales, c.rows, c.k, c.block)
			first := min(2, c.rows)
			got := make([]float32, (c.rows-first)*c.k)
			book.Rows(got, first, c.rows)
			for i, v := range got {
				row, j := first+i/c.k, i%c.k
				scale := c.scales[row*len(c.scales)/c.rows]
				if c.block > 0 {
					scale = c.scales[row*len(c.scales)/c.rows+j/c.block]
				}
				if want := c.tables[16*row+int(c.codes[row*c.k+j])] * scale; v != want {
					t.Fatalf("%v: weight %d, %d is %v, want %v", s, row, j, v, want)
				}
			}
		}
	})
}

func FuzzCodebook(f *testing.F) {
	f.Add(uint64(1), 3, 70, 130, 32, true)
	f.Add(uint64(2), 1, 1, 1, 0, false)
	f.Add(uint64(3), 9, 33, 520, 128, false)
	f.Fuzz(func(t *testing.T, seed uint64, m, rows, k, block int, perRow bool) {
		if m < 0 || m > 20 || rows < 0 || rows > 100 || k < 0 || k > 600 || block < 0 || block > 600 {
			return
		}
		rng := rand.New(rand.NewPCG(seed, 5))
		c := newCodebookCase(rng, m, rows, k, block/32*32, perRow, false)
		eachLevel(t, func(t *testing.T) { checkCodebook(t, c) })
	})
}

// byteBookCase draws codes, tables and activations; the tables reach to the ends of int8 unless narrow.
func byteBookCase(rng *rand.Rand, m, rows, k int, perRow, narrow bool) (codes []uint8, tables []int8, x []uint8, want []int32) {
	codes, tables, x = randomCodes(rng, rows*k, 4), make([]int8, 16), make([]uint8, m*k)
	if perRow && rows > 0 {
		tables = make([]int8, 16*rows)
	}
	for i := range tables {
		tables[i] = int8(rng.IntN(256) - 128)
		if narrow {
			tables[i] = int8(rng.IntN(129) - 64)
		}
	}
	for i := range x {
		x[i] = uint8(rng.IntN(256))
	}
	want = make([]int32, m*rows)
	for i := range want {
		a, r := i/rows, i%rows
		table := tables
		if len(tables) > 16 {
			table = tables[16*r:]
		}
		for j := range k {
			want[i] += int32(table[codes[r*k+j]]) * int32(x[a*k+j])
		}
	}
	return codes, tables, x, want
}

func TestByteCodebook(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 4))
		for _, s := range codebookShapes {
			for v := range 4 {
				m, rows, k := s[0], s[1], s[2]
				codes, tables, x, want := byteBookCase(rng, m, rows, k, v&1 != 0, v&2 != 0)
				book := NewByteCodebook(codes, tables, rows, k)
				for threads := 1; threads < 4; threads++ {
					got := make([]int32, m*rows)
					for i := range got {
						got[i] = 7
					}
					book.Product(got, x, m, threads)
					if !slices.Equal(got, want) {
						t.Fatalf("%v, variant %d, %d threads: %v, want %v", s, v, threads, got[:min(8, len(got))], want[:min(8, len(want))])
					}
				}
			}
		}
	})
}

// The largest products of either sign, and of the largest entries that count as narrow.
func TestByteCodebookExtremes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const k = MaxIntegerTerms
		for _, entry := range []int8{-128, 127, 64, -64, 65, -65} {
			for _, m := range []int{1, 5} {
				tables, x := make([]int8, 16), make([]uint8, m*k)
				fillWith(tables, entry)
				fillWith(x, 255)
				got := make([]int32, 3*m)
				NewByteCodebook(make([]uint8, 3*k), tables, 3, k).Product(got, x, m, 1)
				for _, v := range got {
					if want := int32(k) * 255 * int32(entry); v != want {
						t.Fatalf("entries %d: %v, want %d", entry, got, want)
					}
				}
			}
		}
	})
}

func FuzzByteCodebook(f *testing.F) {
	f.Add(uint64(1), 3, 70, 130, true, false)
	f.Add(uint64(2), 9, 33, 520, false, true)
	f.Fuzz(func(t *testing.T, seed uint64, m, rows, k int, perRow, narrow bool) {
		if m < 0 || m > 20 || rows < 0 || rows > 100 || k < 0 || k > 600 {
			return
		}
		codes, tables, x, want := byteBookCase(rand.New(rand.NewPCG(seed, 6)), m, rows, k, perRow, narrow)
		eachLevel(t, func(t *testing.T) {
			got := make([]int32, m*rows)
			NewByteCodebook(codes, tables, rows, k).Product(got, x, m, 1)
			if !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	})
}

var codebookBenches = [][4]int{{1, 4096, 4096, 0}, {1, 4096, 4096, 32}, {16, 1024, 1024, 0}, {512, 512, 512, 0}}

func BenchmarkCodebook(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range codebookBenches {
		c := newCodebookCase(rng, s[0], s[1], s[2], s[3], true, false)
		book, dst := NewCodebook(c.codes, c.tables, c.scales, c.rows, c.k, c.block), make([]float32, c.m*c.rows)
		b.Run(fmt.Sprintf("%dx%dx%d/block=%d", s[0], s[1], s[2], s[3]), func(b *testing.B) {
			for b.Loop() {
				book.Product(dst, c.x, c.m, 1)
			}
			reportOperations(b, 2*float64(c.m)*float64(c.rows)*float64(c.k))
		})
	}
}

func BenchmarkByteCodebook(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, narrow := range []bool{false, true} {
		for _, s := range codebookBenches {
			if s[3] != 0 {
				continue
			}
			m, rows, k := s[0], s[1], s[2]
			x, dst, tables := make([]uint8, m*k), make([]int32, m*rows), make([]int8, 16)
			for i := range tables {
				if tables[i] = int8(16*i - 128); narrow {
					tables[i] = int8(i - 8)
				}
			}
			book := NewByteCodebook(randomCodes(rng, rows*k, 4), tables, rows, k)
			b.Run(fmt.Sprintf("narrow=%v/%dx%dx%d", narrow, m, rows, k), func(b *testing.B) {
				for b.Loop() {
					book.Product(dst, x, m, 1)
				}
				reportOperations(b, 2*float64(m)*float64(rows)*float64(k))
			})
		}
	}
}
