package convert

import "bq/onnxio"

// channelSum is the sum of a value's elements along one axis, and how many were summed for each.
type channelSum struct {
	sum   []float64
	count int
}

// sumChannels adds up v by index of axis, which counts from the end where it is negative; nil where v is no float
// array of that many axes.
func sumChannels(v *onnxio.Array, axis int) *channelSum {
	x := v.F32()
	if axis < 0 {
		axis += len(v.Shape)
	}
	if x == nil || axis < 0 || axis >= len(v.Shape) {
		return nil
	}
	channels, inner := v.Shape[axis], product(v.Shape[axis+1:])
	s := &channelSum{sum: make([]float64, channels)}
	if len(x) == 0 {
		return s
	}
	s.count = len(x) / channels
	for at, c := 0, 0; at < len(x); at += inner {
		for _, f := range x[at : at+inner] {
			s.sum[c] += float64(f)
		}
		c = (c + 1) % channels
	}
	return s
}

// finite reports whether no sum is NaN or infinite.
func (s *channelSum) finite() bool {
	if s == nil {
		return true
	}
	for _, v := range s.sum {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// meanOf returns the mean by channel over all samples, summed in their order; nil where a sample has none or another
// number of channels.
func meanOf(samples []*channelSum) []float64 {
	var total []float64
	count := 0
	for _, s := range samples {
		switch {
		case s == nil:
			return nil
		case total == nil:
			total = make([]float64, len(s.sum))
		case len(total) != len(s.sum):
			return nil
		}
		for c, v := range s.sum {
			total[c] += v
		}
		count += s.count
	}
	if count == 0 {
		return nil
	}
	for c := range total {
		total[c] /= float64(count)
	}
	return total
}

// takeBack shifts values, which it replaces, so that their mean by channel becomes want, and returns the shift; nil,
// and nothing changed, where the means can't be compared or are not finite.
func takeBack(values []*onnxio.Array, want []float64, axis int) []float64 {
	sums := make([]*channelSum, len(values))
	for i, v := range values {
		sums[i] = sumChannels(v, axis)
	}
	got := meanOf(sums)
	if got == nil || len(got) != len(want) {
		return nil
	}
	shift := make([]float64, len(got))
	for c := range got {
		shift[c] = want[c] - got[c]
		if shift[c]-shift[c] != 0 {
			return nil
		}
	}
	for i, v := range values {
		values[i] = shifted(v, shift, axis)
	}
	return shift
}

// shifted returns v with shift added by channel.
func shifted(v *onnxio.Array, shift []float64, axis int) *onnxio.Array {
	return byChannel(v, axis, len(shift), func(c int, x float32) float32 { return x + float32(shift[c]) })
}

// byChannel returns what f makes of each element of v, whose channels, as many as given, lie along axis.
func byChannel(v *onnxio.Array, axis, channels int, f func(c int, x float32) float32) *onnxio.Array {
	if axis < 0 {
		axis += len(v.Shape)
	}
	out := onnxio.NewArray(v.Type, v.Shape...)
	inner := product(v.Shape[axis+1:])
	x, y := v.F32(), out.F32()
	for at, c := 0, 0; at < len(x); at += inner {
		for i := at; i < at+inner; i++ {
			y[i] = onnxio.Round(v.Type, f(c, x[i]))
		}
		c = (c + 1) % channels
	}
	return out
}
