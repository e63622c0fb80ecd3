package interop

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// hexBytes are bytes that a vector file holds in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	err := json.Unmarshal(b, &s)
	if err == nil {
		*h, err = hex.DecodeString(s)
	}
	return err
}

// vectorFile reads a file of vectors of another package, strictly: a field that
// is new is a field to be held to.
func vectorFile(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// tally counts what a file's cases have led to, so that an empty file is noticed.
type tally struct{ good, bad int }

// judge holds what became of a case to what the vectors say.
func (n *tally) judge(t *testing.T, name, refuse string, err error) {
	t.Helper()
	switch {
	case refuse != "" && err == nil:
		t.Errorf("%s: taken, and it must be refused: %s", name, refuse)
	case refuse == "" && err != nil:
		t.Errorf("%s: refused, and it must be taken: %v", name, err)
	case refuse == "":
		n.good++
	default:
		n.bad++
	}
}

func (n *tally) report(t *testing.T, least int) {
	t.Helper()
	if n.good+n.bad < least || n.bad <= n.good {
		t.Errorf("%d cases to take and %d to refuse; most must fail, and there are at least %d", n.good, n.bad, least)
	}
	t.Logf("agreed on %d cases to take and %d to refuse", n.good, n.bad)
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}
