//go:build !amd64 && !arm64

package kernel

func (t *tile) run() { t.runPlain() }

func dots(dst *[4]float32, x, w []float32, stride int) { dotsPlain(dst, x, w, stride) }
