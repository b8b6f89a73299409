package main

// The NEON loops of pooling, of normalization and of the functions beside those of span.go.

func (n *neon) vectorKernels() {
	for step := 1; step <= 2; step++ {
		n.taps("tapMax", step, "fmax")
		n.taps("tapSum", step, "fadd")
	}
	n.largest()
	n.sums("sums", "", func() func(v vec) { return func(vec) {} })
	n.sums("squares", ", mean float64", func() func(v vec) {
		mean := n.double("mean")
		return func(v vec) {
			n.three64("fsub", v, v, mean)
			n.three64("fmul", v, v, v)
		}
	})
	n.expSum()
	n.normalize()
	n.mix()
	n.gemv()
	n.roundHalf()
	n.functions()
}

// taps generates dst[i] = x[i*step + offset 0] op x[i*step + offset 1] op ... for any n; there is at least one tap. With
// step 2, an element behind the last is read too.
func (n *neon) taps(name string, step int, op string) {
	if step == 2 {
		name += "Even"
	}
	n.function(name+"NEON", "dst, x *float32, n int, offsets *int, taps int", "joins taps of a row")
	args := n.load("dst", "x", "n", "offsets", "taps")
	dst, from, count, offsets, taps := args[0], args[1], args[2], args[3], args[4]
	at, next, left := n.gp(), n.gp(), n.gp()
	load := func(size int, v []vec) { // the next tap of size elements
		n.op("MOVD.P 8(%s), %s", next, at)
		n.op("ADD %s<<2, %s, %s", at, from, at)
		switch {
		case size == 1:
			n.op("FMOVS (%s), %s", at, v[0].f())
		case step == 2:
			for _, x := range v {
				n.scope(func() {
					pair := n.list(2)
					n.op("VLD2.P 32(%s), [%s, %s]", at, pair[0].s4(), pair[1].s4())
					n.copy(x, pair[0])
				})
			}
		case size == 4:
			n.op("FMOVQ (%s), %s", at, v[0].f())
		default:
			n.op("VLD1 (%s), %s", at, listOf(v))
		}
	}
	for _, size := range []int{16, 4, 1} {
		n.steps("taps", size, 16, count, func() {
			n.scope(func() {
				acc, x := n.list((size+3)/4), n.list((size+3)/4)
				n.op("MOVD %s, %s", offsets, next)
				load(size, acc)
				n.op("SUBS $1, %s, %s", taps, left)
				label := map[int]string{16: "sixteen", 4: "four", 1: "one"}[size]
				n.op("BEQ %sDone", label)
				n.label(label)
				load(size, x)
				for i, v := range acc {
					n.three(op, v, v, x[i])
				}
				n.op("SUBS $1, %s", left)
				n.op("BNE %s", label)
				n.label(label + "Done")
				switch size {
				case 1:
					n.op("FMOVS.P %s, 4(%s)", acc[0].f(), dst)
				case 4:
					n.op("FMOVQ.P %s, 16(%s)", acc[0].f(), dst)
				default:
					n.op("VST1.P %s, 64(%s)", listOf(acc), dst)
				}
				n.op("ADD $%d, %s", 4*size*step, from)
			})
		})
	}
	n.op("RET")
}

// largest generates the largest value of each lane; NaN wins. n is a multiple of 16 and not 0.
func (n *neon) largest() {
	n.function("largestNEON", "dst, x *float32, n int", "writes the largest value of each lane")
	args := n.load("dst", "x", "n")
	acc, x := n.list(4), n.list(4)
	n.op("VLD1 (%s), %s", args[1], listOf(acc))
	n.label("loop")
	n.op("VLD1.P 64(%s), %s", args[1], listOf(x))
	for i, v := range acc {
		n.three("fmax", v, v, x[i])
	}
	n.op("SUBS $16, %s", args[2])
	n.op("BNE loop")
	n.three("fmax", acc[0], acc[0], acc[1])
	n.three("fmax", acc[2], acc[2], acc[3])
	n.three("fmax", acc[0], acc[0], acc[2])
	n.op("FMOVQ %s, (%s)", acc[0].f(), args[0])
	n.op("RET")
}

// sums generates 16 sums in float64 of f(x): sum i is of the elements i, 16+i, 32+i and so on. n is a multiple of 16 and
// not 0.
func (n *neon) sums(name, params string, prepare func() func(v vec)) {
	n.function(name+"NEON", "dst *float64, x *float32, n int"+params, "adds up 16 sums in float64")
	args := n.load("dst", "x", "n")
	f := prepare()
	acc, x := n.accumulators(), n.list(4)
	n.label("loop")
	n.op("VLD1.P 64(%s), %s", args[1], listOf(x))
	for i, a := range acc {
		n.scope(func() {
			v := n.vec()
			n.widen(v, x[i/2], i%2 == 1)
			f(v)
			n.three64("fadd", a, a, v)
		})
	}
	n.op("SUBS $16, %s", args[2])
	n.op("BNE loop")
	n.storeSums(acc, args[0])
	n.op("RET")
}

// accumulators takes registers for 16 sums of float64, set to 0.
func (n *neon) accumulators() []vec {
	acc := n.list(8)
	for _, v := range acc {
		n.clear(v)
	}
	return acc
}

