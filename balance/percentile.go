package balance

import (
	"fmt"
	"math"

	"bq/internal/kernel"
)

// orderKey returns the monotone image of v: a < b exactly if orderKey(a) < orderKey(b), with -0 before +0 and every
// NaN after +Inf.
func orderKey(v float32) uint32 {
	b := math.Float32bits(v)
	if v != v {
		return math.MaxUint32
	}
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

// fromKey is the inverse of orderKey, which maps the key of the NaNs to one NaN.
func fromKey(k uint32) float32 {
	return math.Float32frombits(k ^ (uint32(int32(^k)>>31) | 1<<31))
}

// Select writes to dst[i] the element of x that would stand at ranks[i], counted from 0, were x sorted ascending:
// the exact order statistic, with -0 before +0 and NaN after +Inf. Ranks may come in any order and repeat. x is only
// read: three counting passes over the 16, 8 and 8 bits of the monotone image of the float bits replace the sort, in
// memory that depends on the number of ranks alone. dst and ranks have one length; a rank outside x panics.
func Select(dst, x []float32, ranks []int) {
	if len(dst) != len(ranks) {
		panic(fmt.Sprintf("balance: selecting %d ranks into %d", len(ranks), len(dst)))
	}
	for _, r := range ranks {
		if r < 0 || r >= len(x) {
			panic(fmt.Sprintf("balance: selecting rank %d of %d values", r, len(x)))
		}
	}
	if len(ranks) == 0 {
		return
	}
	if _, _, finite := kernel.MinMax(x); !finite {
		buf := borrow[float32](&floats, len(x))
		defer floats.Put(buf)
		for i, v := range x {
			(*buf)[i] = fromKey(orderKey(v))
		}
		x = *buf
	}
	s := selection{x: x, rank: append([]int(nil), ranks...), key: make([]uint32, len(ranks))}
	top := s.countTop()
	for i := range s.rank {
		s.descend(i, top)
	}
	s.keepWanted(top)
	s.refine(16)
	s.refine(24)
	for i, k := range s.key {
		dst[i] = fromKey(k)
	}
}

// selection follows every wanted rank down the digits of the key.
type selection struct {
	x    []float32 // every NaN in it has the largest key
	rank []int     // rank among the values that share the digits found so far
	key  []uint32  // the digits found so far, from the low end
}

// plainKey is orderKey of a value that is no NaN, or the one that fromKey returns.
func plainKey(v float32) uint32 {
	b := math.Float32bits(v)
	return b ^ (uint32(int32(b)>>31) | 1<<31)
}

func (s *selection) countTop() []int {
	counts := make([]int, 1<<16)
	const most = 1 << 31          // values that 32 bits can count
	var tables [2][1 << 16]uint32 // by the upper bits as they are; neighbours seldom wait for each other
	for x := s.x; len(x) > 0; {
		part := x[:min(len(x), most)]
		x = x[len(part):]
		even := part[:len(part)&^1]
		for i := 0; i < len(even)-1; i += 2 {
			tables[0][math.Float32bits(even[i])>>16]++
			tables[1][math.Float32bits(even[i+1])>>16]++
		}
		for _, v := range part[len(even):] {
			tables[0][math.Float32bits(v)>>16]++
		}
		for top := range counts {
			counts[plainKey(math.Float32frombits(uint32(top)<<16))>>16] += int(tables[0][top]) + int(tables[1][top])
			tables[0][top], tables[1][top] = 0, 0
		}
	}
	return counts
}

// keepWanted leaves only the values in s.x that share the first 16 bits with a key, where these are few.
func (s *selection) keepWanted(counts []int) {
	const few = 8            // a share of 1/8 is worth a pass that copies it
	var wanted [1 << 16]bool // by the upper bits as they are
	total := 0
	for _, k := range s.key {
		if top := math.Float32bits(fromKey(k<<16)) >> 16; !wanted[top] {
			wanted[top] = true
			total += counts[k]
		}
	}
	if total > len(s.x)/few {
		return
	}
	kept, n := make([]float32, total), 0
	for _, v := range s.x {
		if wanted[math.Float32bits(v)>>16] {
			kept[n] = v
			n++
		}
	}
	s.x = kept
}

// descend appends to key i the digit under which its rank falls.
func (s *selection) descend(i int, counts []int) {
	d := 0
	for s.rank[i] >= counts[d] {
		s.rank[i] -= counts[d]
		d++
	}
	if len(counts) == 1<<16 {
		s.key[i] = uint32(d)
		return
	}
	s.key[i] = s.key[i]<<8 | uint32(d)
}

// refine finds the 8 bits that follow the first `known` bits of every key. A row of 256 counters belongs to every
// distinct prefix; row 0 takes all values of other prefixes, so that the pass needs no branch.
func (s *selection) refine(known int) {
	row, rows := s.index(known)
	counts := make([]int, 256*rows)
	if known == 16 {
		for _, v := range s.x {
			k := plainKey(v)
			counts[int(row[k>>16])<<8|int(k>>8&0xff)]++
		}
	} else {
		for _, v := range s.x {
			k := plainKey(v)
			second := int(row[k>>16])<<8 | int(k>>8&0xff)
			counts[int(row[1<<16+second])<<8|int(k&0xff)]++
		}
	}
	for i := range s.rank {
		r := int(row[s.key[i]&0xffff])
		if known == 24 {
			r = int(row[1<<16+int(row[s.key[i]>>8])<<8+int(s.key[i]&0xff)])
		}
		s.descend(i, counts[r<<8:r<<8+256])
	}
}

// index numbers the distinct prefixes from 1. Entries 0 to 65535 map the top 16 bits to a number; for 24 known bits
// a second table of 256 entries for each of those numbers follows.
func (s *selection) index(known int) (row []uint32, rows int) {
	row = make([]uint32, 1<<16, 1<<16+(len(s.key)+1)<<8)
	first, second := uint32(0), uint32(0)
	for _, k := range s.key {
		if p := k >> (known - 16); row[p] == 0 {
			first++
			row[p] = first
		}
	}
	if known == 16 {
		return row, int(first) + 1
	}
	row = row[:1<<16+int(first+1)<<8]
	for _, k := range s.key {
		if p := 1<<16 + int(row[k>>8])<<8 + int(k&0xff); row[p] == 0 {
			second++
			row[p] = second
		}
	}
	return row, int(second) + 1
}

// Quantiles writes to dst[i] the quantile of x at probs[i] in [0, 1]: linear interpolation at position prob*(n-1) of
// the sorted values (Hyndman and Fan 1996, definition 7; the default of NumPy and R). NaN sorts last and so appears
// only in quantiles that reach it. An empty x gives NaN; a prob outside [0, 1] panics.
func Quantiles(dst, x []float32, probs []float64) {
	if len(dst) != len(probs) {
		panic(fmt.Sprintf("balance: computing %d quantiles into %d", len(probs), len(dst)))
	}
	ranks := make([]int, 0, 2*len(probs))
	for _, p := range probs {
		if !(p >= 0 && p <= 1) {
			panic(fmt.Sprintf("balance: computing quantile %v", p))
		}
		lo := int(p * float64(len(x)-1))
		ranks = append(ranks, lo, min(lo+1, len(x)-1))
	}
	if len(x) == 0 {
		for i := range dst {
			dst[i] = float32(math.NaN())
		}
		return
	}
	values := make([]float32, len(ranks))
	Select(values, x, ranks)
	for i, p := range probs {
		a, b := float64(values[2*i]), float64(values[2*i+1])
		t := float64(p*float64(len(x)-1)) - float64(ranks[2*i])
		switch {
		case t == 0 || a == b:
			dst[i] = values[2*i]
		default:
			dst[i] = float32(float64(a*(1-t)) + float64(b*t))
		}
	}
}
