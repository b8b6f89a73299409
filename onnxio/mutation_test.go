package onnxio

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

var mutations = flag.Int("mutations", 2000, "how many damaged real models TestMutatedModels reads")

// maxMutated is what reading and inspecting a damaged model may take; real ones take milliseconds.
const maxMutated = 10 * time.Second

// Real models with bits flipped, cut off or with other lengths: no panic, no more memory than the budget, no long runs.
func TestMutatedModels(t *testing.T) {
	paths := zooModels(t)
	rng := rand.New(rand.NewPCG(1, 2))
	read, slowest := 0, time.Duration(0)
	var most float64
	for i, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v := newVictim(b)
		for range *mutations*(i+1)/len(paths) - *mutations*i/len(paths) {
			damaged, undo := v.damage(rng)
			start := time.Now()
			used := allocated(func() {
				if m, err := Parse(damaged); err == nil {
					read++
					use(m)
					if got := m.Size(); got != int64(len(damaged)) {
						t.Errorf("%s: would be written as %d bytes, read %d", filepath.Base(path), got, len(damaged))
					}
				}
			})
			if limit := uint64(budget(len(damaged))); used > limit {
				t.Errorf("%s: took %d bytes, want at most %d", filepath.Base(path), used, limit)
			}
			most = max(most, float64(used)/float64(budget(len(damaged))))
			if took := time.Since(start); took > maxMutated {
				t.Errorf("%s: took %v", filepath.Base(path), took)
			} else {
				slowest = max(slowest, took)
			}
			undo()
		}
	}
	t.Logf("%d of %d damaged models could be read; at most %.0f %% of the memory budget, %v", read, *mutations, 100*most, slowest)
}

// shortField is the length below which fields are names and numbers rather than tensor data.
const shortField = 256

// victim is a model's bytes and the places in it where damage is likely to tell.
type victim struct {
	b       []byte
	graph   []int    // places that are no tensor data
	lengths [][2]int // start and end of length varints
}

func newVictim(b []byte) *victim {
	v := &victim{b: b}
	v.walk(0, len(b), 0)
	return v
}

// walk notes the places of a message and of the messages in it: fields of bytes that read as one.
func (v *victim) walk(start, end, depth int) {
	eachField(v.b[start:end], func(f field) error {
		content := start + len(f.raw) - len(f.b)
		for i := start; i < content; i++ {
			v.graph = append(v.graph, i)
		}
		tag := protowire.SizeVarint(uint64(f.num) << 3)
		start += len(f.raw)
		if f.typ != protowire.BytesType {
			return nil
		}
		v.lengths = append(v.lengths, [2]int{content - len(f.raw) + len(f.b) + tag, content})
		if depth < 12 && readsAsMessage(f.b) {
			v.walk(content, start, depth+1)
		} else if len(f.b) < shortField {
			for i := content; i < start; i++ {
				v.graph = append(v.graph, i)
			}
		}
		return nil
	})
}

func readsAsMessage(b []byte) bool {
	return len(b) > 0 && eachField(b, func(f field) error {
		if f.num > 30 {
			return errNotOpened // any error
		}
		return nil
	}) == nil
}

// damage changes the model, in place, and returns what undoes it.
func (v *victim) damage(rng *rand.Rand) (damaged []byte, undo func()) {
	switch rng.IntN(4) {
	case 0: // cut off
		return v.b[:v.graph[rng.IntN(len(v.graph))]], func() {}
	case 1: // another length of as many bytes
		at := v.lengths[rng.IntN(len(v.lengths))]
		old := string(v.b[at[0]:at[1]])
		for i := at[0]; i < at[1]; i++ {
			v.b[i] = v.b[i]&0x80 | byte(rng.UintN(128))
		}
		return v.b, func() { copy(v.b[at[0]:], old) }
	case 2: // a length that is wrong by a little
		at := v.lengths[rng.IntN(len(v.lengths))]
		old := string(v.b[at[0]:at[1]])
		n, _ := binary.Uvarint(v.b[at[0]:at[1]])
		if enc := protowire.AppendVarint(nil, n+1-2*rng.Uint64N(2)); len(enc) == len(old) {
			copy(v.b[at[0]:], enc)
		}
		return v.b, func() { copy(v.b[at[0]:], old) }
	}
	flips := map[int]byte{} // bits: up to three, one in four anywhere in the file
	for range 1 + rng.IntN(3) {
		i := v.graph[rng.IntN(len(v.graph))]
		if rng.IntN(4) == 0 {
			i = rng.IntN(len(v.b))
		}
		bit := byte(1) << rng.IntN(8)
		v.b[i] ^= bit
		flips[i] ^= bit
	}
	return v.b, func() {
		for i, bit := range flips {
			v.b[i] ^= bit
		}
	}
}
