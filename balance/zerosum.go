package balance

import (
	"math"
	"slices"

	"bq/internal/kernel"
)

// ZeroSum moves codes by one where that makes the rounding errors of each channel add up to nearly zero: to at most
// half of the step that the last move would have taken. It moves the values that lie nearest to the border between
// two codes, for which the move costs least (Guo et al., "SQuant", ICLR 2022, section 3, its channel-wise case).
//
// Inputs of a layer that follow a rectifier are positive, so that a channel whose errors do not cancel shifts the mean
// of its output; no data are needed to see that. w are the values that were coded, in tensor order.
func (q *Quantized) ZeroSum(w []float32) {
	q.inGroupOrder(w, func(x []float32) {
		d := q.decoder()
		d.up, d.down = q.moveTable(true), q.moveTable(false)
		for c := range q.Layout.Channels {
			d.balanceChannel(x, c, true)
		}
	})
}

// balanceChannel moves codes of channel c, if it may, and returns the channel's squared error then. x and the codes are
// in group order.
func (d *decoder) balanceChannel(x []float32, c int, move bool) (squares float64) {
	sum, blocks := 0.0, d.Layout.Blocks()
	for g := c * blocks; g < (c+1)*blocks; g++ {
		part, codes := d.group(x, g)
		s, q := kernel.CodeErrors(part, codes, d.values(g), d.Bits, d.scale(g))
		sum, squares = sum+s, squares+q
	}
	if !move || sum == 0 {
		return squares
	}
	for _, v := range d.cheapMoves(x, c, sum) {
		after := sum - v.step
		if float64(after*after) >= float64(sum*sum) {
			break
		}
		d.Codes[v.element] = v.code
		sum, squares = after, squares+v.cost
	}
	return squares
}

// moveTable is the step from each code to the next in one direction, before it is scaled: infinite where there is none, or
// where it leads nowhere.
type moveTable struct {
	steps   kernel.Values
	longest float32 // of the finite steps, with their sign
}

func (q *Quantized) moveTable(up bool) *moveTable {
	t := new(moveTable)
	way, inf := 1, float32(math.Inf(1))
	if !up {
		way, inf = -1, -inf
	}
	for code := range t.steps {
		to := code + way
		switch {
		case to < 0 || to >= 1<<q.Bits || code >= 1<<q.Bits:
			t.steps[code] = inf
			continue
		case q.Levels == nil:
			t.steps[code] = float32(way)
		default:
			t.steps[code] = q.Levels[to] - q.Levels[code]
		}
		if v := t.steps[code]; v == 0 {
			t.steps[code] = inf
		} else if max(v, -v) > max(t.longest, -t.longest) {
			t.longest = v
		}
	}
	return t
}

// costUnit returns 1/u, u the longest step of channel c, of its sign: costs in units of u^2 neither overflow nor vanish.
func (d *decoder) costUnit(t *moveTable, c int) float32 {
	blocks, scale := d.Layout.Blocks(), float32(0)
	for g := c * blocks; g < (c+1)*blocks; g++ {
		scale = max(scale, d.scale(g))
	}
	return min(max(1/(t.longest*scale), -math.MaxFloat32), math.MaxFloat32)
}

// moveSlack is how far a cost in float32 and in units may be from the exact one, in parts of 1 + |cost|: it has a few
// roundings of 2^-24 each.
const moveSlack = 1e-5

// cheapMoves returns moves of channel c in the direction of its sum of errors, the cheapest first, about twice as many
// as steps fit in the sum.
func (d *decoder) cheapMoves(x []float32, c int, sum float64) []move {
	up, unit := sum > 0, d.costUnit(d.down, c)
	if up {
		unit = d.costUnit(d.up, c)
	}
	most := d.moveCount(x, c, sum)
	if most == 0 {
		return nil
	}
	if d.searchMoves(x, c, up, unit, most, d.limit); len(d.best) < most || d.worst(unit) > d.limit-moveSlack*(1+math.Abs(d.limit)) {
		d.searchMoves(x, c, up, unit, most, math.MaxFloat32) // the limit was too tight for this channel
	}
	d.limit = math.MaxFloat32
	if len(d.best) == most { // channels are alike: the next will find its moves below twice this
		worst := d.worst(unit)
		d.limit = worst + math.Abs(worst) + 2*moveSlack
	}
	return d.best
}

