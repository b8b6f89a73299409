// Command bench compares bq's engine with ONNX Runtime on real models: both in one process, on the same inputs, run by
// turns, medians. It is a module of its own, so that nobody who builds bq needs ONNX Runtime.
//
//	go run . -ort /path/to/libonnxruntime.so -zoo ../../../shared/zoo
//
// The library stands in the Python wheel onnxruntime (onnxruntime/capi) and in the npm package onnxruntime-node.
package main

import (
	"archive/zip"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
	"unsafe"

	"bq/internal/infer"
	"bq/onnxio"
)

var (
	library = flag.String("ort", os.Getenv("ORT_LIB"), "ONNX Runtime's shared library")
	zoo     = flag.String("zoo", "../../../shared/zoo", "folder of models and golden.zip")
	only    = flag.String("models", "", "comma-separated parts of model names; all where empty")
	batches = flag.String("batch", "1,16", "batch sizes")
	threads = flag.String("threads", "1,2", "numbers of threads")
	budget  = flag.Duration("time", 3*time.Second, "time for each line of the table")
	profile = flag.String("cpuprofile", "", "write a profile of bq's part alone, which ONNX Runtime then has none of, to this file")
	least   = flag.Duration("least", time.Millisecond, "models that take ONNX Runtime less are left out at batch 1")
)

