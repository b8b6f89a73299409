package convert

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"bq/balance"
	"bq/onnxio"
)

// Reason says why a float tensor was kept as it is. The list is closed (cli.md, "Coverage is never silent").
type Reason string

// The reasons for which a tensor is kept.
const (
	Asked     Reason = "asked"     // a --keep pattern fits it
	Small     Reason = "small"     // fewer than Options.MinElements elements
	Bias      Reason = "bias"      // it is added, once per output
	Norm      Reason = "norm"      // scale, offset or statistics of a normalization
	Op        Reason = "op"        // no weight rule for the way it is used
	Nonfinite Reason = "nonfinite" // it holds a NaN or an infinity
	Gain      Reason = "gain"      // its quantized form would not be smaller
	Coded     Reason = "coded"     // it holds integer codes that the model dequantizes, or computes with, already
)

// MinElements is the default of Options.MinElements: below it, scales, tables and the index entry eat the gain.
const MinElements = 256

// Coverage is what became of one float tensor of the model.
type Coverage struct {
	Name     string
	Op       string // the operator that computes with it first, "" where nothing does
	Via      string // what it passes on the way there: "Cast, Transpose"
	Shape    []int
	Elements int
	Reason   Reason // "" where the tensor is quantized
	Method   string // family member: affine, balanced, lloyd, paper
	P        float64
	Bits     int
	Group    string // what shares a scale: tensor, channel, or block of N
	Codec    string
	Bytes    int64   // what the tensor takes in the file: codes and parameters, or the raw values
	SQNR     float64 // dB of the quantized values against the float ones; +Inf where equal
}

// Quantized reports whether the tensor is stored in quantized form.
func (c Coverage) Quantized() bool { return c.Reason == "" }

// BitsPerWeight returns the stored bits for each element, 0 for an empty tensor.
func (c Coverage) BitsPerWeight() float64 {
	if c.Elements == 0 {
		return 0
	}
	return 8 * float64(c.Bytes) / float64(c.Elements)
}

// classify decides from the graph alone whether the site can be quantized: with a layout, or kept for a reason.
func (s *site) classify(o *Options) (balance.Layout, Reason, error) {
	shape, err := s.Tensor.Shape()
	if err != nil {
		return balance.Layout{}, "", err
	}
	for _, pattern := range o.Keep {
		if s.matches(pattern) {
			return balance.Layout{}, Asked, nil
		}
	}
	if r := s.role(shape); r != "" {
		return balance.Layout{}, r, nil
	}
	if product(shape) < o.minElements() {
		return balance.Layout{}, Small, nil
	}
	layout, ok := s.weightLayout(shape)
	if !ok || s.listForm() {
		return balance.Layout{}, Op, nil
	}
	return o.Group.apply(layout), "", nil
}

// role returns Bias or Norm where every reader uses the site so, else "".
func (s *site) role(shape []int) Reason {
	bias, norm := 0, 0
	for _, u := range s.uses {
		switch {
		case u.isBias(u.shape(shape)):
			bias++
		case u.isNorm():
			norm++
		}
	}
	switch {
	case len(s.uses) == 0 || bias+norm < len(s.uses):
		return ""
	case norm > 0:
		return Norm
	}
	return Bias
}

// listForm reports whether the site is a list attribute of a Constant node, which has no tensor to put codes in.
func (s *site) listForm() bool { return s.Node != nil && s.Node.Attr("value") == nil }

// Group says which weights share a scale.
type Group struct {
	PerTensor bool
	Block     int // weights per block within a channel; 0: the whole channel
}

// apply restricts a channel layout to the group asked for.
func (g Group) apply(l balance.Layout) balance.Layout {
	if g.PerTensor {
		return balance.PerTensor(l.Len())
	}
	l.Block = g.Block
	return l
}

// groupName names the groups of a layout as --group does.
func groupName(l balance.Layout) string {
	switch {
	case l.Block > 0:
		return fmt.Sprint(l.Block)
	case l.Channels == 1:
		return "tensor"
	}
	return "channel"
}

// indexOverhead is what an entry in the container's index costs beyond its payload, in bytes: about what
// packing.File.Sizes shows per tensor on real models.
const indexOverhead = 18

// quantize codes the values of a job that is planned so, or finds the reason that only the values show for keeping
// them; it has no codes then, whatever an earlier round gave it. The plan has checked that the data are as long as the shape says.
func (j *job) quantize(m Method, typical int, balanced bool) error {
	if j.reason != "" {
		return nil
	}
	j.q = nil
	buf := buffers.borrow(j.layout.Len())
	defer buffers.put(buf)
	w := *buf
	if err := j.Tensor.Float32s(w); err != nil {
		return err
	}
	q, err := m.quantize(w, j.importance(), j.layout, j.bits, typical, balanced && j.sumsInputs())
	switch {
	case errors.Is(err, balance.ErrNonFinite):
		j.reason = Nonfinite
		return nil
	case err != nil:
		return fmt.Errorf("quantizing %s: %w", onnxio.Quote(j.name), err)
	case !q.decodesFinite(j.Tensor.Type):
		j.reason = Nonfinite
		return nil
	}
	raw := int64(len(w)) * int64(j.Tensor.Type.Bits()) / 8
	if int64(q.packed().StoredLen())+indexOverhead >= raw {
		j.reason = Gain
		return nil
	}
	if q.sqnr = q.SQNR(); len(j.forecasts) > 0 || j.Tensor.Type.Bits() < 32 {
		got := buffers.borrow(len(w))
		defer buffers.put(got)
		q.decoded(j.Tensor.Type, *got)
		for _, f := range j.forecasts {
			f.measure(w, *got)
		}
		q.sqnr = balance.SQNR(w, *got)
	}
	j.q = q
	return nil
}

// sumsInputs reports whether a channel of the weight is a sum over inputs that a rectifier may have made positive: a
// linear layer, with one channel for each output. Inputs of recurrent layers have both signs, rows of tables none.
func (j *job) sumsInputs() bool {
	return j.layout.Channels > 1 && slices.Contains([]string{"Conv", "ConvTranspose", "Gemm", "MatMul"}, j.op())
}

// decoded writes the decoded values, rounded to element type t.
func (q *quantized) decoded(t onnxio.DataType, dst []float32) {
	q.Dequantize(dst)
	roundTo(t, dst)
}

// decodesFinite reports whether every value that a code can stand for is within the range of the element type t.
func (q *quantized) decodesFinite(t onnxio.DataType) bool {
	limit := float64(math.MaxFloat32)
	if t == onnxio.Float16 {
		limit = maxFloat16
	}
	shared := 0.0
	for _, v := range q.Levels {
		shared = max(shared, math.Abs(float64(v)))
	}
	for g, scale := range q.Scales {
		largest := shared
		if q.Levels == nil {
			zero := 1 << (q.Bits - 1)
			if q.Zeros != nil {
				zero = int(q.Zeros[g])
			}
			largest = float64(max(zero, 1<<q.Bits-1-zero)) * max(1, float64(q.Stretch))
		}
		if math.Abs(float64(scale))*largest > limit {
			return false
		}
	}
	return true
}

// maxFloat16 is the largest finite float16 (IEEE 754 binary16).
const maxFloat16 = 65504

// roundTo rounds values to what the element type t can hold, in place; all but the 16-bit types hold a float32.
func roundTo(t onnxio.DataType, values []float32) {
	if t == onnxio.Float || t == onnxio.Double {
		return
	}
	for i, v := range values {
		values[i] = onnxio.Round(t, v)
	}
}
