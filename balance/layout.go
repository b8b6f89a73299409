package balance

import (
	"fmt"
	"math/bits"

	"bq/internal/kernel"
)

// Layout maps the elements of a tensor to its scale groups. The tensor is seen as [Outer, Channels, Inner] in
// row-major order. The elements of channel c, in the order (o, i), are cut into blocks of Block elements, the last
// one possibly shorter; Block = 0 makes the whole channel one block. The group of (o, c, i) is
//
//	c*Blocks() + (o*Inner + i)/Block
//
// "Group order" is the order of the elements sorted by (c, o, i): every group is a run of it. It is the tensor's own
// order when Outer or Channels is 1.
type Layout struct{ Outer, Channels, Inner, Block int }

// PerTensor returns the layout of n elements in one group.
func PerTensor(n int) Layout { return Layout{1, 1, n, 0} }

// Len returns the number of elements.
func (l Layout) Len() int { return l.Outer * l.Channels * l.Inner }

// Blocks returns the number of groups of one channel; 0 for a channel without elements.
func (l Layout) Blocks() int {
	per := l.Outer * l.Inner
	switch {
	case per == 0:
		return 0
	case l.Block == 0:
		return 1
	}
	return (per-1)/l.Block + 1
}

// Groups returns the number of groups of the tensor.
func (l Layout) Groups() int { return l.Channels * l.Blocks() }

// Group returns the group of element e, 0 <= e < Len().
func (l Layout) Group(e int) int {
	i, oc := e%l.Inner, e/l.Inner
	c, o := oc%l.Channels, oc/l.Channels
	if l.Block == 0 {
		return c
	}
	return c*l.Blocks() + (o*l.Inner+i)/l.Block
}

// Span returns the run [lo, hi) that group g takes in group order, 0 <= g < Groups().
func (l Layout) Span(g int) (lo, hi int) {
	per, blocks := l.Outer*l.Inner, l.Blocks()
	if l.Block == 0 {
		return g * per, (g + 1) * per
	}
	c, b := g/blocks, g%blocks
	lo = c*per + b*l.Block
	return lo, lo + min(l.Block, per-b*l.Block)
}

// tile is the number of channels that Gather and Scatter move together, so that a short inner axis uses whole cache
// lines of both sides.
const tile = 32

// Gather copies src from tensor order to group order. Both have l.Len() elements and do not overlap.
func Gather[T any](l Layout, dst, src []T) {
	if l.Inner == 1 {
		kernel.Transpose(dst[:len(src)], src, l.Outer, l.Channels)
		return
	}
	l.rows(func(grouped, tensor int) {
		copy(dst[grouped:grouped+l.Inner], src[tensor:tensor+l.Inner])
	})
}

// Scatter copies src from group order to tensor order, the inverse of Gather.
func Scatter[T any](l Layout, dst, src []T) {
	if l.Inner == 1 {
		kernel.Transpose(dst[:len(src)], src, l.Channels, l.Outer)
		return
	}
	l.rows(func(grouped, tensor int) {
		copy(dst[tensor:tensor+l.Inner], src[grouped:grouped+l.Inner])
	})
}

// rows visits the start of every row (o, c) in group order and in tensor order.
func (l Layout) rows(visit func(grouped, tensor int)) {
	per := l.Outer * l.Inner
	for c0 := 0; c0 < l.Channels; c0 += tile {
		for o := range l.Outer {
			for c := c0; c < min(c0+tile, l.Channels); c++ {
				visit(c*per+o*l.Inner, (o*l.Channels+c)*l.Inner)
			}
		}
	}
}

func (l Layout) contiguous() bool { return l.Outer <= 1 || l.Channels <= 1 }

// check reports a layout that is negative, overflows or does not hold n elements.
func (l Layout) check(n int) error {
	if l.Outer < 0 || l.Channels < 0 || l.Inner < 0 || l.Block < 0 {
		return fmt.Errorf("checking layout: want sizes >= 0, got %+v", l)
	}
	carry, size := bits.Mul64(uint64(l.Outer), uint64(l.Inner))
	high, total := bits.Mul64(size, uint64(l.Channels))
	if carry != 0 || high != 0 || total != uint64(n) {
		return fmt.Errorf("checking layout: want %d elements, got %+v", n, l)
	}
	if n == 0 && l.Channels > 0 && size > 0 {
		return fmt.Errorf("checking layout: want 0 elements, got %+v", l)
	}
	return nil
}
