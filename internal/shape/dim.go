package shape

import (
	"slices"
	"strconv"
	"strings"
)

// Dim is a size, or an element of an integer tensor that sizes are computed from: a polynomial with integer
// coefficients over atoms. An atom is a symbol, floor(a/k), min(a, b) or max(a, b) of such polynomials. What is
// computed from symbols is exact whatever their sizes: nothing is dropped because it is zero for usual sizes.
// Equal polynomials in this form are equal numbers; the converse does not hold (max(n, n*m) has no simpler form).
// The zero value is the number 0.
type Dim struct {
	c     int64
	terms []term // sorted by key, without zero coefficients
}

// term is coef times the product of its atoms.
type term struct {
	coef  int64
	atoms []*atom // sorted by key, at least one
	key   string  // the keys of the atoms, joined
}

// The kinds of atoms.
const (
	opSymbol = iota
	opFloor  // floor(x/den)
	opMin    // min(x, y)
	opMax    // max(x, y)
	opLost   // a number that is not followed: no two of them are equal
)

// atom is a factor that arithmetic does not look into.
type atom struct {
	op   int
	key  string // equal for atoms that are the same number
	name string // of a symbol; "" for a size that has no name
	x, y Dim
	den  int64 // at least 2
	n    int   // of a symbol without name, from 1 on: later ones have larger numbers
	low  int64 // lower bound, where bounded
	// bounded is false for elements of integer inputs, which may be negative.
	bounded bool
}

// Limits on expressions. What would grow beyond becomes an unknown of its own.
const (
	maxTerms   = 12
	maxFactors = 6
	maxKey     = 160
	maxSize    = 1 << 40 // magnitude of coefficients and constants: the elements of one tensor in onnxio
)

var lost = Dim{terms: []term{{1, []*atom{{op: opLost, key: "\x01"}}, "\x01"}}}

// Size returns the Dim of a known size.
func Size(n int64) Dim {
	if n > maxSize || n < -maxSize {
		return lost
	}
	return Dim{c: n}
}

// Symbol returns the Dim of a symbolic size, which is not negative. Symbols of one name are the same number.
func Symbol(name string) Dim {
	key := name
	if strings.ContainsAny(name, "*+(),\"\x00\x01") { // would read like an expression
		key = strconv.Quote(name)
	}
	return ofAtom(&atom{key: key, name: name, bounded: true})
}

// unnamed returns unknown number n; sizes are not negative, elements of tensors may be.
func unnamed(n int, size bool) Dim {
	return ofAtom(&atom{key: "\x00" + strconv.Itoa(n), n: n, bounded: size})
}

func ofAtom(a *atom) Dim {
	if len(a.key) > maxKey && a.op != opSymbol {
		return lost
	}
	return Dim{terms: []term{{1, []*atom{a}, a.key}}}
}

// Known returns the size where it is a number.
func (d Dim) Known() (int64, bool) { return d.c, len(d.terms) == 0 }

// is reports whether d is the number n.
func (d Dim) is(n int64) bool { return len(d.terms) == 0 && d.c == n }

// Named reports whether d is a number or an expression of named symbols only.
func (d Dim) Named() bool {
	for _, t := range d.terms {
		for _, a := range t.atoms {
			if a.op == opLost || a.op == opSymbol && a.name == "" {
				return false
			}
			if a.op != opSymbol && !(a.x.Named() && a.y.Named()) {
				return false
			}
		}
	}
	return true
}

// isAfter reports whether d is an unnamed number that was made after number mark.
func (d Dim) isAfter(mark int) bool {
	return d.c == 0 && len(d.terms) == 1 && d.terms[0].coef == 1 && len(d.terms[0].atoms) == 1 && d.terms[0].atoms[0].n > mark
}

// isLost reports whether d contains a number that is not followed.
func (d Dim) isLost() bool {
	for _, t := range d.terms {
		if t.atoms[0].op == opLost || t.atoms[len(t.atoms)-1].op == opLost {
			return true
		}
	}
	return false
}

// Equal reports whether both are the same number whatever the symbols stand for.
func (d Dim) Equal(e Dim) bool {
	if d.c != e.c || len(d.terms) != len(e.terms) || d.isLost() {
		return false
	}
	for i, t := range d.terms {
		if t.coef != e.terms[i].coef || t.key != e.terms[i].key {
			return false
		}
	}
	return true
}

// differs reports whether the two are different numbers whatever the symbols stand for.
func (d Dim) differs(e Dim) bool {
	diff, ok := sub(d, e).Known()
	return ok && diff != 0
}

