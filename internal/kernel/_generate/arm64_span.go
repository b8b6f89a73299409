package main

// NEON spans are element-wise loops over any number of elements: vectors, then single elements in the lowest place of
// one, which the same instructions go through, so that the place does not matter.

// loop generates dst[i] = f(inputs[i]) for count elements, and RET. f leaves its result in the first of its registers.
// Where f is short, sixteen elements are taken at a time. The names of labels begin with prefix.
func (n *neon) loop(prefix string, dst gp, inputs []gp, count gp, short bool, f func(v []vec)) {
	m := n.mark()
	first := 4
	if short {
		first = 16
		n.steps(prefix, 16, first, count, func() {
			lists := make([][]vec, len(inputs))
			for i, from := range inputs {
				lists[i] = n.list(4)
				n.op("VLD1.P 64(%s), %s", from, listOf(lists[i]))
			}
			for k := range 4 {
				v := make([]vec, len(inputs))
				for i := range v {
					v[i] = lists[i][k]
				}
				n.scope(func() { f(v) })
			}
			n.op("VST1.P %s, 64(%s)", listOf(lists[0]), dst)
		})
	}
	n.release(m)
	for _, size := range []int{4, 1} {
		op := map[int]string{4: "FMOVQ", 1: "FMOVS"}[size]
		n.steps(prefix, size, first, count, func() {
			v := n.list(len(inputs))
			for i, from := range inputs {
				n.op("%s.P %d(%s), %s", op, 4*size, from, v[i].f())
			}
			n.scope(func() { f(v) })
			n.op("%s.P %s, %d(%s)", op, v[0].f(), 4*size, dst)
		})
		n.release(m)
	}
	n.op("RET")
}

// steps generates the part of a loop that takes size elements at a time, down to one; first is the largest size. The
// count is kept less the size in it.
func (n *neon) steps(prefix string, size, first int, count gp, body func()) {
	label := prefix + map[int]string{16: "Sixteen", 4: "Four", 1: "One"}[size]
	end := label + "End"
	if back := map[int]int{4: 16, 1: 4}[size]; size < first {
		n.op("ADD $%d, %s", back, count)
	}
	n.op("SUBS $%d, %s", size, count)
	n.op("BLT %s", end)
	n.label(label)
	body()
	n.op("SUBS $%d, %s", size, count)
	n.op("BGE %s", label)
	n.label(end)
}

// listOf is a list of four registers in the syntax of the assembler.
func listOf(v []vec) string {
	return "[" + v[0].s4() + ", " + v[1].s4() + ", " + v[2].s4() + ", " + v[3].s4() + "]"
}

// scope gives back the registers that f takes.
func (n *neon) scope(f func()) {
	m := n.mark()
	f()
	n.release(m)
}

// unary generates dst[i] = f(x[i]) with further parameters.
func (n *neon) unary(name, params string, short bool, prepare func() func(x vec)) {
	n.function(name+"NEON", "dst, x *float32, n int"+params, "is an element-wise loop")
	args := n.load("dst", "x", "n")
	f := prepare()
	n.loop("each", args[0], args[1:2], args[2], short, func(v []vec) { f(v[0]) })
}

// binary generates dst[i] = a[i] op b[i], where steps of 0 instead of 1 let one operand stand still.
func (n *neon) binary(name, op string) {
	n.function(name+"NEON", "dst, a, b *float32, n, stepA, stepB int", "is an element-wise loop")
	args := n.load("dst", "a", "b", "n", "stepA", "stepB")
	dst, a, b, count := args[0], args[1], args[2], args[3]
	n.op("CBZ %s, stillA", args[4])
	n.op("CBZ %s, stillB", args[5])
	n.loop("both", dst, []gp{a, b}, count, true, func(v []vec) { n.three(op, v[0], v[0], v[1]) })
	y := n.vec()
	n.label("stillA")
	n.op("VLD1R (%s), [%s]", a, y.s4())
	n.loop("right", dst, []gp{b}, count, true, func(v []vec) { n.three(op, v[0], y, v[0]) })
	n.label("stillB")
	n.op("VLD1R (%s), [%s]", b, y.s4())
	n.loop("left", dst, []gp{a}, count, true, func(v []vec) { n.three(op, v[0], v[0], y) })
}

// spanKernels generates the loops of span.go. FMAX and FMIN give NaN where an operand is one, as Go's max and min do.
func (n *neon) spanKernels() {
	n.unary("clamp", ", low, high float32", true, func() func(x vec) {
		low, high := n.float("low"), n.float("high")
		return func(x vec) { n.clamp(x, low, high, n.vec()) }
	})
	n.unary("leaky", ", slope float32", true, func() func(x vec) {
		slope := n.float("slope")
		return func(x vec) {
			y, mask := n.vec(), n.vec()
			n.three("fmul", y, x, slope)
			n.negative(mask, x)
			n.choose(x, y, mask)
		}
	})
	n.unary("affine", ", scale, shift float32", true, func() func(x vec) { return n.affine(n.float("scale"), n.float("shift")) })
	n.unary("hardSigmoid", ", scale, shift float32", true, n.hardSigmoid)
	n.unary("hardSwish", ", scale, shift float32", true, func() func(x vec) {
		f := n.hardSigmoid()
		return func(x vec) {
			y := n.vec()
			n.copy(y, x)
			f(y)
			n.three("fmul", x, x, y)
		}
	})
	n.unary("exp", "", false, func() func(x vec) { return n.newExp().apply })
	n.unary("sigmoid", "", false, func() func(x vec) { return n.newExp().sigmoid })
	n.unary("silu", "", false, func() func(x vec) {
		e := n.newExp()
		return func(x vec) {
			y := n.vec()
			n.copy(y, x)
			e.sigmoid(y)
			n.three("fmul", x, x, y)
		}
	})
	n.unary("tanh", "", false, n.tanh)
	for _, name := range []string{"add", "sub", "mul", "div"} {
		n.binary(name, "f"+name)
	}
}

