package moments

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"bq/internal/kernel"
)

// rowOf returns row p of x. It begins as NaN, so that an element that is not written shows.
func rowOf(g Geometry, x []float32, p int) []float32 {
	row := make([]float32, g.Width())
	for i := range row {
		row[i] = float32(math.NaN())
	}
	g.Row(row, x, p)
	return row
}

func dot(a, b []float32) float32 {
	sum := float32(0)
	for i, v := range a {
		sum += float32(v * b[i])
	}
	return sum
}

// randomWindow returns a window over 1 to 3 dimensions whose outputs may begin and end in the padding.
func randomWindow(rng *rand.Rand, dims int) *kernel.Window {
	u := [3]int{1, 1, 1}
	w := &kernel.Window{In: u, Kernel: u, Out: u, Stride: u, Dilation: u}
	for d := 3 - dims; d < 3; d++ {
		w.Kernel[d], w.Stride[d], w.Dilation[d] = 1+rng.IntN(4), 1+rng.IntN(3), 1+rng.IntN(3)
		extent := (w.Kernel[d]-1)*w.Dilation[d] + 1
		w.Pad[d] = rng.IntN(extent + 1)
		w.In[d] = 1 + rng.IntN(7)
		room := w.In[d] + w.Pad[d] + rng.IntN(extent+1) - extent
		if room < 0 {
			w.In[d], room = w.In[d]-room, 0
		}
		w.Out[d] = room/w.Stride[d] + 1
	}
	return w
}

// windowLayer is a layer of some window with whole numbers as inputs and weights.
type windowLayer struct {
	batch, inC, outC, group int
	w                       *kernel.Window
}

func randomLayer(rng *rand.Rand, dims int) *windowLayer {
	l := &windowLayer{batch: 1 + rng.IntN(3), group: 1 + rng.IntN(3), w: randomWindow(rng, dims)}
	l.inC, l.outC = l.group*(1+rng.IntN(3)), l.group*(1+rng.IntN(3))
	return l
}

// Of Conv, the output at a place is the product of the row there and the weights, group by group.
func TestConvolutionRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		l := randomLayer(rng, 1+i%3)
		w, cg, og, taps, out := l.w, l.inC/l.group, l.outC/l.group, l.w.KernelSize(), l.w.OutSize()
		x, weights := integers(rng, l.batch*l.inC*w.InSize()), integers(rng, l.outC*cg*taps)
		y := make([]float32, l.batch*l.outC*out)
		kernel.Conv(y, x, weights, nil, l.batch, l.inC, l.outC, l.group, w, kernel.Epilogue{}, 1)
		g := &Convolution{Batch: l.batch, Channels: l.inC, Window: w}
		if g.Places() != l.batch*out || g.Width() != l.inC*taps {
			t.Fatalf("%d places of %d, want %d of %d", g.Places(), g.Width(), l.batch*out, l.inC*taps)
		}
		for p := range g.Places() {
			row := rowOf(g, x, p)
			for m := range l.outC {
				part := row[m/og*cg*taps:][:cg*taps]
				want := y[(p/out*l.outC+m)*out+p%out]
				if got := dot(weights[m*cg*taps:(m+1)*cg*taps], part); got != want {
					t.Fatalf("%+v of %+v: output %d at place %d is %v, want %v", *l, *w, m, p, got, want)
				}
			}
		}
	}
}

// Of ConvTranspose too, whose weights stand input channel by input channel.
func TestTransposedRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		l := randomLayer(rng, 1+i%3)
		w, cg, og, taps, out := l.w, l.inC/l.group, l.outC/l.group, l.w.KernelSize(), l.w.InSize()
		x, weights := integers(rng, l.batch*l.inC*w.OutSize()), integers(rng, l.inC*og*taps)
		y := make([]float32, l.batch*l.outC*out)
		kernel.ConvTranspose(y, x, weights, nil, l.batch, l.inC, l.outC, l.group, w, 1)
		g := &Transposed{Batch: l.batch, Channels: l.inC, Window: w}
		if g.Places() != l.batch*out || g.Width() != l.inC*taps {
			t.Fatalf("%d places of %d, want %d of %d", g.Places(), g.Width(), l.batch*out, l.inC*taps)
		}
		for p := range g.Places() {
			row := rowOf(g, x, p)
			for m := range l.outC {
				got := float32(0)
				for c := range cg {
					from := m/og*cg + c // input channel
					got += dot(weights[(from*og+m%og)*taps:][:taps], row[from*taps:][:taps])
				}
				if want := y[(p/out*l.outC+m)*out+p%out]; got != want {
					t.Fatalf("%+v of %+v: output %d at place %d is %v, want %v", *l, *w, m, p, got, want)
				}
			}
		}
	}
}

