package infer

import (
	"container/heap"
	"fmt"
	"strings"

	"bq/onnxio"
)

// ordered returns the places of g's nodes in an order in which every value is computed before it is read: the order of
// the file where that is one, as ONNX asks for (IR.md, "Graphs"), else the nodes that can run, the first in the file
// first. Some exporters write nodes in no order, and ONNX Runtime takes them. Nodes of a cycle come last, as they
// stand in the file, with those that wait for them; stuck is how many these are.
func ordered(g *onnxio.Graph) (order []int, stuck int) {
	producer := producers(g)
	waiting := make([]int, len(g.Nodes)) // how many nodes each still waits for
	readers := make([][]int, len(g.Nodes))
	for i, n := range g.Nodes {
		before := map[int]bool{}
		reads(n, func(name string) {
			if p, ok := producer[name]; ok && !before[p] {
				before[p] = true
				readers[p] = append(readers[p], i)
				waiting[i]++
			}
		})
	}
	ready := &places{}
	for i, w := range waiting {
		if w == 0 {
			heap.Push(ready, i)
		}
	}
	order = make([]int, 0, len(g.Nodes))
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		order = append(order, i)
		for _, r := range readers[i] {
			if waiting[r]--; waiting[r] == 0 {
				heap.Push(ready, r)
			}
		}
	}
	for i, w := range waiting {
		if w > 0 {
			order = append(order, i)
			stuck++
		}
	}
	return order, stuck
}

// producers returns the node that computes each value, the last one where there are several.
func producers(g *onnxio.Graph) map[string]int {
	list := map[string]int{}
	for i, n := range g.Nodes {
		for _, out := range n.Outputs {
			if out != "" {
				list[out] = i
			}
		}
	}
	return list
}

// cycle returns nodes of which each reads a value of the next and the last one a value of the first. stuck are those
// that ordered could not order: each of them reads a value of another.
func cycle(g *onnxio.Graph, stuck []int) []int {
	producer, in := producers(g), map[int]bool{}
	for _, i := range stuck {
		in[i] = true
	}
	var path []int
	place := map[int]int{}
	for at := stuck[0]; ; {
		if first, seen := place[at]; seen {
			return path[first:]
		}
		place[at] = len(path)
		path = append(path, at)
		next := -1
		reads(g.Nodes[at], func(name string) {
			if p, ok := producer[name]; ok && in[p] && next < 0 {
				next = p
			}
		})
		if next < 0 {
			return nil
		}
		at = next
	}
}

// cycleText names the nodes of a cycle in a message, the first few where it is long.
func cycleText(g *onnxio.Graph, nodes []int) string {
	const shown = 4
	var parts []string
	for k, i := range nodes {
		if k == shown {
			parts = append(parts, fmt.Sprintf("%d more", len(nodes)-shown))
			break
		}
		parts = append(parts, clipped(label(i, g.Nodes[i]), shownText))
	}
	return strings.Join(parts, " from ") + " from the first"
}

// reads calls f with every name that n reads, those in its subgraphs included.
func reads(n *onnxio.Node, f func(name string)) {
	for _, in := range n.Inputs {
		if in != "" {
			f(in)
		}
	}
	for _, a := range n.Attributes {
		graphs := a.Graphs
		if a.G != nil {
			graphs = append(graphs[:len(graphs):len(graphs)], a.G)
		}
		for _, g := range graphs {
			for _, sub := range g.Nodes {
				reads(sub, f)
			}
			for _, out := range g.Outputs {
				f(out.Name)
			}
		}
	}
}

// places is a heap of places in a file, the first on top.
type places []int

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i] < p[j] }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *places) Push(v any)        { *p = append(*p, v.(int)) }
func (p *places) Pop() any {
	v := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return v
}
