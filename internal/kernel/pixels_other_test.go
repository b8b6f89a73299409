//go:build !amd64

package kernel

// eachMove runs f: there is one kind of kernels.
func eachMove(f func()) { f() }
