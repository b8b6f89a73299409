package shape

import (
	"fmt"
	"slices"

	"bq/onnxio"
)

// nonMaxSuppression: rows [batch, class, box] of the boxes that are kept.
func nonMaxSuppression(c *call) error {
	if err := c.rank(0, 3); err != nil {
		return err
	}
	if err := c.rank(1, 3); err != nil {
		return err
	}
	return c.give(0, onnxio.Int64, c.size(), Size(3))
}

// roiAlign: X [N, C, H, W], rois [R, 4] to [R, C, output_height, output_width].
func roiAlign(c *call) error {
	if err := c.rank(0, 4); err != nil {
		return err
	}
	if err := c.rank(1, 2); err != nil {
		return err
	}
	regions, channels := c.size(), c.size()
	if s, ok := c.shape(2); ok && len(s) == 1 {
		regions = s[0]
	}
	if s, ok := c.shape(1); ok {
		regions, _ = unify(s[0], regions)
	}
	if s, ok := c.shape(0); ok {
		channels = s[1]
	}
	h, w := c.int("output_height", 1), c.int("output_width", 1)
	if h < 1 || w < 1 {
		return fmt.Errorf("output of %d x %d", h, w)
	}
	return c.give(0, c.elem(0), regions, channels, Size(h), Size(w))
}

// affineGrid: theta [N, d, d+1] and size [N, C, spatial] to [N, spatial, d].
func affineGrid(c *call) error {
	size, ok := c.sizesInput(1)
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(size) < 3 {
		return fmt.Errorf("affine grid of size %s", shapeText(size))
	}
	out := append([]Dim{size[0]}, size[2:]...)
	return c.give(0, c.elem(0), append(out, Size(int64(len(size)-2)))...)
}

// gridSample: X [N, C, spatial] and grid [N, out spatial, d] to [N, C, out spatial].
func gridSample(c *call) error {
	if err := c.sameRanks(0, 1); err != nil {
		return err
	}
	x, ok := c.shape(0)
	grid, ok2 := c.shape(1)
	switch {
	case !ok && !ok2:
		return c.giveUnranked(0, c.elem(0))
	case !ok:
		x = c.sizes(len(grid))
	case !ok2:
		grid = c.sizes(len(x))
	}
	if len(x) < 3 || grid[len(x)-1].differs(Size(int64(len(x)-2))) {
		return fmt.Errorf("sampling %s at %s", shapeText(x), shapeText(grid))
	}
	return c.give(0, c.elem(0), append([]Dim{x[0], x[1]}, grid[1:len(grid)-1]...)...)
}

// rowsOf returns the rows of features [C] or [N, C].
func (c *call) rowsOf(i int) Dim {
	s, ok := c.shape(i)
	switch {
	case ok && len(s) == 1:
		return Size(1)
	case ok && len(s) == 2:
		return s[0]
	}
	return c.size()
}

// featurewise: floats of the shape of the input.
func featurewise(c *call) error { return c.giveLike(0, 0, onnxio.Float) }

// arrayFeatureExtractor: entries of the last dimension; a vector counts as one row.
func arrayFeatureExtractor(c *call) error {
	s, ok := c.shape(0)
	n := c.size()
	if q, ok := c.shape(1); ok {
		n = product(q)
	}
	if !ok {
		return c.giveUnranked(0, c.elem(0))
	}
	if len(s) < 1 {
		return fmt.Errorf("features of shape %s", shapeText(s))
	}
	if len(s) == 1 {
		s = []Dim{Size(1), s[0]}
	}
	return c.give(0, c.elem(0), append(slices.Clone(s[:len(s)-1]), n)...)
}

// oneHotEncoder: a new last dimension of as many as there are categories.
func oneHotEncoder(c *call) error {
	n := len(c.node.IntsAttr("cats_int64s"))
	if a := c.node.Attr("cats_strings"); a != nil {
		n += len(a.Strings)
	}
	s, ok := c.shape(0)
	if !ok {
		return c.giveUnranked(0, onnxio.Float)
	}
	return c.give(0, onnxio.Float, append(slices.Clone(s), Size(int64(n)))...)
}

