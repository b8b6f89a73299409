package infer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bq/onnxio"
)

// stringsOf returns the elements of an array of strings.
func stringsOf(v *onnxio.Array) ([]string, error) {
	s, ok := v.Data.([]string)
	if !ok {
		return nil, typeError(v)
	}
	return s, nil
}

// bindStringConcat: X and Y joined, element by element.
func bindStringConcat(*binding) runFunc {
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		if err := r.joinable(in[0], in[1]); err != nil {
			return nil, err
		}
		return binary(r, onnxio.String, in[0], in[1], spanOf(func(x, y string) string { return x + y }))
	}
}

// joinable bounds the text of joining two broadcast arrays of strings by the longest string of each.
func (r *run) joinable(x, y *onnxio.Array) error {
	shape, err := broadcastShape(x.Shape, y.Shape)
	if err != nil {
		return err
	}
	longest := int64(1)
	for _, v := range []*onnxio.Array{x, y} {
		list, err := stringsOf(v)
		if err != nil {
			return err
		}
		top := 0
		for _, s := range list {
			top = max(top, len(s))
		}
		longest += int64(top)
	}
	n, ok := onnxio.CheckedLen(shape)
	if !ok || n > 0 && longest > (r.limit-r.live)/int64(n) {
		return fmt.Errorf("strings of %d bytes in shape %v beside %d bytes in use, limit %d", longest, shape, r.live, r.limit)
	}
	return nil
}

// bindStringSplit: the parts of every string between delimiters, at most maxsplit + 1 of them, in a new last dimension
// filled up with empty strings, and their number. Without a delimiter strings are split at runs of white space.
func bindStringSplit(b *binding) runFunc {
	by, most := b.str("delimiter", ""), int(min(max(b.int("maxsplit", -1), -1), 1<<30))
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		src, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		parts, width := make([][]string, len(src)), 0
		for i, s := range src {
			parts[i] = splitText(s, by, most)
			width = max(width, len(parts[i]))
		}
		out, err := r.new(onnxio.String, append(append([]int{}, in[0].Shape...), width)...)
		if err != nil {
			return nil, err
		}
		counts := make([]int64, len(src))
		for i, p := range parts {
			copy(out.Data.([]string)[i*width:], p)
			counts[i] = int64(len(p))
		}
		return []*onnxio.Array{out, onnxio.Int64s(counts, in[0].Shape...)}, nil
	}
}

// splitText splits s as Python's str.split does.
func splitText(s, by string, most int) []string {
	if by != "" {
		if s == "" {
			return nil
		}
		if most < 0 {
			return strings.Split(s, by)
		}
		return strings.SplitN(s, by, most+1)
	}
	var parts []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end := strings.IndexFunc(s, func(c rune) bool { return strings.TrimSpace(string(c)) == "" })
		if end < 0 || most >= 0 && len(parts) == most {
			return append(parts, s)
		}
		parts = append(parts, s[:end])
		s = s[end:]
	}
	return parts
}

// bindStringNormalizer: the strings of X [C] or [1, C] that are no stopwords, in lower or upper case; one empty string
// where none is left. Upper and lower case are Unicode's, whatever the locale.
func bindStringNormalizer(b *binding) runFunc {
	action := b.str("case_change_action", "NONE", "NONE", "LOWER", "UPPER")
	exact, stop := b.bool("is_case_sensitive", false), b.strs("stopwords")
	b.ignore("locale")
	change := func(s string) string { return s }
	switch action {
	case "LOWER":
		change = strings.ToLower
	case "UPPER":
		change = strings.ToUpper
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		src, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		rank := len(in[0].Shape)
		if rank < 1 || rank > 2 || rank == 2 && in[0].Shape[0] != 1 {
			return nil, fmt.Errorf("normalizing strings of shape %v", in[0].Shape)
		}
		kept := []string{}
		for _, s := range src {
			if !slices.ContainsFunc(stop, func(w string) bool { return w == s || !exact && strings.EqualFold(w, s) }) {
				kept = append(kept, change(s))
			}
		}
		if len(kept) == 0 {
			kept = append(kept, "")
		}
		shape := []int{len(kept)}
		if rank == 2 {
			shape = []int{1, len(kept)}
		}
		return []*onnxio.Array{{Type: onnxio.String, Shape: shape, Data: kept}}, nil
	}
}

