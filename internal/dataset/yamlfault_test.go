package dataset

import "testing"

func TestYAMLFault(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: *gone\n":       ":2: alias *gone of no anchor",
		"a: 1\n\tb: 2\n":         ":2: found a tab character that violates indentation",
		"a: [1\n":                ":1: did not find expected ',' or ']'",
		"a: \"x\n":               ":2: found unexpected end of stream",
		"a: &b [*b]\n":           ": anchor 'b' value contains itself",
		"a: \xff\n":              ": invalid leading UTF-8 octet",
		"a: 1\n---\nb: 2\n":      ":2: a second document, want one",
		"a: 1\n---\n\tb: 2\n":    ":3: found character that cannot start any token",
		"a: &a 1\nb: [*a, *c]\n": ":2: alias *c of no anchor",
	} {
		doc, err := YAMLDocument([]byte(text))
		if err == nil {
			var v any
			err = doc.Decode(&v)
		}
		if err == nil {
			t.Errorf("%q is read", text)
			continue
		}
		if got := YAMLFault([]byte(text), err); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
