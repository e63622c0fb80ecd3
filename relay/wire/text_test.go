package wire

import (
	"strings"
	"testing"
)

func TestABearerIsReadInItsOneSpelling(t *testing.T) {
	token := [32]byte{1, 2, 3}
	good := Bearer(token)
	for _, v := range []string{good, "bearer" + strings.TrimPrefix(good, "Bearer"), "BEARER" + strings.TrimPrefix(good, "Bearer")} {
		if got, ok := ParseBearer(v); !ok || got != token {
			t.Errorf("%q must be read", v)
		}
	}
	for _, v := range []string{"", "Bearer", "Bearer ", good + "A", good + "=", good[:len(good)-1], "Basic" + strings.TrimPrefix(good, "Bearer"), good[:len(good)-1] + "\n", " " + good, strings.Replace(good, " ", "  ", 1)} {
		if _, ok := ParseBearer(v); ok {
			t.Errorf("%q must be refused", v)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("AAECAwQFBgcICQoLDA0ODw")
	f.Add("AA\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		if b, ok := ParseBytes(s); ok && Text(b) != s {
			t.Fatalf("%q is a second spelling of %x", s, b)
		}
		if token, ok := ParseBearer(s); ok && !strings.EqualFold(Bearer(token), s) {
			t.Fatalf("%q is a second spelling of a bearer", s)
		}
	})
}
