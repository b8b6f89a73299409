package shape

import (
	"slices"
	"strings"
)

// mulInts returns a*b, false where it is beyond the magnitude of sizes.
func mulInts(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	n := a * b
	if n/b != a || n > maxSize || n < -maxSize {
		return 0, false
	}
	return n, true
}

// add returns a + b.
func add(a, b Dim) Dim {
	c := a.c + b.c
	if c > maxSize || c < -maxSize || (a.c^c)&(b.c^c) < 0 { // the last: the sum wrapped
		return lost
	}
	if len(a.terms) == 0 {
		return Dim{c, b.terms}
	}
	if len(b.terms) == 0 {
		return Dim{c, a.terms}
	}
	out := Dim{c: c}
	i, j := 0, 0
	for i < len(a.terms) || j < len(b.terms) {
		switch {
		case j == len(b.terms) || i < len(a.terms) && a.terms[i].key < b.terms[j].key:
			out.terms = append(out.terms, a.terms[i])
			i++
		case i == len(a.terms) || b.terms[j].key < a.terms[i].key:
			out.terms = append(out.terms, b.terms[j])
			j++
		default:
			t := a.terms[i]
			if t.key == lost.terms[0].key {
				return lost
			}
			t.coef += b.terms[j].coef
			if t.coef > maxSize || t.coef < -maxSize {
				return lost
			}
			if t.coef != 0 {
				out.terms = append(out.terms, t)
			}
			i, j = i+1, j+1
		}
	}
	if len(out.terms) > maxTerms {
		return lost
	}
	return out
}

// sub returns a - b.
func sub(a, b Dim) Dim { return add(a, mul(b, Size(-1))) }

// addInt returns a + n.
func addInt(a Dim, n int64) Dim { return add(a, Size(n)) }

// mul returns a * b.
func mul(a, b Dim) Dim {
	if len(a.terms) == 0 {
		a, b = b, a
	}
	if len(b.terms) == 0 {
		return scaled(a, b.c)
	}
	if len(a.terms)*len(b.terms) > maxTerms {
		return lost
	}
	out := Dim{}
	var ok bool
	if out.c, ok = mulInts(a.c, b.c); !ok {
		return lost
	}
	out = add(out, add(scaled(Dim{terms: a.terms}, b.c), scaled(Dim{terms: b.terms}, a.c)))
	for _, s := range a.terms {
		for _, t := range b.terms {
			p, ok := mulTerms(s, t)
			if !ok {
				return lost
			}
			out = add(out, Dim{terms: []term{p}})
		}
	}
	return out
}

// scaled returns a * n.
func scaled(a Dim, n int64) Dim {
	switch n {
	case 0:
		return Dim{}
	case 1:
		return a
	}
	c, ok := mulInts(a.c, n)
	if !ok {
		return lost
	}
	out := Dim{c: c}
	for _, t := range a.terms {
		if t.coef, ok = mulInts(t.coef, n); !ok {
			return lost
		}
		out.terms = append(out.terms, t)
	}
	return out
}

func mulTerms(s, t term) (term, bool) {
	coef, ok := mulInts(s.coef, t.coef)
	if !ok || len(s.atoms)+len(t.atoms) > maxFactors {
		return term{}, false
	}
	return newTerm(coef, append(slices.Clone(s.atoms), t.atoms...))
}

// newTerm sorts atoms and joins their keys; false where those are too long.
func newTerm(coef int64, atoms []*atom) (term, bool) {
	slices.SortStableFunc(atoms, func(a, b *atom) int { return strings.Compare(a.key, b.key) })
	if len(atoms) == 1 {
		return term{coef, atoms, atoms[0].key}, true
	}
	keys := make([]string, len(atoms))
	size := 0
	for i, a := range atoms {
		keys[i] = a.key
		if size += len(a.key); size > maxKey || a.op == opLost {
			return term{}, false
		}
	}
	return term{coef, atoms, strings.Join(keys, "*")}, true
}

