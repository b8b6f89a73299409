package shape

import (
	"fmt"
	"strings"

	"bq/onnxio"
)

// equation is a parsed attribute equation of Einsum.
type equation struct {
	terms   []string // one for each input
	result  string
	spreads bool // has an ellipsis
}

const einsumLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// parseEinsum splits an equation such as "bij,bjk->bik" for n inputs (ONNX operator Einsum, numpy.einsum).
func parseEinsum(text string, n int) (*equation, error) {
	bad := fmt.Errorf("equation %s for %d inputs", onnxio.Quote(text), n)
	left, right, explicit := strings.Cut(strings.ReplaceAll(text, " ", ""), "->")
	e := &equation{terms: strings.Split(left, ","), result: right, spreads: strings.Contains(left, "...")}
	if len(e.terms) != n {
		return nil, bad
	}
	if !explicit {
		e.result = implicitResult(left)
	}
	for _, term := range append(e.terms[:n:n], e.result) {
		if strings.Trim(strings.Replace(term, "...", "", 1), einsumLetters) != "" {
			return nil, bad
		}
		if len(strings.Replace(term, "...", "", 1)) > maxRank {
			return nil, bad
		}
	}
	return e, nil
}

// implicitResult returns the ellipsis, where there is one, and the letters of left that occur once, sorted.
func implicitResult(left string) string {
	result := ""
	if strings.Contains(left, "...") {
		result = "..."
	}
	for letter := 'A'; letter <= 'z'; letter++ {
		if strings.Count(left, string(letter)) == 1 && strings.ContainsRune(einsumLetters, letter) {
			result += string(letter)
		}
	}
	return result
}

// einsum: the labels of the result, each with the size it has in the terms; an ellipsis stands for dimensions that
// broadcast. Without "->" the result has the letters that occur once, in alphabetical order.
func einsum(c *call) error {
	e, err := parseEinsum(c.node.StringAttr("equation", ""), len(c.in))
	if err != nil {
		return err
	}
	t := c.elemAmong(0)
	size := map[byte]Dim{}
	var spread [][]Dim
	for i, term := range e.terms {
		s, ok := c.shape(i)
		if !ok {
			if e.spreads {
				return c.giveUnranked(0, t)
			}
			continue
		}
		wide, err := c.labelled(term, s, size)
		if err != nil {
			return err
		}
		spread = append(spread, wide)
	}
	shared, err := c.broadcast(spread...)
	if err != nil {
		return err
	}
	var out []Dim
	for i := 0; i < len(e.result); i++ {
		if e.result[i] == '.' {
			out = append(out, shared...)
			i += 2
			continue
		}
		d, ok := size[e.result[i]]
		if !ok {
			d = c.size()
		}
		out = append(out, d)
	}
	return c.give(0, t, out...)
}

// labelled notes the sizes of a term's letters and returns the dimensions that its ellipsis stands for.
func (c *call) labelled(term string, s []Dim, size map[byte]Dim) ([]Dim, error) {
	letters, dots := len(term), -1
	for i := 0; i < len(term); i++ {
		if term[i] == '.' && dots < 0 {
			dots, letters = i, len(term)-3
		}
	}
	wide := len(s) - letters
	if wide < 0 || dots < 0 && wide > 0 {
		return nil, fmt.Errorf("term %s for shape %s", onnxio.Quote(term), shapeText(s))
	}
	var spread []Dim
	at := 0
	for i := 0; i < len(term); i++ {
		if term[i] == '.' {
			spread = s[at : at+wide]
			at += wide
			i += 2
			continue
		}
		d, ok := s[at], true
		if old, known := size[term[i]]; known {
			d, ok = c.broadcastDim(old, d)
		}
		if !ok {
			return nil, fmt.Errorf("label %c is %v and %v", term[i], size[term[i]], s[at])
		}
		size[term[i]] = d
		at++
	}
	return spread, nil
}
