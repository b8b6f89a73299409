package kernel

// eachMove runs f with the kernels that move bytes across a vector at once, and with those that do not.
func eachMove(f func()) {
	here := movesBytes
	defer func() { movesBytes = here }()
	for _, movesBytes = range []bool{here, false} {
		f()
	}
}
