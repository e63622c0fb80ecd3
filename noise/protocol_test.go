package noise_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A second implementation is written from PROTOCOL.md, so no label may be missing there.
func TestTheDocumentNamesEveryLabel(t *testing.T) {
	code, err := os.ReadFile("derive.go")
	ok(t, err, "the labels' file")
	doc, err := os.ReadFile("PROTOCOL.md")
	ok(t, err, "the document")
	labels := regexp.MustCompile(`(?m)^\tlabel\w+ += "(.*)"`).FindAllStringSubmatch(string(code), -1)
	if len(labels) < 10 {
		t.Fatalf("only %d labels found", len(labels))
	}
	for _, l := range labels {
		if !strings.Contains(string(doc), `"`+l[1]+`"`) {
			t.Errorf("%q is not in PROTOCOL.md", l[1])
		}
	}
}