// A window of 2 by 2 over 2 by 3 positions, padded before, by hand.
func TestConvolutionRowsByHand(t *testing.T) {
	w := &kernel.Window{In: [3]int{1, 2, 3}, Kernel: [3]int{1, 2, 2}, Out: [3]int{1, 2, 3}, Stride: [3]int{1, 1, 1},
		Dilation: [3]int{1, 1, 1}, Pad: [3]int{0, 1, 1}}
	x := []float32{
		1, 2, 3, // channel 0
		4, 5, 6,
		-1, -2, -3, // channel 1
		-4, -5, -6,
	}
	g := &Convolution{Batch: 1, Channels: 2, Window: w}
	for p, want := range [][]float32{
		{0, 0, 0, 1, 0, 0, 0, -1}, {0, 0, 1, 2, 0, 0, -1, -2}, {0, 0, 2, 3, 0, 0, -2, -3},
		{0, 1, 0, 4, 0, -1, 0, -4}, {1, 2, 4, 5, -1, -2, -4, -5}, {2, 3, 5, 6, -2, -3, -5, -6},
	} {
		if got := rowOf(g, x, p); !slices.Equal(got, want) {
			t.Errorf("place %d: got %v, want %v", p, got, want)
		}
	}
}

// A transposed kernel of 3 with stride 2, by hand: 2 inputs make 5 outputs, of which output 2 meets both.
func TestTransposedRowsByHand(t *testing.T) {
	w := &kernel.Window{In: [3]int{1, 1, 5}, Kernel: [3]int{1, 1, 3}, Out: [3]int{1, 1, 2}, Stride: [3]int{1, 1, 2},
		Dilation: [3]int{1, 1, 1}}
	g := &Transposed{Batch: 1, Channels: 1, Window: w}
	for p, want := range [][]float32{{7, 0, 0}, {0, 7, 0}, {8, 0, 7}, {0, 8, 0}, {0, 0, 8}} {
		if got := rowOf(g, []float32{7, 8}, p); !slices.Equal(got, want) {
			t.Errorf("place %d: got %v, want %v", p, got, want)
		}
	}
}

// Kernels with more taps than are listed on the stack, and none that meets the input.
func TestTransposedRowsOfLargeKernels(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	w := &kernel.Window{In: [3]int{1, 29, 31}, Kernel: [3]int{1, 15, 17}, Out: [3]int{1, 8, 8}, Stride: [3]int{1, 2, 2},
		Dilation: [3]int{1, 1, 1}}
	x, weights := integers(rng, 2*w.OutSize()), integers(rng, 2*w.KernelSize())
	y := make([]float32, w.InSize())
	kernel.ConvTranspose(y, x, weights, nil, 1, 2, 1, 1, w, 1)
	g := &Transposed{Batch: 1, Channels: 2, Window: w}
	for p, want := range y {
		if got := dot(weights, rowOf(g, x, p)); got != want {
			t.Fatalf("place %d: %v, want %v", p, got, want)
		}
	}
}

// The vectors of the operands of matrix products: [batch, m, k] times [batch, k, n].
func TestVectors(t *testing.T) {
	const batch, m, k, n = 2, 3, 4, 5
	rng := rand.New(rand.NewPCG(7, 8))
	left, right := integers(rng, batch*m*k), integers(rng, batch*k*n)
	rows := []struct {
		name string
		g    *Vectors
		x    []float32
		at   func(p, j int) int // element j of place p
	}{
		{"rows", Rows(batch*m*k, k), left, func(p, j int) int { return p*k + j }},
		{"columns of one matrix", &Vectors{K: m * batch, Count: k, Inner: k, Outer: 0, Step: 1, Stride: k}, left,
			func(p, j int) int { return j*k + p }},
		{"columns of each matrix", &Vectors{K: k, Count: batch * n, Inner: n, Outer: k * n, Step: 1, Stride: n}, right,
			func(p, j int) int { return p/n*k*n + j*n + p%n }},
		{"every second element", &Vectors{K: 3, Count: 4, Inner: 2, Outer: 12, Step: 1, Stride: 2}, left,
			func(p, j int) int { return p/2*12 + p%2 + 2*j }},
		{"rows in another order", &Vectors{K: 4, Count: 6, Inner: 2, Outer: 4, Step: 12, Stride: 1}, left,
			func(p, j int) int { return p/2*4 + p%2*12 + j }},
	}
	for _, row := range rows {
		if row.g.Width() != row.g.K || row.g.Places() != row.g.Count {
			t.Errorf("%s: %d places of %d", row.name, row.g.Places(), row.g.Width())
		}
		for p := range row.g.Places() {
			for j, got := range rowOf(row.g, row.x, p) {
				if want := row.x[row.at(p, j)]; got != want {
					t.Errorf("%s: element %d of place %d is %v, want %v", row.name, j, p, got, want)
				}
			}
		}
	}
	if got := Rows(12, 0).Places(); got != 12 {
		t.Errorf("rows of no values: %d places, want 12 and no division by zero", got)
	}
	if got := Rows(0, 4).Places(); got != 0 {
		t.Errorf("rows of nothing: %d", got)
	}
}

