package kernel

import "golang.org/x/sys/cpu"

// detect finds NEON on every processor: it belongs to arm64. Only the environment can take it away.
func detect() level {
	if cpu.ARM64.HasASIMD {
		return neon
	}
	return plain
}
