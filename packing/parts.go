package packing

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Coded sections consist of parts that know nothing of each other, so that several processors can share the work: the
// lengths of all parts but the last, as shortest integers, and the parts. How many there are follows from the number
// of codes.

// partCount returns how many parts of at most size items hold n of them.
func partCount(n, size int) int { return (n + size - 1) / size }

// partStart returns the first item of part i of the given number, which are equally long but for the last; that of the
// one behind it is n.
func partStart(n, parts, i int) int { return min(n, (n+parts-1)/parts*i) }

// joinParts appends the lengths and the parts to dst.
func joinParts(dst []byte, parts [][]byte) []byte {
	for i := 0; i+1 < len(parts); i++ {
		dst = binary.AppendUvarint(dst, uint64(len(parts[i])))
	}
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// splitParts is the inverse of joinParts. What it allocates is at most a part for each byte of src that has been seen.
func splitParts(src []byte, count int) ([][]byte, error) {
	if count == 0 {
		if len(src) > 0 {
			return nil, fmt.Errorf("%d bytes for nothing", len(src))
		}
		return nil, nil
	}
	if count-1 > len(src) {
		return nil, fmt.Errorf("%d bytes for the lengths of %d parts", len(src), count)
	}
	parts, lengths := make([][]byte, count), make([]uint64, count-1)
	rest := src
	for i := range lengths {
		v, n := binary.Uvarint(rest)
		if n <= 0 || n > 1 && rest[n-1] == 0 {
			return nil, fmt.Errorf("length of part %d is no shortest integer", i)
		}
		lengths[i], rest = v, rest[n:]
	}
	for i, n := range lengths {
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("part %d has %d bytes, %d are left", i, n, len(rest))
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	parts[count-1] = rest
	return parts, nil
}

// eachPart calls work for 0 to count-1 on as many goroutines as there are processors, each with a state of its own out
// of the pool.
func eachPart[T any](count int, pool *sync.Pool, work func(state *T, i int)) {
	var next atomic.Int64
	loop := func() {
		state := pool.Get().(*T)
		defer pool.Put(state)
		for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
			work(state, i)
		}
	}
	var group sync.WaitGroup
	for range min(count, runtime.GOMAXPROCS(0)) - 1 {
		group.Go(loop)
	}
	if count > 0 {
		loop()
	}
	group.Wait()
}
