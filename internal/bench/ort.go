package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"

	"bq/onnxio"
)

// ORT's C interface is a table of functions that only ever grows (onnxruntime_c_api.h, struct OrtApi). These are the
// places of those used here.
const (
	ortErrorMessage      = 2
	ortCreateEnv         = 3
	ortCreateFromArray   = 8
	ortRun               = 9
	ortCreateOptions     = 10
	ortSetGraphLevel     = 23
	ortSetIntraOpThreads = 24
	ortCreateTensor      = 49
	ortTensorData        = 51
	ortCreateMemoryInfo  = 69
	ortReleaseStatus     = 93
	ortReleaseSession    = 95
	ortReleaseValue      = 96
)

// ortVersion is the version of the interface that is asked for; newer libraries serve older ones.
const ortVersion = 16

// runtimeLibrary is a loaded ONNX Runtime.
type runtimeLibrary struct {
	api  uintptr
	env  uintptr
	info uintptr // memory of the processor
}

// openRuntime loads the shared library at path.
func openRuntime(path string) (*runtimeLibrary, error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	var base func() uintptr
	purego.RegisterLibFunc(&base, lib, "OrtGetApiBase")
	getAPI := *(*uintptr)(at(base(), 0))
	r := &runtimeLibrary{}
	if r.api, _, _ = purego.SyscallN(getAPI, ortVersion); r.api == 0 {
		return nil, fmt.Errorf("loading %s: no interface of version %d", path, ortVersion)
	}
	name := cString("bq")
	if err := r.call(ortCreateEnv, 3, pointer(name), address(&r.env)); err != nil {
		return nil, err
	}
	err = r.call(ortCreateMemoryInfo, 0, 0, address(&r.info)) // arena allocator, default memory
	runtime.KeepAlive(name)
	return r, err
}

// at turns an address that the library gave into a pointer offset words behind it.
func at(base uintptr, offset int) unsafe.Pointer {
	p := base + uintptr(offset)*unsafe.Sizeof(base)
	return *(*unsafe.Pointer)(unsafe.Pointer(&p)) // memory of the library, which the collector does not move
}

func cString(s string) []byte          { return append([]byte(s), 0) }
func pointer(b []byte) uintptr         { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
func address(p *uintptr) uintptr       { return uintptr(unsafe.Pointer(p)) }
func addresses(list []uintptr) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(list))) }

// call calls a function of the table and turns its status into an error.
func (r *runtimeLibrary) call(place int, args ...uintptr) error {
	status, _, _ := purego.SyscallN(*(*uintptr)(at(r.api, place)), args...)
	if status == 0 {
		return nil
	}
	text, _, _ := purego.SyscallN(*(*uintptr)(at(r.api, ortErrorMessage)), status)
	err := fmt.Errorf("onnxruntime: %s", goString(text))
	purego.SyscallN(*(*uintptr)(at(r.api, ortReleaseStatus)), status)
	return err
}

func goString(p uintptr) string {
	var b []byte
	for i := uintptr(0); ; i++ {
		c := *(*byte)(at(p+i, 0))
		if c == 0 {
			return string(b)
		}
		b = append(b, c)
	}
}

// session is a model loaded by ONNX Runtime with its default graph optimisations.
type session struct {
	r       *runtimeLibrary
	handle  uintptr
	names   [][]byte // input names, then output names
	inputs  []uintptr
	data    [][]byte // of the inputs, which the values point to
	outputs int
}

// load prepares a model for the given inputs.
func (r *runtimeLibrary) load(model []byte, threads int, inputs []string, arrays []*onnxio.Array, outputs []string) (*session, error) {
	var options uintptr
	if err := r.call(ortCreateOptions, address(&options)); err != nil {
		return nil, err
	}
	if err := r.call(ortSetIntraOpThreads, options, uintptr(threads)); err != nil {
		return nil, err
	}
	s := &session{r: r, outputs: len(outputs)}
	if err := r.call(ortCreateFromArray, r.env, pointer(model), uintptr(len(model)), options, address(&s.handle)); err != nil {
		return nil, err
	}
	for _, n := range append(append([]string{}, inputs...), outputs...) {
		s.names = append(s.names, cString(n))
	}
	for _, a := range arrays {
		data := onnxio.NewTensor("", a).Raw
		shape := make([]int64, len(a.Shape))
		for i, d := range a.Shape {
			shape[i] = int64(d)
		}
		if len(data) == 0 {
			data = make([]byte, 0, 1)
		}
		var v uintptr
		err := r.call(ortCreateTensor, r.info, pointer(data), uintptr(len(data)),
			uintptr(unsafe.Pointer(unsafe.SliceData(append(shape, 0)))), uintptr(len(a.Shape)), uintptr(a.Type), address(&v))
		if err != nil {
			return nil, err
		}
		s.inputs, s.data = append(s.inputs, v), append(s.data, data)
	}
	return s, nil
}

// run runs the model once and hands its outputs, as addresses of their values, to see where that is not nil.
func (s *session) run(see func(i int, data uintptr) error) error {
	names := make([]uintptr, len(s.names))
	for i, n := range s.names {
		names[i] = pointer(n)
	}
	outputs := make([]uintptr, s.outputs)
	in, out := len(s.inputs), s.outputs
	err := s.r.call(ortRun, s.handle, 0, addresses(names), addresses(s.inputs), uintptr(in), addresses(names[in:]), uintptr(out), addresses(outputs))
	runtime.KeepAlive(s)
	for i, v := range outputs {
		if v == 0 {
			continue
		}
		if see != nil && err == nil {
			var data uintptr
			if err = s.r.call(ortTensorData, v, address(&data)); err == nil {
				err = see(i, data)
			}
		}
		purego.SyscallN(*(*uintptr)(at(s.r.api, ortReleaseValue)), v)
	}
	return err
}

func (s *session) close() {
	for _, v := range s.inputs {
		purego.SyscallN(*(*uintptr)(at(s.r.api, ortReleaseValue)), v)
	}
	purego.SyscallN(*(*uintptr)(at(s.r.api, ortReleaseSession)), s.handle)
}
