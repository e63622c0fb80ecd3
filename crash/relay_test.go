package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A mailbox as the relay's clients see it, with frames that nobody can open.
type mailbox struct {
	t      *testing.T
	base   string
	id     frame.ShareID
	lane   frame.Candidate
	view   [32]byte
	sender [32]byte
	device [32]byte
}

func (m *mailbox) at(place wire.Place) wire.Path {
	return wire.Path{Place: place, ID: m.id, Lane: m.lane}
}

func (m *mailbox) entry(side wire.Side, seq uint64) wire.Path {
	p := m.at(wire.Entry)
	p.Side, p.Seq = side, seq
	return p
}

// ask makes a request. The answer's body may be a stream that goes on.
func (m *mailbox) ask(method string, path wire.Path, token [32]byte, body []byte) *http.Response {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.base+path.String(), bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", wire.Bearer(token))
	if token == m.view {
		req.Header.Set(wire.HeaderClaim, wire.Text(m.device[:]))
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	return res
}

// log reads one side's log, up to the heartbeat that says that this is all.
func (m *mailbox) log(side wire.Side) (all []frame.Frame) {
	m.t.Helper()
	p := m.at(wire.Log)
	p.Side = side
	res := m.ask("GET", p, m.sender, nil)
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return nil
	}
	for r := frame.NewReader(res.Body); ; {
		f, err := r.Read()
		if errors.Is(err, frame.ErrHeartbeat) {
			return all
		}
		if err != nil {
			m.t.Fatal(err)
		}
		all = append(all, f)
	}
}

// relayUp starts a relay with its folder in a world, and returns when it serves.
func relayUp(t *testing.T, w *world) *process {
	t.Helper()
	serving := make(chan struct{})
	p, err := w.start("relay", "sparekey-relay", w.relayArgs(), func(line string) {
		if strings.HasPrefix(line, "sparekey-relay: serving ") {
			close(serving)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-serving:
	case <-p.exited:
		t.Fatalf("the relay ended\n%s", logs(w.dir))
	case <-time.After(time.Minute):
		t.Fatal("the relay doesn't serve")
	}
	return p
}

// TestCRS03RelayKilledTheMomentItHasAnsweredHasWhatItAnswered kills a real relay
// with -9 after each answer, and reads back all that was answered before. (What
// a power cut leaves is held in relay/disk.)
func TestCRS03RelayKilledTheMomentItHasAnsweredHasWhatItAnswered(t *testing.T) {
	w := newWorld(t.Context(), programs, t.TempDir(), nil)
	for _, dir := range []string{"logs", "points", "relay"} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := &mailbox{t: t, base: w.relayURL(), lane: frame.Candidate{1, 2, 3}, view: [32]byte{1}, sender: [32]byte{2}, device: [32]byte{3}}
	preimage := [32]byte{4}
	m.id = frame.ID(preimage)
	offer := frame.New(frame.Offer, frame.Candidate{}, 0, sealed("an offer"))
	hello := []frame.Frame{frame.New(frame.Handshake, m.lane, 0, sealed("a handshake")), frame.New(frame.Data, m.lane, 1, sealed("a claim"))}
	data := func(seq uint64, text string) frame.Frame { return frame.New(frame.Data, m.lane, seq, sealed(text)) }
	create := wire.Create{Preimage: preimage, Offer: offer, View: sha256.Sum256(m.view[:]), Sender: sha256.Sum256(m.sender[:]), Lanes: 4, TTL: time.Hour}
	want := map[wire.Side][]frame.Frame{}
	for _, step := range []struct {
		what   string
		status int
		method string
		path   wire.Path
		token  [32]byte
		body   []byte
		side   wire.Side
		adds   []frame.Frame
	}{
		{"create", 201, "PUT", m.at(wire.Mailbox), m.view, create.Body(), 0, nil},
		{"claim", 200, "PUT", m.at(wire.Lane), m.view, frame.Append(nil, hello...), wire.Receiver, hello},
		{"confirm", 204, "PUT", m.at(wire.Confirm), m.sender, wire.Binding{Lane: m.lane, Claim: sha256.Sum256(m.device[:])}.Body(), 0, nil},
		{"the sender's append", 204, "PUT", m.entry(wire.Sender, 0), m.sender, frame.Append(nil, data(0, "a grant")), wire.Sender, []frame.Frame{data(0, "a grant")}},
		{"the receiver's append", 204, "PUT", m.entry(wire.Receiver, 2), m.device, frame.Append(nil, data(2, "provisioned")), wire.Receiver, []frame.Frame{data(2, "provisioned")}},
	} {
		relay := relayUp(t, w)
		res := m.ask(step.method, step.path, step.token, step.body)
		relay.cmd.Process.Kill() // the answer's head is here
		res.Body.Close()
		<-relay.exited
		if res.StatusCode != step.status {
			t.Fatalf("%s: answered %d", step.what, res.StatusCode)
		}
		want[step.side] = append(want[step.side], step.adds...)
		relay = relayUp(t, w)
		m.holds("after "+step.what, offer, want)
		relay.cmd.Process.Kill()
		<-relay.exited
	}
}

// sealed is what a frame might hold that only the devices can open.
func sealed(text string) []byte { return append([]byte(text), make([]byte, 64)...) }

// holds wants exactly these frames at the relay: nothing lost, nothing half written.
func (m *mailbox) holds(when string, offer frame.Frame, want map[wire.Side][]frame.Frame) {
	m.t.Helper()
	res := m.ask("GET", m.at(wire.Mailbox), m.view, nil)
	got, err := frame.NewReader(res.Body).ReadAll(1)
	res.Body.Close()
	if err != nil || len(got) != 1 || !bytes.Equal(got[0], offer) {
		m.t.Errorf("%s the offer is %x, %v", when, got, err)
	}
	for _, side := range []wire.Side{wire.Sender, wire.Receiver} {
		got := m.log(side)
		if len(got) != len(want[side]) {
			m.t.Fatalf("%s the %v's log has %d frames, want %d", when, side, len(got), len(want[side]))
		}
		for i, f := range got {
			if !bytes.Equal(f, want[side][i]) {
				m.t.Errorf("%s frame %d of the %v is %x", when, i, side, f)
			}
		}
	}
}
