package packing

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestHuffmanRoundTrip(t *testing.T) {
	list := kinds()
	list["many blocks"] = normalCodes(6, 6, 3, Layout{1, 1, 3*blockSymbols + 17, 0}, 3*blockSymbols+17)
	list["many blocks of pairs"] = normalCodes(6, 3, 0.5, Layout{1, 1, 2*blockCodes + 5, 0}, 2*blockCodes+5)
	even := normalCodes(6, 8, 0, Layout{1, 1, 5000, 0}, 5000)
	copy(even.q.Codes, randomCodes(rand.New(rand.NewPCG(1, 14)), 5000, 8))
	list["incompressible"] = even
	for name, c := range list {
		for together := range mostTogether(c.q.Bits) {
			if together++; together != 1 && together != mostTogether(c.q.Bits) {
				continue
			}
			b := c.q.huffmanTogether(together)
			got := *c.q
			got.Codes, got.Wide = nil, nil
			if err := got.decodeHuffman(b, c.q.Len(), false); err != nil || got.Codes != nil || got.Wide != nil {
				t.Errorf("%s: checking: %v", name, err)
			}
			if err := got.decodeHuffman(b, c.q.Len(), true); err != nil || !reflect.DeepEqual(&got, c.q) {
				t.Errorf("%s: %v, or other codes", name, err)
			}
		}
	}
}

func TestHuffmanByHand(t *testing.T) {
	one := Layout{1, 1, 5, 0}
	for name, test := range map[string]struct {
		q    Quant
		want []byte
	}{
		"all the same":           {Quant{Bits: 8, Layout: one, Codes: []uint8{7, 7, 7, 7, 7}}, []byte{1, blockSame, 7}},
		"the same, two together": {Quant{Bits: 4, Layout: Layout{1, 1, 4, 0}, Codes: []uint8{1, 2, 1, 2}}, []byte{2, blockSame, 0x21}},
		"raw":                    {Quant{Bits: 8, Layout: one, Codes: []uint8{1, 2, 3, 4, 5}}, []byte{1, blockRaw, 1, 2, 3, 4, 5}},
		"the last of three":      {Quant{Bits: 3, Layout: Layout{1, 1, 3, 0}, Codes: []uint8{1, 2, 5}}, []byte{2, blockRaw, 0b010001, 5}},
		"upper and lower bits":   {Quant{Bits: 12, Layout: Layout{1, 1, 2, 0}, Wide: []uint16{0x123, 0x12f}}, []byte{1, blockSame, 0x12, 0xf3}},
	} {
		if got := test.q.encodeHuffman(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got % x, want % x", name, got, test.want)
		}
	}
}

// A Huffman code of whole bits stays near the entropy; few levels are coded together.
func TestHuffmanIsNearEntropy(t *testing.T) {
	for deviation, most := range map[float64]float64{0.4: 1.05, 1: 1.02, 2.5: 1.02} {
		bits := 3 + int(math.Ceil(math.Log2(deviation+1)))
		c := normalCodes(1, bits, deviation, Layout{1, 512, 512, 0}, 512, 512)
		got, want := float64(c.q.CodesLen(c.shape, CodecHuffman)), entropyBytes(c.q)
		if got > most*want {
			t.Errorf("deviation %v: %v bytes, order-0 entropy %v: %+.2f %%", deviation, got, want, 100*(got/want-1))
		}
	}
}

// A codec that gains nothing is not taken, neither in what CodesLen tells nor in the file.
func TestUselessCodecIsPacked(t *testing.T) {
	c := normalCodes(1, 2, 0, Layout{1, 1, 64, 0}, 64)
	copy(c.q.Codes, randomCodes(rand.New(rand.NewPCG(2, 15)), 64, 2))
	for _, codec := range []Codec{CodecHuffman, CodecRange} {
		c.q.Codec = codec
		if n := c.q.CodesLen(c.shape, codec); n != 16 {
			t.Errorf("codec %d: %d bytes, want the 16 of packed ones", codec, n)
		}
		file := &content{tensors: []Tensor{{Name: "w", Shape: c.shape, Quant: c.q}}}
		got, err := decode(file.encode(t))
		if err != nil || got.tensors[0].Quant.Codec != CodecPacked || !reflect.DeepEqual(got.tensors[0].Quant.Codes, c.q.Codes) {
			t.Errorf("codec %d: %v, or not packed", codec, err)
		}
	}
}

// FuzzHuffman: whatever the bytes, there is no panic, and what decodes can be encoded and decoded again.
func FuzzHuffman(f *testing.F) {
	for _, c := range kinds() {
		if n := c.q.Len(); n < 3000 {
			f.Add(c.q.encodeHuffman(), uint16(n), uint8(c.q.Bits))
			f.Add(c.q.huffmanTogether(1), uint16(n), uint8(c.q.Bits))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16, bits uint8) {
		q := &Quant{Bits: 1 + int(bits-1)%MaxBits}
		checked := q.decodeHuffman(b, int(n), false)
		if err := q.decodeHuffman(b, int(n), true); (err == nil) != (checked == nil) || err != nil {
			if (err == nil) != (checked == nil) {
				t.Fatalf("decoding says %v, checking %v", err, checked)
			}
			return
		}
		if !q.fit() {
			t.Fatal("a code does not fit")
		}
		again := &Quant{Bits: q.Bits}
		if err := again.decodeHuffman(q.encodeHuffman(), int(n), true); err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("codes change: %v", err)
		}
	})
}

// The codes of a symbol by hand; the last symbol may hold one too many.
func TestSpreadPairs(t *testing.T) {
	for n, want := range [][]uint8{{}, {5}, {5, 2}, {5, 2, 7}, {5, 2, 7, 1}} {
		got := make([]uint8, n)
		if spreadPairs(got, []byte{2<<3 | 5, 1<<3 | 7}[:(n+1)/2], 3); !bytes.Equal(got, want) {
			t.Errorf("%d codes: got %v, want %v", n, got, want)
		}
	}
}

func BenchmarkHuffman(b *testing.B) {
	for _, bits := range []int{2, 4, 6, 8} {
		c := normalCodes(1, bits, math.Exp2(float64(bits)-2.6), Layout{1, 512, 512, 0}, 512, 512)
		n := c.q.Len()
		section := c.q.encodeHuffman()
		b.Run(fmt.Sprintf("encode/bits=%d/n=%d", bits, n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				c.q.encodeHuffman()
			}
		})
		b.Run(fmt.Sprintf("decode/bits=%d/n=%d", bits, n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := c.q.decodeHuffman(section, n, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
