package cli

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bq/onnxio"
)

// The commands of scripts that make models and samples by code, and the one that stops a program.

// chain builds the model of weights [n, n] that multiply a row x [1, n] one after the other into y.
func chain(n int, weights ...[]float32) *onnxio.Model {
	row := func(name string) *onnxio.ValueInfo {
		shape := []onnxio.Dim{{Value: 1, Known: true}, {Value: int64(n), Known: true}}
		return &onnxio.ValueInfo{Name: name, Type: &onnxio.TensorType{Elem: onnxio.Float, HasShape: true, Shape: shape}}
	}
	g := &onnxio.Graph{Inputs: []*onnxio.ValueInfo{row("x")}, Outputs: []*onnxio.ValueInfo{row("y")}}
	from := "x"
	for i, w := range weights {
		name, to := "w"+strconv.Itoa(i), "h"+strconv.Itoa(i)
		if i == len(weights)-1 {
			to = "y"
		}
		g.Initializers = append(g.Initializers, onnxio.NewTensor(name, onnxio.Floats(w, n, n)))
		g.Nodes = append(g.Nodes, &onnxio.Node{OpType: "MatMul", Inputs: []string{from, name}, Outputs: []string{to}})
		from = to
	}
	return &onnxio.Model{IRVersion: 8, Opsets: []*onnxio.Opset{{Version: 13}}, Graph: g}
}

func writeModel(ts *testscript.TestScript, path string, m *onnxio.Model) {
	f, err := os.Create(ts.MkAbs(path))
	ts.Check(err)
	defer f.Close()
	_, err = m.WriteTo(f)
	ts.Check(err)
}

// linear FILE A B C D writes the model y = x [[A, B], [C, D]].
func linear(ts *testscript.TestScript, _ bool, args []string) {
	writeModel(ts, args[0], chain(2, numbers(ts, args[1:])))
}

// layers FILE COUNT writes a model of COUNT layers, each of 4 MiB of normal random weights, or of a quarter of that under the race
// detector: work that lasts long enough to be stopped.
func layers(ts *testscript.TestScript, _ bool, args []string) {
	width := 1024
	if raceEnabled {
		width /= 2
	}
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	random := rand.New(rand.NewPCG(1, 1))
	weights := make([][]float32, count)
	for i := range weights {
		weights[i] = make([]float32, width*width)
		for k := range weights[i] {
			weights[i][k] = float32(random.NormFloat64())
		}
	}
	writeModel(ts, args[0], chain(width, weights...))
}

// tensor FILE N,N,... VALUES... writes floats of a shape as ONNX test sets hold them.
func tensor(ts *testscript.TestScript, _ bool, args []string) {
	var shape []int
	for _, d := range strings.Split(args[1], ",") {
		n, err := strconv.Atoi(d)
		ts.Check(err)
		shape = append(shape, n)
	}
	t := onnxio.NewTensor("", onnxio.Floats(numbers(ts, args[2:]), shape...))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), t.Bytes(), 0o644))
}

func numbers(ts *testscript.TestScript, args []string) []float32 {
	list := make([]float32, len(args))
	for i, a := range args {
		v, err := strconv.ParseFloat(a, 32)
		ts.Check(err)
		list[i] = float32(v)
	}
	return list
}

// stopTimeout bounds the wait for a program that is to be stopped to write something.
const stopTimeout = time.Minute

// stopped SIGNAL N PROGRAM ARGS... starts a program, sends it INT or TERM once it has written a part of a temporary
// file, and wants its exit status to be N.
func stopped(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	ts.Check(cmd.Start())
	for start := time.Now(); !halfWritten(ts) && time.Since(start) < stopTimeout; {
		time.Sleep(time.Millisecond)
	}
	cmd.Process.Signal(map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[args[0]])
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%v exits with %d after %s, want %d", args[2:], got, args[0], want)
	}
}

// phase SIGNAL N WORDS PROGRAM ARGS... starts a program, sends it INT or TERM when a line of its stderr says WORDS, and
// wants its exit status to be N.
func phase(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	cmd := exec.Command(args[3], args[4:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	out, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	said := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(ts.Stderr(), lines.Text())
		if !said && strings.Contains(lines.Text(), args[2]) {
			said = true
			cmd.Process.Signal(map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[args[0]])
		}
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); !said || got != want {
		ts.Fatalf("%v exits with %d, want %d after %q", args[3:], got, want, args[2])
	}
}

// halfWritten reports whether a temporary file with something in it stands in the script's folders.
func halfWritten(ts *testscript.TestScript) bool {
	for _, pattern := range []string{".*.tmp", ".tmp/*.tmp"} {
		list, _ := filepath.Glob(filepath.Join(ts.MkAbs("."), pattern)) // the pattern is well-formed
		for _, path := range list {
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Size() > 0 {
				return true
			}
		}
	}
	return false
}

// npy FILE TYPE N,N,... VALUES... writes an array of NumPy's format 1.0; TYPE is <f4, <f8, <i8, or <U1 for letters.
func npy(ts *testscript.TestScript, _ bool, args []string) {
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }", args[1], args[2])
	head += strings.Repeat(" ", 63-(10+len(head))%64) + "\n"
	b := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(head)))
	b = append(b, head...)
	for _, v := range args[3:] {
		if args[1] == "<U1" {
			b = binary.LittleEndian.AppendUint32(b, uint32(v[0]))
			continue
		}
		f, err := strconv.ParseFloat(v, 64)
		ts.Check(err)
		switch args[1] {
		case "<f4":
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f)))
		case "<f8":
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
		case "<i8":
			b = binary.LittleEndian.AppendUint64(b, uint64(int64(f)))
		default:
			ts.Fatalf("npy: type %s", args[1])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}
