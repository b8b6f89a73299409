//go:build !amd64 && !arm64

package kernel

func (s *strip) run() { s.runPlain() }
