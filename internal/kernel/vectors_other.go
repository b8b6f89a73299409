//go:build !amd64 && !arm64

package kernel

func vectorsOf(level) vectorSet { return plainVectors }