// featureVectorizer: the rows of all inputs side by side, each with the width that attribute inputdimensions says.
func featureVectorizer(c *call) error {
	sum := Size(0)
	for _, v := range c.node.IntsAttr("inputdimensions") {
		sum = add(sum, Size(v))
	}
	return c.give(0, onnxio.Float, c.rowsOf(0), sum)
}

// labelTypes lists the attributes that hold the values of LabelEncoder and CategoryMapper, with the type each says.
var labelTypes = []struct {
	name string
	t    onnxio.DataType
}{{"values_strings", onnxio.String}, {"values_int64s", onnxio.Int64}, {"values_floats", onnxio.Float}}

// labelEncoder: the type of the values; in version 1 strings become integers and integers strings.
func labelEncoder(c *call) error {
	if a := c.node.Attr("values_tensor"); a != nil && a.T != nil {
		return c.giveLike(0, 0, a.T.Type)
	}
	for _, l := range labelTypes {
		if c.has(l.name) {
			return c.giveLike(0, 0, l.t)
		}
	}
	return categoryMapper(c)
}

// categoryMapper: integers for strings and strings for integers.
func categoryMapper(c *call) error {
	switch c.elem(0) {
	case onnxio.String:
		return c.giveLike(0, 0, onnxio.Int64)
	case onnxio.Undefined:
		return c.giveLike(0, 0, onnxio.Undefined)
	}
	return c.giveLike(0, 0, onnxio.String)
}

// classifier makes the rule of an operator that gives a label for each row, and a score for each class. The attributes are
// those of its labels, as strings or integers.
func classifier(strings, integers string) func(*call) error {
	return func(c *call) error {
		label, classes := onnxio.Int64, len(c.node.IntsAttr(integers))
		if a := c.node.Attr(strings); a != nil && len(a.Strings) > 0 {
			label, classes = onnxio.String, len(a.Strings)
		}
		rows := c.rowsOf(0)
		if err := c.give(0, label, rows); err != nil {
			return err
		}
		n := c.size()
		if classes > 0 {
			n = Size(int64(classes))
		}
		return c.give(1, onnxio.Float, rows, n)
	}
}

// regressor makes the rule of an operator that gives a number for each row and target.
func regressor(targets string) func(*call) error {
	return func(c *call) error {
		n := c.int(targets, 1)
		if n < 1 {
			return fmt.Errorf("attribute %q is %d", targets, n)
		}
		t := onnxio.Float
		if c.node.OpType == "TreeEnsemble" || c.node.OpType == "TreeEnsembleRegressor" && c.elem(0) == onnxio.Double {
			t = c.elem(0)
		}
		return c.give(0, t, c.rowsOf(0), Size(n))
	}
}

// supportVectorClassifier: scores of two classes for binary decisions, else of every class or pair of classes.
func supportVectorClassifier(c *call) error {
	if err := classifier("classlabels_strings", "classlabels_ints")(c); err != nil {
		return err
	}
	return c.give(1, onnxio.Float, c.rowsOf(0), c.size())
}

// dictVectorizer: a row of as many values as there are keys in the vocabulary.
func dictVectorizer(c *call) error {
	n := len(c.node.IntsAttr("int64_vocabulary"))
	if a := c.node.Attr("string_vocabulary"); a != nil {
		n = len(a.Strings)
	}
	t := onnxio.Undefined
	if e := c.arg(0).Elem; e != nil {
		t = e.Type
	}
	return c.give(0, t, Size(1), Size(int64(n)))
}

// castMap: the values of a map as one row.
func castMap(c *call) error {
	t := map[string]onnxio.DataType{"TO_FLOAT": onnxio.Float, "TO_STRING": onnxio.String, "TO_INT64": onnxio.Int64}
	n := c.size()
	if c.node.StringAttr("map_form", "DENSE") == "SPARSE" {
		n = Size(c.int("max_map", 1))
	}
	return c.give(0, t[c.node.StringAttr("cast_to", "TO_FLOAT")], Size(1), n)
}
