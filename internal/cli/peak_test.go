package cli

import (
	"runtime"
	"testing"
)

func TestPeakLine(t *testing.T) {
	for text, want := range map[string]int64{
		"Name:\tbq\nVmPeak:\t  9000 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 12 kB\n": 1234 << 10,
		"": -1, "VmHWM:\t12\n": -1, "VmHWM:\tx kB\n": -1, "VmHWM:\t12 MB\n": -1, "VmHWM:\t99999999999999999999 kB\n": -1,
	} {
		got, ok := peakLine([]byte(text))
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
	}
}

// Memory that was held shows in the peak, and stays there.
func TestPeakMemory(t *testing.T) {
	before, ok := peakMemory()
	if !ok {
		t.Skipf("skipped: %s does not tell the peak of a process; reports leave it out there, and scripts take both", runtime.GOOS)
	}
	const size = 64 << 20
	held := make([]byte, size)
	for i := range held {
		held[i] = 1
	}
	after, _ := peakMemory()
	runtime.KeepAlive(held)
	if before < 1<<20 || after < before || after < size {
		t.Errorf("%d bytes before, %d after holding %d", before, after, size)
	}
}
