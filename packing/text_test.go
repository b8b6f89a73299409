package packing

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// samples returns bytes of several kinds: none, noise, repetition, words, numbers.
func samples() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 16))
	noise := make([]byte, 3000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var names, numbers []byte
	for i := range 200 {
		names = fmt.Appendf(names, "\n\x1d/layer%d/layer%d.%d/conv%d/Conv_output_0\"\x04Conv", i/50, i/50, i/10%5, i%10)
	}
	for range 1000 {
		numbers = binary.LittleEndian.AppendUint32(numbers, uint32(0x3e000000+rng.IntN(1<<26)))
	}
	return map[string][]byte{"nothing": {}, "a byte": {200}, "noise": noise, "zeros": make([]byte, 5000), "names": names,
		"numbers": numbers, "a long match": bytes.Repeat(noise[:700], 4)}
}

var textCodecs = map[Codec]int{CodecText: 0, CodecGraph: 0, CodecNumbers: 4}

func TestTextRoundTrip(t *testing.T) {
	for name, b := range samples() {
		for codec, stride := range textCodecs {
			z := encodeText(codec, b, stride)
			got, err := decodeText(codec, z, len(b), stride)
			if err != nil || !bytes.Equal(got, b) {
				t.Errorf("%s, codec %d: %v, or other bytes", name, codec, err)
			}
			if _, err := decodeText(codec, append(z, 0), len(b), stride); err == nil {
				t.Errorf("%s, codec %d: a byte behind the end is not noticed", name, codec)
			}
		}
	}
}

func TestTextIsSmall(t *testing.T) {
	all := samples()
	for _, test := range []struct {
		name   string
		codec  Codec
		stride int
		most   int
	}{
		{"zeros", CodecText, 0, 40},
		{"noise", CodecText, 0, 3150},
		{"a long match", CodecText, 0, 830},
		{"names", CodecText, 0, 700},
		{"names", CodecGraph, 0, 560},
		{"numbers", CodecNumbers, 4, 3450}, // 26 of 32 bits are random
	} {
		if n := len(encodeText(test.codec, all[test.name], test.stride)); n > test.most {
			t.Errorf("%s, codec %d: %d bytes of %d, want at most %d", test.name, test.codec, n, len(all[test.name]), test.most)
		}
	}
}

// The bytes are the format, and so is the dictionary: they may not change.
func TestTextBytesAreSettled(t *testing.T) {
	all := samples()
	for name, want := range map[string]string{"2 names": "577a0f88e951", "3 names": "6a763d644e88", "4 numbers": "a5e67cebe5b8", "2 a long match": "c480bb788523"} {
		codec := Codec(name[0] - '0')
		sum := sha256.Sum256(encodeText(codec, all[name[2:]], textCodecs[codec]))
		if got := hex.EncodeToString(sum[:6]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	sum := sha256.Sum256(graphDictionary)
	if text := readFormat(t); !strings.Contains(text, hex.EncodeToString(sum[:])) {
		t.Errorf("FORMAT.md names another dictionary than %x", sum)
	}
}

func TestStride(t *testing.T) {
	for _, test := range []struct {
		raw, n int64
		want   int
	}{{0, 0, 1}, {12, 3, 4}, {6, 3, 2}, {3, 3, 1}, {48, 3, 16}, {2, 3, 1}, {7, 3, 1}} {
		if got := strideOf(test.raw, test.n); got != test.want {
			t.Errorf("%d bytes of %d elements: %d, want %d", test.raw, test.n, got, test.want)
		}
	}
}

// FuzzText: whatever the bytes, there is no panic, and what decodes encodes to the same bytes again.
func FuzzText(f *testing.F) {
	for _, b := range samples() {
		for codec, stride := range textCodecs {
			f.Add(encodeText(codec, b, stride), uint16(len(b)), uint8(codec), uint8(stride))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, n uint16, codec, stride uint8) {
		c := CodecText + Codec(codec%2)*(CodecNumbers-CodecText)
		s := int(c/CodecNumbers) * (1 + int(stride%16))
		raw, err := decodeText(c, b, int(n), s)
		if err == nil && !bytes.Equal(encodeText(c, raw, s), b) {
			t.Fatal("bytes change")
		}
	})
}

func BenchmarkText(b *testing.B) {
	names := bytes.Repeat(samples()["names"], 4)
	for codec, stride := range textCodecs {
		z := encodeText(codec, names, stride)
		b.Run(fmt.Sprintf("decode/codec=%d/n=%d", codec, len(names)), func(b *testing.B) {
			b.SetBytes(int64(len(names)))
			for b.Loop() {
				if _, err := decodeText(codec, z, len(names), stride); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Graphs of one size of table share the dictionary that was read for the first of them, and nothing else: coded again after another graph, or
// by many at once, a graph gives the bytes that a model of its own gives.
func TestGraphsDoNotSeeEachOther(t *testing.T) {
	graphs := [][]byte{[]byte("Conv conv1.weight conv1.bias Relu"), bytes.Repeat([]byte("MatMul /model/layers.0/attn "), 40), {}}
	alone := func(b []byte) []byte {
		m := newTextModel(len(b)+len(graphDictionary), 0)
		m.read(graphDictionary)
		m.startWriting(nil)
		for _, v := range b {
			m.code(v)
		}
		return m.finish()
	}
	var wg sync.WaitGroup
	for range 3 {
		for _, g := range graphs {
			wg.Go(func() {
				if got, want := encodeText(CodecGraph, g, 0), alone(g); !bytes.Equal(got, want) {
					t.Errorf("graph of %d bytes: %x, by itself %x", len(g), got, want)
				}
			})
		}
	}
	wg.Wait()
}
