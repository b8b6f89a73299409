// Package balance turns plain []float32 weights into edges, levels and codes of 1 to 8 bits, and back.
//
// One idea covers the family: place the K-1 edges of K = 2^bits bins so that every bin holds the same mass of
// f(w)^p, where f is the density of the values. p = 1 balances the count (Zhou et al., "Balanced Quantization",
// JCST 32(4), 2017, arXiv 1706.07145), p = 1/3 the squared error (Panter and Dite, Proc. IRE 39, 1951; Bennett,
// Bell Syst. Tech. J. 27, 1948), p = 0 the width. Lloyd rounds (IEEE Trans. Inf. Theory 28(2), 1982) reach the
// smallest squared error of a codebook; an affine code is the uniform member with integer codes and a zero point.
//
// A tensor is cut into scale groups by a Layout. The value of element e of group g is
//
//	affine:   float32(int(Codes[e]) - int(Zeros[g])) * Scales[g]
//	codebook: Levels[Codes[e]] * Scales[g]
//
// Everything that decides a code is computed in a fixed order with every product rounded before it is added, so the
// codes are the same on every machine.
package balance

import (
	"errors"
	"fmt"
	"math"

	"bq/internal/kernel"
)

// MaxBits is the widest code; a code always fits one byte.
const MaxBits = 8

// ErrNonFinite marks values that hold a NaN or an infinity; the wrapping error names the first such index.
var ErrNonFinite = errors.New("value is not finite")

// Method is the way edges and levels are found.
type Method uint8

const (
	Affine   Method = iota // equal steps, integer zero point, clip of least squared error per group
	Balanced               // equal mass of f^P per bin, one codebook per tensor
	Lloyd                  // Lloyd-Max from error-balanced (p = 1/3) edges, one codebook per tensor
	Paper                  // Zhou et al. 2017 to the letter, one group per tensor
)

// String returns the lower-case name: "affine", "balanced", "lloyd", "paper".
func (m Method) String() string {
	return name(uint8(m), "method", "affine", "balanced", "lloyd", "paper")
}

// Norm is the way each group is brought to a common size before one codebook is made for the tensor.
type Norm uint8

const (
	NormAbsMax Norm = iota // divide by the largest magnitude, rounded up to a short scale
	NormRMS                // divide by the root of the mean square, rounded to the nearest short scale
)

// String returns "absmax" or "rms".
func (n Norm) String() string { return name(uint8(n), "norm", "absmax", "rms") }

// Levels is the way the reconstruction levels of a codebook follow from its bins.
type Levels uint8

const (
	LevelMeans    Levels = iota // the weighted mean of the values in the bin: least squared error for these bins
	LevelsUniform               // offset + step*code, both by weighted least squares over all values
)

// String returns "means" or "uniform".
func (l Levels) String() string { return name(uint8(l), "levels", "means", "uniform") }

