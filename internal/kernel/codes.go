package kernel

import "math"

// Operators on codes of bytes, element by element, and means of them. Codes are int8 where Signed is set, else uint8.

// LookUp writes table[x[i]]. dst may be x.
func LookUp(dst, x []uint8, table *[256]uint8, threads int) {
	dst = dst[:len(x)]
	units := units(threads, len(x))
	Parallel(threads, units, func(u int) {
		lo, hi := len(x)*u/units, len(x)*(u+1)/units
		to, from := dst[lo:hi], x[lo:hi]
		for i := lookUpVectors(to, from, table); i < len(from); i++ {
			to[i] = table[from[i]]
		}
	})
}

// units returns into how many parts n elements of a cheap operator are cut.
func units(threads, n int) int {
	if t := threadsFor(threads, n/4); t > 1 {
		return 4 * t
	}
	return 1
}

// CodeSum is the sum, or the product, of codes a and b, each times its factor, as a code:
//
//	saturate(round(a*A + (b*B + Fixed)))    saturate(round((a - ZeroA)*(b - ZeroB)*A) + Zero)
//
// where products are rounded to float32 with what is added to them, ties to even, saturated to Low..High. Fixed is the zero
// point of the result less what those of a and b add. It is the arithmetic of ONNX Runtime's QLinearAdd and QLinearMul.
type CodeSum struct {
	Product      bool
	A, B, Fixed  float32
	ZeroA, ZeroB int32 // of products
	Zero         int32 // likewise
	Low, High    int32
	Signed       bool
}

// NewCodeSum returns the sum of codes of two scales and zero points, as a code of a third: that of uint8 or, where signed is
// set, int8, saturated to low..high.
func NewCodeSum(scales [3]float32, zeros [3]int32, low, high int32, signed bool) *CodeSum {
	s := &CodeSum{A: scales[0] / scales[2], B: scales[1] / scales[2], Low: low, High: high, Signed: signed}
	s.Fixed = float32(zeros[2]) - fma(s.A, float32(zeros[0]), s.B*float32(zeros[1]))
	return s
}

// NewCodeProduct is NewCodeSum of the product.
func NewCodeProduct(scales [3]float32, zeros [3]int32, low, high int32, signed bool) *CodeSum {
	return &CodeSum{Product: true, A: float32(scales[0]*scales[1]) / scales[2], ZeroA: zeros[0], ZeroB: zeros[1], Zero: zeros[2], Low: low, High: high, Signed: signed}
}

// Run combines elements of a and b, which have one length.
func (s *CodeSum) Run(dst, a, b []uint8, threads int) {
	dst, b = dst[:len(a)], b[:len(a)]
	units := units(threads, len(a))
	Parallel(threads, units, func(u int) {
		lo, hi := len(a)*u/units, len(a)*(u+1)/units
		s.Spread(dst[lo:hi], a[lo:hi], b[lo:hi])
	})
}

// Spread combines elements of a and b, one of which may be one element for all of the other's.
func (s *CodeSum) Spread(dst, a, b []uint8) {
	i := 0
	if len(a) == len(b) {
		i = s.vectors(dst, a, b)
	}
	one, two := 1, 1
	if len(a) != len(dst) {
		one = 0
	}
	if len(b) != len(dst) {
		two = 0
	}
	for ; i < len(dst); i++ {
		dst[i] = s.code(a[i*one], b[i*two])
	}
}

// code combines two codes.
func (s *CodeSum) code(a, b uint8) uint8 {
	x, y := codeValue(a, s.Signed), codeValue(b, s.Signed)
	if s.Product {
		return saturated(float32((x-s.ZeroA)*(y-s.ZeroB))*s.A, s.Zero, s.Low, s.High)
	}
	return saturated(fma(float32(x), s.A, fma(float32(y), s.B, s.Fixed)), 0, s.Low, s.High)
}

// fma returns x*y + z rounded once. The product is exact in float64; the sum keeps in its last bit that something is left,
// so that rounding it again decides no tie.
func fma(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	b := s - p
	if left := (p - (s - b)) + (c - b); left != 0 {
		if bits := math.Float64bits(s); bits&1 == 0 {
			if (left > 0) == (s > 0) {
				bits++
			} else {
				bits--
			}
			s = math.Float64frombits(bits)
		}
	}
	return float32(s)
}

// codeValue is the number that a byte holds.
func codeValue(c uint8, signed bool) int32 {
	if signed {
		return int32(int8(c))
	}
	return int32(c)
}

// saturated rounds y, adds the zero point and limits the sum. A NaN counts as zero.
func saturated(y float32, zero, low, high int32) uint8 {
	if y != y {
		y = 0
	}
	y = min(max(y, -1<<24), 1<<24)
	return uint8(min(max(int32(math.RoundToEven(float64(y)))+zero, low), high))
}

// CodeMean makes a code of a sum of codes: saturate(round((sum - n*From) * Factor) + Zero), ties to even, saturated to
// Low..High, where Factor has the number of codes in it.
type CodeMean struct {
	From            int32
	Factor          float32
	Zero, Low, High int32
	Signed          bool
}

// Of returns the mean of all of x.
func (m *CodeMean) Of(x []uint8) uint8 {
	sum := int32(0)
	for _, c := range x {
		sum += codeValue(c, m.Signed)
	}
	return m.code(sum, len(x))
}

func (m *CodeMean) code(sum int32, n int) uint8 {
	return saturated(float32(sum-int32(n)*m.From)*m.Factor, m.Zero, m.Low, m.High)
}

// MeanPoolBytes writes the mean of each window of every plane of x [planes, In] to dst [planes, Out], over the positions
// inside the plane: mean says how that of n codes becomes a code. A window without any position gives the zero point.
func MeanPoolBytes(dst, x []uint8, planes int, w *Window, mean func(n int) CodeMean, threads int) {
	in, out := w.InSize(), w.OutSize()
	units := min(planes, units(threads, planes*out*w.KernelSize()))
	Parallel(threads, units, func(u int) {
		m, last := mean(1), 1
		for p := planes * u / units; p < planes*(u+1)/units; p++ {
			for o := range out {
				sum, n := w.sumOf(x[p*in:(p+1)*in], o, m.Signed)
				if n != last {
					m, last = mean(max(n, 1)), n
				}
				dst[p*out+o] = m.code(sum, n)
			}
		}
	})
}

// sumOf returns the sum of the codes that output o sees in a plane, and how many these are.
func (w *Window) sumOf(plane []uint8, o int, signed bool) (sum int32, n int) {
	z, zs := w.inside(0, o/(w.Out[1]*w.Out[2]))
	y, ys := w.inside(1, o/w.Out[2]%w.Out[1])
	x, xs := w.inside(2, o%w.Out[2])
	for i := range zs {
		for j := range ys {
			row := plane[((z+i*w.Dilation[0])*w.In[1]+y+j*w.Dilation[1])*w.In[2]+x:]
			for k := range xs {
				sum += codeValue(row[k*w.Dilation[2]], signed)
			}
		}
	}
	return sum, zs * ys * xs
}
