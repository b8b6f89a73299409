package kernel

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n float32 behind which no memory is: who reads further crashes.
func guarded(t *testing.T, n int, seed uint64) []float32 { return fenced(t, randomFloats(n, seed)) }

// fenced returns a copy of x behind which no memory is.
func fenced[T any](t *testing.T, x []T) []T {
	t.Helper()
	var one T
	n, each := len(x), int(unsafe.Sizeof(one))
	page := syscall.Getpagesize()
	size := (each*n + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return nil
	}
	y := unsafe.Slice((*T)(unsafe.Pointer(&mem[size-each*n])), n)
	copy(y, x)
	return y
}

// fencedBlocks returns the weights with no memory behind them.
func (c *BlockConv) fenced(t *testing.T) *BlockConv {
	c.weights, c.bias = fenced(t, c.weights), fenced(t, c.bias)
	return c
}

// Convolutions and pools on blocks stay inside images, weights and results, whatever the window.
func TestBlocksStayInside(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range 150 {
			w, batch := randomBlockWindow(rng), rng.IntN(3)
			switch i % 5 {
			case 0: // fewer outputs than the input allows
				w.Out[1], w.Out[2] = 1+rng.IntN(w.Out[1]), 1+rng.IntN(w.Out[2])
			case 1: // more padding than the kernel covers
				w.Pad[1], w.Pad[2] = w.Pad[1]+9, w.Pad[2]+7
			}
			inC, outC, group, planes := 1+rng.IntN(40), 1+rng.IntN(100), 1, rng.IntN(2) == 0
			if rng.IntN(3) == 0 {
				outC, group, planes = inC, inC, false
			}
			x := randomFloats(batch*inC*w.InSize(), uint64(i))
			src := fenced(t, x)
			if !planes {
				src = fenced(t, inBlocks(x, batch, inC, w.InSize()))
			}
			weights := randomFloats(outC*inC/group*w.KernelSize(), 2)
			c := PackBlocks(weights, nil, inC, outC, group, w.KernelSize(), planes).fenced(t)
			size := batch * Blocks(outC) * Block * w.OutSize()
			var first []float32
			for threads := 1; threads <= 3; threads++ {
				dst := guarded(t, size, 5)
				c.Run(dst, src, guarded(t, size, 6), batch, w, Epilogue{}, nil, threads)
				got := make([]float32, batch*outC*w.OutSize())
				FromBlocks(got, dst, batch, outC, w.OutSize(), threads)
				if first == nil {
					first = got
				}
				if !slices.Equal(got, first) {
					t.Errorf("%+v: %d threads give other bits", *w, threads)
				}
			}
			if planes || size == 0 {
				continue
			}
			pooled := guarded(t, batch*Blocks(inC)*Block*w.OutSize(), 7)
			MaxPoolBlocks(pooled, src, batch, Blocks(inC), w, 2)
			AveragePoolBlocks(pooled, src, batch, Blocks(inC), w, nil, 2)
			GlobalAveragePoolBlocks(pooled[:batch*Blocks(inC)*Block], src, batch, Blocks(inC), w.InSize(), 2)
			ToBlocks(fenced(t, src), fenced(t, x), batch, inC, w.InSize(), 2)
		}
	})
}

// Products with codebooks and on bit planes stay inside their operands and results.
func TestCodesStayInside(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for range 60 {
			m, rows, k := 1+rng.IntN(9), 1+rng.IntN(140), 1+rng.IntN(600)
			if rng.IntN(3) == 0 {
				k = (1 + rng.IntN(4)) * 256 // whole groups: operands are read where they lie
			}
			for _, block := range []int{0, 32, 128} {
				c := newCodebookCase(rng, m, rows, k, block, true, false)
				b := NewCodebook(c.codes, fenced(t, c.tables), fenced(t, c.scales), rows, k, block)
				b.codes, b.scales = fenced(t, b.codes), fenced(t, b.scales)
				b.Product(guarded(t, m*rows, 1), fenced(t, c.x), m, 2)
				b.Rows(guarded(t, rows*k, 1), 0, rows)
			}
			x := fenced(t, randomCodes(rng, m*k, 8))
			tables := make([]int8, 16*rows)
			for i := range tables {
				tables[i] = int8(rng.IntN(256))
			}
			b := NewByteCodebook(randomCodes(rng, rows*k, 4), fenced(t, tables), rows, k)
			b.codes = fenced(t, b.codes)
			b.Product(fenced(t, make([]int32, m*rows)), x, m, 2)
			for bits := 1; bits <= 2; bits++ {
				w := PackBits(randomCodes(rng, rows*k, bits), rows, k, bits, 3-bits)
				w.data = fenced(t, w.data)
				w.Product(fenced(t, make([]int32, m*rows)), x, m, 2)
			}
		}
	})
}

// Convolutions on bit planes do too, whatever the window.
func TestBitConvStaysInside(t *testing.T) {
	eachBits(t, func(t *testing.T, bits, actBits int) {
		rng := rand.New(rand.NewPCG(7, 8))
		for i := range 60 {
			w, inC, outC := randomWindow(rng), 1+rng.IntN(70), 1+rng.IntN(70)
			if i%2 == 0 {
				w = randomBlockWindow(rng)
			}
			if i%3 == 0 {
				w.Out[1], w.Out[2] = 1+rng.IntN(w.Out[1]), 1+rng.IntN(w.Out[2])
			}
			c := PackBitsConv(randomCodes(rng, outC*inC*w.KernelSize(), bits), outC, inC, w.KernelSize(), bits, actBits)
			c.data = fenced(t, c.data)
			c.Conv(fenced(t, make([]int32, outC*w.OutSize())), fenced(t, randomCodes(rng, inC*w.InSize(), 8)), 1, 1, w, 2)
		}
	})
}

// Products are subtracted from, and made of, what is named alone.
func TestSubtractStaysInside(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for n := 1; n <= 40; n++ {
			for _, m := range []int{1, 8, 9} {
				checkSubtract(t, rng, m, n, 1+n%7, func(x []float64) []float64 { return fenced(t, x) })
			}
		}
	})
}
