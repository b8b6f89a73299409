//go:build !amd64

package kernel

func (b *blockRun) run() { b.runPlain() }
