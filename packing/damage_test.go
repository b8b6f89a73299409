package packing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// smallFiles returns files with an index under each codec. Their graphs are frames, which are decoded sooner.
func smallFiles(t *testing.T) map[string][]byte {
	list := map[string][]byte{"raw index": newDraft(t, sample()).build(), "edges": edges().encode(t)}
	for name, c := range map[string]Codec{"index in a frame": CodecZstd, "mixed index": CodecText} {
		d := newDraft(t, sample())
		d.indexCodec = c
		list[name] = d.build()
	}
	return list
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	for name, b := range smallFiles(t) {
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			if _, faults := Check(bytes.NewReader(b), int64(len(b))); len(faults) == 0 {
				t.Errorf("%s: flipped bit %d of byte %d is not found", name, bit%8, bit/8)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// randomFlips says how many random flips a file gets, by what checking it costs: 100,000 in all, with coded sections.
var randomFlips = map[string]int{"raw index": 70_000, "index in a frame": 28_500, "edges": 1_000, "mixed index": 400, "coded": 100}

// Of 100,000 flips at random places, of one bit or of several, the check of the whole file misses none.
func TestRandomFlipsAreFound(t *testing.T) {
	files := smallFiles(t)
	files["coded"] = coded().encode(t)
	total := 0
	for name, flips := range randomFlips {
		total += flips
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			missed := flipRandomly(t, files[name], flips)
			if missed > 0 {
				t.Errorf("%d of %d flips are not found", missed, flips)
			}
		})
	}
	if total < 100_000 || len(randomFlips) != len(files) {
		t.Errorf("%d flips of %d files, there are %d", total, len(randomFlips), len(files))
	}
}

// mostFlipped is the most bits that one of the flips changes.
const mostFlipped = 3

// flipRandomly flips one to three bits of b so many times, each time in the file as it was, and returns how often no fault was found.
func flipRandomly(t *testing.T, b []byte, times int) (missed int) {
	rng := rand.New(rand.NewPCG(uint64(len(b)), uint64(times)))
	for range times {
		flipped := map[int]bool{}
		for range 1 + rng.IntN(mostFlipped) {
			flipped[rng.IntN(8*len(b))] = true
		}
		toggle := func() {
			for bit := range flipped {
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
		toggle()
		if _, faults := Check(bytes.NewReader(b), int64(len(b))); len(faults) == 0 {
			missed++
		}
		toggle()
	}
	if _, faults := Check(bytes.NewReader(b), int64(len(b))); len(faults) > 0 {
		t.Errorf("faults of the file itself: %v", faults)
	}
	return missed
}

func TestEveryTruncationIsFound(t *testing.T) {
	for name, b := range smallFiles(t) {
		for n := range b {
			if _, err := Open(bytes.NewReader(b[:n]), int64(n)); err == nil {
				t.Errorf("%s: opens when cut to %d of %d bytes", name, n, len(b))
			}
			// A file that shrank after its size was asked for.
			if _, faults := Check(bytes.NewReader(b[:n]), int64(len(b))); len(faults) == 0 {
				t.Errorf("%s: no fault when cut to %d bytes behind our back", name, n)
			}
		}
	}
}

// Flips in a larger file with coded sections; a prime step meets every kind of byte.
func TestFlippedBitsOfCodedFilesAreFound(t *testing.T) {
	b := coded().encode(t)
	for bit := 0; bit < 8*len(b); bit += 37 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, faults := Check(bytes.NewReader(b), int64(len(b))); len(faults) == 0 {
			t.Errorf("flipped bit %d of byte %d is not found", bit%8, bit/8)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

func TestAllFaultsAreReported(t *testing.T) {
	d := newDraft(t, sample())
	d.apart()
	d.x.graph.sum ^= 1
	e, _ := d.tensor("affine")
	e.sum ^= 1
	e.paramsSum ^= 1
	d.file = func(b []byte) []byte { b[len(b)-9] ^= 1; return b }
	b := d.build()
	_, faults := Check(bytes.NewReader(b), int64(len(b)))
	var rules, tensors []string
	for _, f := range faults {
		rules, tensors = append(rules, f.Rule), append(tensors, f.Tensor)
	}
	if !reflect.DeepEqual(rules, []string{ruleChecksum, ruleChecksum, ruleChecksum, ruleDigest}) ||
		!reflect.DeepEqual(tensors, []string{"", "affine", "affine", ""}) {
		t.Errorf("faults %v", faults)
	}
}

// maxHostile is what checking a file of a few hundred bytes may allocate in all: the state of a
// Zstandard decoder for each frame, firstGrowth and one doubling, and what it rightly holds.
const maxHostile = 16 << 20

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileFilesCostLittle(t *testing.T) {
	files, err := filepath.Glob(vectorFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := allocated(func() { Check(bytes.NewReader(b), int64(len(b))) }); n > maxHostile {
			t.Errorf("%s: %d bytes allocated for %d", name, n, len(b))
		}
	}
	// A frame that does not tell its size, holds 128 KiB and is declared as 1 GiB.
	d := newDraft(t, sample())
	d.sections[0], d.x.graph.raw, d.x.graph.codec = frameWithoutSize(t), 1<<30, CodecZstd
	d.resum()
	b := d.build()
	n := allocated(func() {
		if _, faults := Check(bytes.NewReader(b), int64(len(b))); len(faults) != 1 || faults[0].Rule != ruleFrame {
			t.Errorf("bomb: faults %v", faults)
		}
	})
	if n > maxHostile {
		t.Errorf("bomb: %d bytes allocated for %d", n, len(b))
	}
	// A size that the source does not keep.
	n = allocated(func() {
		if _, err := grow(bytes.NewReader(b), 0, 1<<30, "index"); err == nil {
			t.Error("a short source passes as 1 GiB")
		}
	})
	if n > maxHostile {
		t.Errorf("short source: %d bytes allocated for %d", n, len(b))
	}
	// Counts that the index has no room for.
	d = newDraft(t, sample())
	d.index = func([]byte) []byte { return append(binary.AppendUvarint(nil, MaxMetaPairs), make([]byte, 200)...) }
	b = d.build()
	if n := allocated(func() { Check(bytes.NewReader(b), int64(len(b))) }); n > 1<<16 {
		t.Errorf("count without items: %d bytes allocated", n)
	}
}

func frameWithoutSize(t *testing.T) []byte {
	var b bytes.Buffer
	e, err := zstd.NewWriter(&b, zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<17))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6)) // incompressible, so that the ratio of sizes is no clue
	for range 2 {
		if _, err := e.Write(randomCodes(rng, 1<<16, 8)); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// flaky fails from the given read on.
type flaky struct {
	r    io.ReaderAt
	left atomic.Int64
}

func flakyAfter(r io.ReaderAt, reads int) *flaky {
	f := &flaky{r: r}
	f.left.Store(int64(reads))
	return f
}

var errFlaky = errors.New("disk on fire")

func (f *flaky) ReadAt(b []byte, at int64) (int, error) {
	if f.left.Add(-1) < 0 {
		return 0, errFlaky
	}
	return f.r.ReadAt(b, at)
}

func TestReadErrorsArePassedOn(t *testing.T) {
	b := sample().encode(t)
	open := 0
	for n := 0; ; n++ {
		_, err := Open(flakyAfter(bytes.NewReader(b), n), int64(len(b)))
		if err == nil {
			open = n
			break
		}
		if !errors.Is(err, errFlaky) || n > 10 {
			t.Fatalf("read %d fails: %v", n, err)
		}
	}
	for n := open; n < open+12; n++ {
		_, faults := Check(flakyAfter(bytes.NewReader(b), n), int64(len(b)))
		if len(faults) == 0 || faults[0].Rule != RuleIO {
			t.Errorf("read %d fails: faults %v", n, faults)
		}
	}
}

func TestFileServesManyGoroutines(t *testing.T) {
	b, want := sample().encode(t), sample().tensors
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 4 * len(want) {
		group.Go(func() {
			got, err := f.Tensor(i % len(want))
			if err != nil || !reflect.DeepEqual(*got, want[i%len(want)]) {
				t.Errorf("tensor %d: %v %v", i%len(want), got, err)
			}
		})
	}
	group.Wait()
}

// FuzzFile: whatever the bytes, there is no panic, and what opens without a fault is rewritten alike.
func FuzzFile(f *testing.F) {
	for _, b := range fuzzSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(rewritten)
}

// FuzzContent puts sections and an index together and makes all checksums right, so that mutations get
// past those to the decoding of what they stand for.
func FuzzContent(f *testing.F) {
	for _, b := range fuzzSeeds(f) {
		if d, err := takeApart(b); err == nil {
			f.Add(b[headerSize:len(b)-footerSize], d.rawIndex())
		}
	}
	f.Fuzz(func(t *testing.T, sections, index []byte) {
		d := &draft{x: &index0, signature: []byte(signature), index: func([]byte) []byte { return index }}
		d.sections = [][]byte{sections[:len(sections)&^(align-1)]}
		// Open checks the index alone; with its lengths known, the checksums can be corrected.
		d, err := takeApart(d.build())
		if err != nil {
			return
		}
		d.resum()
		rewritten(t, d.build())
	})
}

var index0 index // of a file that holds nothing

func fuzzSeeds(f *testing.F) [][]byte {
	files, err := filepath.Glob(vectorFile("*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no vectors: %v", err)
	}
	seeds := [][]byte{edges().encode(f)}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}

// rewritten checks that what parses encodes again to the same content; and to the same bytes where a writer chooses the
// same codecs, and these leave it no choice.
func rewritten(t *testing.T, b []byte) {
	_, faults := Check(bytes.NewReader(b), int64(len(b)))
	c, err := decode(b)
	if (err == nil) != (len(faults) == 0) {
		// Only a section that may be skipped has faults that do not hinder decoding.
		if f, _ := Open(bytes.NewReader(b), int64(len(b))); f == nil || len(f.index.extras) == 0 {
			t.Fatalf("error %v, but faults %v", err, faults)
		}
	}
	if err != nil {
		return
	}
	again := c.encode(t)
	back, err := decode(again)
	if err != nil || !bytes.Equal(back.encode(t), again) {
		t.Fatalf("content changes when written again: %v", err)
	}
	if mine, theirs := codecsOf(t, b), codecsOf(t, again); mine != "" && mine == theirs && !bytes.Equal(b, again) {
		t.Fatalf("bytes change when written again:\n% x\n% x", b, again)
	}
}

// codecsOf lists the codecs of all sections, or nothing where a section has bytes that are an encoder's choice: of
// Zstandard and Huffman codes, and of unknown kinds.
func codecsOf(t *testing.T, b []byte) string {
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	list := []byte{byte(f.footer.indexCodec), byte(f.index.graph.codec)}
	free := f.footer.indexCodec == CodecZstd || f.index.graph.codec == CodecZstd || len(f.index.extras) > 0
	for _, e := range f.Entries() {
		free = free || !e.Quantized && e.Codec == CodecZstd || e.Quantized && e.Codec == CodecHuffman
		list = append(list, byte(e.Codec), byte(e.forms))
	}
	if free {
		return ""
	}
	return string(list)
}
