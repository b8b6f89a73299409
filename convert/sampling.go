package convert

import (
	"errors"
	"fmt"

	"bq/internal/kernel"
	"bq/internal/moments"
	"bq/onnxio"
)

// Places of a layer's output are sampled: enough for a Hessian of its size, evenly over samples and, within a sample, one at
// random in each of as many equal stretches.
const (
	leastPlaces     = 6000 // recipe.md A1.3
	placesPerColumn = 12
)

// sampler chooses rows of a layer's inputs. The same seed and the same sizes give the same rows.
type sampler struct {
	l       *layer
	total   int // places wanted of all samples
	samples int
}

func newSampler(l *layer, samples int) *sampler {
	return &sampler{l, max(leastPlaces, placesPerColumn*l.m.cols), max(1, samples)}
}

// quota returns how many places of sample i, which has the given number, are taken.
func (s *sampler) quota(places int) int { return min(places, (s.total+s.samples-1)/s.samples) }

// place returns the k-th of the quota places taken from sample i.
func (s *sampler) place(i, k, quota, places int) int {
	if quota == places {
		return k
	}
	lo, hi := k*places/quota, (k+1)*places/quota
	return lo + int(hash(uint64(s.l.index)<<40^uint64(i)<<24^uint64(k))%uint64(max(1, hi-lo)))
}

// hash scrambles a number (splitmix64, Steele et al., OOPSLA 2014).
func hash(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// valueError says that a value is NaN or infinite in one of the samples that fit.
type valueError struct {
	value  string
	sample int
}

// Error says it without the sample's name.
func (e *valueError) Error() string {
	return fmt.Sprintf("calibrating %s: NaN or infinity", onnxio.Quote(e.value))
}

// named gives an error of a value the name of its sample.
func (c *converter) named(err error) error {
	if v := (*valueError)(nil); errors.As(err, &v) {
		return fmt.Errorf("%w in %s", v, c.sampleName(c.fitted[v.sample]))
	}
	return err
}

// rowsAtOnce bounds the values of rows that are copied before they are added to the sums.
const rowsAtOnce = 1 << 20

// observe adds sampled rows of the arrays z, one for each sample, to sums; x, where not nil, are the same samples in the
// other stream. first is the number of the first sample.
func (s *sampler) observe(sums *moments.Sums, z, x []*onnxio.Array, first, threads int) error {
	width := s.l.m.groups * s.l.m.cols
	row := s.l.m.rowCopier(s.l.inputs)
	batch := max(1, rowsAtOnce/width)
	zs := make([]float32, batch*width)
	var xs []float32
	if x != nil {
		xs = make([]float32, batch*width)
	}
	n := 0
	flush := func() {
		sums.Add(zs, xs, n, threads)
		n = 0
	}
	for i, v := range z {
		if _, _, finite := kernel.MinMax(v.F32()); !finite {
			return &valueError{s.l.value, first + i}
		}
		g, err := s.l.geometry(v)
		if err != nil {
			return err
		}
		places := g.Places()
		quota := s.quota(places)
		for k := 0; k < quota; {
			m := min(quota-k, batch-n)
			kernel.Parallel(threads, m, func(r int) {
				p := s.place(first+i, k+r, quota, places)
				row(g, zs[(n+r)*width:(n+r+1)*width], v.F32(), p)
				if x != nil {
					row(g, xs[(n+r)*width:(n+r+1)*width], x[i].F32(), p)
				}
			})
			k, n = k+m, n+m
			if n == batch {
				flush()
			}
		}
	}
	flush()
	return nil
}

// rowCopier returns what copies a row of a geometry of so many inputs to the places that the matrix's groups have for them.
func (m *matrix) rowCopier(inputs int) func(g moments.Geometry, dst, x []float32, place int) {
	each, places := m.width(inputs)
	if each == places {
		return func(g moments.Geometry, dst, x []float32, place int) { g.Row(dst, x, place) }
	}
	return func(g moments.Geometry, dst, x []float32, place int) {
		buf := buffers.borrow(inputs)
		defer buffers.put(buf)
		g.Row(*buf, x, place)
		for at := 0; at < inputs/each; at++ {
			n := copy(dst[at*places:(at+1)*places], (*buf)[at*each:(at+1)*each])
			clear(dst[at*places+n : (at+1)*places])
		}
	}
}
