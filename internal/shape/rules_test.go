package shape

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bq/onnxio"
)

// row is one node: its inputs as addInput takes them, and what its outputs are, or after "error:" a part of the error.
type row struct {
	op     string // operator, with domain:: in front where it is not ONNX's, @ and the opset behind where it is not 21
	inputs string // separated by spaces, _ for one that is not given
	want   string // separated by spaces, _ for an output that is not wanted
	attrs  []*onnxio.Attribute
}

func attrs(list ...*onnxio.Attribute) []*onnxio.Attribute { return list }

func (r row) model() *onnxio.Model {
	name, opset := r.op, int64(21)
	if i := strings.IndexByte(name, '@'); i >= 0 {
		fmt.Sscan(name[i+1:], &opset)
		name = name[:i]
	}
	n := newNode(name, "", "", r.attrs...)
	if domain, op, ok := strings.Cut(name, "::"); ok {
		n.Domain, n.OpType = domain, op
	}
	m := modelOf(opset, n)
	for i, text := range strings.Fields(r.inputs) {
		if text == "_" {
			n.Inputs = append(n.Inputs, "")
			continue
		}
		n.Inputs = append(n.Inputs, fmt.Sprintf("x%d", i))
		addInput(m, n.Inputs[i], text)
	}
	outputs := strings.Fields(r.want)
	if strings.HasPrefix(r.want, "error:") {
		outputs = []string{"y"}
	}
	for i, text := range outputs {
		name := fmt.Sprintf("y%d", i)
		if text == "_" {
			name = ""
		}
		n.Outputs = append(n.Outputs, name)
	}
	return m
}

func checkRows(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		m := r.model()
		result, err := Infer(m, nil)
		if part, failing := strings.CutPrefix(r.want, "error:"); failing {
			var format *onnxio.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), strings.TrimSpace(part)) || !strings.HasPrefix(err.Error(), "node 0 (") {
				t.Errorf("%s %s: got error %v, want %q", r.op, r.inputs, err, part)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", r.op, r.inputs, err)
			continue
		}
		for i, want := range strings.Fields(r.want) {
			if want == "_" {
				continue
			}
			if v := result.Lookup(fmt.Sprintf("y%d", i)); v.String() != want {
				t.Errorf("%s %s: output %d: got %v, want %s", r.op, r.inputs, i, v.Info, want)
			}
		}
	}
}

func TestElementwise(t *testing.T) {
	checkRows(t, []row{
		{"Relu", "float32[N,3]", "float32[N,3]", nil},
		{"Relu", "float32[]", "float32[]", nil},
		{"Relu", "float16[...]", "float16[...]", nil},
		{"Add", "float32[2,1] float32[3]", "float32[2,3]", nil},
		{"Add", "float32[0,1] float32[3]", "float32[0,3]", nil},
		{"Add", "float32[N,1] float32[1,M]", "float32[N,M]", nil},
		{"Add", "float32[N] float32[N]", "float32[N]", nil},
		{"Add", "float32[N] float32[M]", "float32[?]", nil},
		{"Add", "float32[N] float32[4]", "float32[4]", nil},
		{"Add", "float32[4] float32[N]", "float32[4]", nil},
		{"Add", "float32[] float32[...]", "float32[...]", nil},
		{"Add", "float32[2] float32[3]", "error: [2] and [3] do not broadcast", nil},
		{"Add@6", "float32[2,3,4] float32[3]", "float32[2,3,4]", attrs(integer("broadcast", 1), integer("axis", 1))},
		{"Sum", "float32[2,1] float32[1,3] float32[]", "float32[2,3]", nil},
		{"Less", "float32[N] float32[1]", "bool[N]", nil},
		{"Where", "bool[N,1] float32[3] float32[]", "float32[N,3]", nil},
		{"Pow", "float32[2] int64[]", "float32[2]", nil},
		{"PRelu", "float32[2,3] float32[4,2,3]", "error: does not broadcast", nil},
		{"Cast", "float32[N]", "int64[N]", attrs(integer("to", 7))},
		{"Cast@1", "float32[N]", "float16[N]", attrs(text("to", "FLOAT16"))},
		{"CastLike", "float32[N] bfloat16[]", "bfloat16[N]", nil},
		{"Dropout", "float32[2]", "float32[2] bool[2]", nil},
		{"Dropout@9", "float32[2]", "float32[2] float32[2]", nil},
		{"IsNaN", "float32[2]", "bool[2]", nil},
	})
}

