package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"bq/onnxio"
)

// digestVariable asks the test program for the digests of conversions instead of tests.
const digestVariable = "BQ_CONVERT_DIGESTS"

func TestMain(m *testing.M) {
	if os.Getenv(digestVariable) == "" {
		os.Exit(m.Run())
	}
	if err := printDigests(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// digestCases are the models and what they are converted by.
var digestCases = []struct {
	model   string
	methods []string
	bits    []int
}{
	{"../testdata/digits.onnx", []string{"affine", "lloyd", "balanced", "balanced:1/3", "paper"}, []int{4}},
	{"../testdata/digits.onnx", []string{"auto"}, []int{1, 8}},
	{"../testdata/chars.onnx", []string{"affine"}, []int{2}},
}

// printDigests converts each on one thread and on more.
func printDigests() error {
	for _, d := range digestCases {
		model := d.model
		f, err := onnxio.Open(model)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, method := range d.methods {
			for _, bits := range d.bits {
				o := Options{Bits: bits, Threads: 1}
				if o.Method, err = ParseMethod(method); err != nil {
					return err
				}
				var sums []string
				for _, o.Threads = range []int{1, 3} {
					var out bytes.Buffer
					if _, err := Convert(context.Background(), f, &out, o); err != nil {
						return err
					}
					sum := sha256.Sum256(out.Bytes())
					sums = append(sums, hex.EncodeToString(sum[:8]))
				}
				fmt.Println(model, method, bits, strings.Join(sums, " "))
				if sums[0] != sums[1] {
					return fmt.Errorf("%s, %s, %d bits: the digest depends on the number of threads", model, method, bits)
				}
			}
		}
	}
	return nil
}

// The bytes of a container depend neither on the instruction set nor on the number of threads.
func TestSameBytesByEveryInstructionSet(t *testing.T) {
	var want string
	for _, lowered := range []string{"", "cpu.avx512f=off", "cpu.avx2=off,cpu.asimd=off"} {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), digestVariable+"=1", "GODEBUG="+lowered)
		var stderr strings.Builder
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("GODEBUG=%s: %v\n%s%s", lowered, err, out, stderr.String())
		}
		if lines := strings.Count(string(out), "\n"); lines != 5+2+1 {
			t.Fatalf("GODEBUG=%s: %d lines", lowered, lines)
		}
		if want == "" {
			want = string(out)
		}
		if string(out) != want {
			t.Errorf("GODEBUG=%s gives other bytes:\n%s\nwant:\n%s", lowered, out, want)
		}
	}
}
