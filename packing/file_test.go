package packing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files and vectors in place of comparing")

// content is all that a file holds, as a Writer takes it.
type content struct {
	meta    Meta
	graph   []byte
	tensors []Tensor
}

func (c *content) encode(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, c.meta)
	if err := w.Graph(c.graph); err != nil {
		t.Fatal(err)
	}
	for i := range c.tensors {
		if err := w.Tensor(&c.tensors[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decode reads all of a file.
func decode(b []byte) (*content, error) {
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	c := &content{meta: f.Meta()}
	if c.graph, err = f.Graph(); err != nil {
		return nil, err
	}
	for i := range f.Entries() {
		t, err := f.Tensor(i)
		if err != nil {
			return nil, err
		}
		c.tensors = append(c.tensors, *t)
	}
	return c, f.Verify()
}

// sample returns a small file with every kind of section and every form in it.
func sample() *content {
	step := func(n uint32) float32 { return math.Float32frombits(n << shortDrop) }
	return &content{
		meta:  Meta{{"made_by", []byte("bq test")}, {"note", bytes.Repeat([]byte("calibrated on nothing. "), 12)}},
		graph: bytes.Repeat([]byte("graph bytes, "), 10),
		tensors: []Tensor{
			{Name: "kept", Type: 1, Shape: []int64{3}, Note: "bias", Data: []byte{0, 0, 128, 63, 0, 0, 0, 64, 1, 2, 3, 4}},
			{Name: "zeros", Type: 1, Shape: []int64{4, 16}, Note: "small", Data: make([]byte, 256)},
			{Name: "affine", Type: 1, Shape: []int64{2, 5}, Quant: &Quant{Method: "affine", P: 0, Bits: 3,
				Layout: Layout{1, 2, 5, 0}, Scales: []float32{0.1, 0.2}, Zeros: []uint8{3, 7},
				Codes: []uint8{0, 1, 2, 3, 4, 5, 6, 7, 0, 1}}},
			{Name: "book", Type: 10, Shape: []int64{4}, Quant: &Quant{Method: "lloyd", P: 1. / 3, Bits: 2,
				Layout: Layout{1, 1, 4, 0}, Scales: []float32{0.5}, Levels: []float32{-1, -0.25, 0.25, 1},
				Codes: []uint8{3, 2, 1, 0}}},
			{Name: "short", Type: 1, Shape: []int64{5, 2}, Quant: &Quant{Method: "paper", P: 1, Bits: 1,
				Layout: Layout{1, 5, 2, 0}, Scales: []float32{step(0xfc0), 0, step(0xfc1), step(0xfc0 + 254), step(0xfd0)},
				Levels: []float32{-0.1, 0.3}, Codes: []uint8{0, 1, 1, 0, 0, 0, 1, 1, 1, 0}}},
		},
	}
}

// coded returns a file whose codes are stored under every codec, in every kind of block.
func coded() *content {
	tensor := func(name string, codec Codec, c shaped) Tensor {
		c.q.Codec, c.q.Method = codec, "affine"
		for i := range c.q.Scales {
			c.q.Scales[i] = 0.5
		}
		return Tensor{Name: name, Type: 1, Shape: c.shape, Quant: c.q}
	}
	zeros := normalCodes(1, 4, 1.5, Layout{1, 8, 24, 0}, 8, 24)
	zeros.q.Zeros = []uint8{8, 7, 3, 12, 8, 8, 15, 0}
	zeros = recoded(zeros, 1, 1.5)
	repeated := normalCodes(11, 4, 3, Layout{1, 20, 40, 0}, 20, 40)
	repeated.q.Zeros = make([]uint8, 20) // so that some of what is expected does not fit
	for i := range repeated.q.Zeros {
		repeated.q.Zeros[i] = uint8(5 + i%5)
	}
	repeated.q.Zeros[15] = 14
	copy(repeated.q.Codes[400:], repeated.q.Codes[:400])
	many := normalCodes(12, 4, 2, Layout{1, 40, 5, 0}, 40, 5)
	many.q.Zeros = make([]uint8, 40)
	for i := range many.q.Zeros {
		many.q.Zeros[i] = uint8(7 + i%3)
	}
	scales := normalCodes(10, 2, 0.5, Layout{1, 20, 6, 3}, 20, 6)
	book := normalCodes(5, 2, 0.6, Layout{1, 4, 130, 0}, 4, 130)
	book.q.Levels = []float32{-1.5, -0.25, 0.5, 1}
	return &content{meta: Meta{{"made_by", []byte("bq test")}}, graph: []byte("graph"), tensors: []Tensor{
		tensor("range", CodecRange, zeros),
		tensor("range book", CodecRange, recoded(book, 6, 0.6)),
		tensor("range wide", CodecRange, normalCodes(2, 10, 5, Layout{9, 8, 4, 0}, 9, 8, 2, 2)),
		tensor("one scale", CodecRange, normalCodes(3, 4, 1, Layout{1, 1, 100, 0}, 10, 10)),
		tensor("repeats", CodecRange, repeated),
		tensor("coded zeros", CodecPacked, many),
		tensor("huffman", CodecHuffman, normalCodes(4, 4, 1, Layout{64, 40, 1, 0}, 64, 40)),
		tensor("huffman of threes", CodecHuffman, normalCodes(7, 3, 0.7, Layout{1, 5, 201, 0}, 5, 201)),
		tensor("wide huffman", CodecHuffman, normalCodes(8, 12, 40, Layout{1, 4, 150, 0}, 4, 150)),
		tensor("same scales", CodecPacked, scales),
		tensor("same", CodecHuffman, normalCodes(9, 5, 0, Layout{1, 1, 1000, 0}, 1000)),
	}}
}

// recoded returns the tensor with new codes around the centres that its zero points and levels now give.
func recoded(c shaped, seed uint64, deviation float64) shaped {
	q := *c.q
	fresh := normalCodes(seed, q.Bits, 0, q.Layout, c.shape...)
	noise := normalCodes(seed, 8, deviation, q.Layout, c.shape...)
	centres := make([]int32, q.Len())
	q.centres(centres, 0)
	for i, centre := range centres {
		fresh.q.Codes[i] = uint8(max(0, min(1<<q.Bits-1, centre+int32(noise.q.Codes[i])-128)))
	}
	q.Codes = fresh.q.Codes
	return shaped{c.shape, &q}
}

// edges returns tensors at the borders of what is allowed.
func edges() *content {
	zero := math.Float32frombits(1 << 31)
	return &content{meta: Meta{}, graph: []byte{}, tensors: []Tensor{
		{Name: "scalar", Shape: []int64{}, Data: []byte{1}},
		{Name: "none", Shape: []int64{0, 1 << 40}, Data: []byte{}},
		{Name: "\xff\x00\n::", Type: math.MaxInt32, Shape: []int64{1}, Data: []byte{0}},
		{Name: "no codes", Shape: []int64{3, 0}, Quant: &Quant{Bits: 8, Layout: Layout{1, 3, 0, 16},
			Scales: []float32{}, Codes: []uint8{}}},
		{Name: "one", Shape: []int64{1}, Quant: &Quant{Bits: 8, Layout: Layout{1, 1, 1, 1},
			Scales: []float32{zero}, Zeros: []uint8{255}, Codes: []uint8{255}}},
		{Name: "blocks", Shape: []int64{2, 2, 5}, Quant: &Quant{Bits: 4, Layout: Layout{2, 2, 5, 4},
			Scales: []float32{1, 2, 3, 4, 5, math.MaxFloat32}, Codes: make([]uint8, 20)}},
		{Name: "wide", Shape: []int64{1, 5}, Quant: &Quant{Bits: 9, Layout: Layout{1, 1, 5, 0}, Stretch: 1.5,
			Scales: []float32{0.1}, Wide: []uint16{0, 511, 256, 255, 1}}},
		{Name: "widest", Shape: []int64{3}, Quant: &Quant{Bits: 16, Layout: Layout{1, 3, 1, 0},
			Scales: []float32{1, 2, 3}, Wide: []uint16{0, 65535, 32768}}},
		{Name: "no wide codes", Shape: []int64{0}, Quant: &Quant{Bits: 10, Layout: Layout{1, 1, 0, 0},
			Scales: []float32{}, Wide: []uint16{}}},
		{Name: "all zero scales", Shape: []int64{4}, Quant: &Quant{Bits: 1, Layout: Layout{1, 4, 1, 0},
			Scales: make([]float32, 4), Codes: []uint8{1, 0, 1, 0}}},
	}}
}

func TestFileRoundTrip(t *testing.T) {
	for name, c := range map[string]*content{
		"empty": {meta: Meta{}, graph: []byte{}}, "sample": sample(), "edges": edges(), "coded": coded(),
	} {
		b := c.encode(t)
		got, err := decode(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, c) {
			t.Errorf("%s: got %+v, want %+v", name, got, c)
		}
		if _, faults := Check(bytes.NewReader(b), int64(len(b))); faults != nil {
			t.Errorf("%s: faults %v", name, faults)
		}
		if again := got.encode(t); !bytes.Equal(again, b) {
			t.Errorf("%s: encoding again gives other bytes", name)
		}
	}
}

func TestSizesAddUp(t *testing.T) {
	b := sample().encode(t)
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	codes, scales, kept, graph, container := f.Sizes()
	if sum := codes + scales + kept + graph + container; sum != int64(len(b)) {
		t.Errorf("sizes add up to %d, want %d", sum, len(b))
	}
	// 10 codes of 3 bits, 4 of 2, 10 of 1. Params: 2 float32 and 2 zero points of 3 bits; a bfloat16 and
	// 4 float16; a base, 5 bytes and 2 float32.
	if codes != 4+1+2 || scales != 2*4+1+2+4*2+2+5+2*4 {
		t.Errorf("got %d bytes of codes and %d of scales", codes, scales)
	}
	if i, ok := f.Lookup("short"); !ok || i != 4 || f.Entries()[i].ScalesBytes != 15 || !f.Entries()[i].Codebook {
		t.Errorf("lookup of short: %d %v", i, ok)
	}
	if _, ok := f.Lookup("absent"); ok {
		t.Error("lookup of an absent tensor succeeds")
	}
	if v, ok := f.Meta().Get("made_by"); !ok || string(v) != "bq test" {
		t.Errorf("made_by: %q %v", v, ok)
	}
	if _, ok := f.Meta().Get("absent"); ok {
		t.Error("an absent key is found")
	}
}

func TestAccountCoversTheFile(t *testing.T) {
	for name, c := range map[string]*content{"sample": sample(), "edges": edges(), "coded": coded(), "empty": {}} {
		b := c.encode(t)
		f, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		a := f.Account()
		if a.Total() != int64(len(b)) {
			t.Errorf("%s: %+v adds up to %d, want %d", name, a, a.Total(), len(b))
		}
		codes, scales, kept, graph, _ := f.Sizes()
		sum := int64(0)
		for _, p := range a.Codes {
			sum += p.Bytes
		}
		if sum != codes || a.Scales+a.Zeros+a.Levels != scales || a.Kept.Bytes != kept || a.Graph != graph {
			t.Errorf("%s: %+v differs from the sizes", name, a)
		}
	}
	b := coded().encode(t)
	f, _ := Open(bytes.NewReader(b), int64(len(b)))
	a := f.Account()
	// Four or five tensors under each coder, and two packed: 120 codes of 2 bits, 200 of 4. Zero points: 8 and 20 of 4 bits. Levels: 4 of 2 bytes.
	if a.Codes[CodecPacked] != (Part{2, 130}) || a.Codes[CodecRange].Sections != 5 || a.Codes[CodecHuffman].Sections != 4 || a.Zeros != 14 || a.Levels != 8 {
		t.Errorf("%+v", a)
	}
	d := newDraft(t, sample())
	d.extra(2, []byte("later"))
	b = d.build()
	f, _ = Open(bytes.NewReader(b), int64(len(b)))
	if a := f.Account(); a.Extras != (Part{1, 5}) || a.Total() != int64(len(b)) {
		t.Errorf("with an extra section: %+v", a)
	}
}

// maxOverhead is what a tensor may cost beyond its payload, in bytes: a checksum, on average 4
// of padding, and its entry with the name in a compressed index. Measured here: 8.
const maxOverhead = 12

func TestOverheadPerTensor(t *testing.T) {
	size := func(n int) (container int64) {
		c := &content{meta: Meta{}}
		for i := range n {
			out, in := 16+i%7*8, 8+i%5*3
			q := &Quant{Method: "affine", Bits: 4, Layout: Layout{1, out, in * 9, 0},
				Scales: make([]float32, out), Codes: make([]uint8, out*in*9)}
			for j := range q.Scales {
				q.Scales[j] = float32(i+j+1) / 1000
			}
			for j := range q.Codes {
				q.Codes[j] = uint8(i*7+j*j) % 16
			}
			c.tensors = append(c.tensors, Tensor{Name: fmt.Sprintf("layer%d.conv%d.weight", i/2, i%2), Type: 1,
				Shape: []int64{int64(out), int64(in), 3, 3}, Quant: q})
		}
		b := c.encode(t)
		f, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, _, container = f.Sizes()
		return container
	}
	few, many := size(20), size(120)
	per := float64(many-few) / 100
	t.Logf("container: %d bytes for 20 tensors, %d for 120; %.1f each", few, many, per)
	if per > maxOverhead {
		t.Errorf("%.1f bytes a tensor, want at most %d", per, maxOverhead)
	}
}

func TestWriterIsDeterministicAndKeepsInput(t *testing.T) {
	c := sample()
	first := c.encode(t)
	if !reflect.DeepEqual(c, sample()) {
		t.Error("writing changed its input")
	}
	if !bytes.Equal(first, sample().encode(t)) {
		t.Error("equal content gives other bytes")
	}
	if want := sha256.Sum256(first[:len(first)-footerSize+digestAt]); !bytes.Contains(first, want[:]) {
		t.Error("the digest does not stand in the file")
	}
}

func TestWriterRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	quant := func(change func(*Quant)) Tensor {
		q := &Quant{Bits: 2, Layout: Layout{1, 1, 4, 0}, Scales: []float32{1}, Codes: make([]uint8, 4)}
		change(q)
		return Tensor{Name: "q", Shape: []int64{4}, Quant: q}
	}
	wide := func(change func(*Quant)) Tensor {
		return quant(func(q *Quant) {
			q.Bits, q.Codes, q.Wide = 9, nil, make([]uint16, 4)
			change(q)
		})
	}
	for want, bad := range map[string]Tensor{
		"name of 0 bytes":       {Shape: []int64{1}, Data: []byte{1}},
		"twice":                 {Name: "there", Shape: []int64{1}, Data: []byte{1}},
		"element type -1":       {Name: "a", Type: -1, Shape: []int64{1}, Data: []byte{1}},
		"shape [-1]":            {Name: "a", Shape: []int64{-1}},
		"shape [4294967296":     {Name: "a", Shape: []int64{1 << 32, 1 << 32}},
		"shape [0 ":             {Name: "a", Shape: []int64{0, 1 << 62}},
		"note of 256 bytes":     {Name: "a", Note: strings.Repeat("n", 256), Shape: []int64{1}, Data: []byte{1}},
		"17 bytes of data":      {Name: "a", Shape: []int64{1}, Data: make([]byte, 17)},
		"0 bytes of data for 1": {Name: "a", Shape: []int64{1}},
		"data or note":          {Name: "a", Shape: []int64{1}, Data: []byte{1}, Quant: &Quant{}},
		"method of 256":         quant(func(q *Quant) { q.Method = strings.Repeat("m", 256) }),
		"exponent NaN":          quant(func(q *Quant) { q.P = nan }),
		"0 bits":                quant(func(q *Quant) { q.Bits = 0 }),
		"17 bits":               quant(func(q *Quant) { q.Bits = 17 }),
		"0 codes, want 4":       quant(func(q *Quant) { q.Bits = 9 }),
		"beside wider ones":     quant(func(q *Quant) { q.Wide = make([]uint16, 4) }),
		"does not fit in 9":     wide(func(q *Quant) { q.Wide[1] = 512 }),
		"zero points or levels": wide(func(q *Quant) { q.Zeros = []uint8{1} }),
		"codes of 16 bits":      wide(func(q *Quant) { q.Bits, q.Levels = 16, make([]float32, 1<<16) }),
		"layout {1 1 3 0}":      quant(func(q *Quant) { q.Layout.Inner = 3 }),
		"layout {1 1 4 -1}":     quant(func(q *Quant) { q.Layout.Block = -1 }),
		"codec 7":               quant(func(q *Quant) { q.Codec = 7 }),
		"3 codes":               quant(func(q *Quant) { q.Codes = q.Codes[:3] }),
		"a code does not fit":   quant(func(q *Quant) { q.Codes[3] = 4 }),
		"2 scales":              quant(func(q *Quant) { q.Scales = []float32{1, 1} }),
		"1 scales":              quant(func(q *Quant) { q.Scales[0] = inf }),
		"beside levels":         quant(func(q *Quant) { q.Zeros, q.Levels = []uint8{1}, make([]float32, 4) }),
		"2 zero points":         quant(func(q *Quant) { q.Zeros = []uint8{1, 1} }),
		"1 zero points":         quant(func(q *Quant) { q.Zeros = []uint8{4} }),
		"3 levels":              quant(func(q *Quant) { q.Levels = make([]float32, 3) }),
		"4 levels":              quant(func(q *Quant) { q.Levels = []float32{0, 1, 2, nan} }),
	} {
		var b bytes.Buffer
		w := NewWriter(&b, nil)
		good := Tensor{Name: "there", Shape: []int64{1}, Data: []byte{1}}
		if err := w.Tensor(&good); err != nil {
			t.Fatal(err)
		}
		if err := w.Tensor(&bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		if _, err := w.Close(); err != nil {
			t.Errorf("%s: closing after a refused tensor: %v", want, err)
		}
		if c, err := decode(b.Bytes()); err != nil || len(c.tensors) != 1 {
			t.Errorf("%s: file after a refused tensor: %v, %v", want, c, err)
		}
	}
}

func TestWriterMisuse(t *testing.T) {
	for name, meta := range map[string]Meta{
		"twice": {{"a", nil}, {"a", nil}}, "empty": {{"", nil}}, "long": {{strings.Repeat("k", MaxNameBytes+1), nil}},
		"many": make(Meta, MaxMetaPairs+1), "large": {{"a", make([]byte, MaxIndexBytes)}},
	} {
		if _, err := NewWriter(io.Discard, meta).Close(); err == nil {
			t.Errorf("metadata %s: no error", name)
		}
	}
	w := NewWriter(io.Discard, nil)
	if err := w.Tensor(&Tensor{Name: "a", Shape: []int64{0}}); err != nil {
		t.Fatal(err)
	}
	if w.Graph(nil) == nil {
		t.Error("a graph after a tensor is taken")
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err == nil {
		t.Error("a second Close succeeds")
	}
	if w.Tensor(&Tensor{Name: "b", Shape: []int64{0}}) == nil {
		t.Error("a tensor after Close is taken")
	}
}

// fullDisk fails after n bytes.
type fullDisk struct{ n int }

var errDiskFull = errors.New("disk full")

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.n -= len(b); d.n < 0 {
		return 0, errDiskFull
	}
	return len(b), nil
}

func TestWriterReportsFullDisk(t *testing.T) {
	size := len(sample().encode(t))
	for n := 0; n < size; n += 7 {
		w := NewWriter(&fullDisk{n}, nil)
		for _, x := range sample().tensors {
			_ = w.Tensor(&x)
		}
		w.write(make([]byte, 1<<16)) // makes sure that the disk is full before the footer
		if _, err := w.Close(); !errors.Is(err, errDiskFull) {
			t.Fatalf("disk of %d bytes: %v", n, err)
		}
	}
}

func TestOpenFalseSize(t *testing.T) {
	b := sample().encode(t)
	for _, size := range []int64{-1, 0, 7, 103, int64(len(b)) + 1, 1 << 40, math.MaxInt64} {
		if _, err := Open(bytes.NewReader(b), size); err == nil {
			t.Errorf("size %d: no error", size)
		}
	}
}

func TestLargeSections(t *testing.T) {
	// Above firstGrowth and above one chunk of the writer, so that every loop turns more than once.
	const n = 3 << 20
	c := &content{meta: Meta{}, graph: make([]byte, n)}
	q := &Quant{Bits: 5, Layout: Layout{1, 1, n + 3, 0}, Scales: []float32{1}, Codes: make([]uint8, n+3)}
	for i := range c.graph {
		c.graph[i] = byte(i >> 10)
	}
	for i := range q.Codes {
		q.Codes[i] = uint8(i*i>>3) & 31
	}
	c.tensors = []Tensor{{Name: "q", Shape: []int64{n + 3}, Quant: q}, {Name: "zero", Shape: []int64{n}, Data: make([]byte, n)}}
	got, err := decode(c.encode(t))
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatalf("large sections are not restored: %v", err)
	}
}

func BenchmarkTensor(b *testing.B) {
	const n = 1 << 20
	for _, bits := range []int{2, 4, 8} {
		q := &Quant{Bits: bits, Layout: Layout{1, 1024, n / 1024, 0}, Scales: make([]float32, 1024), Codes: make([]uint8, n)}
		c := &content{tensors: []Tensor{{Name: "w", Shape: []int64{n}, Quant: q}}}
		file := c.encode(b)
		name := fmt.Sprintf("bits=%d/n=%d", bits, n)
		b.Run("write/"+name, func(b *testing.B) {
			b.SetBytes(n)
			for b.Loop() {
				c.encode(b)
			}
		})
		b.Run("read/"+name, func(b *testing.B) {
			f, err := Open(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n)
			for b.Loop() {
				if _, err := f.Tensor(0); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("dequantize/"+name, func(b *testing.B) {
			dst := make([]float32, n)
			b.SetBytes(n)
			for b.Loop() {
				q.Dequantize(dst)
			}
		})
	}
}

// Metadata that is known last stands where that of NewWriter would.
func TestSetMeta(t *testing.T) {
	meta := Meta{{Key: "made-by", Value: []byte("a test")}}
	var early, late bytes.Buffer
	w := NewWriter(&early, meta)
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = NewWriter(&late, Meta{{Key: "other", Value: nil}})
	if err := w.Tensor(&Tensor{Name: ""}); err == nil {
		t.Error("a tensor without a name was taken")
	}
	if err := w.SetMeta(Meta{{Key: ""}}); err == nil {
		t.Error("an empty key was taken")
	}
	if err := w.SetMeta(meta); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(early.Bytes(), late.Bytes()) {
		t.Error("metadata set late give another file")
	}
}
