//go:build !unix

package packing

import "os"

// mapped maps nothing: sections are read.
func mapped(*os.File, int64) ([]byte, func() error) { return nil, nil }
