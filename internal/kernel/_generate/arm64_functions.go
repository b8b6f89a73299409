package main

// functions generates the element-wise functions of vector_functions.go, by the same steps.
func (n *neon) functions() {
	n.unary("erf", "", false, func() func(x vec) { return n.newErf().apply })
	n.unary("gelu", "", false, func() func(x vec) {
		e, c := n.newErf(), n.constants("gelu", 0x3f000000, 0x3f3504f3) // 1/2, 1/sqrt 2
		return func(x vec) {
			y := n.vec()
			n.scaled("fmul", y, x, c[0])
			n.scaled("fmul", x, x, c[1])
			e.apply(x)
			n.fma(y, y, x) // y + y*erf
			n.copy(x, y)
		}
	})
	n.unary("fastGelu", "", false, func() func(x vec) {
		e, c := n.newExp(), n.constants("fastGelu", 0x3d372713, 0x3fcc422a) // 0.044715, 2 sqrt(2/pi)
		return func(x vec) {
			y := n.vec()
			n.three("fmul", y, x, x)
			n.scaled("fmul", y, y, c[0])
			n.three("fadd", y, y, e.one)
			n.three("fmul", y, y, x)
			n.scaled("fmul", y, y, c[1])
			e.sigmoid(y)
			n.three("fmul", x, x, y)
		}
	})
	n.unary("mish", "", false, n.mish)
	n.unary("elu", ", positive, negative float32", false, n.elu)
	for _, f := range []struct{ name, op string }{
		{"sqrt", "fsqrt"}, {"abs", "fabs"}, {"neg", "fneg"}, {"nearest", "frintn"}, {"floor", "frintm"}, {"ceil", "frintp"},
	} {
		n.unary(f.name, "", true, func() func(x vec) { return func(x vec) { n.two(f.op, x, x) } })
	}
	n.unary("reciprocal", "", true, func() func(x vec) {
		one := n.full(n.constants("one", 0x3f800000)[0])
		return func(x vec) { n.three("fdiv", x, one, x) }
	})
	n.binary("larger", "fmax")
	n.binary("smaller", "fmin")
}

// neonErf: see erfKernel.
type neonErf struct {
	e                    *neonExp
	edge, sign           vec
	near, even, odd, far []element
}

func (n *neon) newErf() *neonErf {
	e := &neonErf{e: n.newExp()}
	c := n.constants("erf", 0xba1c7000, 0x3ba38d2c, 0xbcdb48d9, 0x3de70e22, 0xbec09380, 0x3e0375d4, // of x^10, ..., x^2, 1
		0xb7910000, 0x39c8e7d9, // of t^5, t^4
		0xbb7e8a1c, 0x3cc6b1a1, // of t^3, t^2
		0xbddaae5c, 0xbf228550, 0xbe03ce86, // of t^2 (to be added), t, 1
		0x3f6d8000, 0x80000000) // 475/512, sign
	e.near, e.even, e.odd, e.far = c[:6], c[6:8], c[8:10], c[10:13]
	e.edge, e.sign = n.full(c[13]), n.full(c[14])
	return e
}

func (e *neonErf) apply(x vec) {
	n := e.e.neon
	n.scope(func() {
		t, s, u := n.vec(), n.vec(), n.vec()
		n.two("fabs", t, x)
		n.three("fmul", s, x, x)
		near := n.vec()
		n.copy(near, x)
		n.scope(func() { n.fma(near, n.horner(s, e.near), x) })
		far := n.vec()
		n.scope(func() {
			n.copy(far, n.horner(t, e.odd))
			n.fma(far, n.horner(t, e.even), s)
		})
		for _, c := range e.far {
			n.spread(u, c)
			n.fma(u, far, t)
			far, u = u, far
		}
		n.two("fneg", u, t)
		n.fma(u, far, t) // t Q(t) - t
		e.e.apply(u)
		n.three("fsub", u, e.e.one, u)
		n.choose(u, x, e.sign)
		n.three("fcmgt", t, t, e.edge)
		n.copy(x, near)
		n.choose(x, u, t)
	})
}

// mish: see lanes.mish.
func (n *neon) mish() func(x vec) {
	e, c := n.newExp(), n.constants("mish", 0x41a00000, 0x40000000) // 20, 2
	twenty, two := n.full(c[0]), n.full(c[1])
	return func(x vec) {
		y, q := n.vec(), n.vec()
		n.three("fmin", y, x, twenty)
		e.apply(y)
		n.three("fadd", q, y, two)
		n.three("fmul", q, q, y)
		n.three("fadd", y, q, two)
		n.three("fdiv", q, q, y)
		n.three("fmul", x, x, q)
	}
}

// elu: see lanes.elu.
func (n *neon) elu() func(x vec) {
	positive, negative, zero := n.float("positive"), n.float("negative"), n.vec()
	n.clear(zero)
	e := n.newExp()
	c := n.constants("elu", 0x37d00d01, 0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000, 0xbf000000) // 1/8!, ..., 1/2!, -1/2
	edge := n.full(c[7])
	return func(x vec) {
		near, far, mask := n.vec(), n.vec(), n.vec()
		p := n.horner(x, c[:7])
		n.three("fmul", p, p, x)
		n.copy(near, x)
		n.fma(near, p, x)
		n.copy(far, x)
		e.apply(far)
		n.three("fsub", far, far, e.one)
		n.three("fcmgt", mask, x, edge)
		n.choose(far, near, mask)
		n.three("fmul", far, far, negative)
		n.three("fmul", near, x, positive)
		n.three("fcmgt", mask, x, zero)
		n.copy(x, far)
		n.choose(x, near, mask)
	}
}
