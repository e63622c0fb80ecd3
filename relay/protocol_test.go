package relay_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rows returns the cells of a table's rows in a section of PROTOCOL.md.
func rows(t *testing.T, section string) (all [][]string) {
	t.Helper()
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\n## "+section+"\n")
	if !found {
		t.Fatalf("PROTOCOL.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if strings.HasPrefix(line, "| ") && len(cells) > 2 {
			cells[0] = strings.TrimPrefix(cells[0], "| ")
			all = append(all, cells)
		}
	}
	return all
}

// TestTheProtocolPageAndOpenAPIAgreeOnEveryAnswer holds the page's two tables
// against the document, which TestOpenAPITellsExactlyWhatTheRelayAnswers holds
// against a running relay.
func TestTheProtocolPageAndOpenAPIAgreeOnEveryAnswer(t *testing.T) {
	ops := documented(t, readYAML(t, "openapi.yaml"))
	inDocument := map[string]bool{"404 no-such-call": true, "405 method": true} // in its words alone
	for _, op := range ops {
		for status, r := range op.answers {
			for typ := range r.types {
				inDocument[fmt.Sprint(status, " ", strings.TrimPrefix(string(typ), "urn:sparekey:problem:"))] = true
			}
		}
	}
	onPage := map[string]bool{}
	for _, cells := range rows(t, "Answers") {
		if _, err := strconv.Atoi(cells[0]); err != nil {
			continue
		}
		for _, typ := range ticked.FindAllStringSubmatch(cells[1], -1) {
			onPage[cells[0]+" "+typ[1]] = true
		}
	}
	if !maps.Equal(inDocument, onPage) {
		t.Errorf("the answers differ:\nPROTOCOL.md  %v\nopenapi.yaml %v", slices.Sorted(maps.Keys(onPage)), slices.Sorted(maps.Keys(inDocument)))
	}
}

// TestTheProtocolPageAndOpenAPIAgreeOnWhatEachCallGives compares the statuses of success.
func TestTheProtocolPageAndOpenAPIAgreeOnWhatEachCallGives(t *testing.T) {
	inDocument := map[string][]string{}
	for name, op := range documented(t, readYAML(t, "openapi.yaml")) {
		if method, path, _ := strings.Cut(name, " "); method != "HEAD" {
			for status := range op.answers {
				if status < 300 {
					inDocument[method+" "+path] = append(inDocument[method+" "+path], fmt.Sprint(status))
				}
			}
		}
	}
	onPage := map[string][]string{}
	names := strings.NewReplacer("ID", "{id}", "EPOCH", "{epoch}", "LANE", "{lane}", "SIDE", "{side}", "SEQ", "{seq}")
	for _, cells := range rows(t, "Calls") {
		for _, call := range calls.FindAllStringSubmatch(cells[0], -1) {
			name := call[1] + " " + names.Replace(call[2])
			answer := cells[len(cells)-1]
			for _, status := range statuses.FindAllString(answer, -1) {
				if status < "300" && !slices.Contains(onPage[name], status) {
					onPage[name] = append(onPage[name], status)
				}
			}
		}
	}
	// /readyz stands beside /healthz in one row.
	onPage["GET /readyz"] = onPage["GET /healthz"]
	for name := range inDocument {
		slices.Sort(inDocument[name])
		slices.Sort(onPage[name])
	}
	if !maps.EqualFunc(inDocument, onPage, slices.Equal[[]string]) {
		t.Errorf("what calls give differs:\nPROTOCOL.md  %v\nopenapi.yaml %v", onPage, inDocument)
	}
}

var (
	calls    = regexp.MustCompile("`(GET|PUT|DELETE) (/[^?`]+)")
	statuses = regexp.MustCompile(`\b[2-5][0-9][0-9]\b`)
)
