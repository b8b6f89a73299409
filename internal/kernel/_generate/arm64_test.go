package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wordLine is a line of an assembly file whose instruction stands there as a word: the word and its text.
var wordLine = regexp.MustCompile(`^\tWORD \$0x([0-9a-f]{8}) // (.*)$`)

// Words of every kind, put together by hand from the fields that the Arm ARM (DDI 0487, C4.1.96) gives for the class.
func TestWords(t *testing.T) {
	n := &neon{}
	for _, tt := range []struct {
		write func()
		word  uint32
		text  string
	}{
		// 0 Q=1 U=0 01110 size=00 1 Rm=00011 opcode=11010 1 Rn=00010 Rd=00001
		{func() { n.three("fadd", 1, 2, 3) }, 0b0_1_0_01110_00_1_00011_11010_1_00010_00001, "fadd v1.4s, v2.4s, v3.4s"},
		{func() { n.three("fsub", 1, 2, 3) }, 0b0_1_0_01110_10_1_00011_11010_1_00010_00001, "fsub v1.4s, v2.4s, v3.4s"},
		{func() { n.three64("fmul", 1, 2, 3) }, 0b0_1_1_01110_01_1_00011_11011_1_00010_00001, "fmul v1.2d, v2.2d, v3.2d"},
		{func() { n.three("fcmgt", 31, 30, 29) }, 0b0_1_1_01110_10_1_11101_11100_1_11110_11111, "fcmgt v31.4s, v30.4s, v29.4s"},
		// 0 Q U 01110 size 10000 opcode=01111 10 Rn Rd
		{func() { n.two("fneg", 7, 8) }, 0b0_1_1_01110_10_10000_01111_10_01000_00111, "fneg v7.4s, v8.4s"},
		{func() { n.two("frintp", 7, 8) }, 0b0_1_0_01110_10_10000_11000_10_01000_00111, "frintp v7.4s, v8.4s"},
		{func() { n.widen(7, 8, true) }, 0b0_1_0_01110_01_10000_10111_10_01000_00111, "fcvtl2 v7.2d, v8.4s"},
		{func() { n.narrow(7, 8, false) }, 0b0_0_0_01110_01_10000_10110_10_01000_00111, "fcvtn v7.2s, v8.2d"},
		{func() { n.negative(7, 8) }, 0b0_1_0_01110_10_10000_01110_10_01000_00111, "fcmlt v7.4s, v8.4s, #0.0"},
		// 0 Q U 01111 size=10 L M Rm opcode=0001 H 0 Rn Rd
		{func() { n.scaled("fmla", 1, 2, vec(19).at(1)) }, 0b0_1_0_01111_10_1_1_0011_0001_0_0_00010_00001, "fmla v1.4s, v2.4s, v19.s[1]"},
		{func() { n.scaled("fmls", 1, 2, vec(3).at(2)) }, 0b0_1_0_01111_10_0_0_0011_0101_1_0_00010_00001, "fmls v1.4s, v2.4s, v3.s[2]"},
		// 0 Q U 011110 immh:immb=64-1 opcode=00000 1 Rn Rd
		{func() { n.shiftRight(1, 2, 1) }, 0b0_1_0_011110_0111111_00000_1_00010_00001, "sshr v1.4s, v2.4s, #1"},
	} {
		n.text.Reset()
		tt.write()
		m := wordLine.FindStringSubmatch(strings.TrimSuffix(n.text.String(), "\n"))
		if m == nil {
			t.Fatalf("%s: got %q", tt.text, n.text.String())
		}
		if got, _ := strconv.ParseUint(m[1], 16, 32); uint32(got) != tt.word || m[2] != tt.text {
			t.Errorf("%s: got %08x, %s, want %08x", tt.text, got, m[2], tt.word)
		}
	}
}

// Every word of the files is what the GNU assembler makes of its text.
func TestWordsAsTheAssemblerHasThem(t *testing.T) {
	as, err := exec.LookPath("aarch64-linux-gnu-as")
	if err != nil {
		t.Skip("there is no aarch64-linux-gnu-as (Debian: binutils-aarch64-linux-gnu)")
	}
	dir := t.TempDir()
	if err := writeNeon(dir); err != nil {
		t.Fatal(err)
	}
	words, text := map[string]uint32{}, []string{}
	for _, f := range neonFiles {
		data, err := os.ReadFile(filepath.Join(dir, f.name+"_arm64.s"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			m := wordLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
			if m == nil {
				continue
			}
			w, _ := strconv.ParseUint(m[1], 16, 32)
			if _, ok := words[m[2]]; !ok {
				text = append(text, m[2])
			}
			words[m[2]] = uint32(w)
		}
	}
	object, code := filepath.Join(dir, "words.o"), filepath.Join(dir, "words.bin")
	assemble := exec.Command(as, "-o", object)
	assemble.Stdin = strings.NewReader(strings.Join(text, "\n") + "\n")
	for _, c := range []*exec.Cmd{assemble, exec.Command("aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", object, code)} {
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("running %v: %v\n%s", c.Args, err, out)
		}
	}
	data, err := os.ReadFile(code)
	if err != nil || len(data) != 4*len(text) || len(text) == 0 {
		t.Fatalf("%d bytes of code for %d instructions: %v", len(data), len(text), err)
	}
	for i, s := range text {
		if want := binary.LittleEndian.Uint32(data[4*i:]); words[s] != want {
			t.Errorf("%s: %08x, want %08x", s, words[s], want)
		}
	}
}

// Arguments lie where Go puts those of functions without results in assembly: by their alignment, from 0 on.
func TestParametersLieWhereGoPutsThem(t *testing.T) {
	n := &neon{tables: map[string]bool{}}
	n.function("f", "dst, x *float32, n int, low, high float32, mean float64", "is a test")
	for name, want := range map[string]string{"dst": "dst+0(FP)", "x": "x+8(FP)", "n": "n+16(FP)", "low": "low+24(FP)", "high": "high+28(FP)", "mean": "mean+32(FP)"} {
		if got := n.param(name); got != want {
			t.Errorf("parameter at %s, want %s", got, want)
		}
	}
	if got := n.text.String(); !strings.Contains(got, "TEXT ·f(SB), NOSPLIT, $0-40\n") {
		t.Errorf("frame: %s", got)
	}
}