func (n *neon) storeSums(acc []vec, dst gp) {
	for i := 0; i < len(acc); i += 2 {
		n.op("FSTPQ (%s, %s), %d(%s)", acc[i].f(), acc[i+1].f(), 16*i, dst)
	}
}

// expSum generates dst[i] = e^(x[i] - top) and 16 sums of these in float64, as sums. n is a multiple of 16 and not 0.
func (n *neon) expSum() {
	n.function("expSumNEON", "sums *float64, dst, x *float32, n int, top float32", "writes e^(x-top) and adds up 16 sums")
	args := n.load("sums", "dst", "x", "n")
	top, e, acc := n.float("top"), n.newExp(), n.accumulators()
	n.label("loop")
	for i := range 4 {
		n.scope(func() {
			x, v := n.vec(), n.vec()
			n.op("FMOVQ.P 16(%s), %s", args[2], x.f())
			n.three("fsub", x, x, top)
			e.apply(x)
			n.op("FMOVQ.P %s, 16(%s)", x.f(), args[1])
			for k := range 2 {
				n.widen(v, x, k == 1)
				n.three64("fadd", acc[2*i+k], acc[2*i+k], v)
			}
		})
	}
	n.op("SUBS $16, %s", args[3])
	n.op("BNE loop")
	n.storeSums(acc, args[0])
	n.op("RET")
}

// normalize generates dst[i] = (x[i] - mean) * factor in float64, rounded once. n is a multiple of 4 and not 0.
func (n *neon) normalize() {
	n.function("normalizeNEON", "dst, x *float32, n int, mean, factor float64", "shifts and scales in float64")
	args := n.load("dst", "x", "n")
	mean, factor := n.double("mean"), n.double("factor")
	x, y, low, high := n.vec(), n.vec(), n.vec(), n.vec()
	n.label("loop")
	n.op("FMOVQ.P 16(%s), %s", args[1], x.f())
	for k, v := range []vec{low, high} {
		n.widen(v, x, k == 1)
		n.three64("fsub", v, v, mean)
		n.three64("fmul", v, v, factor)
		n.narrow(y, v, k == 1)
	}
	n.op("FMOVQ.P %s, 16(%s)", y.f(), args[0])
	n.op("SUBS $4, %s", args[2])
	n.op("BNE loop")
	n.op("RET")
}

// mix generates dst[i] = a[i]*wa + b[i]*wb, rounded three times.
func (n *neon) mix() {
	n.function("mixNEON", "dst, a, b *float32, n int, wa, wb float32", "adds two weighted rows")
	args := n.load("dst", "a", "b", "n")
	wa, wb := n.float("wa"), n.float("wb")
	n.loop("each", args[0], args[1:3], args[3], true, func(v []vec) {
		n.three("fmul", v[0], v[0], wa)
		n.three("fmul", v[1], v[1], wb)
		n.three("fadd", v[0], v[0], v[1])
	})
}

// gemv generates dst[q*width + j] = sum over p < k of x[p] * w[(q*k + p)*width + j] for q < panels and j < width, sixteen
// vectors. k and panels are not 0.
func (n *neon) gemv() {
	n.function("gemvNEON", "dst, x, w *float32, k, panels int", "multiplies panels by a vector")
	args := n.load("dst", "x", "w", "k", "panels")
	dst, w, panels := args[0], args[2], args[4]
	at, left := n.gp(), n.gp()
	acc, x := n.list(16), n.vec()
	n.label("panel")
	for _, v := range acc {
		n.clear(v)
	}
	n.op("MOVD %s, %s", args[1], at)
	n.op("MOVD %s, %s", args[3], left)
	n.label("loop")
	n.op("FMOVS.P 4(%s), %s", at, x.f())
	for i := 0; i < len(acc); i += 4 {
		n.scope(func() {
			v := n.list(4)
			n.op("VLD1.P 64(%s), %s", w, listOf(v))
			for k := range v {
				n.scaled("fmla", acc[i+k], v[k], x.at(0))
			}
		})
	}
	n.op("SUBS $1, %s", left)
	n.op("BNE loop")
	for i := 0; i < len(acc); i += 4 {
		n.op("VST1.P %s, 64(%s)", listOf(acc[i:]), dst)
	}
	n.op("SUBS $1, %s", panels)
	n.op("BNE panel")
	n.op("RET")
}

// roundHalf generates x[i] = float32(float16(x[i])): see half.go. n is a multiple of 4 and not 0. Vectors that do not
// change are not written.
func (n *neon) roundHalf() {
	n.function("roundHalfNEON", "x *float32, n int", "rounds to float16")
	args := n.load("x", "n")
	low, high := n.gp(), n.gp()
	v, w := n.vec(), n.vec()
	n.label("loop")
	n.op("FMOVQ (%s), %s", args[0], v.f())
	n.halves(w, v)
	n.op("VEOR %s, %s, %s", w.b16(), v.b16(), v.b16())
	n.op("VMOV %s, %s", v.double(0), low)
	n.op("VMOV %s, %s", v.double(1), high)
	n.op("ORR %s, %s", high, low)
	n.op("CBZ %s, same", low)
	n.op("FMOVQ %s, (%s)", w.f(), args[0])
	n.label("same")
	n.op("ADD $16, %s", args[0])
	n.op("SUBS $4, %s", args[1])
	n.op("BNE loop")
	n.op("RET")
}
