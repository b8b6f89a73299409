package packing

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"unsafe"
)

// mappable is a file of raw data, 8-bit and 4-bit codes that no codec shortens, a mebibyte each.
func mappable(t *testing.T) *content {
	const n = 1 << 20
	rng := rand.New(rand.NewPCG(7, 8))
	quantized := func(name string, bits int) Tensor {
		l := Layout{Outer: 1, Channels: 1, Inner: n}
		return Tensor{Name: name, Type: 1, Shape: []int64{n}, Quant: &Quant{Method: "affine", Bits: bits, Layout: l, Codec: CodecPacked,
			Scales: []float32{0.5}, Codes: randomCodes(rng, n, bits)}}
	}
	return &content{meta: Meta{}, graph: []byte("graph"), tensors: []Tensor{
		{Name: "raw", Type: 1, Shape: []int64{n / 4}, Note: "op", Data: randomCodes(rng, n, 8)}, quantized("eight", 8), quantized("four", 4)}}
}

// openMapped writes b to a file and maps it.
func openMapped(t *testing.T, b []byte) (*File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.bq")
	writeFile(t, path, b)
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	f, err := Map(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if f.memory == nil {
		t.Skip("skipped: this system maps no files, and reads them instead")
	}
	return f, path
}

func TestMappedFilesHoldTheSame(t *testing.T) {
	for name, c := range map[string]*content{"mappable": mappable(t), "sample": sample(), "edges": edges(), "coded": coded()} {
		f, _ := openMapped(t, c.encode(t))
		for i := range f.Entries() {
			got, err := f.Tensor(i)
			if err != nil || !reflect.DeepEqual(*got, c.tensors[i]) {
				t.Errorf("%s: tensor %d differs where it is mapped: %v", name, i, err)
			}
		}
		if faults := f.Check(); len(faults) > 0 {
			t.Errorf("%s: faults %v", name, faults)
		}
	}
}

// Raw data and 8-bit codes are not copied, and packed ones unpacked from where they lie.
func TestMappedSectionsAreNotCopied(t *testing.T) {
	f, _ := openMapped(t, mappable(t).encode(t))
	for i, want := range []struct {
		mapped bool
		most   uint64 // bytes allocated
	}{{true, 4096}, {true, 4096}, {false, 1<<20 + 1<<14}} {
		var x *Tensor
		var err error
		if n := allocated(func() { x, err = f.Tensor(i) }); n > want.most || err != nil {
			t.Errorf("tensor %d: %d bytes allocated, want at most %d; %v", i, n, want.most, err)
		}
		b := x.Data
		if x.Quant != nil {
			b = x.Quant.Codes
		}
		start := uintptr(unsafe.Pointer(&f.memory[0]))
		if at := uintptr(unsafe.Pointer(&b[0])); (at >= start && at < start+uintptr(len(f.memory))) != want.mapped || want.mapped && at%align != 0 {
			t.Errorf("tensor %d: in the map at a multiple of 8: want %v", i, want.mapped)
		}
	}
	if n := allocated(func() { f.Check() }); n > 2<<20 {
		t.Errorf("a check allocates %d bytes", n)
	}
}

// The checksum stands before every use, mapped or not.
func TestMappedSectionsAreChecked(t *testing.T) {
	c := mappable(t)
	b := c.encode(t)
	for i := range c.tensors {
		f, _ := openMapped(t, b)
		at := f.Entries()[i].Offset + 1234
		b[at] ^= 1
		f, _ = openMapped(t, b)
		var fault *FormatError
		if _, err := f.Tensor(i); !errors.As(err, &fault) || fault.Rule != ruleChecksum {
			t.Errorf("tensor %d with a flipped bit: %v", i, err)
		}
		b[at] ^= 1
	}
}

// A mapped file that others cut off makes an error, not the end of the program.
func TestMappedFilesThatShrink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: windows cuts off no file that is mapped; files that are short are tested by reading")
	}
	f, path := openMapped(t, mappable(t).encode(t))
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	for i := range f.Entries() {
		if _, err := f.Tensor(i); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("tensor %d of a file that was cut off: %v", i, err)
		}
	}
	if faults := f.Check(); len(faults) == 0 {
		t.Error("no fault in a file that was cut off")
	}
}

func TestMapRefusesWhatOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.bq")
	for name, b := range map[string][]byte{"empty": {}, "cut off": sample().encode(t)[:100]} {
		writeFile(t, path, b)
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Map(in)
		_, want := Open(bytes.NewReader(b), int64(len(b)))
		if err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		in.Close()
	}
}
