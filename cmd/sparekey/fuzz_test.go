package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzOrder: a line from another terminal is an order that is known and says the
// same when it is written again, or none.
func FuzzOrder(f *testing.F) {
	for _, o := range []order{{"cancel", ""}, {"decline", "not mine"}, {"relinquish", ""}} {
		b, err := json.Marshal(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(b, '\n'))
	}
	for _, s := range []string{"", "null", `{"do":"cancel","do":"decline"}`, `{"do":"eat"}`, `{"do":1}`, `{"do":"cancel"}{}`, `{"DO":"cancel"}`, `{"do":"cancel","reason":null}`, `["cancel"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		o, ok := parseOrder(line)
		if !ok {
			return
		}
		if o.event() == nil {
			t.Fatalf("%q is taken for %+v, which is no order", line, o)
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if again, ok := parseOrder(b); !ok || again != o {
			t.Fatalf("%+v comes back as %+v", o, again)
		}
	})
}

// FuzzEvent: whatever a title, a reason or a label says, --json prints one object on
// one line, and the text comes back from it.
func FuzzEvent(f *testing.F) {
	for _, s := range []string{"Back door", "two\nlines", "\x1b[2J", "\u2028", "\xff\xfe", `"}{"type":"result"}`, "日本", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		o := &output{stdout: &out, json: true}
		o.emit(event{Type: "share", Title: text, Reason: text, Peer: text, Message: text})
		line, ok := strings.CutSuffix(out.String(), "\n")
		if !ok || strings.ContainsAny(line, "\n\r\x1b") {
			t.Fatalf("%q is not one line", out.String())
		}
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != "share" || e.Schema != schema {
			t.Fatalf("%q: %v", line, err)
		}
		if utf8.ValidString(text) && (e.Title != text || e.Reason != text || e.Peer != text || e.Message != text) {
			t.Fatalf("%q comes back as %q", text, e.Title)
		}
	})
}
