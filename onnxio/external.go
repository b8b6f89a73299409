package onnxio

import (
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxFileSize is the largest model file that ONNX Runtime and other readers take: the limit of a protobuf message.
// This package reads larger ones.
const MaxFileSize = 1<<31 - 1

// Where tensors stand in a file of external data.
const (
	ExternalThreshold = 1024    // tensors from here on are moved out, as by onnx.external_data_helper (size_threshold)
	externalAlign     = 4096    // "Offset values SHOULD be multiples 4096 (page size)": onnx.proto, external_data
	largeAlign        = 1 << 16 // 64 KiB, the unit in which Windows maps files, for tensors above largeTensor
	largeTensor       = 1 << 20 // as ONNX Runtime's OffsetAlignmentInfo: allocation_granularity, align_threshold
)

// ExternalData is the content of a file of external data: the tensors that MoveData moved out of a model.
type ExternalData struct {
	Location string // the file's name, beside the model's
	Size     int64  // bytes of the file
	parts    []externalPart
}

// externalPart is a tensor's place in the file.
type externalPart struct {
	offset int64
	data   []byte
}

// MoveData moves the initializers of m's graphs whose data take ExternalThreshold bytes or more to a file named
// location beside the model, and all others into the model; strings stay there too. Afterwards m writes itself with
// references to that file and is in memory what Open makes of both. An offset is a multiple of 4096, of 64 KiB for
// tensors above 1 MiB, and the gaps are zero. An error leaves m as it was: location is not a plain file name, or a
// tensor's data are missing or don't fit its type and dimensions.
func (m *Model) MoveData(location string) (*ExternalData, error) {
	if !plainName(location) {
		return nil, formatErrorf("external data "+Quote(location), "want the name of a file in the model's folder")
	}
	if err := m.checkData(); err != nil {
		return nil, err
	}
	x, moved := &ExternalData{Location: location}, map[*Tensor]bool{}
	m.EachGraph(func(g *Graph, _ string) {
		for _, t := range g.Initializers {
			if t.canMove() && !moved[t] {
				moved[t] = true
				x.add(t)
			}
		}
	})
	m.EachTensor(func(t *Tensor) {
		if !moved[t] {
			t.moveIn()
		}
	})
	return x, nil
}

// MoveIn takes all external data into the model, which is then written as one file. An error leaves m as it was.
func (m *Model) MoveIn() error {
	if err := m.checkData(); err != nil {
		return err
	}
	m.EachTensor((*Tensor).moveIn)
	return nil
}

// plainName reports whether name is that of a file in a folder, on every system.
func plainName(name string) bool {
	return filepath.IsLocal(name) && name != "." && !strings.ContainsAny(name, "/\\\x00")
}

// checkData checks the tensors whose data are external or may become so.
func (m *Model) checkData() (err error) {
	m.EachTensor(func(t *Tensor) {
		if err == nil && (t.IsExternal || t.Type.Bits() > 0) {
			err = t.Check()
		}
	})
	return err
}

// canMove reports whether a checked tensor is large enough to stand in another file.
func (t *Tensor) canMove() bool {
	n, err := t.Elements()
	return err == nil && t.Type.Bits() > 0 && (int64(n)*int64(t.Type.Bits())+7)/8 >= ExternalThreshold
}

// moveIn makes external data raw_data.
func (t *Tensor) moveIn() {
	if t.IsExternal {
		t.SetRaw(t.Raw)
	}
}

// add gives t, which was checked, the next place in the file.
func (x *ExternalData) add(t *Tensor) {
	raw, _ := t.RawBytes() // checked
	align := int64(externalAlign)
	if len(raw) > largeTensor {
		align = largeAlign
	}
	offset := (x.Size + align - 1) / align * align
	x.parts = append(x.parts, externalPart{offset, raw})
	x.Size = offset + int64(len(raw))
	t.SetRaw(raw)
	t.HasRaw, t.IsExternal = false, true
	t.External = []*StringEntry{
		{Key: "location", Value: x.Location},
		{Key: "offset", Value: strconv.FormatInt(offset, 10)},
		{Key: "length", Value: strconv.Itoa(len(raw))},
	}
}

// WriteTo writes the content of the file: Size bytes.
func (x *ExternalData) WriteTo(w io.Writer) (int64, error) {
	var at int64
	for _, p := range x.parts {
		for _, b := range [][]byte{make([]byte, p.offset-at), p.data} {
			n, err := w.Write(b)
			at += int64(n)
			if err != nil {
				return at, err
			}
		}
	}
	return at, nil
}
