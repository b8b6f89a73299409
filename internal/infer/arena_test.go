package infer

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"unsafe"

	"bq/onnxio"
)

// TestArenaReuse follows blocks by hand: the smallest hole that fits is taken, and neighbours grow together.
func TestArenaReuse(t *testing.T) {
	a := &arena{}
	at := func(h handle) int { return a.blocks[h].hole.at }
	p, q, r := a.lend(1000), a.lend(64), a.lend(200) // 1024, 64 and 256 bytes
	if at(p) != 0 || at(q) != 1024 || at(r) != 1088 || a.live != 1344 {
		t.Fatalf("blocks at %d, %d, %d, %d bytes lent", at(p), at(q), at(r), a.live)
	}
	for _, h := range []handle{p, q, r} {
		a.blocks[h].refs = 1
	}
	a.drop(p)
	if s := a.lend(64); at(s) != 0 {
		t.Errorf("a block of 64 bytes at %d, want the hole of 1024 bytes at 0", at(s))
	} else {
		a.drop(s)
	}
	a.drop(q) // 0 to 1088 is one hole now
	if s := a.lend(1088); at(s) != 0 {
		t.Errorf("a block of 1088 bytes at %d, want 0", at(s))
	}
	a.blocks[r].refs = 2
	a.drop(r)
	if a.blocks[r].start == nil {
		t.Error("a block with a reference left was given back")
	}
	a.drop(r)
	if a.live != 1088 || a.peak != 1344 || a.total != firstChunk || len(a.chunks) != 1 {
		t.Errorf("%d bytes lent, %d at the peak, %d in %d chunks", a.live, a.peak, a.total, len(a.chunks))
	}
}

// TestArenaBlocksAreApart lends and takes back at random: blocks never overlap, and after all are back every chunk is one
// hole again.
func TestArenaBlocksAreApart(t *testing.T) {
	a, rnd := &arena{}, rand.New(rand.NewPCG(1, 2))
	var lent []handle
	for range 5000 {
		if len(lent) > 0 && rnd.IntN(5) < 2 {
			i := rnd.IntN(len(lent))
			h := lent[i]
			for _, v := range words(a, h) {
				if v != uint64(h) {
					t.Fatalf("block %d holds what block %d wrote", h, v)
				}
			}
			a.drop(h)
			lent = slices.Delete(lent, i, i+1)
			continue
		}
		h := a.lend(8 * (1 + rnd.IntN(1<<rnd.IntN(14))))
		a.blocks[h].refs = 1
		for i, w := 0, words(a, h); i < len(w); i++ {
			w[i] = uint64(h)
		}
		lent = append(lent, h)
	}
	for _, h := range lent {
		a.drop(h)
	}
	for i, c := range a.chunks {
		if len(c.holes) != 1 || c.holes[0] != (hole{0, 8 * len(c.data)}) {
			t.Errorf("chunk %d of %d bytes has holes %v", i, 8*len(c.data), c.holes)
		}
	}
	if a.live != 0 {
		t.Errorf("%d bytes lent after all are back", a.live)
	}
}

func words(a *arena, h handle) []uint64 {
	return unsafe.Slice((*uint64)(a.blocks[h].start), a.blocks[h].bytes/8)
}

// TestArenaJoins: chunks that leave much of themselves unused give way to one of the size of the peak.
func TestArenaJoins(t *testing.T) {
	a := &arena{}
	for n := 1 << 17; n <= 1<<20; n *= 2 { // each size but the first two takes a chunk of its own
		h := a.lend(n)
		a.blocks[h].refs = 1
		a.drop(h)
	}
	if len(a.chunks) != 4 || a.peak != 1<<20 {
		t.Fatalf("%d chunks, peak %d", len(a.chunks), a.peak)
	}
	a.reset()
	if len(a.chunks) != 1 || a.total != 1<<20 || len(a.chunks[0].holes) != 1 {
		t.Errorf("after joining: %d chunks of %d bytes", len(a.chunks), a.total)
	}
}

// largeChain is a model whose values are large enough for the arena: each of its nodes reads the value before it, the
// last one the first value too.
func largeChain() *onnxio.Model {
	m := modelOf(17, newNode("Abs", "x", "a"), newNode("Sqrt", "a", "b"), newNode("Mul", "b a", "c"), newNode("Reshape", "c s", "d"),
		newNode("Exp", "d", "e"), newNode("Identity", "d", "f"), newNode("Add", "e f", "g"), newNode("Shape", "x", "n"),
		newNode("Sub", "g f", "y"))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}, {Name: "f"}, {Name: "n"}}
	m.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("s", longs([]int{1}, -1))}
	return m
}

