package packing

import (
	"io"
	"math"
	"strconv"
)

// File is an opened .bq file. Its methods, but for Close, may be called from several goroutines at once if
// ReadAt of the source may. What they return is the caller's, except for the slices of Meta and Entries, which
// must not be changed, and for what Map says.
type File struct {
	r      io.ReaderAt
	footer *footer
	index  *index
	memory []byte       // the file, where it is mapped
	unmap  func() error // nil where it is not
}

// Open reads header, footer and index of a file of size bytes and checks them (rules R1 to R26).
// Payloads are read, and their checksums compared, by Graph and Tensor; the digest of the whole is
// compared by Verify and Check. An error is a *FormatError, an *UnsupportedError or wraps one of r.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if err := checkHeader(r, size); err != nil {
		return nil, err
	}
	var b [footerSize]byte
	if err := readFull(r, b[:], size-footerSize, "footer"); err != nil {
		return nil, err
	}
	f := &File{r: r}
	var err error
	if f.footer, err = parseFooter(b[:], size); err != nil {
		return nil, err
	}
	raw, err := f.readIndex()
	if err != nil {
		return nil, err
	}
	if f.index, err = parseIndex(raw, f.footer); err != nil {
		return nil, err
	}
	return f, nil
}

// checkHeader checks rules R1 and R2. A file that is no .bq at all is told so before its size is judged.
func checkHeader(r io.ReaderAt, size int64) error {
	var b [headerSize]byte
	n := int(min(max(size, 0), headerSize))
	if err := readFull(r, b[:n], 0, "header"); err != nil {
		return err
	}
	if n == headerSize && string(b[:]) != signature {
		same := string(b[:versionAt]) == signature[:versionAt] && string(b[versionAt+1:]) == signature[versionAt+1:]
		if v := b[versionAt]; same && v >= '1' && v <= '9' {
			return unsupported(ruleSignature, versionAt, "", "header: container version %c is newer than 1", v)
		}
		return formatError(ruleSignature, 0, "", "header: not a bq container (starts with % x)", b[:4])
	}
	if size < minFile || size > MaxFileBytes {
		return formatError(ruleSize, 0, "", "file: %d bytes, want %d to %d", size, minFile, int64(MaxFileBytes))
	}
	return nil
}

// readIndex returns the decoded index (rules R8 to R10).
func (f *File) readIndex() ([]byte, error) {
	at, n := f.footer.indexOffset, f.footer.indexStored
	b, err := grow(f.r, at, n+padding(n), "index")
	if err != nil {
		return nil, err
	}
	stored, zeros := b[:n], b[n:]
	if sum := checksum(stored); sum != f.footer.indexSum {
		return nil, formatError(ruleIndexSum, at, "", "index: checksum %08x, want %08x", sum, f.footer.indexSum)
	}
	if !allZero(zeros) {
		return nil, formatError(ruleIndexPad, at+n, "", "index: padding % x, want zero", zeros)
	}
	raw, err := expand(f.footer.indexCodec, stored, f.footer.indexRaw, 0)
	if err != nil {
		return nil, formatError(ruleIndexFrame, at, "", "index: %v", err)
	}
	return raw, nil
}