func TestShapes(t *testing.T) {
	checkRows(t, []row{
		{"Reshape", "float32[2,6] int64{3,-1}", "float32[3,4]", nil},
		{"Reshape", "float32[N,64,7,7] int64{-1,3136}", "float32[N,3136]", nil},
		{"Reshape", "float32[N,T,64] int64{0,0,8,-1}", "float32[N,T,8,8]", nil},
		{"Reshape", "float32[N,T,64] int64{0,-1}", "float32[N,64*T]", nil},
		{"Reshape", "float32[N,6] int64{-1,4}", "float32[floor(3*N/2),4]", nil},
		{"Reshape", "float32[0,6] int64{0,-1}", "float32[0,0]", nil},
		{"Reshape", "float32[0,6] int64{6,0}", "float32[6,0]", attrs(integer("allowzero", 1))},
		{"Reshape", "float32[1] int64{}", "float32[]", nil},
		{"Reshape", "float32[...] int64[3]", "float32[?,?,?]", nil},
		{"Reshape", "float32[2] int64[?]", "float32[...]", nil},
		{"Reshape", "float32[2,6] int64{5,-1}", "error: reshaping [2,6] to [5,-1]", nil},
		{"Reshape", "float32[2,6] int64{13}", "error: reshaping", nil},
		{"Reshape", "float32[2,6] int64{-1,-1}", "error: reshaping", nil},
		{"Reshape", "float32[2,6] int64{-2,6}", "error: reshaping", nil},
		{"Reshape@1", "float32[2,6]", "float32[12]", attrs(integers("shape", -1))},
		{"Flatten", "float32[N,2,3]", "float32[N,6]", nil},
		{"Flatten", "float32[N,2,3]", "float32[1,6*N]", attrs(integer("axis", 0))},
		{"Flatten", "float32[N,2,3]", "float32[2*N,3]", attrs(integer("axis", -1))},
		{"Flatten", "float32[]", "float32[1,1]", attrs(integer("axis", 0))},
		{"Flatten", "float32[2]", "error: axis 2 of a value of rank 1", attrs(integer("axis", 2))},
		{"Squeeze", "float32[1,N,1] int64{0,-1}", "float32[N]", nil},
		{"Squeeze", "float32[1,2,1]", "float32[2]", nil},
		{"Squeeze", "float32[1,N,1]", "float32[...]", nil},
		{"Squeeze@11", "float32[1,N]", "float32[N]", attrs(integers("axes", 0))},
		{"Squeeze", "float32[2] int64{0}", "error: squeezing dimension 0 of [2]", nil},
		{"Unsqueeze", "float32[N] int64{0,-1}", "float32[1,N,1]", nil},
		{"Unsqueeze@11", "float32[]", "float32[1]", attrs(integers("axes", 0))},
		{"Unsqueeze", "float32[2] int64{0,0}", "error: name a dimension twice", nil},
		{"Shape", "float32[N,3]", "int64[2]", nil},
		{"Shape", "float32[...]", "int64[?]", nil},
		{"Shape", "float32[2,3,4]", "int64[1]", attrs(integer("start", -2), integer("end", -1))},
		{"Size", "float32[N]", "int64[]", nil},
		{"Expand", "float32[3,1] int64{2,1,6}", "float32[2,3,6]", nil},
		{"Expand", "float32[3] int64{2}", "error: do not broadcast", nil},
		{"ConstantOfShape", "int64{2,0}", "float32[2,0]", nil},
		{"ConstantOfShape", "int64{}", "float32[]", nil},
		{"ConstantOfShape", "int64{-1}", "error: a result of shape [-1]", nil},
		{"ConstantOfShape", "int64{1099511627776,1099511627776}", "error: too many elements", nil},
		{"Range", "int64=1 int64=8 int64=3", "int64[3]", nil},
		{"Range", "int64=8 int64=1 int64=-3", "int64[3]", nil},
		{"Range", "int64=8 int64=1 int64=3", "int64[0]", nil},
		{"Range", "float32=0 float32=1 float32=0.25", "float32[4]", nil},
		{"Range", "int64=0 int64=1 int64=0", "error: steps of 0", nil},
		{"Range", "int64[] int64[] int64[]", "int64[?]", nil},
	})
}

