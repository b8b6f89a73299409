// Command generate writes the assembly of package kernel, that of amd64 one part at a time, that of arm64 at once:
//
//	go run -C _generate . -part gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//	go run -C _generate . -neon ..
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

// parts are the files that can be generated.
var parts = map[string]func(){
	"blocks":    blockKernels,
	"bytes":     byteKernels,
	"codebook":  codebookKernels,
	"depthwise": depthwiseKernels,
	"gemm":      gemmKernels,
	"half":      halfKernels,
	"integer":   integerKernels,
	"pack":      packKernels,
	"pixels":    pixelKernels,
	"planes":    planesKernels,
	"quantize":  quantizeKernels,
	"relation":  relationKernels,
	"span":      spanKernels,
	"subtract":  subtractKernels,
	"vector":    vectorKernels,
}

var (
	part    = flag.String("part", "", "what to generate")
	neonDir = flag.String("neon", "", "where to write the files of arm64, instead of a part")
)

func main() {
	flag.Parse()
	if *neonDir != "" {
		if err := writeNeon(*neonDir); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
		return
	}
	generate, ok := parts[*part]
	if !ok {
		fmt.Fprintf(os.Stderr, "generate: no part %q\n", *part)
		os.Exit(2)
	}
	ConstraintExpr("amd64")
	generate()
	Generate()
}