// moveCount returns how many moves of channel c are worth knowing: twice the steps of the first one that fit in the sum,
// and some more; 0 where there is none.
func (d *decoder) moveCount(x []float32, c int, sum float64) int {
	blocks := d.Layout.Blocks()
	for g := c * blocks; g < (c+1)*blocks; g++ {
		values := d.values(g)
		lo, hi := d.Layout.Span(g)
		for e := lo; e < hi; e++ {
			if v, ok := d.move(x[e], e, g, values, sum > 0); ok {
				return min(maxMoves, 4+int(min(maxMoves, 2*math.Abs(sum/v.step))))
			}
		}
	}
	return 0
}

// worst returns the cost of the last of the best moves, in units.
func (d *decoder) worst(unit float32) float64 {
	return d.best[len(d.best)-1].cost * float64(unit) * float64(unit)
}

// searchMoves puts the cheapest moves of channel c into d.best, at most so many: all that cost no more than limit, in
// units. Costs are computed in float32 first, and exactly for those that may be cheap enough.
func (d *decoder) searchMoves(x []float32, c int, up bool, unit float32, most int, limit float64) {
	table := d.down
	if up {
		table = d.up
	}
	d.best = d.best[:0]
	var places [1 << 10]uint32
	blocks := d.Layout.Blocks()
	for g := c * blocks; g < (c+1)*blocks; g++ {
		scale, values := d.scale(g), d.values(g)
		lo, hi := d.Layout.Span(g)
		for at := lo; at < hi; at += len(places) {
			end := min(at+len(places), hi)
			n := kernel.CheapMoves(places[:end-at], x[at:end], d.Codes[at:end], values, &table.steps, d.Bits, scale, unit, float32(limit))
			for _, i := range places[:n] {
				e := at + int(i)
				if v, ok := d.move(x[e], e, g, values, up); ok && (len(d.best) < most || v.cost < d.best[len(d.best)-1].cost) {
					d.best = cheapest(d.best, v, most)
				}
			}
			if len(d.best) == most {
				worst := d.worst(unit)
				limit = min(limit, worst+float64(moveSlack*(1+math.Abs(worst))))
			}
		}
	}
}

// move returns the move of element e of group g, whose value is w, and false where there is none, or its error has the
// other direction.
func (d *decoder) move(w float32, e, g int, values *kernel.Values, up bool) (move, bool) {
	err := float64(w) - float64(values[d.Codes[e]]*d.scale(g))
	if err > 0 != up {
		return move{}, false // the move would take more than a whole step
	}
	to, step, ok := d.neighbour(e, g, up)
	if !ok {
		return move{}, false
	}
	return move{e, to, step, float64(step*step) - float64(2*step*err)}, true // no fused multiply-add: it decides codes
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
	element int // in group order
	code    uint8
	step    float64 // by which the value grows
	cost    float64 // in squared error
}

// neighbour returns the code next to that of element e, which belongs to the given group, whose value is larger, or
// smaller, and the step to it; false where there is none.
func (q *Quantized) neighbour(e, group int, up bool) (code uint8, step float64, ok bool) {
	from := int(q.Codes[e])
	to := from - 1
	if up {
		to = from + 1
	}
	if to < 0 || to >= 1<<q.Bits {
		return 0, 0, false
	}
	scale := q.scale(group)
	step = float64(float64(to-from) * float64(scale)) // rounded before it is added
	if q.Levels != nil {
		step = float64((float64(q.Levels[to]) - float64(q.Levels[from])) * float64(scale))
	}
	return uint8(to), step, step != 0
}
