package dataset

import "testing"

// BenchmarkResize takes a photo of 500 x 375 to 341 x 256, as preset=imagenet does.
func BenchmarkResize(b *testing.B) {
	p := newPicture(500, 375, 3)
	b.SetBytes(int64(len(p.pix)))
	for b.Loop() {
		resize(p, 341, 256)
	}
}
