//go:build !darwin

package cli

// systemPeak is for systems that do not tell.
func systemPeak() (int64, bool) { return 0, false }
