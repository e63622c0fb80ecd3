package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/share"
)

// exits are the exit codes by their names in failure.go.
var exits = map[string]int{
	"exitDone": exitDone, "exitInternal": exitInternal, "exitUsage": exitUsage, "exitRefused": exitRefused, "exitNotFound": exitNotFound, "exitCantWrite": exitCantWrite,
	"exitOver": exitOver, "exitNoPath": exitNoPath, "exitTaken": exitTaken, "exitUnresolved": exitUnresolved, "exitVault": exitVault, "exitInterrupted": exitInterrupted,
}

// TestEveryCodeStandsInTheDocs reads the codes off the calls of fail, and the
// tables of docs/commands.md.
func TestEveryCodeStandsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\d+) \\|").FindAllSubmatch(page, -1) {
		documented[string(row[1])], _ = strconv.Atoi(string(row[2]))
	}
	coded := calls(t)
	if !maps.Equal(coded, documented) {
		for _, code := range slices.Sorted(maps.Keys(coded)) {
			if documented[code] != coded[code] {
				t.Errorf("%s ends with %d; docs/commands.md says %d", code, coded[code], documented[code])
			}
		}
		for code := range documented {
			if _, ok := coded[code]; !ok {
				t.Errorf("no command ends with %s, but docs/commands.md says so", code)
			}
		}
	}
	for name, exit := range exits {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \| `, exit)).Match(page) {
			t.Errorf("docs/commands.md doesn't explain exit %d (%s)", exit, name)
		}
	}
}

// TestEveryConfigKeyStandsInTheDocs: the page's config file can be read, and sets all
// that there is; the error about a key that isn't known names the same.
func TestEveryConfigKeyStandsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	sample := regexp.MustCompile("(?s)\n```toml\n(.*?)```\n").FindSubmatch(page)
	if sample == nil {
		t.Fatal("docs/commands.md has no config file")
	}
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, sample[1], 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("colour = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = loadConfig(file)
	var f *failure
	if !errors.As(err, &f) {
		t.Fatalf("a key that isn't known: %v", err)
	}
	var keys []string
	for field, value := range reflect.ValueOf(c).Fields() {
		key := field.Tag.Get("toml")
		if keys = append(keys, key); value.IsZero() {
			t.Errorf("docs/commands.md doesn't set %s", key)
		}
	}
	if want := "known are " + strings.Join(keys, ", "); !strings.HasSuffix(f.Hint, want) {
		t.Errorf("the hint is %q; want %q", f.Hint, want)
	}
}

// TestEveryFieldOfJSONStandsInTheDocs, and every state that a share can stand at.
func TestEveryFieldOfJSONStandsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## Fields of `--json`\n")
	fields, _, _ := strings.Cut(rest, "\n## ")
	var documented, coded []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(fields, -1) {
		documented = append(documented, strings.Split(strings.Trim(row[1], "`"), "`, `")...)
	}
	for field := range reflect.ValueOf(event{}).Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		coded = append(coded, name)
	}
	slices.Sort(documented)
	slices.Sort(coded)
	if !slices.Equal(documented, coded) {
		t.Errorf("docs/commands.md has %q, and the code %q", documented, coded)
	}
	for _, s := range []share.State{share.Offered, share.Pinned, share.Granted, share.Viewed, share.Claimed, share.Provisioning, share.Provisioned,
		share.Done, share.Cancelled, share.Declined, share.Expired, share.Taken, share.Failed, share.Relinquished, share.Unresolved} {
		if !strings.Contains(fields, "`"+string(s)+"`") {
			t.Errorf("docs/commands.md has no state %s", s)
		}
	}
}

// calls returns the codes and exits of all calls of fail with a code that is written out.
func calls(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !regexp.MustCompile(`^[a-z_]+\.go$`).MatchString(f.Name()) || regexp.MustCompile(`_test\.go$`).MatchString(f.Name()) {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 4 {
				return true
			}
			name, isFail := call.Fun.(*ast.Ident)
			exit, named := call.Args[0].(*ast.Ident)
			code, written := call.Args[1].(*ast.BasicLit)
			if !isFail || name.Name != "fail" || !named || !written {
				return true
			}
			value, known := exits[exit.Name]
			text, err := strconv.Unquote(code.Value)
			if !known || err != nil {
				t.Errorf("%s: a failure with %s and %s", f.Name(), exit.Name, code.Value)
			}
			if had, twice := found[text]; twice && had != value {
				t.Errorf("%s ends with %d and with %d", text, had, value)
			}
			found[text] = value
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %d codes are found: this test looks in the wrong place", len(found))
	}
	return found
}
