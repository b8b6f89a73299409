package packing_test

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
)

// zoo holds real models, beside the project.
const zoo = "../../shared/zoo/models"

// zooModels have weights of several kinds: convolutions with and without neighbours that are alike, an LSTM, a transformer. The
// last has tensors of 576 weights: at 8 bits their order-0 entropy is that of the sample, a bit below that of what it is
// a sample of, and nothing reaches it.
var zooModels = []struct {
	name string
	bits []int
}{
	{"cifar10-resnet20", []int{2, 4, 8}}, {"crepe-tiny", []int{2, 4, 8}}, {"charrnn-shakespeare-lstm", []int{2, 4, 8}},
	{"stories260k-llama-lm", []int{2, 4, 8}}, {"mlperf-tiny-kws-dscnn", []int{2, 4}},
}

// mostOverEntropy is what CodecRange may take beyond the order-0 entropy of the codes, a static code that knows their counts.
const mostOverEntropy = 1.005

// On real weights the range coder is at the entropy or below, and the Huffman coder between it and packed codes.
func TestZooCodesNearEntropy(t *testing.T) {
	if _, err := os.Stat(zoo); err != nil {
		t.Skip("skipped: there is no zoo beside the project; the coders are tested on generated codes")
	}
	for _, m := range zooModels {
		for _, bits := range m.bits {
			var entropy float64
			var packed, huffman, ranged int
			for _, x := range converted(t, m.name, bits) {
				q := x.Quant
				entropy += order0(q)
				packed += q.CodesLen(x.Shape, packing.CodecPacked)
				huffman += q.CodesLen(x.Shape, packing.CodecHuffman)
				ranged += q.CodesLen(x.Shape, packing.CodecRange)
			}
			t.Logf("%-26s %d bits: packed %7d, huffman %7d, entropy %7.0f, range %7d: %+.2f %%", m.name, bits, packed, huffman, entropy, ranged,
				100*(float64(ranged)/entropy-1))
			if float64(ranged) > mostOverEntropy*entropy || huffman > packed || ranged > huffman {
				t.Errorf("%s, %d bits: packed %d, huffman %d, entropy %.0f, range %d", m.name, bits, packed, huffman, entropy, ranged)
			}
		}
	}
}

// converted returns the quantized tensors of a model of the zoo.
func converted(t *testing.T, name string, bits int) []*packing.Tensor {
	t.Helper()
	model, err := onnxio.Open(filepath.Join(zoo, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	method, err := convert.ParseMethod("affine")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := convert.Convert(context.Background(), model, &b, convert.Options{Bits: bits, Method: method}); err != nil {
		t.Fatal(err)
	}
	f, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var list []*packing.Tensor
	for i, e := range f.Entries() {
		if e.Quantized {
			x, err := f.Tensor(i)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, x)
		}
	}
	return list
}

// order0 returns the order-0 entropy of codes in bytes.
func order0(q *packing.Quant) float64 {
	counts := map[int]int{}
	for i := range q.Len() {
		counts[q.Code(i)]++
	}
	bits := 0.0
	for _, n := range counts {
		bits -= float64(n) * math.Log2(float64(n)/float64(q.Len()))
	}
	return bits / 8
}
