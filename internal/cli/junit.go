package cli

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"

	"bq/verify"
)

// A JUnit file as CI servers read it: one suite for model B, one case for each gate, the measured value in the text of
// a failure. It carries no clock and no host, so that equal runs give equal bytes.

type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// junitXML writes a report as JUnit.
func junitXML(r *verify.Report) ([]byte, error) {
	suite := junitSuite{Name: r.B.Path, Properties: []junitProperty{
		{"reference", r.A.Path}, {"samples", fmt.Sprint(r.Data.Taken)}, {"data", r.Data.Kind}, {"data_sha256", r.Data.SHA256}}}
	for _, g := range gates(r) {
		c := junitCase{Name: g.name, Class: r.B.Path}
		if !g.pass {
			suite.Failures++
			text := g.name + ": " + g.text
			if g.more != "" {
				text += ", " + g.more
			}
			c.Failure = &junitFailure{Message: g.text, Type: "drift", Text: text + blameText(r)}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Tests = len(suite.Cases)
	all := junitSuites{Name: "bq verify", Tests: suite.Tests, Failures: suite.Failures, Suite: suite}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing JUnit: %w", err)
	}
	return append(append([]byte(xml.Header), b...), '\n'), nil
}

// blamed is how many tensors the text of a failure names.
const blamed = 3

// blameText names the tensors most to blame, where --blame found them.
func blameText(r *verify.Report) string {
	text := ""
	for i, b := range r.Blame[:min(blamed, len(r.Blame))] {
		if i == 0 {
			text = "; most to blame: "
		} else {
			text += ", "
		}
		text += escape(b.Tensor)
	}
	return text
}

// isJUnit reports whether a file is a JUnit file that verify wrote.
func isJUnit(path string) bool { return startsWith(path, xml.Header+`<testsuites name="bq verify"`) }

// startsWith reports whether a file begins with head.
func startsWith(path, head string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(head))
	n, _ := f.Read(b) // a short file is no match
	return bytes.Equal(b[:n], []byte(head))
}
