package balance

import (
	"fmt"
	"testing"
)

// nsPerValue reports the figure the budgets are stated in.
func nsPerValue(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/value")
}

func BenchmarkQuantize(b *testing.B) {
	const n = 1 << 21
	x := gaussian(n)
	layouts := map[string]Layout{
		"tensor":       PerTensor(n),
		"channel=9":    {1, n / 9, 9, 0},
		"channel=512":  {1, n / 512, 512, 0},
		"channel=4096": {1, n / 4096, 4096, 0},
		"last=1024":    {n / 1024, 1024, 1, 0},
		"block=32":     {1, n / 1024, 1024, 32},
	}
	for _, name := range []string{"tensor", "channel=9", "channel=512", "channel=4096", "last=1024", "block=32"} {
		l := layouts[name]
		for _, bits := range []int{2, 4, 6, 8} {
			for _, m := range []Method{Affine, Lloyd} {
				b.Run(fmt.Sprintf("%v/%s/bits=%d", m, name, bits), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := Quantize(x[:l.Len()], nil, l, Spec{Bits: bits, Method: m}); err != nil {
							b.Fatal(err)
						}
					}
					nsPerValue(b, l.Len())
				})
			}
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	const n = 1e7
	x := gaussian(n)
	for _, k := range []int{2, 16, 256} {
		dst, ranks := make([]float32, k-1), countRanks(n, k)
		b.Run(fmt.Sprintf("ranks=%d/n=%d", k-1, len(x)), func(b *testing.B) {
			b.SetBytes(4 * n)
			for b.Loop() {
				Select(dst, x, ranks)
			}
			nsPerValue(b, n)
		})
	}
}

func BenchmarkAssign(b *testing.B) {
	x := gaussian(1 << 20)
	dst := make([]uint8, len(x))
	for _, bits := range []int{4, 8} {
		cb, err := BalancedCodebook(x, nil, bits, 1, LevelMeans)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("bits=%d/n=%d", bits, len(x)), func(b *testing.B) {
			for b.Loop() {
				cb.Assign(dst, x)
			}
			nsPerValue(b, len(x))
		})
	}
}

func BenchmarkDequantize(b *testing.B) {
	x := gaussian(1 << 20)
	for _, m := range []Method{Affine, Lloyd} {
		q, err := Quantize(x, nil, Layout{1, 1 << 10, 1 << 10, 0}, Spec{Bits: 4, Method: m})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(m.String(), func(b *testing.B) {
			for b.Loop() {
				q.Dequantize(x)
			}
			nsPerValue(b, len(x))
		})
	}
}

func BenchmarkHistogram(b *testing.B) {
	x := gaussian(1 << 20)
	b.Run("add", func(b *testing.B) {
		for b.Loop() {
			var h Histogram
			h.Add(x)
		}
		nsPerValue(b, len(x))
	})
	var h Histogram
	h.Add(x)
	b.Run("mse/bits=8", func(b *testing.B) {
		for b.Loop() {
			h.MSERange(8)
		}
	})
}