func TestArrange(t *testing.T) {
	checkRows(t, []row{
		{"Transpose", "float32[N,2,3]", "float32[3,2,N]", nil},
		{"Transpose", "float32[N,2,3]", "float32[N,3,2]", attrs(integers("perm", 0, 2, 1))},
		{"Transpose", "float32[...]", "float32[?,?]", attrs(integers("perm", 1, 0))},
		{"Transpose", "float32[2,3]", "error: permutation [0 0]", attrs(integers("perm", 0, 0))},
		{"Concat", "float32[N,2] float32[N,3]", "float32[N,5]", attrs(integer("axis", -1))},
		{"Concat", "float32[P,4] float32[S,4] float32[0,4]", "float32[P+S,4]", attrs(integer("axis", 0))},
		{"Concat", "float32[?,2] float32[7,2]", "float32[7,4]", attrs(integer("axis", 1))},
		{"Concat", "float32[1,2] float32[2,2]", "error: joining shapes [1,2] and [2,2] along dimension 1", attrs(integer("axis", 1))},
		{"Split", "float32[7]", "float32[3] float32[3] float32[1]", attrs(integer("num_outputs", 3))},
		{"Split@13", "float32[6,N] int64{2,4}", "float32[2,N] float32[4,N]", nil},
		{"Split@11", "float32[N,6]", "float32[N,2] float32[N,4]", attrs(integer("axis", 1), integers("split", 2, 4))},
		{"Split@13", "float32[2,6*N]", "float32[1,6*N] float32[1,6*N]", nil},
		{"Split@13", "float32[6] int64{2,5}", "error: splitting 6 into 1 parts of [2,5]", nil},
		{"Tile", "float32[N,2] int64{2,3}", "float32[2*N,6]", nil},
		{"Tile", "float32[2] int64{1,1}", "error: repeating shape", nil},
		{"DepthToSpace", "float32[N,8,H,W]", "float32[N,2,2*H,2*W]", attrs(integer("blocksize", 2))},
		{"DepthToSpace", "float32[1,6,2,2]", "error: blocks of 2", attrs(integer("blocksize", 2))},
		{"SpaceToDepth", "float32[N,2,4,H]", "float32[N,8,2,floor(H/2)]", attrs(integer("blocksize", 2))},
		{"Trilu", "float32[N,N]", "float32[N,N]", nil},
		{"EyeLike", "float32[2,N]", "int64[2,N]", attrs(integer("dtype", 7))},
		{"Einsum", "float32[B,I,J] float32[B,J,K]", "float32[B,I,K]", attrs(text("equation", "bij, bjk -> bik"))},
		{"Einsum", "float32[2,3,4] float32[4,3]", "float32[2]", attrs(text("equation", "...ij,ji->..."))},
		{"Einsum", "float32[3,3]", "float32[]", attrs(text("equation", "ii"))},
		{"Einsum", "float32[2,3] float32[4,5]", "error: label j is 3 and 4", attrs(text("equation", "ij,jk"))},
		{"Einsum", "float32[2]", "error: equation", attrs(text("equation", "i,j"))},
		{"Slice", "float32[N,10] int64{1} int64{-1} int64{1}", "float32[N,8]", nil},
		{"Slice", "float32[N] int64{0} int64{9223372036854775807}", "float32[N]", nil},
		{"Slice", "float32[N] int64{1} int64{9223372036854775807}", "float32[max(N-1,0)]", nil},
		{"Slice", "float32[N] int64{-5} int64{9223372036854775807}", "float32[min(N,5)]", nil},
		{"Slice", "float32[N] int64{0} int64{5}", "float32[min(N,5)]", nil},
		{"Slice", "float32[N] int64{-3} int64{-1}", "float32[min(max(N-1,0),2)]", nil},
		{"Slice", "float32[10] int64{-1} int64{-9223372036854775807} int64{0} int64{-3}", "float32[4]", nil},
		{"Slice", "float32[N] int64{-1} int64{-9223372036854775807} int64{0} int64{-1}", "float32[N]", nil},
		{"Slice", "float32[4] int64{7} int64{9}", "float32[0]", nil},
		{"Slice", "float32[4,5] int64[2] int64[2]", "float32[?,?]", nil},
		{"Slice@9", "float32[4,5]", "float32[4,2]", attrs(integers("axes", 1), integers("starts", 3), integers("ends", 99))},
		{"Slice", "float32[4] int64{0} int64{1} int64{0} int64{0}", "error: steps of 0", nil},
		{"Slice", "float32[4] int64{0} int64{1} int64{3}", "error: axis 3", nil},
		{"Pad", "float32[N,4] int64{1,0,2,3}", "float32[N+3,7]", nil},
		{"Pad", "float32[N,4] int64{1,2} _ int64{-1}", "float32[N,7]", nil},
		{"Pad@2", "float32[3]", "float32[1]", attrs(integers("pads", -1, -1))},
		{"Pad", "float32[3] int64{-2,-2}", "error: a result of shape [-1]", nil},
		{"Pad", "float32[3] int64{1}", "error: pads [1]", nil},
		{"Resize", "float32[N,3,H,W] _ float32{1,1,2,0.5}", "float32[N,3,2*H,floor(W/2)]", nil},
		{"Resize", "float32[1,3,5,5] _ float32{} int64{1,3,7,8}", "float32[1,3,7,8]", nil},
		{"Resize", "float32[2,4] _ _ int64{7,8}", "float32[4,8]", attrs(text("keep_aspect_ratio_policy", "not_larger"))},
		{"Resize@10", "float32[5] float32{0.7}", "float32[3]", nil},
		{"Upsample@7", "float32[2,3]", "float32[2,6]", attrs(floats("scales", 1, 2))},
		{"CenterCropPad", "float32[4,N,3] int64{7,2}", "float32[7,N,2]", attrs(integers("axes", 0, 2))},
	})
}

