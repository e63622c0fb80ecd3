package sparekey_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// cases are the groups of abuse cases and how many each has.
var cases = []struct {
	group string
	count int
}{
	{"LNK", 4}, {"PRV", 4}, {"RAC", 4}, {"RPL", 4}, {"CRS", 4}, {"CLK", 3}, {"LIE", 9}, {"NSW", 3}, {"LAN", 4}, {"PIN", 5}, {"CON", 2},
	{"FMT", 5}, {"VLT", 4}, {"CLI", 3}, {"HTP", 5}, {"QTA", 4}, {"RET", 3}, {"RDS", 3}, {"BRW", 3}, {"EXH", 3},
}

// notYet are the groups of which cases may stand under "Not yet", and CLK-01.
var notYet = []string{"CLK-01", "NSW", "LAN", "PIN", "CON", "FMT", "RDS", "BRW", "EXH"}

var (
	caseID   = regexp.MustCompile(`[A-Z]{3}-\d\d`)
	caseRow  = regexp.MustCompile(`^\| ([A-Z]{3}-\d\d) \| (.+) \| (.+) \|$`)
	inName   = regexp.MustCompile(`^Test((?:[A-Z]{3}\d\d)+)`)
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// TestAbuseCasesPageNamesTheTestsThereAre holds docs/abuse-cases.md: every case
// stands there once, with tests that exist or under what it still needs, and
// every test that bears a case's number stands in that case's row.
func TestAbuseCasesPageNamesTheTestsThereAre(t *testing.T) {
	b, err := os.ReadFile("docs/abuse-cases.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, later, ok := strings.Cut(string(b), "## Not yet")
	if !ok {
		t.Fatal("docs/abuse-cases.md doesn't say which cases are for later")
	}
	rows := map[string]string{}
	for line := range strings.Lines(shown) {
		if m := caseRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			if rows[m[1]] != "" {
				t.Errorf("%s stands there twice", m[1])
			}
			rows[m[1]] = m[3]
		}
	}
	waiting := caseID.FindAllString(later, -1)
	for _, c := range cases {
		for i := range c.count {
			id := fmt.Sprintf("%s-%02d", c.group, i+1)
			excused := slices.Contains(waiting, id) && (slices.Contains(notYet, c.group) || slices.Contains(notYet, id))
			if _, ok := rows[id]; ok == excused {
				t.Errorf("%s is to stand in docs/abuse-cases.md either with its tests or, if it may, under what it needs", id)
			}
		}
	}
	tests := testsByFolder(t)
	for id, cell := range rows {
		for _, missing := range missingTests(t, cell, tests) {
			t.Errorf("%s: there is no %s", id, missing)
		}
	}
	for folder, names := range tests {
		for _, name := range names {
			for _, id := range casesInName(name) {
				if !slices.Contains(strings.FieldsFunc(rows[id], func(r rune) bool { return strings.ContainsRune(" ,;", r) }), name) {
					t.Errorf("docs/abuse-cases.md, row %s: add `%s` %s", id, folder, name)
				}
			}
		}
	}
}

// testsByFolder returns the names of all tests.
func testsByFolder(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		folder := filepath.ToSlash(filepath.Dir(path))
		for _, m := range testFunc.FindAllStringSubmatch(string(b), -1) {
			tests[folder] = append(tests[folder], m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

// missingTests returns what a row names and isn't there: "`folder` Test, Test;
// `make target`".
func missingTests(t *testing.T, cell string, tests map[string][]string) (missing []string) {
	t.Helper()
	named := 0
	for part := range strings.SplitSeq(cell, ";") {
		folder, names, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(part), "`"), "`")
		if target, ok := strings.CutPrefix(folder, "make "); ok {
			if named++; !hasTarget(t, target) {
				missing = append(missing, folder)
			}
			continue
		}
		for name := range strings.SplitSeq(names, ",") {
			if named++; !slices.Contains(tests[folder], strings.TrimSpace(name)) {
				missing = append(missing, strings.TrimSpace(name)+" in "+folder)
			}
		}
	}
	if named == 0 {
		missing = append(missing, "test at all")
	}
	return missing
}

func hasTarget(t *testing.T, target string) bool {
	t.Helper()
	b, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains("\n"+string(b), "\n"+target+":")
}

// casesInName returns the cases that a test's name bears: TestVLT02CRS04Torn has two.
func casesInName(name string) (ids []string) {
	m := inName.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	for s := m[1]; len(s) >= 5; s = s[5:] {
		ids = append(ids, s[:3]+"-"+s[3:5])
	}
	return ids
}
