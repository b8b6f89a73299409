package convert

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// vector is a list of float64 in a table: the bytes of all numbers by place, lowest first, all first bytes before all second
// ones, as zstd, as base64. The list of no numbers is the empty text.
type vector string

// vectorWindow bounds the memory that a decoder of a vector takes.
const vectorWindow = 1 << 23

var vectorEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(vectorWindow))
})

// newVector writes numbers down.
func newVector(x []float64) (vector, error) {
	if len(x) == 0 {
		return "", nil
	}
	planes := make([]byte, 8*len(x))
	var b [8]byte
	for i, v := range x {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
		for p, c := range b {
			planes[p*len(x)+i] = c
		}
	}
	e, err := vectorEncoder()
	if err != nil {
		return "", err
	}
	return vector(base64.StdEncoding.EncodeToString(e.EncodeAll(planes, nil))), nil
}

// floats returns the n numbers that v holds; nil for the empty text. n comes from the model that the numbers are for, which bounds
// the memory whatever v says.
func (v vector) floats(n int) ([]float64, error) {
	if v == "" {
		return nil, nil
	}
	packed, err := base64.StdEncoding.Strict().DecodeString(string(v))
	if err != nil {
		return nil, fmt.Errorf("reading a vector: %w", err)
	}
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(vectorWindow))
	if err != nil {
		return nil, fmt.Errorf("reading a vector: %w", err)
	}
	defer d.Close()
	planes := make([]byte, 8*n)
	if _, err := io.ReadFull(d, planes); err != nil {
		return nil, fmt.Errorf("reading a vector: want %d numbers: %w", n, err)
	}
	if _, err := io.ReadFull(d, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a vector: more than %d numbers", n)
	}
	x := make([]float64, n)
	var b [8]byte
	for i := range x {
		for p := range b {
			b[p] = planes[p*n+i]
		}
		x[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[:]))
	}
	return x, nil
}