func TestGathers(t *testing.T) {
	checkRows(t, []row{
		{"Gather", "float32[V,64] int64[N,T]", "float32[N,T,64]", nil},
		{"Gather", "float32[V,64] int64[]", "float32[V]", attrs(integer("axis", 1))},
		{"Gather", "int64{4,5} int64{2}", "error: index 2 of 2", nil},
		{"GatherElements", "float32[3,3] int64[2,3]", "float32[2,3]", nil},
		{"GatherElements", "float32[3,3] int64[2]", "error: input 1 of shape [2]", nil},
		{"GatherND", "float32[2,3,4] int64[5,2]", "float32[5,4]", nil},
		{"GatherND", "float32[B,3,4] int64[B,5,1]", "float32[B,5,4]", attrs(integer("batch_dims", 1))},
		{"GatherND", "float32[2] int64[1,2]", "error: indices [1,2] into [2]", nil},
		{"ScatterND", "float32[2,N] int64[1,1] float32[1,N]", "float32[2,N]", nil},
		{"OneHot", "int64[N] int64=5 float32{0,1}", "float32[N,5]", nil},
		{"OneHot", "int64[N] int64[] float32{0,1}", "float32[?,N]", attrs(integer("axis", 0))},
		{"NonZero", "float32[2,3]", "int64[2,?]", nil},
		{"TopK", "float32[N,10] int64{3}", "float32[N,3] int64[N,3]", nil},
		{"TopK", "float32[2] int64{3}", "error: the 3 largest of 2", nil},
		{"Unique", "float32[2,3]", "float32[?] int64[?] int64[6] int64[?]", nil},
		{"Compress", "float32[2,3] bool[2]", "float32[?,3]", attrs(integer("axis", 0))},
	})
}

