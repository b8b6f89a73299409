package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"bq/internal/infer"
	"bq/onnxio"
)

// compareMemory prints how much each engine's process grows at its peak over what it takes with the model file and the
// inputs in memory, before either engine has seen them.
func compareMemory(paths []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%-36s %8s %8s %6s   peak MB over the file in memory\n", "model", "bq", "ORT", "ratio")
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".onnx")
		if !chosen(name) {
			continue
		}
		var peak [2]float64
		for i, engine := range []string{"bq", "ort"} {
			out, err := exec.Command(self, "-ort", *library, "-zoo", *zoo, "-models", name, "-peak", engine).Output()
			if err != nil {
				return fmt.Errorf("measuring %s of %s: %w", engine, name, err)
			}
			if peak[i], err = strconv.ParseFloat(strings.TrimSpace(string(out)), 64); err != nil {
				peak[i] = 0 // no test set
			}
		}
		if peak[1] > 0 {
			fmt.Printf("%-36s %8.1f %8.1f %6.2f\n", name, peak[0], peak[1], peak[0]/peak[1])
		}
	}
	return nil
}

// printPeak loads one model in one engine, runs it a few times and prints the growth of the process in MB.
func printPeak(engine, path, name string) error {
	golden, err := zip.OpenReader(filepath.Join(*zoo, "golden.zip"))
	if err != nil {
		return err
	}
	defer golden.Close()
	model, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	m, err := onnxio.Parse(model)
	if err != nil {
		return err
	}
	feeds, inputs, arrays, err := goldenFeeds(golden, name, m)
	if err != nil || feeds == nil {
		return err
	}
	var lib *runtimeLibrary
	if engine == "ort" {
		if lib, err = openRuntime(*library); err != nil {
			return err
		}
	}
	debug.FreeOSMemory()
	before, err := resident("VmRSS:")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak starts anew
		return err
	}
	if lib != nil {
		err = runSession(lib, model, m, inputs, arrays)
	} else {
		err = runProgram(m, feeds)
	}
	if err != nil {
		return err
	}
	peak, err := resident("VmHWM:")
	fmt.Printf("%.1f\n", float64(peak-before)/1024)
	return err
}

// peakRuns is how often a model runs before its peak is read.
const peakRuns = 5

func runProgram(m *onnxio.Model, feeds map[string]*onnxio.Array) error {
	p, err := infer.Options{Threads: 1}.Compile(m)
	if err != nil {
		return err
	}
	for range peakRuns {
		if _, err := p.Run(feeds, nil); err != nil {
			return err
		}
	}
	return nil
}

func runSession(lib *runtimeLibrary, model []byte, m *onnxio.Model, inputs []string, arrays []*onnxio.Array) error {
	s, err := lib.load(model, 1, inputs, arrays, outputNames(m))
	if err != nil {
		return err
	}
	defer s.close()
	for range peakRuns {
		if err := s.run(nil); err != nil {
			return err
		}
	}
	return nil
}

// resident reads a figure of /proc/self/status in kB.
func resident(field string) (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == field {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", field)
}
