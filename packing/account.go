package packing

// Account tells what every byte of a file is for. All but MetaDecoded and IndexDecoded add up to the size of the file.
type Account struct {
	Header  int64                // the signature
	Graph   int64                // as stored
	Codes   [CodecRange + 1]Part // by codec
	Scales  int64
	Zeros   int64 // zero points; coded ones count as scales, from which only decoding tells them
	Levels  int64 // codebooks, and stretches
	Kept    Part  // data of kept tensors
	Extras  Part  // sections of unknown kinds
	Padding int64
	Index   int64 // as stored, with the metadata
	Footer  int64

	IndexDecoded int64 // the index before it is compressed
	MetaDecoded  int64 // the part of these that is metadata
}

// Part counts sections of one purpose.
type Part struct {
	Sections int
	Bytes    int64
}

func (p *Part) add(bytes int64) {
	p.Sections++
	p.Bytes += bytes
}

// Account adds up all sections of the file.
func (f *File) Account() Account {
	x := f.index
	a := Account{Header: headerSize, Graph: x.graph.stored, Padding: padding(x.graph.stored), Footer: footerSize,
		Index: f.footer.indexStored, IndexDecoded: f.footer.indexRaw, MetaDecoded: int64(len(x.meta.appendTo(nil)))}
	a.Padding += padding(a.Index)
	for i := range x.entries {
		e := &x.entries[i]
		a.Padding += padding(e.stored())
		if !e.Quantized {
			a.Kept.add(e.KeptBytes)
			continue
		}
		if int(e.Codec) < len(a.Codes) {
			a.Codes[e.Codec].add(e.CodesBytes)
		} else {
			a.Extras.add(e.CodesBytes)
		}
		var zeros, levels int
		if e.forms.known() {
			_, zeros, levels = e.forms.size(e.Layout.Groups(), e.Bits)
		}
		if e.forms.zeros() == zerosCoded {
			zeros = 0
		}
		a.Zeros += int64(zeros)
		a.Levels += int64(levels)
		a.Scales += e.ScalesBytes - int64(zeros+levels)
	}
	for _, s := range x.extras {
		a.Extras.add(s.stored)
		a.Padding += padding(s.stored)
	}
	return a
}

// Total returns the sum of all parts, the size of the file.
func (a *Account) Total() int64 {
	sum := a.Header + a.Graph + a.Scales + a.Zeros + a.Levels + a.Kept.Bytes + a.Extras.Bytes + a.Padding + a.Index + a.Footer
	for _, c := range a.Codes {
		sum += c.Bytes
	}
	return sum
}