// floorDiv returns floor(a / k) for k of at least 1. Whole multiples of k leave the quotient, a factor that numerator
// and k share is cancelled, and a quotient of a quotient becomes one: floor((floor(n/2)+1)/2) = floor((n+2)/4).
func floorDiv(a Dim, k int64) Dim {
	if k == 1 || a.isLost() {
		return a
	}
	whole, rest := Dim{c: floorInts(a.c, k)}, Dim{}
	rest.c = a.c - whole.c*k
	for _, t := range a.terms {
		if t.coef%k == 0 {
			t.coef /= k
			whole.terms = append(whole.terms, t)
		} else {
			rest.terms = append(rest.terms, t)
		}
	}
	if len(rest.terms) == 0 {
		return whole
	}
	g := k
	for _, t := range rest.terms {
		g = gcd(g, t.coef)
	}
	if g > 1 { // floor((g*x + r) / (g*k)) = floor((x + floor(r/g)) / k)
		rest.terms = slices.Clone(rest.terms)
		for i := range rest.terms {
			rest.terms[i].coef /= g
		}
		rest.c /= g
		return add(whole, floorDiv(rest, k/g))
	}
	if in, ok := rest.quotient(); ok { // floor((floor(x/j) + r) / k) = floor((x + r*j) / (j*k))
		den, ok := mulInts(in.den, k)
		shift, ok2 := mulInts(rest.c, in.den)
		if ok && ok2 {
			return add(whole, floorDiv(addInt(in.x, shift), den))
		}
	}
	q := &atom{op: opFloor, key: "floor(" + rest.key() + "/" + Size(k).String() + ")", x: rest, den: k}
	if low, ok := rest.low(); ok {
		q.low, q.bounded = floorInts(low, k), true
	}
	return add(whole, ofAtom(q))
}

// quotient returns the atom of d where its only term is one floor(x/k).
func (d Dim) quotient() (*atom, bool) {
	if len(d.terms) != 1 || d.terms[0].coef != 1 || len(d.terms[0].atoms) != 1 || d.terms[0].atoms[0].op != opFloor {
		return nil, false
	}
	return d.terms[0].atoms[0], true
}

// ceilDiv returns ceil(a / k) for k of at least 1.
func ceilDiv(a Dim, k int64) Dim { return floorDiv(addInt(a, k-1), k) }

// floorInts returns a / k rounded down, for k of at least 1.
func floorInts(a, k int64) int64 {
	q := a / k
	if a%k < 0 {
		q--
	}
	return q
}

// gcd returns the greatest common divisor, which is positive, of k > 0 and a.
func gcd(k, a int64) int64 {
	if a < 0 {
		a = -a
	}
	for a != 0 {
		k, a = a, k%a
	}
	return k
}

// exactDiv returns a / b where b divides a whatever the symbols stand for.
func exactDiv(a, b Dim) (Dim, bool) {
	switch {
	case b.is(0) || a.isLost() || b.isLost():
		return lost, false
	case a.Equal(b):
		return Size(1), true
	case len(b.terms) == 0:
		return divInt(a, b.c)
	case a.is(0):
		return Dim{}, true
	case len(b.terms) == 1 && b.c == 0 && a.c == 0:
		return divTerm(a, b.terms[0])
	}
	return ratio(a, b)
}

func divInt(a Dim, k int64) (Dim, bool) {
	out := Dim{c: a.c / k}
	if a.c%k != 0 {
		return lost, false
	}
	for _, t := range a.terms {
		if t.coef%k != 0 {
			return lost, false
		}
		t.coef /= k
		out.terms = append(out.terms, t)
	}
	return out, true
}

// divTerm returns a / t where every term of a has the factors of t.
func divTerm(a Dim, t term) (Dim, bool) {
	out := Dim{}
	for _, s := range a.terms {
		atoms := slices.Clone(s.atoms)
		for _, f := range t.atoms {
			i := slices.IndexFunc(atoms, func(g *atom) bool { return g.key == f.key })
			if i < 0 {
				return lost, false
			}
			atoms = slices.Delete(atoms, i, i+1)
		}
		if s.coef%t.coef != 0 {
			return lost, false
		}
		if len(atoms) == 0 {
			out = addInt(out, s.coef/t.coef)
			continue
		}
		q, ok := newTerm(s.coef/t.coef, atoms)
		if !ok {
			return lost, false
		}
		out = add(out, Dim{terms: []term{q}})
	}
	return out, true
}

