package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// runs are pieces of n elements that are copied from one array to another of the same element type: run i of count from
// position from+i*fromStep to position to+i*toStep.
type runs struct{ n, count, from, fromStep, to, toStep int }

// copyRuns is copyRuns by all threads where there is enough to copy.
func (r *run) copyRuns(dst, src *onnxio.Array, all runs) {
	const unit = 1 << 14
	units := min(8*r.threads, all.n*all.count/unit)
	if r.threads < 2 || units < 2 {
		copyRuns(dst, src, all)
		return
	}
	kernel.Parallel(r.threads, units, func(u int) {
		part := all
		if all.count >= units {
			lo, hi := u*all.count/units, (u+1)*all.count/units
			part.from, part.to, part.count = all.from+lo*all.fromStep, all.to+lo*all.toStep, hi-lo
		} else {
			lo, hi := u*all.n/units, (u+1)*all.n/units
			part.from, part.to, part.n = all.from+lo, all.to+lo, hi-lo
		}
		copyRuns(dst, src, part)
	})
}

// copyRuns copies runs of src to dst.
func copyRuns(dst, src *onnxio.Array, r runs) {
	switch d := dst.Data.(type) {
	case []float32:
		copyEach(d, src.Data.([]float32), r)
	case []float64:
		copyEach(d, src.Data.([]float64), r)
	case []int8:
		copyEach(d, src.Data.([]int8), r)
	case []int16:
		copyEach(d, src.Data.([]int16), r)
	case []int32:
		copyEach(d, src.Data.([]int32), r)
	case []int64:
		copyEach(d, src.Data.([]int64), r)
	case []uint8:
		copyEach(d, src.Data.([]uint8), r)
	case []uint16:
		copyEach(d, src.Data.([]uint16), r)
	case []uint32:
		copyEach(d, src.Data.([]uint32), r)
	case []uint64:
		copyEach(d, src.Data.([]uint64), r)
	case []bool:
		copyEach(d, src.Data.([]bool), r)
	case []string:
		copyEach(d, src.Data.([]string), r)
	}
}

// copyEach is copyRuns. Short runs are not worth a call of copy.
func copyEach[T any](dst, src []T, r runs) {
	const short = 8
	from, to := r.from, r.to
	switch {
	case r.n == 1:
		for range r.count {
			dst[to] = src[from]
			from, to = from+r.fromStep, to+r.toStep
		}
	case r.n == 2:
		for range r.count {
			*(*[2]T)(dst[to:]) = [2]T(src[from:])
			from, to = from+r.fromStep, to+r.toStep
		}
	case r.n == 4:
		for range r.count {
			d, s := (*[4]T)(dst[to:]), (*[4]T)(src[from:])
			d[0], d[1], d[2], d[3] = s[0], s[1], s[2], s[3]
			from, to = from+r.fromStep, to+r.toStep
		}
	case r.n <= short:
		for range r.count {
			d, s := dst[to:to+r.n], src[from:from+r.n]
			for k := range d {
				d[k] = s[k]
			}
			from, to = from+r.fromStep, to+r.toStep
		}
	default:
		for range r.count {
			copy(dst[to:to+r.n], src[from:from+r.n])
			from, to = from+r.fromStep, to+r.toStep
		}
	}
}
