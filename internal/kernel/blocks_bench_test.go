package kernel

import (
	"fmt"
	"testing"
)

// BenchmarkBlockRun measures the kernels alone, on data that stays in the caches: taps of 16 channels, 168 pixels.
func BenchmarkBlockRun(b *testing.B) {
	for _, c := range []struct{ blocks, channels int }{{1, 16}, {1, 144}, {2, 384}, {3, 384}, {4, 16}, {4, 384}} {
		b.Run(fmt.Sprintf("blocks=%d/channels=%d", c.blocks, c.channels), func(b *testing.B) {
			const pixels = 168
			r := blockRun{
				blocks: c.blocks, pixels: pixels, lines: 1, dstLine: pixels * Block, dst: make([]float32, c.blocks*pixels*Block), dstPitch: pixels * Block,
				src: make([]float32, c.channels*pixels), step: Block, weights: make([]float32, c.channels*c.blocks*Block),
				rows: c.channels, bias: make([]float32, c.blocks*Block), low: -infinity, high: infinity,
			}
			for ch := 0; ch < c.channels; ch += Block {
				r.taps = append(r.taps, tap{4 * ch * pixels, Block})
			}
			for b.Loop() {
				r.run()
			}
			b.ReportMetric(2*float64(pixels*c.channels*c.blocks*Block)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
