package balance

import (
	"math"
	"slices"
)

// ZeroSum moves codes by one where that makes the rounding errors of each channel add up to nearly zero: to at most
// half of the step that the last move would have taken. It moves the values that lie nearest to the border between
// two codes, for which the move costs least (Guo et al., "SQuant", ICLR 2022, section 3, its channel-wise case).
//
// Inputs of a layer that follow a rectifier are positive, so that a channel whose errors do not cancel shifts the mean
// of its output; no data are needed to see that. w are the values that were coded, in tensor order.
func (q *Quantized) ZeroSum(w []float32) {
	l := q.Layout
	got := make([]float32, len(w))
	q.Dequantize(got)
	sums := make([]float64, l.Channels)
	e := 0
	for range l.Outer {
		for c := range l.Channels {
			for range l.Inner {
				sums[c] += float64(w[e]) - float64(got[e])
				e++
			}
		}
	}
	for c, moves := range q.cheapMoves(w, got, sums) {
		for _, v := range moves {
			if after := sums[c] - v.step; after*after >= sums[c]*sums[c] {
				break
			}
			q.Codes[v.element] = v.code
			sums[c] -= v.step
		}
	}
}

// cheapMoves returns, for each channel, moves in the direction of its sum of errors, the cheapest first, about twice as
// many as steps fit in the sum.
func (q *Quantized) cheapMoves(w, got []float32, sums []float64) [][]move {
	l, blocks := q.Layout, q.Layout.Blocks()
	best := make([][]move, l.Channels)
	most := make([]int, l.Channels)
	e := 0
	for o := range l.Outer {
		for c := range l.Channels {
			up, group := sums[c] > 0, c*blocks
			for i := range l.Inner {
				err := float64(w[e]) - float64(got[e])
				e++
				if err > 0 != up {
					continue // the move would take more than a whole step
				}
				if l.Block > 0 {
					group = c*blocks + (o*l.Inner+i)/l.Block
				}
				to, step, ok := q.neighbour(e-1, group, up)
				if !ok {
					continue
				}
				if most[c] == 0 {
					most[c] = min(maxMoves, 4+int(min(maxMoves, 2*math.Abs(sums[c]/step))))
				}
				v := move{e - 1, to, step, float64(step*step) - float64(2*step*err)} // no fused multiply-add: it decides codes
				if list := best[c]; len(list) < most[c] || v.cost < list[len(list)-1].cost {
					best[c] = cheapest(list, v, most[c])
				}
			}
		}
	}
	return best
}

// maxMoves bounds the moves of a channel: more than the errors of 10^6 values ask for.
const maxMoves = 1 << 10

// cheapest puts v into list, sorted by cost and then by element, which holds the cheapest most moves.
func cheapest(list []move, v move, most int) []move {
	if len(list) == most {
		if list[most-1].cost <= v.cost {
			return list
		}
		list = list[:most-1]
	}
	at := len(list)
	for at > 0 && list[at-1].cost > v.cost {
		at--
	}
	return slices.Insert(list, at, v)
}

// move changes the code of one element.
type move struct {
	element int
	code    uint8
	step    float64 // by which the value grows
	cost    float64 // in squared error
}

// neighbour returns the code next to that of element e of the given group whose value is larger, or smaller, and the
// step to it; false where there is none.
func (q *Quantized) neighbour(e, group int, up bool) (code uint8, step float64, ok bool) {
	from := int(q.Codes[e])
	to := from - 1
	if up {
		to = from + 1
	}
	if to < 0 || to >= 1<<q.Bits {
		return 0, 0, false
	}
	scale := q.Scales[group]
	if q.Stretch != 0 {
		scale *= q.Stretch
	}
	step = float64(float64(to-from) * float64(scale)) // rounded before it is added
	if q.Levels != nil {
		step = float64((float64(q.Levels[to]) - float64(q.Levels[from])) * float64(scale))
	}
	return uint8(to), step, step != 0
}
