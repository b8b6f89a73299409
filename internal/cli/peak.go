package cli

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
)

// peakMemory returns the most memory that the process has held so far, in bytes; false where the system does not tell: on Linux it is
// VmHWM of proc_pid_status(5), which a process does not inherit as it does ru_maxrss of getrusage(2).
func peakMemory() (int64, bool) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return systemPeak()
	}
	return peakLine(b)
}

// peakLine finds the peak in the text of /proc/self/status.
func peakLine(status []byte) (int64, bool) {
	for s := bufio.NewScanner(bytes.NewReader(status)); s.Scan(); {
		fields := bytes.Fields(s.Bytes())
		if len(fields) == 3 && string(fields[0]) == "VmHWM:" && string(fields[2]) == "kB" {
			n, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10, err == nil && n < 1<<50
		}
	}
	return 0, false
}
