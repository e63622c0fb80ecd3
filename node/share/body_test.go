package share

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise"
)

// TestReasonIsClippedToWholeCharacters: what people say may be of any length, and of any bytes.
func TestReasonIsClippedToWholeCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "abcdef": "abcde", "abcdé": "abcd", "日本": "日",
		"\xff": "\uFFFD", "a\x80\x80b": "a\uFFFDb", "abc\xff": "abc", "\x80\x80\x80\x80\x80\x80": "\uFFFD",
	} {
		if got := clip(in, 5); got != want {
			t.Errorf("%q is clipped to %q, want %q", in, got, want)
		}
	}
}

// TestPreviewBeyondItsBoundsIsRefused, whether it is made or read.
func TestPreviewBeyondItsBoundsIsRefused(t *testing.T) {
	good := Preview{Format: "f", Title: "t", Life: 1, Grace: 1}
	for name, change := range map[string]func(*Preview){
		"no format":         func(p *Preview) { p.Format = "" },
		"a long format":     func(p *Preview) { p.Format = strings.Repeat("f", 65) },
		"a long title":      func(p *Preview) { p.Title = strings.Repeat("t", 121) },
		"a long note":       func(p *Preview) { p.Note = strings.Repeat("n", 241) },
		"a long issuer":     func(p *Preview) { p.Issuer = strings.Repeat("i", 121) },
		"a long factor":     func(p *Preview) { p.Factor = strings.Repeat("p", 17) },
		"a title of bytes":  func(p *Preview) { p.Title = "\xff" },
		"a factor unnormal": func(p *Preview) { p.Factor = "e\u0301" },
		"no life":           func(p *Preview) { p.Life = 0 },
		"a life too long":   func(p *Preview) { p.Life = 604800 },
		"a grace too long":  func(p *Preview) { p.Grace = 1<<32 - 1 },
	} {
		p := good
		change(&p)
		if _, err := p.Encode(); !errors.Is(err, ErrPreview) {
			t.Errorf("%s is made: %v", name, err)
		}
		if _, err := DecodePreview(encode(p)); !errors.Is(err, ErrPreview) {
			t.Errorf("%s is read: %v", name, err)
		}
	}
	asks := good
	asks.Factor = "pin"
	if _, err := asks.Encode(); !errors.Is(err, ErrPreview) {
		t.Errorf("a factor that nobody can prove is asked for: %v", err)
	}
	good.Title = "e\u0301"
	b, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := DecodePreview(b); err != nil || p.Title != "é" {
		t.Errorf("the title comes back as %q: %v", p.Title, err)
	}
}

// TestAShareWithAFactorIsNotClaimed: no factor is known, and without its proof
// the sender would refuse the claim.
func TestAShareWithAFactorIsNotClaimed(t *testing.T) {
	asks := encode(Preview{Format: "f", Life: 3600, Factor: "pin"})
	r := Receiver{State: Viewed, Offer: &noise.Offer{Preview: asks}, Life: life{Left: time.Hour}}
	n, eff := r.Step(Time{}, rand.Reader, Accept{})
	if n.State != Viewed || len(n.Candidates) > 0 || eff.Save {
		t.Errorf("the receiver is %s, with %d candidates; save: %v", n.State, len(n.Candidates), eff.Save)
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(s, err)
	}
	return b
}
