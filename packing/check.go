package packing

import (
	"crypto/sha256"
	"hash/crc32"
	"io"
)

// Check applies every rule to a file of size bytes, all of which it reads. It returns the digest that
// the footer claims and all faults; no faults means a sound file. Where Open fails, that fault is the
// only one, and the digest is zero.
func Check(r io.ReaderAt, size int64) (Digest, []Fault) {
	f, err := Open(r, size)
	if err != nil {
		return Digest{}, []Fault{faultOf(err, 0)}
	}
	return f.Digest(), f.Check()
}

// Check reads the whole file twice at the same time, for the digest and for graph and tensors one after
// the other, and returns all faults in the order of the file, the digest last. ReadAt of the source is
// called from two goroutines, as io.ReaderAt allows.
func (f *File) Check() []Fault {
	var faults []Fault
	note := func(offset int64, errs ...error) {
		for _, err := range errs {
			if err != nil {
				faults = append(faults, faultOf(err, offset))
			}
		}
	}
	digest := make(chan error, 1)
	go func() { digest <- f.Verify() }()
	_, err := f.Graph()
	note(f.index.graph.offset, err)
	for i := range f.index.entries {
		e := &f.index.entries[i]
		note(e.Offset, f.checkTensor(e)...)
	}
	for _, s := range f.index.extras {
		_, err := f.readBlob(&blob{raw: s.stored, stored: s.stored, sum: s.sum, offset: s.offset}, CodecRaw, 0, "", "extra section")
		note(s.offset, err)
	}
	note(0, <-digest)
	return faults
}

// checkTensor returns the errors that decoding the tensor would give, without the memory for its codes.
func (f *File) checkTensor(e *Entry) []error {
	if !e.Quantized {
		return f.checkKept(e)
	}
	q := &Quant{Bits: e.Bits, Layout: e.Layout, Codec: e.Codec}
	if e.Codec != CodecPacked {
		return f.quant(e, q, false)
	}
	return f.checkPacked(e, q)
}

// checkKept is checkTensor for kept tensors.
func (f *File) checkKept(e *Entry) []error {
	what := quoted("data", e)
	if e.Codec != CodecRaw {
		if _, err := f.readBlob(e.blob(), CodecNumbers, strideOf(e.DataBytes, e.Elements), e.Name, what); err != nil {
			return []error{err}
		}
		return nil
	}
	sum, _, err := f.sumOf(e.Offset, e.KeptBytes, what)
	if err == nil {
		err = checkSum(sum, e.sum, e.Offset, e.Name, what)
	}
	if err == nil {
		err = f.checkPadding(e.Offset+e.KeptBytes, e.Name, what)
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// checkPacked is quant for packed codes without their memory: all but the unused bits behind the last are right as they
// are.
func (f *File) checkPacked(e *Entry, q *Quant) (errs []error) {
	what := quoted("codes", e)
	sum, last, err := f.sumOf(e.Offset, e.CodesBytes, what)
	if err != nil {
		return []error{err}
	}
	params, err := grow(f.r, e.Offset+e.CodesBytes, e.ScalesBytes, quoted("params", e))
	if err != nil {
		return []error{err}
	}
	paramsErr := error(nil)
	if e.apart {
		paramsErr = checkSum(checksum(params), e.paramsSum, e.Offset+e.CodesBytes, e.Name, quoted("params", e))
	} else {
		what, sum = quoted("codes and params", e), crc32.Update(sum, castagnoli, params)
	}
	err = checkSum(sum, e.sum, e.Offset, e.Name, what)
	if err == nil && !unusedClear(last, int(e.Elements%8), e.Bits) {
		err = formatError(ruleUnusedBits, e.Offset, e.Name, "%s: %v", quoted("codes", e), errUnusedBits)
	}
	if paramsErr == nil && (e.apart || sum == e.sum) {
		paramsErr = f.decodeParams(e, q, params)
	}
	return []error{err, paramsErr}
}

// sumOf returns the checksum of n bytes from offset on, and the last of them.
func (f *File) sumOf(offset, n int64, what string) (sum uint32, last byte, err error) {
	const chunk = 1 << 18
	buf := make([]byte, min(chunk, n))
	for done := int64(0); done < n; {
		b := buf[:min(int64(len(buf)), n-done)]
		if err := readFull(f.r, b, offset+done, what); err != nil {
			return 0, 0, err
		}
		sum, last = crc32.Update(sum, castagnoli, b), b[len(b)-1]
		done += int64(len(b))
	}
	return sum, last, nil
}

// Verify reads the whole file once and compares its SHA-256 with the digest of the footer (rule R34).
// It decodes nothing.
func (f *File) Verify() error {
	end := f.footer.fileSize - footerSize + digestAt
	h := sha256.New()
	const chunk = 1 << 18
	if _, err := io.CopyBuffer(h, io.NewSectionReader(f.r, 0, end), make([]byte, min(chunk, end))); err != nil {
		return err
	}
	if got := Digest(h.Sum(nil)); got != f.footer.digest {
		return formatError(ruleDigest, end, "", "file: sha256 %v, want %v", got, f.footer.digest)
	}
	return nil
}
