package wire

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestEveryTypeHasStatusTitleAndAStableName(t *testing.T) {
	titles := map[string]bool{}
	for typ, a := range about {
		if a.status < 400 || a.status > 599 || a.title == "" || titles[a.title] {
			t.Errorf("%s: status %d, title %q; want an error's status and a title of its own", typ, a.status, a.title)
		}
		titles[a.title] = true
		if !strings.HasPrefix(string(typ), "urn:sparekey:problem:") {
			t.Errorf("%s: the names of types are part of the protocol and start with urn:sparekey:problem:", typ)
		}
	}
}

func TestAProblemIsReadBackWithItsEvidence(t *testing.T) {
	for _, p := range []*Problem{
		NewProblem(Absent, ""),
		{Type: Gone, Title: "x", Status: 410, Over: &Proof{H: [32]byte{1}, Over: [32]byte{2}}},
		{Type: Closed, Title: "x", Status: 409, Detail: "why", Closing: bytes.Repeat([]byte{7}, 61489)},
	} {
		if got, err := ParseProblem(p.Body()); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%v: got %+v, %v", p, got, err)
		}
	}
}

func TestAProblemOfALaterVersionIsRead(t *testing.T) {
	p, err := ParseProblem([]byte(`{"type":"about:blank","status":418,"instance":"/x","more":[1,2]}`))
	if err != nil || p.Status != 418 || p.Type != "about:blank" {
		t.Errorf("unknown members and types are passed over (RFC 9457, section 3): got %+v, %v", p, err)
	}
}

func TestHalfAProofIsNone(t *testing.T) {
	h := Text(make([]byte, 32))
	for _, b := range []string{
		`{"h":"` + h + `"}`, `{"over":"` + h + `"}`, `{"h":"` + h + `","over":"` + h[1:] + `"}`,
		`{"closing":"*"}`, "[]", "", "x", `{"status":"410"}`, `{"detail":"` + strings.Repeat("a", MaxProblem) + `"}`,
	} {
		if p, err := ParseProblem([]byte(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60s: got %+v, %v; want it refused", b, p, err)
		}
	}
}

func TestAProblemSaysWhatHappened(t *testing.T) {
	if s := NewProblem(Limited, "try again in 3 s").Error(); s != "Too many requests (429): try again in 3 s" {
		t.Errorf("got %q", s)
	}
	if s := NewProblem(Busy, "").Error(); s != "No lane is free (409)" {
		t.Errorf("got %q", s)
	}
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"type":"urn:sparekey:problem:gone","status":410,"h":"AAA","over":"AAA"}`))
	f.Add((&Problem{Type: Closed, Closing: []byte{5}}).Body())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProblem(b)
		if err != nil {
			return
		}
		if again, err := ParseProblem(p.Body()); err == nil && !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v was read back as %+v", p, again)
		}
	})
}
