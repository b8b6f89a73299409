package opset

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// beside lists operators that begin earlier than ONNX's list says, or that it lacks, with their first version.
var beside = map[string]int64{"LayerNormalization": 1, "MeanVarianceNormalization": 1, "SimplifiedLayerNormalization": 1, "ThresholdedRelu": 1}

// TestTable compares the table with testdata/versions.txt: every operator of ONNX 1.23's own domain and the versions that
// changed it, as onnx.defs.get_all_schemas_with_history gives them.
func TestTable(t *testing.T) {
	b, err := os.ReadFile("testdata/versions.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	known := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		var want, got []int64
		if first := beside[fields[0]]; first > 0 {
			want = append(want, first)
		}
		for _, f := range fields[1:] {
			v, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if v <= Newest {
				want = append(want, v)
			}
		}
		for _, c := range changes[fields[0]] {
			got = append(got, c.since)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s changes in %v, the table has %v", fields[0], want, got)
		}
		known[fields[0]] = true
		listed++
	}
	if listed < 200 {
		t.Errorf("%d operators in the list", listed)
	}
	for op, list := range changes {
		if !known[op] && beside[op] == 0 {
			t.Errorf("%s is no operator", op)
		}
		if list != nil && list[0].rule != nil {
			t.Errorf("%s: a rule for its first version", op)
		}
		if experiments[op].rule != nil {
			t.Errorf("%s is an operator and experimental", op)
		}
	}
}