// bindRegexFullMatch: whether the pattern, in RE2 syntax, matches the whole of each string.
func bindRegexFullMatch(b *binding) runFunc {
	re, err := regexp.Compile(`^(?:` + b.str("pattern", "") + `)\z`)
	if err != nil {
		b.refuse("attribute \"pattern\": %v", err)
	}
	return func(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
		src, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		out, err := r.new(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i, s := range src {
			out.Data.([]bool)[i] = re.MatchString(s)
		}
		return []*onnxio.Array{out}, nil
	}
}

// ngrams is TfIdfVectorizer: counts of the n-grams of a pool.
type ngrams struct {
	mode          string
	least, most   int
	skips         int
	pool          map[string]int // column of each n-gram, by its key
	weights       []float32      // by column; nil for ones
	width         int
	stringsInPool bool
}

// bindTfIdfVectorizer: for every row of X [C] or [N, C] how often each n-gram of the pool occurs (TF), whether it does
// times its weight (IDF), or the count times the weight (TFIDF). Elements of an n-gram may stand 1 to max_skip_count + 1
// apart.
func bindTfIdfVectorizer(b *binding) runFunc {
	z := &ngrams{mode: b.str("mode", "TF", "TF", "IDF", "TFIDF"), least: int(b.int("min_gram_length", 1)),
		most: int(b.int("max_gram_length", 1)), skips: int(b.int("max_skip_count", 0)), stringsInPool: b.has("pool_strings")}
	pool := b.strs("pool_strings")
	for _, v := range b.ints("pool_int64s") {
		pool = append(pool, fmt.Sprint(v))
	}
	counts, columns, weights := b.ints("ngram_counts"), b.ints("ngram_indexes"), b.floats("weights")
	const longest = 1 << 10
	if z.least < 1 || z.most < z.least || z.most > longest || z.skips < 0 || z.skips > longest || len(counts) < z.most {
		b.malformed("n-grams of %d to %d with %d skips, ngram_counts %v", z.least, z.most, z.skips, counts)
		return nil
	}
	if err := z.index(pool, counts, columns, weights); err != nil {
		b.malformed("%v", err)
	}
	return z.run
}

// index fills the map of n-grams: counts holds where the n-grams of each length begin in the pool, columns the column of
// each n-gram in the order of the pool.
func (z *ngrams) index(pool []string, counts, columns []int, weights []float32) error {
	z.pool = map[string]int{}
	next := 0
	for i, start := range counts {
		end := len(pool)
		if i+1 < len(counts) {
			end = counts[i+1]
		}
		n := i + 1
		if start < 0 || end < start || end > len(pool) || (end-start)%n != 0 {
			return fmt.Errorf("ngram_counts %v for a pool of %d", counts, len(pool))
		}
		for ; start < end; start += n {
			if next >= len(columns) || columns[next] < 0 || columns[next] >= maxEmptySpread {
				return fmt.Errorf("ngram_indexes: %d values", len(columns))
			}
			z.pool[key(pool[start:start+n])] = columns[next]
			z.width = max(z.width, columns[next]+1)
			if len(weights) > 0 && next >= len(weights) {
				return fmt.Errorf("weights: %d values", len(weights))
			}
			next++
		}
	}
	if len(weights) == 0 {
		return nil
	}
	z.weights = make([]float32, z.width)
	for i, w := range weights[:min(next, len(weights))] {
		z.weights[columns[i]] = w
	}
	return nil
}

// key joins the elements of an n-gram so that different n-grams have different keys.
func key(gram []string) string {
	var s strings.Builder
	for _, g := range gram {
		fmt.Fprintf(&s, "%d:%s", len(g), g)
	}
	return s.String()
}

func (z *ngrams) run(r *run, in []*onnxio.Array) ([]*onnxio.Array, error) {
	x := in[0]
	src, ok := x.Data.([]string)
	if ok != z.stringsInPool || !ok && !isInteger(x.Type) {
		return nil, typeError(x)
	}
	for _, v := range x.Ints() {
		src = append(src, fmt.Sprint(v))
	}
	rows, shape := 1, []int{z.width}
	if len(x.Shape) == 2 {
		rows, shape = x.Shape[0], []int{x.Shape[0], z.width}
	} else if len(x.Shape) > 2 {
		return nil, fmt.Errorf("counting n-grams of shape %v", x.Shape)
	}
	out, err := r.new(onnxio.Float, shape...)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		n := len(src) / rows
		z.row(out.F32()[i*z.width:(i+1)*z.width], src[i*n:(i+1)*n])
	}
	return []*onnxio.Array{out}, nil
}

// row counts the n-grams of one row and weights the counts.
func (z *ngrams) row(dst []float32, src []string) {
	for n := z.least; n <= z.most; n++ {
		for step := 1; step <= z.skips+1; step++ {
			for at := 0; at+(n-1)*step < len(src); at++ {
				gram := make([]string, n)
				for k := range gram {
					gram[k] = src[at+k*step]
				}
				if col, ok := z.pool[key(gram)]; ok {
					dst[col]++
				}
			}
			if n == 1 {
				break
			}
		}
	}
	for i, v := range dst {
		if z.mode != "TF" && v > 0 {
			if z.mode == "IDF" {
				v = 1
			}
			if dst[i] = v; z.weights != nil {
				dst[i] = v * z.weights[i]
			}
		}
	}
}
