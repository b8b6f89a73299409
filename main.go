// Command bq makes trained ONNX models small without retraining and proves that they still work.
package main

import (
	"os"

	"bq/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
