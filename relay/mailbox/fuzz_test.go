package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"unicode"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// answers is a relay whose every answer is the same bytes.
type answers []byte

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(a)), r)
}

// FuzzAnswer gives a device any answer to a view, to an append and on a stream. What
// comes out is frames that could be sent on, or an error that tells a person in
// printable words what is the matter; and a proof is reported only if it is one.
func FuzzAnswer(f *testing.F) {
	offer := frame.New(frame.Offer, frame.Candidate{}, 0, bytes.Repeat([]byte{1}, 100))
	data := frame.New(frame.Data, frame.Candidate{1}, 1, bytes.Repeat([]byte{2}, 100))
	stream := string(frame.Append(frame.Append(nil, offer, data), frame.Frame{}))
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nSparekey-Expires: 60\r\n\r\n" + stream,
		"HTTP/1.1 200 OK\r\n\r\n" + stream[:50],
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x00\x00\x00\x05hello",
		"HTTP/1.1 200 OK\r\n\r\n\xff\xff\xff\xff",
		"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.example/\r\n\r\n",
		"HTTP/1.1 502 Bad Gateway\r\nRetry-After: 5\r\n\r\n<html>\x1b[2J",
	} {
		f.Add([]byte(s))
	}
	for _, p := range []wire.Problem{{Type: wire.Absent, Status: 404}, {Type: wire.Busy, Status: 409}, {Type: wire.Gone, Status: 410, Over: &wire.Proof{H: [32]byte{1}}}} {
		f.Add(fmt.Appendf(nil, "HTTP/1.1 %d x\r\n\r\n%s", p.Status, p.Body()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := newTransport(Config{}, "https://relay.example")
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		tr.client.Transport = answers(b)
		p := &path{t: tr, ctx: t.Context(), m: discovery.Meeting{Report: func(r discovery.Report) {
			if r.Over != nil {
				t.Fatal("a proof is believed that proves nothing")
			}
		}}}
		c := call{method: "GET", path: p.at(wire.Mailbox)}
		frames, err := tr.frames(t.Context(), c)
		told(t, frames, err)
		told(t, nil, tr.do(t.Context(), c))
		if err != nil {
			p.failed(err)
		}
		s, err := tr.stream(t.Context(), c)
		if told(t, nil, err); err != nil {
			return
		}
		defer s.close()
		for err == nil || errors.Is(err, frame.ErrHeartbeat) {
			var g frame.Frame
			if g, err = s.read(); err == nil {
				told(t, []frame.Frame{g}, nil)
			}
		}
		if !errors.Is(err, errEnd) {
			told(t, nil, err)
		}
	})
}

// told wants frames, or an error for a person.
func told(t *testing.T, frames []frame.Frame, err error) {
	for _, f := range frames {
		if again, perr := frame.Parse(f); perr != nil || !bytes.Equal(again, f) {
			t.Fatalf("%x is no frame: %v", f, perr)
		}
	}
	var relay *RelayError
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	if !errors.As(err, &relay) {
		t.Fatalf("%v (%T) says not what is the matter with the relay", err, err)
	}
	for _, r := range relay.Error() {
		if !unicode.IsPrint(r) {
			t.Fatalf("%q would steer a terminal", relay.Error())
		}
	}
}
