package shape

import (
	"container/heap"

	"bq/onnxio"
)

// inOrder returns the places of g's nodes in an order in which every value is computed before it is read: the order of
// the file where that is one (IR.md, "Graphs"), else the nodes that can run, the first in the file first. Nodes of a
// cycle come last, as they stand in the file.
func inOrder(g *onnxio.Graph) []int {
	producer := make(map[string]int, len(g.Nodes))
	for i, n := range g.Nodes {
		for _, out := range n.Outputs {
			if out != "" {
				producer[out] = i
			}
		}
	}
	order := make([]int, len(g.Nodes))
	sorted := true
	for i, n := range g.Nodes {
		order[i] = i
		reads(n, func(name string) {
			if p, ok := producer[name]; ok && p >= i {
				sorted = false
			}
		})
	}
	if sorted {
		return order
	}
	return sortNodes(g, producer)
}

func sortNodes(g *onnxio.Graph, producer map[string]int) []int {
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
	order := make([]int, 0, len(g.Nodes))
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
		}
	}
	return order
}

// reads calls f with every name that n reads, those in its subgraphs included.
func reads(n *onnxio.Node, f func(name string)) {
	for _, in := range n.Inputs {
		if in != "" {
			f(in)
		}
	}
	for _, a := range n.Attributes {
		for _, g := range graphsOf(a) {
			for _, sub := range g.Nodes {
				reads(sub, f)
			}
			for _, out := range g.Outputs {
				f(out.Name)
			}
		}
	}
}

// graphsOf returns the graphs of an attribute.
func graphsOf(a *onnxio.Attribute) []*onnxio.Graph {
	if a.G == nil {
		return a.Graphs
	}
	return append([]*onnxio.Graph{a.G}, a.Graphs...)
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
