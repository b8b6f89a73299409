package cli

import (
	"bytes"
	"context"
	"io"
	"testing"

	"bq/convert"
	"bq/packing"
)

// A model that is coded again as a container was has the container's codes: no tensor more and no other coder, by what the container
// says of the flags that it was made with.
func TestLadderGoesByTheContainer(t *testing.T) {
	s := &session{ctx: context.Background(), threads: 1, stderr: io.Discard}
	in, err := s.openModel("../../testdata/digits.onnx")
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	for _, o := range []convert.Options{{}, {MinElements: 5000}, {MinElements: 64}, {KeepBiases: true}, {Codec: convert.CodecNone}} {
		o.Bits, o.Threads = 4, 1
		var b bytes.Buffer
		if _, err := convert.Convert(s.ctx, in.file, &b, o); err != nil {
			t.Fatal(err)
		}
		f, err := packing.Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		contents, err := convert.ReadContents(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.newLadder(in, contents).like(contents.Tensors, nil, convert.Options{})
		if err != nil {
			t.Fatal(err)
		}
		codes, scales, kept, _, _ := f.Sizes()
		gotCodes, gotScales, gotKept, _, _ := r.file.Sizes()
		if gotCodes != codes || gotScales != scales || gotKept != kept {
			t.Errorf("%+v: codes %d, scales %d, kept %d, the container has %d, %d, %d", o, gotCodes, gotScales, gotKept, codes, scales, kept)
		}
	}
}