func main() {
	flag.Parse()
	if err := compare(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func compare() error {
	lib, err := openRuntime(*library)
	if err != nil {
		return err
	}
	golden, err := zip.OpenReader(filepath.Join(*zoo, "golden.zip"))
	if err != nil {
		return err
	}
	defer golden.Close()
	paths, _ := filepath.Glob(filepath.Join(*zoo, "models", "*.onnx"))
	fmt.Printf("%-36s %5s %7s %10s %10s %6s\n", "model", "batch", "threads", "bq ms", "ORT ms", "ratio")
	ratios := map[int][]float64{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		if !chosen(name) {
			continue
		}
		for _, b := range numbers(*batches) {
			for _, t := range numbers(*threads) {
				line, err := measure(lib, golden, path, name, b, t)
				switch {
				case err != nil:
					fmt.Printf("%-36s %5d %7d  %v\n", name, b, t, err)
				case line != nil:
					fmt.Printf("%-36s %5d %7d %10.3f %10.3f %6.2f\n", name, b, t, line.bq, line.ort, line.bq/line.ort)
					ratios[t] = append(ratios[t], line.bq/line.ort)
				}
			}
		}
	}
	for _, t := range numbers(*threads) {
		if list := ratios[t]; len(list) > 0 {
			sum := 0.0
			for _, r := range list {
				sum += math.Log(r)
			}
			fmt.Printf("%d threads: %d lines, geometric mean %.3f, worst %.2f\n", t, len(list), math.Exp(sum/float64(len(list))), slices.Max(list))
		}
	}
	return nil
}

func chosen(name string) bool {
	if *only == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(*only, ","), func(part string) bool { return strings.Contains(name, part) })
}

func numbers(list string) []int {
	var n []int
	for _, s := range strings.Split(list, ",") {
		v := 0
		fmt.Sscan(s, &v)
		n = append(n, v)
	}
	return n
}

// line is a line of the table, in milliseconds.
type line struct{ bq, ort float64 }

// measure times one model; nil where it is left out.
func measure(lib *runtimeLibrary, golden *zip.ReadCloser, path, name string, batch, threads int) (*line, error) {
	model, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := onnxio.Parse(model)
	if err != nil {
		return nil, err
	}
	p, err := infer.Options{Threads: threads}.Compile(m)
	if err != nil {
		return nil, err
	}
	feeds, err := goldenInputs(golden, name, p)
	if err != nil || feeds == nil {
		return nil, err
	}
	if batch > 1 && !repeat(m, feeds, batch) {
		return nil, nil
	}
	var inputs, outputs []string
	var arrays []*onnxio.Array
	for _, v := range p.Inputs() {
		if feeds[v.Name] != nil {
			inputs, arrays = append(inputs, v.Name), append(arrays, feeds[v.Name])
		}
	}
	for _, v := range m.Graph.Outputs {
		outputs = append(outputs, v.Name)
	}
	s, err := lib.load(model, threads, inputs, arrays, outputs)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := agree(s, p, feeds, outputs); err != nil {
		return nil, err
	}
	if *profile != "" {
		return alone(p, feeds)
	}
	return race(s, p, feeds, batch)
}

// alone profiles bq's engine.
func alone(p *infer.Program, feeds map[string]*onnxio.Array) (*line, error) {
	f, err := os.Create(*profile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	defer pprof.StopCPUProfile()
	start, runs := time.Now(), 0
	for ; time.Since(start) < *budget; runs++ {
		if _, err := p.Run(feeds, nil); err != nil {
			return nil, err
		}
	}
	return &line{time.Since(start).Seconds() * 1e3 / float64(runs), math.NaN()}, nil
}

// race runs both by turns for the time budget and returns medians.
func race(s *session, p *infer.Program, feeds map[string]*onnxio.Array, batch int) (*line, error) {
	once := func() (bq, ort time.Duration, err error) {
		t := time.Now()
		if err = s.run(nil); err != nil {
			return
		}
		ort = time.Since(t)
		t = time.Now()
		_, err = p.Run(feeds, nil)
		return time.Since(t), ort, err
	}
	_, ort, err := once()
	if err != nil || batch == 1 && ort < *least/2 {
		return nil, err
	}
	var bqs, orts []float64
	for start := time.Now(); time.Since(start) < *budget && len(bqs) < 1000 || len(bqs) < 5; {
		bq, ort, err := once()
		if err != nil {
			return nil, err
		}
		bqs, orts = append(bqs, bq.Seconds()*1e3), append(orts, ort.Seconds()*1e3)
	}
	slices.Sort(bqs)
	slices.Sort(orts)
	l := &line{bqs[len(bqs)/2], orts[len(orts)/2]}
	if batch == 1 && l.ort < least.Seconds()*1e3 {
		return nil, nil
	}
	return l, nil
}

// tolerance is how far the outputs of both may be apart, in parts of the largest.
const tolerance = 1e-3

// agree compares the outputs of both engines.
func agree(s *session, p *infer.Program, feeds map[string]*onnxio.Array, outputs []string) error {
	got, err := p.Run(feeds, nil)
	if err != nil {
		return err
	}
	return s.run(func(i int, data uintptr) error {
		if got[outputs[i]].Type != onnxio.Float {
			return nil
		}
		x := got[outputs[i]].F32()
		if len(x) == 0 {
			return nil
		}
		want := unsafe.Slice((*float32)(at(data, 0)), len(x))
		largest, worst := 0.0, 0.0
		for k, v := range want {
			largest = max(largest, math.Abs(float64(v)))
			worst = max(worst, math.Abs(float64(v-x[k])))
		}
		if worst > tolerance*largest {
			return fmt.Errorf("output %s differs by %.3g of %.3g", outputs[i], worst, largest)
		}
		return nil
	})
}

// goldenInputs reads the inputs of the model's test set, nil where there is none.
func goldenInputs(golden *zip.ReadCloser, name string, p *infer.Program) (map[string]*onnxio.Array, error) {
	feeds := map[string]*onnxio.Array{}
	for i, in := range p.Inputs() {
		f, err := golden.Open(fmt.Sprintf("%s/test_data_set_0/input_%d.pb", name, i))
		if err != nil {
			break
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		t, err := onnxio.ParseTensor(b)
		if err != nil {
			return nil, err
		}
		a, err := t.Array()
		if err != nil {
			return nil, err
		}
		if t.Name == "" {
			t.Name = in.Name
		}
		feeds[t.Name] = a
	}
	if len(feeds) == 0 {
		return nil, nil
	}
	return feeds, nil
}

// repeat lays batch copies of each input behind each other along its first free dimension; false where an input has
// none that all share.
func repeat(m *onnxio.Model, feeds map[string]*onnxio.Array, batch int) bool {
	symbol := ""
	for _, in := range m.Graph.FeedInputs() {
		a := feeds[in.Name]
		if a == nil || in.Type == nil || len(in.Type.Shape) != len(a.Shape) {
			return false
		}
		axis := slices.IndexFunc(in.Type.Shape, func(d onnxio.Dim) bool { return !d.Known })
		if axis < 0 || a.Shape[axis] != 1 || symbol != "" && in.Type.Shape[axis].Param != symbol {
			return false
		}
		if product(a.Shape[:axis]) != 1 {
			return false
		}
		symbol = in.Type.Shape[axis].Param
		shape := slices.Clone(a.Shape)
		shape[axis] = batch
		t := onnxio.NewTensor("", a)
		t.Raw = []byte(strings.Repeat(string(t.Raw), batch))
		t.Dims[axis] = int64(batch)
		b, err := t.Array()
		if err != nil {
			return false
		}
		feeds[in.Name] = b
	}
	return true
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