func TestWindows(t *testing.T) {
	three := integers("kernel_shape", 3, 3)
	checkRows(t, []row{
		{"Conv", "float32[N,3,H,W] float32[16,3,3,3]", "float32[N,16,floor((H+1)/2),W-2]", attrs(integers("strides", 2, 1), integers("pads", 1, 0, 1, 0))},
		{"Conv", "float32[1,4,9] float32[8,2,3]", "float32[1,8,5]", attrs(integer("group", 2), integers("dilations", 2))},
		{"Conv", "float32[1,3,8] float32[4,3,3] float32[4]", "float32[1,4,3]", attrs(text("auto_pad", "SAME_UPPER"), integers("strides", 3))},
		{"Conv", "float32[1,3,8] float32[4,3,3]", "float32[1,4,3]", attrs(text("auto_pad", "VALID"), integers("strides", 2))},
		{"Conv", "float32[...] float32[4,3,3]", "float32[?,4,?]", nil},
		{"Conv", "float32[1,3,8,8] float32[4,2,3,3]", "error: convolving [1,3,8,8] with [4,2,3,3] in 1 groups", nil},
		{"Conv", "float32[1,3,2] float32[4,3,3]", "error: kernel of extent 3 over 2", nil},
		{"Conv", "float32[1,3,8] float32[4,3,3] float32[5]", "error: input 2 of shape [5], want [4]", nil},
		{"Conv", "float32[1,3,8] float32[4,3,3]", "error: not positive", attrs(integers("strides", 0))},
		{"Conv", "float32[1,3,8] float32[4,3,3]", "error: attribute \"pads\": 1 values, want 2", attrs(integers("pads", 1))},
		{"ConvTranspose", "float32[N,6,H,7] float32[6,2,3,3]", "float32[N,4,2*H,15]", attrs(integer("group", 2), integers("strides", 2, 2), integers("pads", 1, 0, 0, 0))},
		{"ConvTranspose", "float32[1,1,3] float32[1,1,3]", "float32[1,1,10]", attrs(integers("strides", 3), integers("output_shape", 10))},
		{"ConvTranspose", "float32[1,1,3] float32[1,1,3]", "float32[1,1,6]", attrs(integers("strides", 2), text("auto_pad", "SAME_LOWER"))},
		{"ConvTranspose", "float32[1,2,3] float32[1,1,3]", "error: convolving [1,2,3] with [1,1,3]", nil},
		{"ConvInteger", "uint8[1,1,4,4] uint8[2,1,3,3]", "int32[1,2,2,2]", nil},
		{"QLinearConv", "uint8[1,1,4,4] float32[] uint8[] int8[2,1,3,3] float32[] int8[] float32[] uint8[]", "uint8[1,2,2,2]", nil},
		{"com.microsoft::QLinearConv", "uint8[1,4,4,1] float32[] uint8[] int8[2,1,3,3] float32[] int8[] float32[] uint8[]", "uint8[1,2,2,2]", attrs(integer("channels_last", 1))},
		{"com.microsoft::FusedConv", "float32[1,1,4,4] float32[2,1,3,3]", "float32[1,2,2,2]", nil},
		{"MaxPool", "float32[N,3,H,7]", "float32[N,3,floor((H+1)/2)-1,3] int64[N,3,floor((H+1)/2)-1,3]", attrs(three, integers("strides", 2, 2))},
		{"MaxPool", "float32[1,1,4,4]", "float32[1,1,2,2]", attrs(three, integers("strides", 2, 2), integer("ceil_mode", 1))},
		{"AveragePool", "float32[1,1,2,2]", "float32[1,1,1,1]", attrs(integers("kernel_shape", 1, 1), integers("strides", 2, 2), integers("pads", 0, 0, 1, 1), integer("ceil_mode", 1))},
		{"MaxPool", "float32[1,1,4]", "error: \"kernel_shape\" is missing", nil},
		{"GlobalAveragePool", "float32[N,8,H,W]", "float32[N,8,1,1]", nil},
		{"MaxUnpool", "float32[1,1,2,2] int64[1,1,2,2]", "float32[1,1,4,4]", attrs(integers("kernel_shape", 2, 2), integers("strides", 2, 2))},
		{"Col2Im", "float32[N,12,9] int64{5,5} int64{3,2}", "float32[N,2,5,5]", nil},
		{"RoiAlign", "float32[1,8,H,W] float32[R,4] int64[R]", "float32[R,8,7,1]", attrs(integer("output_height", 7))},
		{"GridSample", "float32[N,3,H,W] float32[N,5,6,2]", "float32[N,3,5,6]", nil},
		{"AffineGrid", "float32[2,2,3] int64{2,3,5,6}", "float32[2,5,6,2]", nil},
	})
}

