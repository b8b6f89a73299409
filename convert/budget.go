package convert

import "fmt"

// BudgetKind says what a budget bounds.
type BudgetKind uint8

const (
	NoBudget    BudgetKind = iota // Options.Bits counts
	BudgetBPW                     // bits per float weight: codes, scales and kept values over all float weights
	BudgetSize                    // bytes of the file
	BudgetDrift                   // drift of the worst output
)

// String returns the name of a kind in reports: bits, bpw, size or drift.
func (k BudgetKind) String() string { return [...]string{"bits", "bpw", "size", "drift"}[k] }

// Budget bounds a conversion whose bits differ by tensor.
type Budget struct {
	Kind  BudgetKind
	Value float64
}

// ReachError says that a budget is out of reach.
type ReachError struct {
	Budget
	Nearest float64 // the nearest that can be reached
}

// Error says it in one line, without the program's prefix.
func (e *ReachError) Error() string {
	switch e.Kind {
	case BudgetSize:
		return fmt.Sprintf("reaching %.0f bytes: the smallest file is %.0f", e.Value, e.Nearest)
	case BudgetDrift:
		if e.Nearest-e.Nearest != 0 {
			return fmt.Sprintf("reaching drift %.4g: no drift is finite", e.Value)
		}
		return fmt.Sprintf("reaching drift %.4g: the least is %.4g", e.Value, e.Nearest)
	}
	return fmt.Sprintf("reaching %.3g bits per weight: the smallest is %.3g", e.Value, e.Nearest)
}
