//go:build race

package opset

const raceEnabled = true
