package packing

import (
	"crypto/sha256"
	"io"
)

// Check applies every rule to a file of size bytes and decodes all of it. It returns the digest that
// the footer claims and all faults; no faults means a sound file. Where Open fails, that fault is the
// only one, and the digest is zero.
func Check(r io.ReaderAt, size int64) (Digest, []Fault) {
	f, err := Open(r, size)
	if err != nil {
		return Digest{}, []Fault{faultOf(err, 0)}
	}
	return f.Digest(), f.Check()
}

// Check reads the whole file, decodes graph and tensors one after the other, and returns all faults in
// the order of the file, the digest last.
func (f *File) Check() []Fault {
	var faults []Fault
	note := func(offset int64, errs ...error) {
		for _, err := range errs {
			if err != nil {
				faults = append(faults, faultOf(err, offset))
			}
		}
	}
	_, err := f.Graph()
	note(f.index.graph.offset, err)
	for i := range f.index.entries {
		e := &f.index.entries[i]
		_, errs := f.tensor(e)
		note(e.Offset, errs...)
	}
	for _, s := range f.index.extras {
		_, err := f.readBlob(&blob{raw: s.stored, stored: s.stored, sum: s.sum, offset: s.offset}, "", "extra section")
		note(s.offset, err)
	}
	note(0, f.Verify())
	return faults
}

// Verify reads the whole file once and compares its SHA-256 with the digest of the footer (rule R34).
// It decodes nothing.
func (f *File) Verify() error {
	end := f.footer.fileSize - footerSize + digestAt
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f.r, 0, end)); err != nil {
		return err
	}
	if got := Digest(h.Sum(nil)); got != f.footer.digest {
		return formatError(ruleDigest, end, "", "file: sha256 %v, want %v", got, f.footer.digest)
	}
	return nil
}
