package packing

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// packRef packs bit by bit, straight from the definition.
func packRef(codes []uint8, bits int) []byte {
	dst := make([]byte, (len(codes)*bits+7)/8)
	for i, c := range codes {
		for j := range bits {
			dst[(i*bits+j)/8] |= c >> j & 1 << ((i*bits + j) % 8)
		}
	}
	return dst
}

func TestPackBitsByHand(t *testing.T) {
	for _, test := range []struct {
		bits  int
		codes []uint8
		want  []byte
	}{
		{1, nil, nil},
		{1, []uint8{1}, []byte{0b1}},
		{1, []uint8{1, 0, 1, 1, 0, 0, 0, 1, 1}, []byte{0b10001101, 0b1}},
		{2, []uint8{3, 0, 1, 2}, []byte{0b10_01_00_11}},
		{3, []uint8{1, 2, 3}, []byte{0b11_010_001, 0b0}},
		{3, []uint8{7, 7, 7, 7, 7, 7, 7, 7}, []byte{255, 255, 255}},
		{4, []uint8{1, 2, 15}, []byte{0x21, 0x0f}},
		{5, []uint8{31, 0, 1}, []byte{0b000_11111, 0b0_00001_00}},
		{7, []uint8{127, 1}, []byte{0b1_1111111, 0}},
		{8, []uint8{0, 255, 7}, []byte{0, 255, 7}},
		{8, []uint8{0, 0, 0}, []byte{0, 0, 0}},
	} {
		got := make([]byte, PackedLen(len(test.codes), test.bits))
		PackBits(got, test.codes, test.bits)
		if !bytes.Equal(got, test.want) {
			t.Errorf("%d bits, %v: got %08b, want %08b", test.bits, test.codes, got, test.want)
		}
	}
}

func TestPackBitsRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for bits := 1; bits <= 8; bits++ {
		for n := 0; n <= 67; n++ {
			codes := randomCodes(rng, n, bits)
			before := bytes.Clone(codes)
			packed := make([]byte, PackedLen(n, bits), PackedLen(n, bits)+8)
			PackBits(packed, codes, bits)
			if want := packRef(codes, bits); !bytes.Equal(packed, want) {
				t.Fatalf("packing %d codes of %d bits: got %x, want %x", n, bits, packed, want)
			}
			if !bytes.Equal(codes, before) || !allZero(packed[len(packed):cap(packed)]) {
				t.Fatalf("packing %d codes of %d bits wrote outside dst", n, bits)
			}
			got := make([]uint8, n)
			if err := UnpackBits(got, packed, bits); err != nil || !bytes.Equal(got, codes) {
				t.Fatalf("unpacking %d codes of %d bits: got %v, %v, want %v", n, bits, got, err, codes)
			}
			for b := n * bits; b < 8*len(packed); b++ {
				packed[b/8] ^= 1 << (b % 8)
				if UnpackBits(got, packed, bits) == nil {
					t.Fatalf("unpacking %d codes of %d bits: unused bit %d is not noticed", n, bits, b)
				}
				packed[b/8] ^= 1 << (b % 8)
			}
		}
	}
}

func randomCodes(rng *rand.Rand, n, bits int) []uint8 {
	codes := make([]uint8, n)
	for i := range codes {
		codes[i] = uint8(rng.UintN(1 << bits))
	}
	return codes
}

func TestFits(t *testing.T) {
	for bits := 1; bits <= 7; bits++ {
		for n := range 20 {
			codes := bytes.Repeat([]byte{1<<bits - 1}, n)
			if !fits(codes, bits) {
				t.Errorf("%d codes of %d bits: the largest does not fit", n, bits)
			}
			for i := range codes {
				codes[i]++
				if fits(codes, bits) {
					t.Errorf("%d codes of %d bits: %d at %d fits", n, bits, codes[i], i)
				}
				codes[i]--
			}
		}
	}
}

