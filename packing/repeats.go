package packing

// Some tensors repeat themselves: tables of embeddings have the same row for every word that was never seen. Where that
// pays, the range coder first asks of a value whether it is the one that stood behind the same values before.

const (
	leastRepeat   = 5  // values that were the same before one is expected
	longestRepeat = 32 // values that are compared, and told apart
	hashedValues  = 4
	headBits      = 15

	// Repeats are tried where so many values would be found by them, and so many for each that would not.
	repeatsWorth = 64
	repeatsSure  = 1
)

// repeats follows the values of a chunk and expects those that come.
type repeats struct {
	values  []int32 // of the chunk
	at      int     // of the next value
	match   int     // of the value that is expected
	length  int     // values that were the same, 0 for no expectation
	heads   [1 << headBits]int32
	chances [longestRepeat]chance // that the expectation is right, by length
}

// start makes r follow values, none of which is known yet.
func (r *repeats) start(values []int32) {
	*r = repeats{values: values}
	for i := range r.chances {
		r.chances[i] = even
	}
}

// expected returns the value that is expected from -below to above, and whether there is one.
func (r *repeats) expected(below, above int32) (int32, bool) {
	if r.length == 0 {
		return 0, false
	}
	v := r.values[r.match]
	if v < -below || v > above {
		r.length = 0
		return 0, false
	}
	return v, true
}

// chance returns the chance that the expectation is right.
func (r *repeats) chance() *chance { return &r.chances[min(r.length, longestRepeat-1)] }

// add takes the next value, which stands in values now, and whether it was the expected one.
func (r *repeats) add(same bool) {
	r.at++
	if same {
		r.match++
		r.length++
	} else {
		r.length = 0
	}
	if r.at < hashedValues {
		return
	}
	h := uint32(0)
	for _, v := range r.values[r.at-hashedValues : r.at] {
		h = (h + uint32(v) + 1) * multiplier
	}
	head := &r.heads[h>>(32-headBits)]
	if a := int(*head); r.length == 0 && a > 0 {
		l := 0
		for l < longestRepeat && l < a && r.values[a-1-l] == r.values[r.at-1-l] {
			l++
		}
		if l >= leastRepeat {
			r.match, r.length = a, l
		}
	}
	*head = int32(r.at)
}

// worth reports whether the values, of which none is written yet, repeat themselves so much that it may pay to ask.
func (r *repeats) worth(values []int32) bool {
	r.start(values)
	right, wrong := 0, 0
	for _, v := range values {
		same := r.length > 0 && values[r.match] == v
		if same {
			right++
		} else if r.length > 0 {
			wrong++
		}
		r.add(same)
	}
	return right > repeatsWorth && right > repeatsSure*wrong
}