// TestResultsBelongToTheCaller: results keep their values while later runs use the memory of the Program again, and
// writing to them changes no later run.
func TestResultsBelongToTheCaller(t *testing.T) {
	p, err := Options{Threads: 1}.Compile(largeChain())
	if err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64) map[string]*onnxio.Array {
		out, err := p.Run(map[string]*onnxio.Array{"x": noise(seed, 40, 50)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := run(1)
	kept := cloned(first)
	run(2)
	again := run(1)
	for name, w := range kept {
		for _, got := range []*onnxio.Array{first[name], again[name]} {
			if diff, err := relativeDifference(got, w); diff != 0 || err != nil {
				t.Errorf("output %s changed by %g, %v", name, diff, err)
			}
		}
	}
	first["n"].Ints()[0] = -1
	clear(first["f"].F32())
	for name, w := range kept {
		if diff, err := relativeDifference(run(1)[name], w); diff != 0 || err != nil {
			t.Errorf("output %s of a later run changed by %g, %v", name, diff, err)
		}
	}
}

// TestMemoFollowsShapes: shapes computed in the graph are those of each run, whatever the run before saw.
func TestMemoFollowsShapes(t *testing.T) {
	m := modelOf(17, newNode("Shape", "x", "s"), newNode("Gather", "s zero", "n"), newNode("Mul", "n two", "t"),
		newNode("Unsqueeze", "t axes", "u"), newNode("Concat", "u rest", "v", integerAttr("axis", 0)), newNode("Reshape", "x v", "y"),
		newNode("Identity", "v", "w"))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}, {Name: "w"}}
	for name, a := range map[string]*onnxio.Array{"zero": longs([]int{}, 0), "two": longs([]int{}, 2), "axes": longs([]int{1}, 0), "rest": longs([]int{1}, -1)} {
		m.Graph.Initializers = append(m.Graph.Initializers, onnxio.NewTensor(name, a))
	}
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	remembered := 0
	for _, nd := range p.graph.fused().nodes {
		if nd.memo != nil {
			remembered++
		}
	}
	if remembered != 6 { // all but Reshape
		t.Errorf("%d nodes remember their outputs, want 6", remembered)
	}
	for _, n := range []int{1, 4, 4, 1, 3} {
		out, err := p.Run(map[string]*onnxio.Array{"x": onnxio.NewArray(onnxio.Float, n, 6)}, nil)
		if err != nil || !equalShape(out["y"].Shape, []int{2 * n, 3}) || out["w"].Ints()[0] != int64(2*n) {
			t.Fatalf("batch %d: %v, %v", n, out, err)
		}
		out["w"].Ints()[0] = 99 // the caller's own
	}
}

// BenchmarkArena lends and takes back blocks of the sizes of a small convolutional network.
func BenchmarkArena(b *testing.B) {
	a := &arena{}
	for b.Loop() {
		var last handle
		for _, n := range []int{3 << 18, 3 << 18, 1 << 18, 1 << 18, 1 << 16, 1 << 14} {
			h := a.lend(n)
			a.blocks[h].refs = 1
			if last != 0 {
				a.drop(last)
			}
			last = h
		}
		a.drop(last)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/6, "ns/block")
}

// TestStepsAllocateLittle: a chain of nodes that give views of one value allocates nothing for each node.
func TestStepsAllocateLittle(t *testing.T) {
	const nodes = 200
	var list []*onnxio.Node
	for i := range nodes {
		list = append(list, newNode("Identity", strconv.Itoa(i), strconv.Itoa(i+1)))
	}
	m := modelOf(13, list...)
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "0"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: strconv.Itoa(nodes)}}
	p, err := Options{Threads: 1}.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	feeds := map[string]*onnxio.Array{"0": onnxio.NewArray(onnxio.Float, 2, 3)}
	n := testing.AllocsPerRun(20, func() {
		if _, err := p.Run(feeds, nil); err != nil {
			t.Fatal(err)
		}
	})
	if n > nodes/4 {
		t.Errorf("%g allocations for %d nodes", n, nodes)
	}
}

// TestLoopReusesMemory: the carried value of a loop of many steps does not take memory for every step.
func TestLoopReusesMemory(t *testing.T) {
	body := &onnxio.Graph{Name: "body", Nodes: []*onnxio.Node{newNode("Abs", "v", "a"), newNode("Sqrt", "a", "b"), newNode("Add", "a b", "o"),
		newNode("Identity", "c", "d")}}
	body.Inputs = []*onnxio.ValueInfo{{Name: "i"}, {Name: "c"}, {Name: "v"}}
	body.Outputs = []*onnxio.ValueInfo{{Name: "d"}, {Name: "o"}}
	m := modelOf(17, newNode("Loop", "n _ x", "r", graphAttr("body", body)), newNode("Abs", "r", "y"))
	m.Graph.Inputs = []*onnxio.ValueInfo{{Name: "x"}}
	m.Graph.Outputs = []*onnxio.ValueInfo{{Name: "y"}}
	m.Graph.Initializers = []*onnxio.Tensor{onnxio.NewTensor("n", longs([]int{}, 100))}
	p, err := Options{Threads: 1}.Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{threads: 1, limit: DefaultMaxBytes, arena: &arena{}}
	x := noise(1, 128, 128)
	if _, err := r.graph(p.graph, nil, []*onnxio.Array{x}); err != nil {
		t.Fatal(err)
	}
	if size := int(arrayBytes(x)); r.arena.peak > 4*size {
		t.Errorf("%d bytes lent at the peak for values of %d", r.arena.peak, size)
	}
}
