//go:build !amd64

package kernel

func vectorsOf(level) vectorSet { return plainVectors }