func TestPackBitsMisuse(t *testing.T) {
	for name, call := range map[string]func(){
		"large code, in a block":  func() { PackBits(make([]byte, 24), bytes.Repeat([]byte{8}, 64), 3) },
		"large code, in the tail": func() { PackBits(make([]byte, 1), []byte{8}, 3) },
		"short dst":               func() { PackBits(make([]byte, 1), make([]byte, 9), 1) },
		"long src":                func() { _ = UnpackBits(make([]byte, 8), make([]byte, 2), 1) },
		"no bits":                 func() { PackBits(nil, nil, 0) },
		"nine bits":               func() { PackBits(make([]byte, 9), make([]byte, 8), 9) },
	} {
		if !panics(call) {
			t.Errorf("%s: no panic", name)
		}
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

func ExamplePackBits() {
	packed := make([]byte, PackedLen(3, 4))
	PackBits(packed, []uint8{1, 2, 15}, 4)
	codes := make([]uint8, 3)
	err := UnpackBits(codes, packed, 4)
	fmt.Printf("% x %v %v\n", packed, codes, err)
	// Output: 21 0f [1 2 15] <nil>
}

func BenchmarkPackBits(b *testing.B) {
	const n = 4096
	for bits := 1; bits <= 8; bits++ {
		b.Run(fmt.Sprintf("bits=%d/n=%d", bits, n), func(b *testing.B) {
			codes := randomCodes(rand.New(rand.NewPCG(3, 4)), n, bits)
			dst := make([]byte, PackedLen(n, bits))
			b.SetBytes(n)
			for b.Loop() {
				PackBits(dst, codes, bits)
			}
		})
	}
}

func BenchmarkUnpackBits(b *testing.B) {
	const n = 4096
	for bits := 1; bits <= 8; bits++ {
		b.Run(fmt.Sprintf("bits=%d/n=%d", bits, n), func(b *testing.B) {
			codes := randomCodes(rand.New(rand.NewPCG(3, 4)), n, bits)
			src := make([]byte, PackedLen(n, bits))
			PackBits(src, codes, bits)
			b.SetBytes(n)
			for b.Loop() {
				if err := UnpackBits(codes, src, bits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPackWideByHand(t *testing.T) {
	for _, test := range []struct {
		bits  int
		codes []uint16
		want  []byte
	}{
		{9, nil, nil},
		{9, []uint16{0x1ff, 1}, []byte{0xff, 0b0000001_1, 0}},
		{12, []uint16{0xabc, 0x123}, []byte{0xbc, 0x3a, 0x12}},
		{16, []uint16{0x0102, 0xffff}, []byte{2, 1, 0xff, 0xff}},
	} {
		got := make([]byte, PackedLen(len(test.codes), test.bits))
		PackWide(got, test.codes, test.bits)
		if !bytes.Equal(got, test.want) {
			t.Errorf("%d bits, %v: got %08b, want %08b", test.bits, test.codes, got, test.want)
		}
	}
}

// The definition, bit by bit, is the reference.
func TestPackWideRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for bits := 9; bits <= 16; bits++ {
		for n := 0; n <= 40; n++ {
			codes := make([]uint16, n)
			want := make([]byte, PackedLen(n, bits))
			for i := range codes {
				codes[i] = uint16(rng.UintN(1 << bits))
				for j := range bits {
					want[(i*bits+j)/8] |= byte(codes[i]>>j&1) << ((i*bits + j) % 8)
				}
			}
			packed := make([]byte, len(want))
			PackWide(packed, codes, bits)
			if !bytes.Equal(packed, want) {
				t.Fatalf("packing %d codes of %d bits: got %x, want %x", n, bits, packed, want)
			}
			got := make([]uint16, n)
			if err := UnpackWide(got, packed, bits); err != nil || !slices.Equal(got, codes) {
				t.Fatalf("unpacking %d codes of %d bits: got %v, %v, want %v", n, bits, got, err, codes)
			}
			for b := n * bits; b < 8*len(packed); b++ {
				packed[b/8] ^= 1 << (b % 8)
				if UnpackWide(got, packed, bits) == nil {
					t.Fatalf("unpacking %d codes of %d bits: unused bit %d is not noticed", n, bits, b)
				}
				packed[b/8] ^= 1 << (b % 8)
			}
		}
	}
	for name, f := range map[string]func(){
		"8 bits":    func() { PackWide(make([]byte, 1), make([]uint16, 1), 8) },
		"17 bits":   func() { PackWide(make([]byte, 3), make([]uint16, 1), 17) },
		"too long":  func() { PackWide(make([]byte, 3), make([]uint16, 1), 9) },
		"too large": func() { PackWide(make([]byte, 2), []uint16{512}, 9) },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
}
