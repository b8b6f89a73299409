package shape_test

import (
	"fmt"

	"bq/internal/shape"
	"bq/onnxio"
)

func dims(list ...any) *onnxio.TensorType {
	t := &onnxio.TensorType{Elem: onnxio.Float, HasShape: true}
	for _, d := range list {
		switch d := d.(type) {
		case int:
			t.Shape = append(t.Shape, onnxio.Dim{Known: true, Value: int64(d)})
		case string:
			t.Shape = append(t.Shape, onnxio.Dim{Param: d})
		}
	}
	return t
}

func convolution() *onnxio.Model {
	conv := &onnxio.Node{OpType: "Conv", Inputs: []string{"image", "w"}, Outputs: []string{"features"}, Attributes: []*onnxio.Attribute{
		{Name: "strides", Type: onnxio.AttrInts, Ints: []int64{2, 2}}, {Name: "pads", Type: onnxio.AttrInts, Ints: []int64{1, 1, 1, 1}}}}
	return &onnxio.Model{Opsets: []*onnxio.Opset{{Version: 13}}, Graph: &onnxio.Graph{
		Nodes:  []*onnxio.Node{conv},
		Inputs: []*onnxio.ValueInfo{{Name: "image", Type: dims("batch", 3, "height", 224)}, {Name: "w", Type: dims(16, 3, 3, 3)}},
	}}
}

func ExampleInfer() {
	r, err := shape.Infer(convolution(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range r.Values {
		fmt.Println(v.Name, v.Info)
	}
	size, _ := r.Lookup("features").Shape[2].Eval(map[string]int{"height": 480})
	fmt.Println(size)
	// Output:
	// image float32[batch,3,height,224]
	// w float32[16,3,3,3]
	// features float32[batch,16,floor((height+1)/2),112]
	// 240
}

func ExampleOptions_Infer() {
	o := shape.Options{Inputs: map[string][]int{"image": {4, 3, 480, 224}}}
	r, err := o.Infer(convolution())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Lookup("features").Info)
	// Output: float32[4,16,240,112]
}
