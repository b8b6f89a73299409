package infer

import (
	"sync"

	"bq/internal/kernel"
)

// rights are W' or R' of every direction as right operands. Of constants they are laid out once, in the first run.
type rights struct {
	constant bool
	matrices sync.Once
	packed   []*kernel.Packed // for many rows
	vectors  sync.Once
	panels   []*kernel.Panels // for one row
}

// bindRights notes whether input i of the node is constant.
func bindRights(b *binding, i int) *rights {
	z := &rights{}
	if i < len(b.node.in) && b.node.in[i] >= 0 {
		z.constant = b.scope.g.consts[b.node.in[i]] != nil
	}
	return z
}

// of returns the operands of data [directions, rows, cols] for products of many rows.
func (z *rights) of(data []float32, directions, rows, cols int) []*kernel.Packed {
	return laidOut(z.constant, &z.matrices, &z.packed, kernel.PackTransposed, data, directions, rows, cols)
}

// forVectors returns the operands of data [directions, rows, cols] for products of one row.
func (z *rights) forVectors(data []float32, directions, rows, cols int) []*kernel.Panels {
	return laidOut(z.constant, &z.vectors, &z.panels, kernel.NewPanels, data, directions, rows, cols)
}

// laidOut returns data [directions, rows, cols] as layout lays it out, kept where it is constant.
func laidOut[T any](constant bool, once *sync.Once, kept *[]T, layout func(w []float32, rows, cols int) T, data []float32, directions, rows, cols int) []T {
	all := func() (list []T) {
		for d := range directions {
			list = append(list, layout(data[d*rows*cols:(d+1)*rows*cols], rows, cols))
		}
		return list
	}
	if !constant {
		return all()
	}
	once.Do(func() { *kept = all() })
	return *kept
}

// recurrence returns what multiplies the states [N, H] of a direction by R'.
func (s *sequence) recurrence(threads int) func(d int, dst, h []float32) {
	gh := s.gates * s.h
	if s.n == 1 {
		panels := s.state.forVectors(s.r, len(s.reverse), gh, s.h)
		return func(d int, dst, h []float32) { panels[d].Times(dst, h) }
	}
	packed := s.state.of(s.r, len(s.reverse), gh, s.h)
	return func(d int, dst, h []float32) {
		kernel.ProductPacked(dst, gh, s.n, kernel.RowMajor(h, s.h), packed[d], kernel.Epilogue{}, threads)
	}
}