// grow reads n bytes at offset. It allocates no more than twice what the source has proved to hold, so
// that a wrong size given to Open does no harm.
func grow(r io.ReaderAt, offset, n int64, what string) ([]byte, error) {
	if n > math.MaxInt {
		return nil, unsupported(ruleLimit, offset, "", "%s: %d bytes are too many for this machine", what, n)
	}
	b := make([]byte, min(n, firstGrowth))
	for done := 0; ; {
		if err := readFull(r, b[done:], offset+int64(done), what); err != nil {
			return nil, err
		}
		if done = len(b); int64(done) == n {
			return b, nil
		}
		next := make([]byte, min(n, 2*int64(done)))
		copy(next, b)
		b = next
	}
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// Meta returns the metadata in the order of the file.
func (f *File) Meta() Meta { return f.index.meta }

// Digest returns the SHA-256 that the footer claims; Verify compares it.
func (f *File) Digest() Digest { return f.footer.digest }

// Entries returns what the index says about each tensor, in the order of the file.
func (f *File) Entries() []Entry { return f.index.entries }

// Lookup returns the place in Entries of the tensor with that name, and whether there is one.
func (f *File) Lookup(name string) (int, bool) {
	i, ok := f.index.byName[name]
	return i, ok
}

// Sizes splits the size of the file, in bytes, by what the bytes are for: codes; scales with zero
// points and levels; data of kept tensors; the graph; and the container, which is all the rest: header,
// metadata, index, padding, footer, sections of unknown kinds. The five add up to the size of the file.
func (f *File) Sizes() (codes, scales, kept, graph, container int64) {
	for i := range f.index.entries {
		e := &f.index.entries[i]
		codes += e.CodesBytes
		scales += e.ScalesBytes
		kept += e.KeptBytes
	}
	graph = f.index.graph.stored
	return codes, scales, kept, graph, f.footer.fileSize - codes - scales - kept - graph
}

// Graph returns the graph bytes as they were given to Writer.Graph.
func (f *File) Graph() ([]byte, error) {
	return f.readBlob(&f.index.graph, CodecGraph, 0, "", "graph")
}

// readBlob reads a section of opaque bytes (rules R27 to R29), which may be stored by the mixing codec given.
func (f *File) readBlob(s *blob, mixing Codec, stride int, tensor, what string) ([]byte, error) {
	if s.codec != CodecRaw && s.codec != CodecZstd && s.codec != mixing {
		return nil, unsupported(ruleStored, s.offset, tensor, "%s: codec %d is not known", what, s.codec)
	}
	if s.raw > math.MaxInt {
		return nil, unsupported(ruleLimit, s.offset, tensor, "%s: %d bytes are too many for this machine", what, s.raw)
	}
	stored, err := f.readSection(s.offset, s.stored, s.sum, s.codec == CodecRaw && tensor != "", tensor, what)
	if err != nil {
		return nil, err
	}
	if err := f.checkPadding(s.offset+s.stored, tensor, what); err != nil {
		return nil, err
	}
	raw, err := expand(s.codec, stored, s.raw, stride)
	if err != nil {
		return nil, formatError(ruleFrame, s.offset, tensor, "%s: %v", what, err)
	}
	return raw, nil
}

// expand is the inverse of squeeze and deflate, for raw bytes.
func expand(c Codec, stored []byte, raw int64, stride int) ([]byte, error) {
	switch c {
	case CodecRaw:
		return stored, nil
	case CodecZstd:
		return inflate(stored, raw)
	}
	return decodeText(c, stored, int(raw), stride)
}

// readSection reads stored bytes, from the map where they are used as they stand, and compares their checksum (rule R27).
func (f *File) readSection(offset, n int64, sum uint32, asItStands bool, tensor, what string) ([]byte, error) {
	b, err := f.load(offset, n, asItStands, what)
	if err != nil {
		return nil, err
	}
	if err := checkSum(checksum(b), sum, offset, tensor, what); err != nil {
		return nil, err
	}
	return b, nil
}

// checkSum compares the checksum of a section with that of the index (rule R27).
func checkSum(got, want uint32, offset int64, tensor, what string) error {
	if got != want {
		return formatError(ruleChecksum, offset, tensor, "%s: checksum %08x, want %08x", what, got, want)
	}
	return nil
}

// checkPadding checks the bytes from end up to the next section (rule R28).
func (f *File) checkPadding(end int64, tensor, what string) error {
	var b [align]byte
	zeros := b[:padding(end)]
	if err := readFull(f.r, zeros, end, what); err != nil {
		return err
	}
	if !allZero(zeros) {
		return formatError(rulePadding, end, tensor, "%s: padding % x, want zero", what, zeros)
	}
	return nil
}

// Tensor reads and decodes the i-th tensor of Entries and nothing else. It panics if there is none.
func (f *File) Tensor(i int) (*Tensor, error) {
	e := &f.index.entries[i]
	var t *Tensor
	err := f.guard(strconv.Quote(e.Name), func() error {
		var errs []error
		if t, errs = f.tensor(e); len(errs) > 0 {
			return errs[0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// tensor decodes all parts of a tensor and returns every error, the first of each part.
func (f *File) tensor(e *Entry) (*Tensor, []error) {
	t := &Tensor{Name: e.Name, Type: e.Type, Shape: append([]int64{}, e.Shape...), Note: e.Note}
	if !e.Quantized {
		data, err := f.readBlob(e.blob(), CodecNumbers, strideOf(e.DataBytes, e.Elements), e.Name, quoted("data", e))
		if err != nil {
			return nil, []error{err}
		}
		t.Data = data
		return t, nil
	}
	t.Quant = &Quant{Method: e.Method, P: e.P, Bits: e.Bits, Layout: e.Layout, Codec: e.Codec}
	return t, f.quant(e, t.Quant, true)
}

// quant fills q in, its codes only where keep, and returns every error, of the codes before that of the params.
func (f *File) quant(e *Entry, q *Quant, keep bool) (errs []error) {
	what := quoted("codes", e)
	if err := e.knownCodes(what); err != nil {
		return []error{err}
	}
	codes, params, errs := f.readQuant(e)
	if params != nil {
		if err := f.decodeParams(e, q, params); err != nil {
			params, errs = nil, append(errs, err)
		}
	}
	if codes != nil && (params != nil || e.Codec == CodecPacked) { // coded ones need zero points and levels
		if err := q.decodeCodes(e, what, codes, keep); err != nil {
			errs = append([]error{err}, errs...)
		}
	}
	return errs
}

// readQuant reads codes and params and compares their checksums (rule R27). What has an error is nil.
func (f *File) readQuant(e *Entry) (codes, params []byte, errs []error) {
	packed := e.Codec == CodecPacked
	if !e.apart {
		b, err := f.readSection(e.Offset, e.stored(), e.sum, packed, e.Name, quoted("codes and params", e))
		if err != nil {
			return nil, nil, []error{err}
		}
		return b[:e.CodesBytes], b[e.CodesBytes:], nil
	}
	codes, err := f.readSection(e.Offset, e.CodesBytes, e.sum, packed, e.Name, quoted("codes", e))
	if err != nil {
		codes, errs = nil, append(errs, err)
	}
	params, err = f.readSection(e.Offset+e.CodesBytes, e.ScalesBytes, e.paramsSum, false, e.Name, quoted("params", e))
	if err != nil {
		params, errs = nil, append(errs, err)
	}
	return codes, params, errs
}

// blob returns the data section of a kept tensor.
func (e *Entry) blob() *blob {
	return &blob{codec: e.Codec, raw: e.DataBytes, stored: e.KeptBytes, sum: e.sum, offset: e.Offset}
}

// quoted names a section of a tensor in errors.
func quoted(section string, e *Entry) string { return section + " of " + strconv.Quote(e.Name) }

// decodeCodes checks rules R30, R35 and R36 on b, the codes section of e, and fills q's codes in where keep.
func (q *Quant) decodeCodes(e *Entry, what string, b []byte, keep bool) error {
	rule, n, err := ruleUnusedBits, int(e.Elements), error(nil)
	switch e.Codec {
	case CodecRange:
		rule, err = ruleRange, q.decodeRange(e.Shape, b, n, keep)
	case CodecHuffman:
		rule, err = ruleHuffman, q.decodeHuffman(b, n, keep)
	default:
		err = q.unpackCodes(b, n)
	}
	if err != nil {
		return formatError(rule, e.Offset, e.Name, "%s: %v", what, err)
	}
	return nil
}

// knownCodes refuses a codec of codes that is not known.
func (e *Entry) knownCodes(what string) error {
	if !e.Codec.knownForCodes() {
		return unsupported(ruleCodesLength, e.Offset, e.Name, "%s: codec %d is not known", what, e.Codec)
	}
	return nil
}

// decodeParams checks the padding behind the params section, and decodes that (rules R28 and R30 to R33).
func (f *File) decodeParams(e *Entry, q *Quant, b []byte) error {
	at, what := e.Offset+e.CodesBytes, quoted("params", e)
	if !e.forms.known() {
		return unsupported(ruleForms, at, e.Name, "%s: form %02x is not known", what, byte(e.forms))
	}
	if err := f.checkPadding(at+e.ScalesBytes, e.Name, what); err != nil {
		return err
	}
	return e.decodeParams(q, b)
}
