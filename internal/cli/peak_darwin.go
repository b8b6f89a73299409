package cli

import "syscall"

// systemPeak returns the peak of getrusage(2), which macOS gives in bytes.
func systemPeak() (int64, bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return u.Maxrss, true
}
