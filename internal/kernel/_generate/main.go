// Command generate writes the assembly of package kernel, one part at a time:
//
//	go run -C _generate . -part gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"
)

// parts are the files that can be generated.
var parts = map[string]func(){"gemm": gemmKernels, "depthwise": depthwiseKernels, "pack": packKernels, "integer": integerKernels, "span": spanKernels, "half": halfKernels, "vector": vectorKernels}

var part = flag.String("part", "", "what to generate")

func main() {
	flag.Parse()
	generate, ok := parts[*part]
	if !ok {
		fmt.Fprintf(os.Stderr, "generate: no part %q\n", *part)
		os.Exit(2)
	}
	ConstraintExpr("amd64")
	generate()
	Generate()
}