// affine is x*scale + shift, rounded twice.
func (n *neon) affine(scale, shift vec) func(x vec) {
	return func(x vec) {
		n.three("fmul", x, x, scale)
		n.three("fadd", x, x, shift)
	}
}

func (n *neon) hardSigmoid() func(x vec) {
	affine := n.affine(n.float("scale"), n.float("shift"))
	zero, one := n.vec(), n.vec()
	n.clear(zero)
	n.spread(one, n.constants("one", 0x3f800000)[0])
	return func(x vec) {
		affine(x)
		n.three("fmax", x, x, zero)
		n.three("fmin", x, x, one)
	}
}

// neonExp holds the constants of e^x: see expKernel, whose steps these are.
type neonExp struct {
	*neon
	least, most, one, bias vec
	log2e, hi, low         element
	series                 []element
}

// full broadcasts an element to a register of its own.
func (n *neon) full(e element) vec {
	v := n.vec()
	n.spread(v, e)
	return v
}

func (n *neon) newExp() *neonExp {
	e := &neonExp{neon: n, least: n.vec(), most: n.vec(), one: n.vec(), bias: n.vec()}
	n.scope(func() {
		c := n.constants("expBounds", 0xc2d00000, 0x42b20000, 0x3f800000, 127) // -104, 89, 1, and the bias of exponents
		for i, v := range []vec{e.least, e.most, e.one, e.bias} {
			n.spread(v, c[i])
		}
	})
	c := n.constants("expSeries", 0x3fb8aa3b, 0x3f318000, 0xb95e8083, // ln 2 = 0.693359375 - 2.12194440e-4
		0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000) // 1/7!, 1/6!, ..., 1/2!
	e.log2e, e.hi, e.low, e.series = c[0], c[1], c[2], c[3:]
	return e
}

// horner returns one of the two registers that it takes, with the polynomial of x whose coefficients are given, highest
// first.
func (n *neon) horner(x vec, coefficients []element) vec {
	p, q := n.vec(), n.vec()
	n.spread(p, coefficients[0])
	for _, c := range coefficients[1:] {
		n.spread(q, c)
		n.fma(q, p, x)
		p, q = q, p
	}
	return p
}

// apply replaces x by e^x.
func (e *neonExp) apply(x vec) {
	e.scope(func() {
		k, half := e.vec(), e.vec()
		e.three("fmax", x, x, e.least)
		e.three("fmin", x, x, e.most)
		e.scaled("fmul", k, x, e.log2e)
		e.two("frintn", k, k)
		e.scaled("fmls", x, k, e.hi)
		e.scaled("fmls", x, k, e.low)
		p := e.horner(x, e.series)
		for range 2 {
			q := e.vec()
			e.copy(q, e.one)
			e.fma(q, p, x)
			p = q
		}
		e.two("fcvtns", k, k)
		e.shiftRight(half, k, 1)
		e.op("VSUB %s, %s, %s", half.s4(), k.s4(), k.s4())
		for _, v := range []vec{half, k} {
			e.op("VADD %s, %s, %s", e.bias.s4(), v.s4(), v.s4())
			e.op("VSHL $23, %s, %s", v.s4(), v.s4())
		}
		e.three("fmul", p, p, half)
		e.three("fmul", x, p, k)
	})
}

// sigmoid replaces x by 1/(1 + e^-x).
func (e *neonExp) sigmoid(x vec) {
	e.two("fneg", x, x)
	e.apply(x)
	e.three("fadd", x, x, e.one)
	e.three("fdiv", x, e.one, x)
}

// tanh: see tanhKernel, whose steps these are.
func (n *neon) tanh() func(x vec) {
	e := n.newExp()
	c := n.constants("tanhSeries", 0xbbbaf0ea, 0x3ca9134e, 0xbd5c1e2d, 0x3e088393, 0xbeaaaa99, 0x80000000, 0x3f200000) // the last: sign, 0.625
	sign, edge := n.full(c[5]), n.full(c[6])
	return func(x vec) {
		a, z, y := n.vec(), n.vec(), n.vec()
		n.two("fabs", a, x)
		n.three("fmul", z, x, x)
		p := n.horner(z, c[:5])
		n.three("fmul", p, p, z)
		n.copy(z, x)
		n.fma(z, p, x) // p*x + x
		n.three("fadd", y, a, a)
		e.apply(y)
		n.three("fadd", y, y, e.one)
		n.three("fdiv", y, e.one, y)
		n.three("fadd", y, y, y)
		n.three("fsub", y, e.one, y)
		n.choose(y, x, sign)
		n.three("fcmgt", a, edge, a)
		n.copy(x, y)
		n.choose(x, z, a)
	}
}
