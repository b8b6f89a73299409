package main

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"strings"
)

// The NEON kernels are written as text, as avo knows amd64 only. A kernel takes its registers one after the other and
// gives those of a scope back at its end; that is all the allocation there is.

// gp is a general register. R18 belongs to the system, R27 to the assembler, R28 to the runtime.
type gp int

func (r gp) String() string { return fmt.Sprintf("R%d", int(r)) }

// vec is a vector register; its lowest element is what F and its number name.
type vec int

func (v vec) f() string           { return fmt.Sprintf("F%d", int(v)) }
func (v vec) s4() string          { return fmt.Sprintf("V%d.S4", int(v)) }
func (v vec) d2() string          { return fmt.Sprintf("V%d.D2", int(v)) }
func (v vec) b16() string         { return fmt.Sprintf("V%d.B16", int(v)) }
func (v vec) at(i int) element    { return element{v, i} }
func (v vec) elem(i int) string   { return fmt.Sprintf("V%d.S[%d]", int(v), i) }
func (v vec) double(i int) string { return fmt.Sprintf("V%d.D[%d]", int(v), i) }

// element is one float32 of a vector register.
type element struct {
	v vec
	i int
}

// The numbers of registers that kernels may take.
const (
	gps  = 18
	vecs = 32
)

// neon is an assembly file in the making, with the Go file that declares its functions.
type neon struct {
	source            string // the file that generates it
	text, data, stubs strings.Builder
	params            []param
	nextGP, nextVec   int
	tables            map[string]bool
}

// param is an argument of a function: its offset from the frame pointer.
type param struct {
	name   string
	offset int
}

// mark is a state of the registers.
type mark struct{ gps, vecs int }

func (n *neon) mark() mark     { return mark{n.nextGP, n.nextVec} }
func (n *neon) release(m mark) { n.nextGP, n.nextVec = m.gps, m.vecs }

// gp takes a general register.
func (n *neon) gp() gp {
	if n.nextGP++; n.nextGP > gps {
		panic("generating " + n.source + ": out of general registers")
	}
	return gp(n.nextGP - 1)
}

// vec takes a vector register.
func (n *neon) vec() vec { return n.list(1)[0] }

// list takes vector registers that follow one another.
func (n *neon) list(count int) []vec {
	if n.nextVec += count; n.nextVec > vecs {
		panic("generating " + n.source + ": out of vector registers")
	}
	v := make([]vec, count)
	for i := range v {
		v[i] = vec(n.nextVec - count + i)
	}
	return v
}

// op writes an instruction.
func (n *neon) op(format string, args ...any) { fmt.Fprintf(&n.text, "\t"+format+"\n", args...) }

// label writes a label.
func (n *neon) label(name string) { fmt.Fprintf(&n.text, "%s:\n", name) }

// function begins a function with the given parameters, in the syntax of Go, and without results. does ends a sentence
// that begins with its name.
func (n *neon) function(name, params, does string) {
	n.release(mark{})
	var size int
	n.params, size = layOut(params)
	fmt.Fprintf(&n.text, "\n// func %s(%s)\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", name, params, name, size)
	fmt.Fprintf(&n.stubs, "\n// %s %s: see _generate/%s.\n//\n//go:noescape\nfunc %s(%s)\n", name, does, n.source, name, params)
}

// layOut places parameters as Go does: each at the next multiple of its size, 4 bytes for a float32 and 8 for others.
func layOut(params string) (list []param, size int) {
	fields := strings.Split(params, ", ")
	types := make([]string, len(fields))
	for i := len(fields) - 1; i >= 0; i-- { // of "a, b T" a has the type of b
		name, t, ok := strings.Cut(fields[i], " ")
		if fields[i] = name; !ok {
			t = types[i+1]
		}
		types[i] = t
	}
	for i, name := range fields {
		bytes := 8
		if types[i] == "float32" {
			bytes = 4
		}
		size = (size + bytes - 1) / bytes * bytes
		list = append(list, param{name, size})
		size += bytes
	}
	return list, size
}