func TestProducts(t *testing.T) {
	checkRows(t, []row{
		{"MatMul", "float32[N,T,8] float32[8,16]", "float32[N,T,16]", nil},
		{"MatMul", "float32[8] float32[2,8,3]", "float32[2,3]", nil},
		{"MatMul", "float32[8] float32[8]", "float32[]", nil},
		{"MatMul", "float32[2,3] float32[4,5]", "error: multiplying [2,3] and [4,5]", nil},
		{"MatMul", "float32[] float32[4,5]", "error: multiplying", nil},
		{"MatMul", "float32[2,3,4] float32[3,4,5]", "error: do not broadcast", nil},
		{"Gemm", "float32[K,N] float32[16,K] float32[16]", "float32[N,16]", attrs(integer("transA", 1), integer("transB", 1))},
		{"Gemm", "float32[2,3] float32[3,4] float32[3]", "error: adding [3] to [2,4]", nil},
		{"MatMulInteger", "uint8[N,4] int8[4,5]", "int32[N,5]", nil},
		{"QLinearMatMul", "uint8[2,4] float32[] uint8[] int8[4,5] float32[] int8[] float32[] uint8[]", "uint8[2,5]", nil},
		{"com.microsoft::FusedMatMul", "float32[2,4] float32[3,4]", "float32[2,3]", attrs(integer("transB", 1))},
		{"com.microsoft::MatMulNBits", "float32[N,64] uint8[32,2,16] float32[64]", "float32[N,32]", attrs(integer("N", 32), integer("K", 64))},
		{"com.microsoft::QGemm", "uint8[2,3] float32[] uint8[] uint8[3,4] float32[] uint8[]", "float32[2,4]", nil},
		{"com.microsoft::DynamicQuantizeMatMul", "float32[N,3] int8[3,4] float32[]", "float32[N,4]", nil},
		{"Det", "float32[N,3,3]", "float32[N]", nil},
		{"LSTM", "float32[T,B,8] float32[2,64,8] float32[2,64,16]", "float32[T,2,B,16] float32[2,B,16] float32[2,B,16]", attrs(text("direction", "bidirectional"), integer("hidden_size", 16))},
		{"GRU@14", "float32[B,T,8] float32[1,48,8] float32[1,48,16]", "float32[B,T,1,16] float32[B,1,16]", attrs(integer("layout", 1))},
		{"LSTM", "float32[T,B,7] float32[1,64,8] float32[1,64,16]", "error: input of shape [T,B,7] for weights [1,64,8]", nil},
		{"Attention@23", "float32[B,S,32] float32[B,T,16] float32[B,T,16] _ float32[B,2,P,8] float32[B,2,P,8]", "float32[B,S,32] float32[B,2,P+T,8] float32[B,2,P+T,8]", attrs(integer("q_num_heads", 4), integer("kv_num_heads", 2))},
		{"com.microsoft::GroupQueryAttention", "float32[B,S,32] float32[B,S,16] float32[B,S,16] float32[B,2,P,8] float32[B,2,P,8] int32[B] int32[]", "float32[B,S,32] float32[B,2,?,8] float32[B,2,?,8]", attrs(integer("num_heads", 4), integer("kv_num_heads", 2))},
		{"com.microsoft::MultiHeadAttention", "float32[B,S,32] float32[B,T,32] float32[B,T,48]", "float32[B,S,48] float32[B,4,T,8] float32[B,4,T,12]", attrs(integer("num_heads", 4))},
		{"com.microsoft::Attention", "float32[B,S,32] float32[32,96]", "float32[B,S,32] float32[2,B,4,S,8]", attrs(integer("num_heads", 4))},
		{"com.microsoft::EmbedLayerNormalization", "int32[B,S] _ float32[100,8] float32[50,8] _ float32[8] float32[8]", "float32[B,S,8] int32[B]", nil},
	})
}