// ratio returns the number k for which a = k*b.
func ratio(a, b Dim) (Dim, bool) {
	if len(a.terms) == 0 || a.terms[0].coef%b.terms[0].coef != 0 {
		return lost, false
	}
	k := a.terms[0].coef / b.terms[0].coef
	return Size(k), scaled(b, k).Equal(a)
}

// minDim returns the smaller of a and b.
func minDim(a, b Dim) Dim {
	switch {
	case a.isLost() || b.isLost():
		return lost
	case sub(a, b).atLeast(0):
		return b
	case sub(b, a).atLeast(0):
		return a
	}
	if x, ok := nested(opMin, a, b); ok {
		return minDim(x, b)
	}
	return extreme(opMin, a, b)
}

// maxDim returns the larger of a and b.
func maxDim(a, b Dim) Dim {
	switch {
	case a.isLost() || b.isLost():
		return lost
	case sub(a, b).atLeast(0):
		return a
	case sub(b, a).atLeast(0):
		return b
	}
	if x, ok := nested(opMax, a, b); ok {
		return maxDim(x, b)
	}
	return extreme(opMax, a, b)
}

// nested returns what may stand for a in min(a, b) or max(a, b) where a is that same operation plus a number: of
// max(max(x, y)+r, b), with numbers y and b of which y+r does not count, x+r.
func nested(op int, a, b Dim) (Dim, bool) {
	if len(a.terms) != 1 || a.terms[0].coef != 1 || len(a.terms[0].atoms) != 1 || len(b.terms) != 0 {
		return lost, false
	}
	m := a.terms[0].atoms[0]
	if m.op != op || len(m.y.terms) != 0 {
		return lost, false
	}
	inner := addInt(m.y, a.c)
	if op == opMax && inner.c <= b.c || op == opMin && inner.c >= b.c {
		return addInt(m.x, a.c), !inner.isLost()
	}
	return lost, false
}

// extreme returns the atom min(a, b) or max(a, b), its operands in the order of their keys but numbers last.
func extreme(op int, a, b Dim) Dim {
	if len(a.terms) == 0 || len(b.terms) > 0 && b.key() < a.key() {
		a, b = b, a
	}
	name := "min("
	if op == opMax {
		name = "max("
	}
	m := &atom{op: op, key: name + a.key() + "," + b.key() + ")", x: a, y: b}
	la, okA := a.low()
	lb, okB := b.low()
	switch {
	case op == opMin:
		m.low, m.bounded = min(la, lb), okA && okB
	case okA && okB:
		m.low, m.bounded = max(la, lb), true
	case okA:
		m.low, m.bounded = la, true
	case okB:
		m.low, m.bounded = lb, true
	}
	return ofAtom(m)
}

// product returns the product of sizes: the elements of a tensor of that shape.
func product(dims []Dim) Dim {
	p := Size(1)
	for _, d := range dims {
		if d.is(0) {
			return d
		}
	}
	for _, d := range dims {
		p = mul(p, d)
	}
	return p
}

// quotient returns the product of num over the product of den, where it is whole for whatever the symbols stand for.
func quotient(num, den []Dim) (Dim, bool) {
	num, den = slices.Clone(num), slices.Clone(den)
	for i := 0; i < len(den); i++ { // equal factors first: their products may not be followed
		k := slices.IndexFunc(num, den[i].Equal)
		if k >= 0 && !den[i].is(0) {
			num = slices.Delete(num, k, k+1)
			den = slices.Delete(den, i, i+1)
			i--
		}
	}
	a, b := product(num), product(den)
	if q, ok := exactDiv(a, b); ok {
		return q, true
	}
	if k, ok := b.Known(); ok && k > 0 && len(a.terms) > 0 && !a.isLost() {
		return floorDiv(a, k), true
	}
	return lost, false
}
