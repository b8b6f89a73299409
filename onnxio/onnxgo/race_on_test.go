//go:build race

package onnxgo

const raceEnabled = true
