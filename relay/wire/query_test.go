package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestNumbersOfAQueryAreDigitsWithinBounds(t *testing.T) {
	for raw, want := range map[string]error{
		"":                                 nil,
		"wait=0":                           nil,
		"wait=120":                         nil,
		"from=9007199254740991":            nil,
		"known=3&wait=5":                   nil,
		"wait=121":                         ErrOutOfRange,
		"wait=18446744073709551617":        ErrOutOfRange, // 2^64 + 1 must not become 1
		"from=9007199254740992":            ErrOutOfRange,
		"from=" + strings.Repeat("9", 100): ErrOutOfRange,
		"from=" + strings.Repeat("9", 200): ErrMalformed,
		"from=-1":                          ErrMalformed,
		"from=":                            ErrMalformed,
		"from":                             ErrMalformed,
		"from=1.5":                         ErrMalformed,
		"from=1e3":                         ErrMalformed,
		"from=+1":                          ErrMalformed,
		"from=%31":                         ErrMalformed,
		"from=01":                          ErrMalformed,
		"from=0x1":                         ErrMalformed,
		"from=one":                         ErrMalformed,
		"from=1&from=1":                    ErrMalformed,
		"&":                                ErrMalformed,
		"from=1&":                          ErrMalformed,
		"after=1":                          ErrMalformed, // not among those allowed
		"From=1":                           ErrMalformed,
	} {
		_, err := ParseQuery(raw, From, Known, Wait)
		if !errors.Is(err, want) {
			t.Errorf("?%s: got error %v, want %v", raw, err, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("from=1&after=2&known=3&wait=4")
	f.Add("wait=18446744073709551616")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParseQuery(raw, From, After, Known, Wait)
		if err != nil {
			return
		}
		again, err := ParseQuery(strings.TrimPrefix(q.String(), "?"), From, After, Known, Wait)
		if err != nil || again.String() != q.String() || len(q.String()) > len(raw)+1 {
			t.Fatalf("%q was read as %q, and that as %q, %v", raw, q, again, err)
		}
	})
}