// MatMul with weights [m, k] on the left of x [batch, k, n]: output (b, i, c) is weights row i times column c of matrix b.
func TestVectorsOfLeftWeights(t *testing.T) {
	const batch, m, k, n = 2, 3, 4, 5
	rng := rand.New(rand.NewPCG(9, 10))
	weights, x := integers(rng, m*k), integers(rng, batch*k*n)
	g := &Vectors{K: k, Count: batch * n, Inner: n, Outer: k * n, Step: 1, Stride: n}
	for b := range batch {
		y := make([]float32, m*n)
		kernel.Product(y, n, m, n, k, kernel.RowMajor(weights, k), kernel.RowMajor(x[b*k*n:], n), kernel.Epilogue{}, 1)
		for i := range m {
			for c := range n {
				if got := dot(weights[i*k:(i+1)*k], rowOf(g, x, b*n+c)); got != y[i*n+c] {
					t.Errorf("output %d %d %d: %v, want %v", b, i, c, got, y[i*n+c])
				}
			}
		}
	}
}

// States are those of the step before, in reverse of the step behind; each value tells where it stands.
func TestStates(t *testing.T) {
	const steps, batch, hidden = 4, 3, 2
	for _, reverse := range [][]bool{{false}, {true}, {false, true}} {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("reverse=%v/batchFirst=%v", reverse, first), func(t *testing.T) {
				dirs := len(reverse)
				value := func(t, d, b, h int) float32 { return float32(1000*t + 100*d + 10*b + h + 1) }
				var y []float32
				if first {
					each(batch, steps, dirs, hidden, func(b, t, d, h int) { y = append(y, value(t, d, b, h)) })
				} else {
					each(steps, dirs, batch, hidden, func(t, d, b, h int) { y = append(y, value(t, d, b, h)) })
				}
				g := &States{Steps: steps, Batch: batch, Hidden: hidden, Reverse: reverse, BatchFirst: first}
				if g.Width() != dirs*hidden || g.Places() != steps*batch {
					t.Fatalf("%d places of %d", g.Places(), g.Width())
				}
				each(steps, batch, dirs, hidden, func(s, b, d, h int) {
					before, want := s-1, float32(0)
					if reverse[d] {
						before = s + 1
					}
					if before >= 0 && before < steps {
						want = value(before, d, b, h)
					}
					if got := rowOf(g, y, s*batch+b)[d*hidden+h]; got != want {
						t.Errorf("step %d of batch %d, direction %d, state %d: %v, want %v", s, b, d, h, got, want)
					}
				})
			})
		}
	}
}

// each counts through four dimensions.
func each(n0, n1, n2, n3 int, f func(i0, i1, i2, i3 int)) {
	for i := range n0 * n1 * n2 * n3 {
		f(i/(n1*n2*n3), i/(n2*n3)%n1, i/n3%n2, i%n3)
	}
}

func BenchmarkRow(b *testing.B) {
	for _, size := range []int{1, 3, 7} {
		u := [3]int{1, 1, 1}
		w := &kernel.Window{In: [3]int{1, 56, 56}, Kernel: [3]int{1, size, size}, Out: [3]int{1, 56, 56}, Stride: u, Dilation: u,
			Pad: [3]int{0, size / 2, size / 2}}
		const channels = 64
		x := make([]float32, channels*w.InSize())
		for _, g := range []Geometry{&Convolution{1, channels, w}, &Transposed{1, channels, w}} {
			dst := make([]float32, g.Width())
			b.Run(fmt.Sprintf("%T/kernel=%d", g, size), func(b *testing.B) {
				p := 0
				for b.Loop() {
					g.Row(dst, x, p)
					p = (p + 997) % g.Places()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/value")
			})
		}
	}
}
