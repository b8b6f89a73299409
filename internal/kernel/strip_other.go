//go:build !amd64

package kernel

func (s *strip) run() { s.runPlain() }