// String writes the expression: 64, batch, 2*batch, floor((H+1)/2), max(T-2,0); "?" where any part has no name.
func (d Dim) String() string {
	if n, ok := d.Known(); ok {
		return strconv.FormatInt(n, 10)
	}
	if !d.Named() {
		return "?"
	}
	var b strings.Builder
	terms := slices.Clone(d.terms)
	slices.SortStableFunc(terms, func(s, t term) int { // positive terms first: b-a, not -a+b
		switch {
		case s.coef > 0 && t.coef < 0:
			return -1
		case s.coef < 0 && t.coef > 0:
			return 1
		}
		return 0
	})
	constant := d.c
	if terms[0].coef < 0 && constant > 0 {
		b.WriteString(strconv.FormatInt(constant, 10))
		constant = 0
	}
	for _, t := range terms {
		t.write(&b)
	}
	if constant != 0 {
		if constant > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.FormatInt(constant, 10))
	}
	return b.String()
}

func (t term) write(b *strings.Builder) {
	if t.coef > 0 && b.Len() > 0 {
		b.WriteByte('+')
	}
	switch t.coef {
	case 1:
	case -1:
		b.WriteByte('-')
	default:
		b.WriteString(strconv.FormatInt(t.coef, 10))
		b.WriteByte('*')
	}
	for i, a := range t.atoms {
		if i > 0 {
			b.WriteByte('*')
		}
		b.WriteString(a.text())
	}
}

func (a *atom) text() string {
	switch a.op {
	case opFloor:
		x := a.x.String()
		if len(a.x.terms) > 1 || a.x.c != 0 {
			x = "(" + x + ")"
		}
		return "floor(" + x + "/" + strconv.FormatInt(a.den, 10) + ")"
	case opMin:
		return "min(" + a.x.String() + "," + a.y.String() + ")"
	case opMax:
		return "max(" + a.x.String() + "," + a.y.String() + ")"
	}
	return a.name
}

// Eval returns the size for the given sizes of the symbols; false where a symbol is missing, has no name, or the
// result is out of range.
func (d Dim) Eval(sizes map[string]int) (int64, bool) {
	e, ok := d.substitute(sizes)
	if !ok {
		return 0, false
	}
	return e.Known()
}

// substitute computes d with numbers for its symbols; false where there are symbols left.
func (d Dim) substitute(sizes map[string]int) (Dim, bool) {
	sum := Size(d.c)
	for _, t := range d.terms {
		product := Size(t.coef)
		for _, a := range t.atoms {
			v, ok := a.substitute(sizes)
			if !ok {
				return lost, false
			}
			product = mul(product, v)
		}
		sum = add(sum, product)
	}
	return sum, true
}

func (a *atom) substitute(sizes map[string]int) (Dim, bool) {
	switch a.op {
	case opLost:
		return lost, false
	case opSymbol:
		n, ok := sizes[a.name]
		return Size(int64(n)), ok && a.name != ""
	}
	x, ok := a.x.substitute(sizes)
	y, ok2 := a.y.substitute(sizes)
	if !ok || !ok2 {
		return lost, false
	}
	switch a.op {
	case opFloor:
		return floorDiv(x, a.den), true
	case opMin:
		return minDim(x, y), true
	}
	return maxDim(x, y), true
}

// key returns a text that is the same for equal expressions.
func (d Dim) key() string {
	var b strings.Builder
	for _, t := range d.terms {
		b.WriteString(strconv.FormatInt(t.coef, 10))
		b.WriteByte('*')
		b.WriteString(t.key)
		b.WriteByte('+')
	}
	b.WriteString(strconv.FormatInt(d.c, 10))
	return b.String()
}

// low returns a lower bound of d for symbols that are at least 0.
func (d Dim) low() (int64, bool) {
	sum := d.c
	for _, t := range d.terms {
		least, ok := t.low()
		if !ok {
			return 0, false
		}
		if sum += least; sum > maxSize || sum < -maxSize {
			return 0, false
		}
	}
	return sum, true
}

func (t term) low() (int64, bool) {
	least, ok := t.coef, t.coef > 0
	for _, a := range t.atoms {
		if !ok || !a.bounded || a.low < 0 && len(t.atoms) > 1 {
			return 0, false
		}
		least, ok = mulInts(least, a.low)
	}
	return least, ok
}

// atLeast reports whether d >= n whatever the symbols stand for.
func (d Dim) atLeast(n int64) bool {
	low, ok := d.low()
	return ok && low >= n
}
