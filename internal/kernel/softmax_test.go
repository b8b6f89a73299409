package kernel

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// softmaxRef is Softmax in float64, element by element.
func softmaxRef(x []float32, log bool) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = max(top, float64(v))
	}
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		if out[i] = math.Exp(float64(v)-top) / sum; log {
			out[i] = float64(v) - top - math.Log(sum)
		}
	}
	return out
}

// softmaxUlps bounds errors of Softmax: 2 of e^x, whose argument is off by up to 8 * 2^-24 of itself, and of two divisions.
const softmaxUlps = 8

func TestSoftmaxRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range [][3]int{{3, 1, 1}, {700, 4, 1}, {2, 15, 1}, {2, 16, 1}, {1, 1000, 1}, {2, 5, 3}, {1, 21, 300}, {2, 1, 17}, {2, 0, 3}, {2, 0, 1}} {
			outer, n, stride := s[0], s[1], s[2]
			x := randomFloats(outer*n*stride, 3)
			got, log := make([]float32, len(x)), slices.Clone(x)
			Softmax(got, x, outer, n, stride)
			LogSoftmax(log, log, outer, n, stride) // in place
			for o := range outer {
				for k := range stride {
					row := make([]float32, n)
					for i := range row {
						row[i] = x[(o*n+i)*stride+k]
					}
					want, wantLog := softmaxRef(row, false), softmaxRef(row, true)
					for i := range row {
						at := (o*n+i)*stride + k
						if ulps(got[at], want[i]) > softmaxUlps || math.Abs(float64(log[at])-wantLog[i]) > 1e-6*(1+math.Abs(wantLog[i])) {
							t.Fatalf("%v: element %d is %v and %v, want %v and %v", s, at, got[at], log[at], want[i], wantLog[i])
						}
					}
				}
			}
		}
	})
}

func TestSoftmaxSpecials(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tt := range []struct{ x, want, log []float32 }{
		{[]float32{nan, 1}, []float32{nan, nan}, []float32{nan, nan}},
		{[]float32{inf, 1}, []float32{nan, 0}, []float32{nan, nan}},
		{[]float32{-inf, -inf}, []float32{nan, nan}, []float32{nan, nan}},
		{[]float32{-inf, 1}, []float32{0, 1}, []float32{-inf, 0}},
		{[]float32{1000, 1000}, []float32{0.5, 0.5}, []float32{-math.Ln2, -math.Ln2}},
		{[]float32{0}, []float32{1}, []float32{0}},
	} {
		eachLevel(t, func(t *testing.T) {
			for _, stride := range []int{1, 2} {
				n := len(tt.x)
				x, got := make([]float32, n*stride), make([]float32, n*stride)
				for i, v := range tt.x {
					for s := range stride {
						x[i*stride+s] = v
					}
				}
				Softmax(got, x, 1, n, stride)
				for i, w := range tt.want {
					if v := got[i*stride]; w == w && v != w && tt.x[0] != inf || w != w && v == v {
						t.Errorf("softmax of %v, stride %d: %v, want %v", tt.x, stride, got, tt.want)
					}
				}
				LogSoftmax(got, x, 1, n, stride)
				for i, w := range tt.log {
					if v := got[i*stride]; w == w && v != w || w != w && v == v {
						t.Errorf("log softmax of %v, stride %d: %v, want %v", tt.x, stride, got, tt.log)
					}
				}
			}
		})
	}
}

// rowLengths are around those at which rows are gone through in another way.
func rowLengths() (list []int) {
	for n := range 70 {
		list = append(list, n+1)
	}
	return append(list, 197, 255, 256, 257, 1023, 1024, 1025, 2048)
}

// Rows of every length come out right whatever their number, in place too, and no other element is written.
func TestSoftmaxWholeRows(t *testing.T) {
	const guard, mark = 20, 12345
	eachLevel(t, func(t *testing.T) {
		for _, n := range rowLengths() {
			for rows := 1; rows <= 3; rows++ {
				x, buf := randomFloats(rows*n, uint64(n)), make([]float32, guard+rows*n+guard)
				fillRow(buf, mark)
				got := buf[guard:][: rows*n : rows*n]
				Softmax(got, x, rows, n, 1)
				for i := range guard {
					if buf[i] != mark || buf[len(buf)-1-i] != mark {
						t.Fatalf("%d rows of %d: written beside them", rows, n)
					}
				}
				for r := range rows {
					row := x[r*n : (r+1)*n]
					alone := slices.Clone(row)
					Softmax(alone, alone, 1, n, 1) // in place
					if !slices.Equal(alone, got[r*n:(r+1)*n]) {
						t.Fatalf("row %d of %d, %d elements: other bits than alone", r, rows, n)
					}
					for i, want := range softmaxRef(row, false) {
						if ulps(alone[i], want) > softmaxUlps {
							t.Fatalf("row %d of %d, element %d of %d: %v, want %v", r, rows, i, n, alone[i], want)
						}
					}
				}
			}
		}
	})
}

// A row that holds NaN or +Inf anywhere, or nothing but -Inf, is NaN; those beside it are not touched by that.
func TestSoftmaxSpoiltRows(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachLevel(t, func(t *testing.T) {
		for _, n := range rowLengths() {
			for _, at := range []int{0, n / 2, n - 1} {
				for _, bad := range []float32{nan, inf, -inf} {
					x, got := randomFloats(3*n, 5), make([]float32, 3*n)
					want := slices.Clone(x)
					Softmax(want, x, 3, n, 1)
					if x[n+at] = bad; bad == -inf {
						fillRow(x[n:2*n], -inf)
					}
					Softmax(got, x, 3, n, 1)
					if !slices.Equal(got[:n], want[:n]) || !slices.Equal(got[2*n:], want[2*n:]) {
						t.Fatalf("%v in a row of %d: the rows beside it changed", bad, n)
					}
					for i, v := range got[n : 2*n] {
						if v == v {
							t.Fatalf("%v at %d of %d: element %d is %v", bad, at, n, i, v)
						}
					}
				}
			}
		}
	})
}

// Rows of any numbers agree with the sums in float64.
func FuzzSoftmax(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(make([]byte, 4*40), uint8(20))
	for n := range uint8(40) {
		var b []byte
		for _, v := range randomFloats(67, uint64(n)) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(20*v))
		}
		f.Add(b, n)
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		n := int(size) + 1
		x := floatsOf(data)
		rows := len(x) / n
		eachLevel(t, func(t *testing.T) {
			got := make([]float32, len(x))
			Softmax(got, x, rows, n, 1)
			for r := range rows {
				checkSoftmax(t, got[r*n:(r+1)*n], x[r*n:(r+1)*n])
			}
		})
	})
}

// checkSoftmax compares a row with softmaxRef. The difference to the largest element is rounded, which moves e^x by as
// many halves of an ulp as the difference is large.
func checkSoftmax(t *testing.T, got, x []float32) {
	t.Helper()
	top := float64(largestPlain(x))
	for i, want := range softmaxRef(x, false) {
		if math.IsInf(top, 1) {
			want = math.NaN()
		}
		v := float64(got[i])
		if math.IsNaN(want) != math.IsNaN(v) {
			t.Fatalf("element %d of %v: %v, want %v", i, x, v, want)
		}
		slack := (softmaxUlps + math.Abs(float64(x[i])-top)) * 0x1p-23
		if math.Abs(v-want) > slack*want+0x1p-126 { // what is below the normal numbers may be anything below
			t.Fatalf("element %d of %v: %v, want %v", i, x, v, want)
		}
	}
}