func name(v uint8, kind string, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

// Spec says how Quantize works. Only Bits and Method matter to every method.
type Spec struct {
	Bits          int     // 1 to 8
	Method        Method  //
	P             float64 // Balanced: the exponent p in [0, 1]
	Norm          Norm    // Balanced and Lloyd
	Levels        Levels  // Balanced and Lloyd
	Symmetric     bool    // Affine: the zero point is the middle code, as kernels on int8 want it
	MeanThreshold bool    // Paper: split at the mean in place of the median
	Unbias        bool    // stretch the values so that the tensor keeps its projection, see Quantized.Unbias
	ZeroSum       bool    // move codes so that the errors of each channel add up to nearly zero, see Quantized.ZeroSum
}

// Quantize codes w, whose elements belong to the groups of l, in the way of s. importance weighs the squared error of
// each element (finite, >= 0); nil, or a slice of zeros, means 1 everywhere. The inputs are not changed.
//
// The codebook methods share one codebook between the normalised groups. Its squared error is weighted by
// importance*scale^2, so that what falls is the error of the values themselves, not of the normalised ones.
//
// NaN or Inf in w gives an error that wraps ErrNonFinite; an empty w an empty result; a group of zeros the scale 0
// and decoded values of exactly 0. Working memory, which the next call uses again: 4 bytes an element, 8 with
// importance, where l has both Outer > 1 and Channels > 1; 4 more for Balanced with p = 1; at most 3 MB besides.
func Quantize(w, importance []float32, l Layout, s Spec) (*Quantized, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := l.check(len(w)); err != nil {
		return nil, err
	}
	if err := checkFinite(w); err != nil {
		return nil, err
	}
	importance, err := checkImportance(importance, len(w))
	if err != nil {
		return nil, err
	}
	if s.Method == Paper && l.Groups() > 1 {
		return nil, fmt.Errorf("quantizing with method paper: want one group per tensor, got %d", l.Groups())
	}
	q := &Quantized{Layout: l, Bits: s.Bits, Scales: make([]float32, l.Groups())}
	x, returnX := grouped(l, w)
	defer returnX()
	importance, returnImportance := grouped(l, importance)
	defer returnImportance()
	q.Codes = make([]uint8, len(w))
	switch s.Method {
	case Affine:
		quantizeAffine(q, x, importance, s.Symmetric)
	case Paper:
		quantizePaper(q, x, s)
	default:
		quantizeCodebook(q, x, importance, s)
	}
	q.refine(x, s)
	if !l.contiguous() {
		codes := borrow[uint8](&codePool, len(w))
		defer codePool.Put(codes)
		copy(*codes, q.Codes)
		Scatter(l, q.Codes, *codes)
	}
	return q, nil
}

// refine applies Unbias and ZeroSum where s asks for them, and measures the result. x and the codes are in group order.
func (q *Quantized) refine(x []float32, s Spec) {
	if s.Unbias {
		q.unbias(x)
	}
	q.Signal, q.Noise = 0, 0
	d := q.decoder()
	if s.ZeroSum {
		d.up, d.down = q.moveTable(true), q.moveTable(false)
	}
	for c := range q.Layout.Channels {
		q.Noise += d.balanceChannel(x, c, s.ZeroSum)
	}
	for g := range q.Scales {
		part, _ := q.group(x, g)
		q.Signal += kernel.SumProducts(part, part)
	}
}

// grouped returns x in group order: x itself where that is the tensor's own order. done gives a buffer back.
func grouped(l Layout, x []float32) (y []float32, done func()) {
	if x == nil || l.contiguous() {
		return x, func() {}
	}
	dst := borrow[float32](&floats, len(x))
	Gather(l, *dst, x)
	return *dst, func() { floats.Put(dst) }
}

func (s Spec) check() error {
	if err := checkBits(s.Bits); err != nil {
		return err
	}
	switch {
	case s.Method > Paper:
		return fmt.Errorf("checking spec: unknown %v", s.Method)
	case s.Norm > NormRMS:
		return fmt.Errorf("checking spec: unknown %v", s.Norm)
	case s.Levels > LevelsUniform:
		return fmt.Errorf("checking spec: unknown %v", s.Levels)
	case s.Method == Balanced && !(s.P >= 0 && s.P <= 1):
		return fmt.Errorf("checking spec: want an exponent p in [0, 1], got %v", s.P)
	}
	return nil
}

func checkBits(bits int) error {
	if bits < 1 || bits > MaxBits {
		return fmt.Errorf("checking spec: want 1 to %d bits, got %d", MaxBits, bits)
	}
	return nil
}

func checkFinite(x []float32) error {
	if _, _, finite := kernel.MinMax(x); finite {
		return nil
	}
	for i, v := range x {
		if v-v != 0 { // NaN for NaN and both infinities
			return fmt.Errorf("reading element %d, %v: %w", i, v, ErrNonFinite)
		}
	}
	return nil
}

// checkImportance returns nil in place of weights that are all zero.
func checkImportance(importance []float32, n int) ([]float32, error) {
	if importance == nil {
		return nil, nil
	}
	if len(importance) != n {
		return nil, fmt.Errorf("reading importance: want %d values, got %d", n, len(importance))
	}
	any := false
	for i, v := range importance {
		if !(v >= 0 && v <= math.MaxFloat32) {
			return nil, fmt.Errorf("reading importance of element %d: want a finite number >= 0, got %v", i, v)
		}
		any = any || v > 0
	}
	if !any {
		return nil, nil
	}
	return importance, nil
}
