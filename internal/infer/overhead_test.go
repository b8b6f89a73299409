package infer

import (
	"strconv"
	"testing"

	"bq/onnxio"
)

// BenchmarkStep runs a chain of a thousand small nodes: what a node costs beside its arithmetic. One operation is one
// node.
func BenchmarkStep(b *testing.B) {
	for _, op := range []string{"Identity", "Abs", "Shape"} {
		b.Run("op="+op, func(b *testing.B) {
			const nodes = 1000
			var list []*onnxio.Node
			for i := range nodes {
				from := strconv.Itoa(i)
				if op == "Shape" {
					from = "0"
				}
				list = append(list, newNode(op, from, strconv.Itoa(i+1)))
			}
			m := modelOf(13, list...)
			m.Graph.Inputs = []*onnxio.ValueInfo{input("0", onnxio.Float, 2, 3)}
			m.Graph.Outputs = []*onnxio.ValueInfo{{Name: strconv.Itoa(nodes)}}
			p, err := Options{Threads: 1}.Compile(m)
			if err != nil {
				b.Fatal(err)
			}
			feeds := map[string]*onnxio.Array{"0": onnxio.NewArray(onnxio.Float, 2, 3)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Run(feeds, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/node")
		})
	}
}
