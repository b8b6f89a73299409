package infer

import "testing"

// TestPoisonedMemory runs the operator cases and a few models with arenas whose memory is spoiled with NaNs whenever it
// is lent or given back, small values and results included: an operator that reads what it has not written, or a value
// whose memory is taken back too early, shows in the results.
func TestPoisonedMemory(t *testing.T) {
	poisonMemory = true
	defer func() { poisonMemory = false }()
	t.Run("cases", TestConformance)
	files := openZip(t, "zoo/golden.zip")
	for _, name := range []string{"silero-vad-v4", "yolox-nano", "nnsplit-en", "stories260k-llama-lm", "cifar10-resnet20-bn",
		"gtcrn", "magika-standard-v3_3", "libtashkeel-ort", "shufflenet-v2-12-int8", "mnist-8", "dtln-1", "fsmn-vad-offline"} {
		t.Run(name, func(t *testing.T) { checkGolden(t, files, name) })
	}
}
