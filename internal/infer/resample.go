package infer

import (
	"bq/internal/kernel"
	"bq/onnxio"
)

// resample computes one dimension of x from the taps of each output position.
func (r *run) resample(x *onnxio.Array, axis int, taps [][]tap, nearest bool) (*onnxio.Array, error) {
	shape := append([]int{}, x.Shape...)
	shape[axis] = len(taps)
	out, err := r.new(x.Type, shape...)
	if err != nil {
		return nil, err
	}
	outer, inner, n := product(x.Shape[:axis]), product(x.Shape[axis+1:]), x.Shape[axis]
	if nearest {
		if d := x.F32(); d != nil && inner == 1 {
			pick(out.F32(), d, taps, outer, n)
			return out, nil
		}
		if d := x.F32(); d != nil {
			r.rows(outer, len(taps)*inner, func(o int) {
				dst, src := out.F32()[o*len(taps)*inner:], d[o*n*inner:]
				for i, t := range taps {
					copy(dst[i*inner:(i+1)*inner], src[t[0].at*inner:])
				}
			})
			return out, nil
		}
		for o := range outer {
			for i, t := range taps {
				copyRange(out, (o*len(taps)+i)*inner, x, (o*n+t[0].at)*inner, inner)
			}
		}
		return out, nil
	}
	switch d := x.Data.(type) {
	case []float32:
		mixFast(r, out.F32(), d, taps, outer, n, inner)
	case []float64:
		mix(out.Data.([]float64), d, taps, outer, n, inner)
	default:
		return nil, typeError(x)
	}
	return out, nil
}

// pick copies the one tap of every position of outer rows of n elements.
func pick(dst, src []float32, taps [][]tap, outer, n int) {
	at := make([]int, len(taps))
	for i, t := range taps {
		at[i] = t[0].at
	}
	for o := range outer {
		row, from := dst[o*len(at):(o+1)*len(at)], src[o*n:(o+1)*n]
		for i, k := range at {
			row[i] = from[k]
		}
	}
}

// mixFast is mix in float32: long rows of inner elements by vectors, short ones element by element from tables.
func mixFast(r *run, dst, src []float32, taps [][]tap, outer, n, inner int) {
	switch {
	case inner < 16 && len(taps)*inner < 1<<20:
		mixRows(r, dst, src, taps, outer, n, inner)
		return
	case inner < 64:
		mixShort(r, dst, src, taps, outer, n, inner)
		return
	}
	r.rows(outer*len(taps), 2*inner, func(k int) {
		o, list := k/len(taps), taps[k%len(taps)]
		row := dst[k*inner:][:inner]
		const piece = 1 << 12
		for j := 0; j < inner; j += piece {
			m := min(piece, inner-j)
			to := row[j : j+m]
			if len(list) == 0 {
				clear(to)
			}
			from := func(i int) ([]float32, float32) {
				return src[(o*n+list[i].at)*inner+j:][:m], float32(list[i].weight)
			}
			for i := 0; i < len(list); i++ {
				v, w := from(i)
				switch {
				case i > 0:
					kernel.Mix(to, to, v, 1, w)
				case len(list) > 1:
					next, u := from(1)
					kernel.Mix(to, v, next, w, u)
					i++
				default:
					kernel.Affine(to, v, w, 0)
				}
			}
		}
	})
}

// mixShort is mix for rows of one to a few vectors.
func mixShort(r *run, dst, src []float32, taps [][]tap, outer, n, inner int) {
	r.rows(outer, 4*len(taps)*inner, func(o int) {
		from := src[o*n*inner:]
		for i, list := range taps {
			to := dst[(o*len(taps)+i)*inner:][:inner]
			if len(list) == 2 {
				kernel.Mix(to, from[list[0].at*inner:][:inner], from[list[1].at*inner:][:inner], float32(list[0].weight), float32(list[1].weight))
				continue
			}
			clear(to)
			for _, t := range list {
				kernel.Mix(to, to, from[t.at*inner:][:inner], 1, float32(t.weight))
			}
		}
	})
}

// mixRows is mix element by element, from tables of positions and weights with as many entries for every element; those behind the last
// tap weigh nothing and are left out.
func mixRows(r *run, dst, src []float32, taps [][]tap, outer, n, inner int) {
	most := 0
	for _, list := range taps {
		most = max(most, len(list))
	}
	if most > 16 { // what antialias shrinks by much: mix adds as many products, and needs no tables
		clear(dst)
		mix(dst, src, taps, outer, n, inner)
		return
	}
	size := len(taps) * inner
	at, weights := make([]int, most*size), make([]float32, most*size)
	for i := range size {
		for k, t := range taps[i/inner] {
			at[k*size+i], weights[k*size+i] = t.at*inner+i%inner, float32(t.weight)
		}
	}
	r.rows(outer, most*size, func(o int) {
		row, from := dst[o*size:(o+1)*size], src[o*n*inner:(o+1)*n*inner]
		clear(row)
		for k := range most {
			ats, ws := at[k*size:(k+1)*size], weights[k*size:(k+1)*size]
			for i := range row {
				if w := ws[i]; w != 0 {
					row[i] += float32(w * from[ats[i]])
				}
			}
		}
	})
}

func mix[T float](dst, src []T, taps [][]tap, outer, n, inner int) {
	for o := range outer {
		for i, list := range taps {
			row := dst[(o*len(taps)+i)*inner:][:inner]
			for _, t := range list {
				from := src[(o*n+t.at)*inner:][:inner]
				w := T(t.weight)
				for j, v := range from {
					row[j] += w * v
				}
			}
		}
	}
}
