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
	memory  = flag.Bool("memory", false, "compare peak memory in place of time")
	peak    = flag.String("peak", "", "print the peak memory of one engine, bq or ort, on one model (used by -memory)")
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
	paths, _ := filepath.Glob(filepath.Join(*zoo, "models", "*.onnx"))
	switch {
	case *peak != "":
		return printPeak(*peak, filepath.Join(*zoo, "models", *only+".onnx"), *only)
	case *memory:
		return compareMemory(paths)
	}
	lib, err := openRuntime(*library)
	if err != nil {
		return err
	}
	golden, err := zip.OpenReader(filepath.Join(*zoo, "golden.zip"))
	if err != nil {
		return err
	}
	defer golden.Close()
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
	feeds, inputs, arrays, err := goldenFeeds(golden, name, m)
	if err != nil || feeds == nil {
		return nil, err
	}
	if batch > 1 {
		if !repeat(m, feeds, batch) {
			return nil, nil
		}
		for i, name := range inputs {
			arrays[i] = feeds[name]
		}
	}
	outputs := outputNames(m)
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

// rest lets the threads of one engine, which go on looking for work for a while, fall asleep before the other runs.
const rest = 200 * time.Millisecond

// race runs both by turns, each for a while, until the time is up, and returns medians.
func race(s *session, p *infer.Program, feeds map[string]*onnxio.Array, batch int) (*line, error) {
	ort := func() error { return s.run(nil) }
	bq := func() error { _, err := p.Run(feeds, nil); return err }
	first, err := turn(ort, 1)
	if err != nil || batch == 1 && first[0] < least.Seconds()*1e3/2 {
		return nil, err
	}
	runs := max(1, min(50, int(20/first[0]))) // about 20 ms
	var bqs, orts []float64
	for start := time.Now(); time.Since(start) < *budget || len(bqs) < 5; {
		for _, side := range []struct {
			f    func() error
			list *[]float64
		}{{ort, &orts}, {bq, &bqs}} {
			time.Sleep(rest)
			times, err := turn(side.f, runs+1)
			if err != nil {
				return nil, err
			}
			*side.list = append(*side.list, times[1:]...) // the first wakes threads up
		}
	}
	slices.Sort(bqs)
	slices.Sort(orts)
	l := &line{bqs[len(bqs)/2], orts[len(orts)/2]}
	if batch == 1 && l.ort < least.Seconds()*1e3 {
		return nil, nil
	}
	return l, nil
}

// turn runs f so often and returns the times in milliseconds.
func turn(f func() error, runs int) ([]float64, error) {
	times := make([]float64, runs)
	for i := range times {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		times[i] = time.Since(start).Seconds() * 1e3
	}
	return times, nil
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
		if worst > tolerance*max(largest, 1e-3) {
			return fmt.Errorf("output %s differs by %.3g of %.3g", outputs[i], worst, largest)
		}
		return nil
	})
}

func outputNames(m *onnxio.Model) []string {
	var names []string
	for _, v := range m.Graph.Outputs {
		names = append(names, v.Name)
	}
	return names
}

// goldenFeeds reads the inputs of the model's test set, nil where there is none.
func goldenFeeds(golden *zip.ReadCloser, name string, m *onnxio.Model) (feeds map[string]*onnxio.Array, inputs []string, arrays []*onnxio.Array, err error) {
	feeds = map[string]*onnxio.Array{}
	for i, in := range m.Graph.FeedInputs() {
		f, err := golden.Open(fmt.Sprintf("%s/test_data_set_0/input_%d.pb", name, i))
		if err != nil {
			break
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, nil, nil, err
		}
		t, err := onnxio.ParseTensor(b)
		if err != nil {
			return nil, nil, nil, err
		}
		a, err := t.Array()
		if err != nil {
			return nil, nil, nil, err
		}
		if t.Name == "" {
			t.Name = in.Name
		}
		feeds[t.Name], inputs, arrays = a, append(inputs, t.Name), append(arrays, a)
	}
	if len(feeds) == 0 {
		return nil, nil, nil, nil
	}
	return feeds, inputs, arrays, nil
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
