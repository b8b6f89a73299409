package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bq/convert"
	"bq/onnxio"
	"bq/packing"
	"bq/verify"
)

// container is a .bq file that was opened for reading.
type container struct {
	*packing.File
	path  string
	in    *os.File
	bytes int64
}

// openContainer opens a .bq file and reads header, footer and index. What is restored from it may not be used after the returned
// function has closed it.
func (s *session) openContainer(path string) (*container, func(), error) {
	f, size, err := s.openInput(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	p, err := packing.Map(f)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("reading %s: %w", shown(path), err)
	}
	return &container{File: p, path: path, in: f, bytes: size}, func() { p.Close(); f.Close() }, nil
}

// looksLikeContainer reports whether a file that is no container is named like one.
func looksLikeContainer(path string) bool { return strings.HasSuffix(path, ".bq") }

// notAContainer says what stands at the start of a file that is named like a container.
func (s *session) notAContainer(path string) error {
	f, _, err := s.openInput(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", shown(path), err)
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w", shown(path), err)
	}
	return &hintError{fmt.Errorf("reading %s: not a bq container (starts with % x)", shown(path), head[:n]), "an ONNX file? name it .onnx"}
}

// fileSHA256 returns the digest of a whole file in hexadecimal.
func fileSHA256(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// record describes an open container in JSON.
func (f *container) record(c *convert.Contents) (*inspectRecord, error) {
	r := f.header(c)
	var err error
	if r.Model.SHA256, err = fileSHA256(f.in); err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.path, err)
	}
	return r, nil
}

// header is record without the digest, which takes reading the whole file.
func (f *container) header(c *convert.Contents) *inspectRecord {
	size := newSizeRecord(f.File, f.bytes, floatWeights(c.Tensors))
	r := &inspectRecord{
		Schema: "bq.inspect/1", MadeBy: c.About.MadeBy, SourceSHA256: c.About.Source.SHA256, SourceWeightsSHA256: c.About.Source.Weights, Size: &size,
		Model: verify.Model{Path: f.path, Bytes: f.bytes, Format: "bq", Opset: c.Model.Opset(onnxio.DefaultDomain),
			Nodes: len(c.Model.Graph.Nodes), FloatWeights: floatWeights(c.Tensors)},
	}
	r.Parts = newPartsRecord(f.Account())
	r.fill(c.Model, c.Tensors)
	if f := c.About.Flags; f != nil {
		full := f.Full()
		r.Flags = &full
	}
	if c.About.Table != "" {
		r.CalibSHA256 = &c.About.Table
	}
	for _, a := range c.About.Activations {
		r.Activations = append(r.Activations, activationRecord{a.Name, a.Bits, a.Low, a.High, a.Scale, a.Zero})
	}
	if k := c.About.Calibration; k != nil {
		r.Data = &calibrationRecord{Kind: k.Kind, SHA256: k.Data, Samples: k.Samples, HeldOut: k.HeldOut}
		for _, o := range k.Outputs {
			r.Drift = append(r.Drift, heldOutRecord{o.Name, o.Kind, o.Drift})
		}
	} else {
		r.Why = "converted without data: no drift was measured"
	}
	return r
}

// record describes an open model in JSON.
func (in *input) record() verify.Model {
	r := in.header()
	sum := in.file.SHA256()
	r.SHA256 = hex.EncodeToString(sum[:])
	return r
}

// header is record without the digest, which takes reading the whole file.
func (in *input) header() verify.Model {
	m := in.file.Model
	list, _ := convert.ListTensors(m) // faults of tensors are reported where they are read
	return verify.Model{Path: in.name, Bytes: in.bytes(), Format: "onnx",
		Opset: m.Opset(onnxio.DefaultDomain), Nodes: len(m.Graph.Nodes), FloatWeights: floatWeights(list)}
}
