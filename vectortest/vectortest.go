// Package vectortest makes the test vectors that are published, and holds a
// package to them.
//
// Vectors are for whoever writes another sparekey: inputs with what comes of them,
// and inputs to refuse with the reason. Each package that has a PROTOCOL.md with
// a section on test vectors keeps its own in testdata/vectors.json.
//
// They are made by a generator in that package's tests, from fixed inputs alone,
// so that it makes the same bytes each time:
//
//	go test ./node/link -run TestVectors -update
//
// Without -update the test compares what the generator makes with the file, and a
// difference fails it: a format can't change unnoticed. Then the package does what
// the file says, case by case, as a stranger would who has the file and no
// generator. Package interop does the same, and shares no code with us.
package vectortest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write what tests keep in testdata anew")

// Update reports whether the test was told to write testdata anew. A program has
// one flag of a name, so other tests beside vectors ask here.
func Update() bool { return *update }

const file = "testdata/vectors.json"

// Published compares what a package's generator made with the package's file, and
// returns what the file holds. With -update it writes the file first.
func Published[V any](t *testing.T, made V) (read V) {
	t.Helper()
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(made); err != nil {
		t.Fatal(err)
	}
	if Update() {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Fatalf("%s is not what the generator makes: if the format was meant to change, run with -update and say so", file)
	}
	if err := json.Unmarshal(have, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// MostAreRefused fails a test whose cases mostly succeed: a reader that takes
// everything would do well in it.
func MostAreRefused[C any](t *testing.T, cases []C, refused func(C) bool) {
	t.Helper()
	n := 0
	for _, c := range cases {
		if refused(c) {
			n++
		}
	}
	if n*2 <= len(cases) {
		t.Errorf("most cases must be refused: %d of %d are", n, len(cases))
	}
}

// Hex are bytes that stand in a file in hex.
type Hex []byte

// UnmarshalText reads hex.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// MarshalText writes hex.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// Counted returns n bytes that count up from start: fixed input that is easily seen.
func Counted(start byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = start + byte(i)
	}
	return b
}