// param is the place of an argument in the syntax of the assembler.
func (n *neon) param(name string) string {
	for _, p := range n.params {
		if p.name == name {
			return fmt.Sprintf("%s+%d(FP)", name, p.offset)
		}
	}
	panic("generating " + n.source + ": no parameter " + name)
}

// load loads arguments of eight bytes.
func (n *neon) load(names ...string) []gp {
	list := make([]gp, len(names))
	for i, name := range names {
		list[i] = n.gp()
		n.op("MOVD %s, %s", n.param(name), list[i])
	}
	return list
}

// float broadcasts an argument of type float32.
func (n *neon) float(name string) vec {
	v := n.vec()
	n.op("FMOVS %s, %s", n.param(name), v.f())
	n.op("VDUP %s, %s", v.elem(0), v.s4())
	return v
}

// double broadcasts an argument of type float64.
func (n *neon) double(name string) vec {
	v := n.vec()
	n.op("FMOVD %s, %s", n.param(name), v.f())
	n.op("VDUP %s, %s", v.double(0), v.d2())
	return v
}

// constants loads numbers, given by their bits, four to a register.
func (n *neon) constants(name string, bits ...uint32) []element {
	if !n.tables[name] {
		n.tables[name] = true
		for i := range (len(bits) + 3) / 4 * 4 {
			v := uint32(0)
			if i < len(bits) {
				v = bits[i]
			}
			fmt.Fprintf(&n.data, "DATA %s<>+%d(SB)/4, $0x%08x\n", name, 4*i, v)
		}
		fmt.Fprintf(&n.data, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n\n", name, (len(bits)+3)/4*16)
	}
	m := n.mark()
	at := n.gp()
	n.op("MOVD $%s<>(SB), %s", name, at)
	n.release(m)
	var list []element
	for i := range bits {
		if i%4 == 0 {
			n.op("FMOVQ %d(%s), %s", 4*i, at, n.vec().f())
		}
		list = append(list, element{vec(n.nextVec - 1), i % 4})
	}
	return list
}

// write writes the file name_arm64.s and, as stubs, its declarations.
func (n *neon) write(dir, name, stubs string) error {
	const head = "// Code generated by command: go run . -neon %s. DO NOT EDIT.\n\n"
	asm := fmt.Sprintf(head, dir) + "//go:build arm64\n\n#include \"textflag.h\"\n\n" + n.data.String() + strings.TrimPrefix(n.text.String(), "\n")
	if err := os.WriteFile(filepath.Join(dir, name+"_arm64.s"), []byte(asm), 0o666); err != nil {
		return err
	}
	src, err := format.Source([]byte(fmt.Sprintf(head, dir) + "//go:build arm64\n\npackage kernel\n" + n.stubs.String()))
	if err != nil {
		return fmt.Errorf("formatting %s: %w", stubs, err)
	}
	return os.WriteFile(filepath.Join(dir, stubs+"_arm64.go"), src, 0o666)
}

// neonFiles are the files of NEON kernels: what generates each, and the name of its declarations.
var neonFiles = []struct {
	name, source, stubs string
	generate            func(n *neon)
}{
	{"gemm", "arm64_gemm.go", "gemm", (*neon).gemmKernels},
	{"depthwise", "arm64_depthwise.go", "depthwise", (*neon).stripKernels},
	{"pack", "arm64_pack.go", "pack", (*neon).packKernels},
	{"span", "arm64_span.go", "span_stubs", (*neon).spanKernels},
	{"vector", "arm64_vector.go", "vector", (*neon).vectorKernels},
}

// writeNeon generates all of them.
func writeNeon(dir string) error {
	for _, f := range neonFiles {
		n := &neon{source: f.source, tables: map[string]bool{}}
		f.generate(n)
		if err := n.write(dir, f.name, f.stubs); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
	}
	return nil
}