func TestReductions(t *testing.T) {
	checkRows(t, []row{
		{"ReduceMean", "float32[N,3,H] int64{-1}", "float32[N,3,1]", nil},
		{"ReduceMean@11", "float32[N,3,H]", "float32[N,H]", attrs(integers("axes", 1), integer("keepdims", 0))},
		{"ReduceSum", "float32[N,3]", "float32[]", attrs(integer("keepdims", 0))},
		{"ReduceSum", "float32[N,3] int64{}", "float32[N,3]", attrs(integer("noop_with_empty_axes", 1))},
		{"ReduceSum", "float32[N,3] int64[1]", "float32[?,?]", nil},
		{"ReduceMax", "float32[]", "float32[]", nil},
		{"ReduceMax", "float32[2] int64{1}", "error: axis 1 of a value of rank 1", nil},
		{"ArgMax", "float32[N,3]", "int64[1,3]", nil},
		{"ArgMax", "float32[N,3]", "int64[N]", attrs(integer("axis", -1), integer("keepdims", 0))},
		{"BatchNormalization", "float32[N,8,H] float32[8] float32[8] float32[8] float32[8]", "float32[N,8,H]", nil},
		{"BatchNormalization", "float32[N,8,H] float32[7] float32[8] float32[8] float32[8]", "error: input 1 of shape [7], want [8]", nil},
		{"LayerNormalization", "float32[N,T,8] float32[8]", "float32[N,T,8] float32[N,T,1] float32[N,T,1]", nil},
		{"LayerNormalization", "float32[N,8] float32[7]", "error: does not broadcast", nil},
		{"Softmax", "float32[2]", "error: axis 1", attrs(integer("axis", 1))},
		{"Softmax@11", "float32[2]", "float32[2]", attrs(integer("axis", 1))},
		{"QuantizeLinear", "float32[N] float32[]", "uint8[N]", nil},
		{"QuantizeLinear", "float32[N] float32[] int8[]", "int8[N]", nil},
		{"QuantizeLinear", "float32[N] float32[]", "int4[N]", attrs(integer("output_dtype", 22))},
		{"DequantizeLinear", "int8[N] float16[] int8[]", "float16[N]", nil},
		{"DynamicQuantizeLinear", "float32[N]", "uint8[N] float32[] uint8[]", nil},
		{"com.microsoft::QLinearConcat", "float32[] uint8[] uint8[N,2] float32[] uint8[] uint8[N,3] float32[] uint8[]", "uint8[N,5]", attrs(integer("axis", 1))},
		{"com.microsoft::QLinearAdd", "uint8[N,1] float32[] uint8[] uint8[3] float32[] uint8[] float32[] uint8[]", "uint8[N,3]", nil},
		{"com.microsoft::GatherBlockQuantized", "uint8[100,16] int64[N,T] float32[100,1]", "float32[N,T,32]", nil},
		{"NegativeLogLikelihoodLoss", "float32[N,5] int64[N]", "float32[]", nil},
		{"NegativeLogLikelihoodLoss", "float32[N,5] int64[N]", "float32[N]", attrs(text("reduction", "none"))},
	})
}

func TestOthers(t *testing.T) {
	checkRows(t, []row{
		{"DFT", "float32[N,10,1] int64=16", "float32[N,9,2]", attrs(integer("onesided", 1))},
		{"STFT", "float32[N,100,1] int64=10 float32[20]", "float32[N,9,11,2]", nil},
		{"HannWindow", "int64=12", "float32[12]", nil},
		{"MelWeightMatrix", "int64=8 int64=16 int64=100 float32=0 float32=50", "float32[9,8]", nil},
		{"StringSplit", "string[N]", "string[N,?] int64[N]", nil},
		{"TfIdfVectorizer", "int64[N,5]", "float32[N,7]", attrs(integers("ngram_indexes", 0, 6, 3))},
		{"NonMaxSuppression", "float32[1,B,4] float32[1,C,B]", "int64[?,3]", nil},
		{"SequenceConstruct", "float32[2,N] float32[3,N]", "seq(float32[?,N])", nil},
		{"SequenceEmpty", "", "seq(float32[...])", nil},
		{"Optional", "float32[N]", "opt(float32[N])", nil},
		{"RandomNormal", "", "float32[2,3]", attrs(integers("shape", 2, 3))},
		{"ai.onnx.ml::LabelEncoder", "string[N,2]", "int64[N,2]", attrs(integers("values_int64s", 1))},
		{"ai.onnx.ml::TreeEnsembleClassifier", "float32[N,4]", "string[N] float32[N,2]", attrs(texts("classlabels_strings", "a", "b"))},
		{"ai.onnx.ml::TreeEnsembleRegressor", "float32[N,4]", "float32[N,3]", attrs(integer("n_targets", 3))},
		{"ai.onnx.ml::ZipMap", "float32[N,4]", "seq(map(int64,float32[]))", attrs(integers("classlabels_int64s", 1))},
		{"ai.onnx.ml::OneHotEncoder", "int64[N]", "float32[N,3]", attrs(integers("cats_int64s", 1, 2, 3))},
		{"NoSuchOperator", "float32[N]", "unknown", nil},
	})
}
