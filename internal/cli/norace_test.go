//go:build !race

package cli

// underRace says that the race detector is on.
const underRace = false
