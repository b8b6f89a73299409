//go:build !amd64 && !arm64

package kernel

func roundHalf([]float32) int { return 0 }
