//go:build !race

package onnxgo

const raceEnabled = false
