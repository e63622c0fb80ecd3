package liar_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/relaytest"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take before a test calls it stuck.
const patience = time.Minute

// A rig is a relay with a liar in front of it, and one mailbox there.
type rig struct {
	t            *testing.T
	relay        string
	liar         *liar.Proxy
	client       *http.Client
	id           [16]byte
	create       []byte
	view, sender [32]byte
}

func newRig(t *testing.T, rules ...liar.Rule) *rig {
	t.Helper()
	r := &rig{t: t, relay: relaytest.Start(t)}
	p, err := liar.Start(r.relay, 1, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	r.liar = p
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	r.client = &http.Client{
		Transport:     &http.Transport{Protocols: &h2},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(r.client.CloseIdleConnections)
	rand.Read(r.view[:])
	rand.Read(r.sender[:])
	h, over := [32]byte{1}, [32]byte{2}
	c := frame.Preimage(h, sha256.Sum256(over[:]))
	r.id = frame.ID(c)
	r.create = wire.Create{Preimage: c, Offer: sealed(frame.Offer, frame.Candidate{}, 0), View: sha256.Sum256(r.view[:]), Sender: sha256.Sum256(r.sender[:]), Lanes: 4, TTL: time.Hour}.Body()
	return r
}

// sealed returns a frame whose sealed part says its number 100 times.
func sealed(k frame.Kind, c frame.Candidate, seq uint64) frame.Frame {
	return frame.New(k, c, seq, bytes.Repeat([]byte{byte('a' + seq)}, 100))
}

// call makes a request by way of the liar and returns its status and at most so
// many bytes of its body; 0: all.
func (r *rig) call(method string, p wire.Path, body []byte, bearer, claim [32]byte, limit int64) (int, []byte) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.liar.URL()+p.String(), bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", wire.Bearer(bearer))
	if claim != ([32]byte{}) {
		req.Header.Set(wire.HeaderClaim, wire.Text(claim[:]))
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	in := io.Reader(res.Body)
	if limit > 0 {
		in = io.LimitReader(in, limit)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, b
}

var (
	lane  = frame.Candidate{7}
	claim = [32]byte{9}
)

// made makes the mailbox and a lane with a handshake and two data frames.
func (r *rig) made() {
	r.t.Helper()
	if status, _ := r.call("PUT", wire.Path{Place: wire.Mailbox, ID: r.id}, r.create, r.sender, [32]byte{}, 0); status != 201 {
		r.t.Fatalf("create: status %d", status)
	}
	r.claim(lane)
}

func (r *rig) claim(c frame.Candidate) {
	r.t.Helper()
	body := frame.Append(nil, sealed(frame.Handshake, c, 0), sealed(frame.Data, c, 1), sealed(frame.Data, c, 2))
	if status, _ := r.call("PUT", wire.Path{Place: wire.Lane, ID: r.id, Lane: c}, body, r.view, claim, 4); status != 200 {
		r.t.Fatalf("claim: status %d", status)
	}
}

// claims reads the claims stream up to its first heartbeat: "h1 d1 d2" are a
// handshake and data, ! one that isn't as it was written.
func (r *rig) claims() string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", r.liar.URL()+wire.Path{Place: wire.Claims, ID: r.id}.String(), nil)
	req.Header.Set("Authorization", wire.Bearer(r.sender))
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	in := frame.NewReader(res.Body)
	var got []string
	for {
		f, err := in.Read()
		switch {
		case errors.Is(err, frame.ErrHeartbeat):
			return strings.Join(got, " ")
		case err != nil:
			return strings.Join(append(got, "broken"), " ")
		}
		name := f.Kind().String()[:1] + string('0'+rune(f.Seq()%10))
		if !bytes.Equal(f, sealed(f.Kind(), f.Candidate(), f.Seq())) {
			name += "!"
		}
		got = append(got, name)
	}
}

func TestLiesAboutFrames(t *testing.T) {
	of := func(r liar.Rule) liar.Rule { r.Place = wire.Claims; return r }
	for _, c := range []struct {
		what string
		rule liar.Rule
		want string
	}{
		{"the truth", liar.Rule{Place: wire.Health, Do: liar.Silence}, "h0 d1 d2"},
		{"drop", of(liar.Rule{Do: liar.Drop, Kind: frame.Handshake}), "d1 d2"},
		{"drop once", of(liar.Rule{Do: liar.Drop, Kind: frame.Data, Times: 1}), "h0 d2"},
		{"drop the second", of(liar.Rule{Do: liar.Drop, Kind: frame.Data, Skip: 1}), "h0 d1"},
		{"repeat", of(liar.Rule{Do: liar.Repeat, Kind: frame.Data, Count: 2}), "h0 d1 d1 d2 d2"},
		{"reorder", of(liar.Rule{Do: liar.Reorder, Kind: frame.Handshake}), "d1 h0 d2"},
		{"swap", of(liar.Rule{Do: liar.Swap, Kind: frame.Data, Times: 1}), "h0 d1! d2"},
		{"truncate", of(liar.Rule{Do: liar.Truncate, Size: 1, Kind: frame.Data, Times: 1}), "h0 d1! d2"},
		{"truncate to less than a frame", of(liar.Rule{Do: liar.Truncate, Size: 110, Kind: frame.Data, Times: 1}), "h0 broken"},
		{"pad", of(liar.Rule{Do: liar.Pad, Size: 5, Kind: frame.Data, Times: 1}), "h0 d1! d2"},
		{"of one candidate", of(liar.Rule{Do: liar.Drop, Lane: frame.Candidate{8}}), "h0 d1 d2"},
		{"split", of(liar.Rule{Do: liar.Split, Kind: frame.Handshake}), "h0"},
		{"insert", of(liar.Rule{Do: liar.Insert, Kind: frame.Handshake, Frames: []frame.Frame{sealed(frame.Data, lane, 9)}}), "d9 h0 d1 d2"},
		{"replace", of(liar.Rule{Do: liar.Replace, Kind: frame.Handshake, Frames: []frame.Frame{sealed(frame.Data, lane, 9)}}), "h0! d1 d2"},
		{"of requests", liar.Rule{Place: wire.Lane, Way: liar.Up, Do: liar.Swap, Kind: frame.Data, Times: 1}, "h0 d1! d2"},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newRig(t, c.rule)
			r.made()
			if got := r.claims(); got != c.want {
				t.Errorf("the sender reads %q, want %q", got, c.want)
			}
		})
	}
}

func TestLiesAboutCalls(t *testing.T) {
	view := func(r *rig) (int, []byte) {
		return r.call("GET", wire.Path{Place: wire.Mailbox, ID: r.id}, nil, r.view, [32]byte{}, 1<<20)
	}
	for _, c := range []struct {
		what   string
		rule   liar.Rule
		status int
		size   int
	}{
		{"a problem", liar.Rule{Do: liar.Refuse, Type: wire.Busy}, 409, len(wire.NewProblem(wire.Busy, "").Body())},
		{"a bare status", liar.Rule{Do: liar.Refuse, Status: 410}, 410, 0},
		{"a redirect", liar.Rule{Do: liar.Redirect, To: "http://127.0.0.1:1/"}, 307, 0},
		{"a flood", liar.Rule{Do: liar.Flood, Status: 200, Fill: []byte("x"), Size: 300_000}, 200, 300_000},
		{"an endless flood", liar.Rule{Do: liar.Flood, Status: 404, Fill: []byte("x")}, 404, 1 << 20},
		{"a long header", liar.Rule{Do: liar.Header, Size: 100_000}, 200, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.rule.Place, c.rule.Method = wire.Mailbox, "GET"
			r := newRig(t, c.rule)
			r.made()
			if status, body := view(r); status != c.status || len(body) != c.size {
				t.Errorf("status %d with %d bytes, want %d with %d", status, len(body), c.status, c.size)
			}
		})
	}
}

func TestGatheredFramesComeInOnePieceOnceEnoughCandidatesAreThere(t *testing.T) {
	r := newRig(t, liar.Rule{Place: wire.Claims, Do: liar.Gather, Count: 2})
	r.made()
	read := make(chan string, 1)
	go func() { read <- r.claims() }()
	if _, err := r.liar.Until(t.Context(), func(c liar.Call) bool { return c.Place() == wire.Claims }); err != nil {
		t.Fatal(err)
	}
	r.claim(frame.Candidate{8})
	if got := <-read; got != "h0 d1 d2 h0 d1 d2" {
		t.Errorf("the sender reads %q in one piece", got)
	}
}

func TestHeldCallsAndFramesGoOnWhenTheirGateOpens(t *testing.T) {
	r := newRig(t, liar.Rule{Place: wire.Claims, Do: liar.Wait, Gate: "call"}, liar.Rule{Place: wire.Claims, Do: liar.Hold, Gate: "frame"})
	r.made()
	read := make(chan string, 1)
	go func() { read <- r.claims() }()
	if _, err := r.liar.Until(t.Context(), func(c liar.Call) bool { return c.Place() == wire.Claims }); err != nil {
		t.Fatal(err)
	}
	r.claim(frame.Candidate{8}) // reaches the relay before the call that is held
	r.liar.Open("call")
	select {
	case got := <-read:
		t.Errorf("the sender reads %q while its first frame is held", got)
	default:
	}
	r.liar.Open("frame")
	if got := <-read; got != "h0 d1 d2 h0 d1 d2" {
		t.Errorf("the sender reads %q", got)
	}
}

func TestALateAnswerIsHeldThoughTheRelayHasActed(t *testing.T) {
	r := newRig(t, liar.Rule{Method: "PUT", Place: wire.Mailbox, Do: liar.Late, Gate: "answer"})
	answered := make(chan int, 1)
	go func() {
		status, _ := r.call("PUT", wire.Path{Place: wire.Mailbox, ID: r.id}, r.create, r.sender, [32]byte{}, 0)
		answered <- status
	}()
	view := wire.Path{Place: wire.Mailbox, ID: r.id}
	for began := time.Now(); ; {
		if status, _ := r.call("GET", view, nil, r.view, [32]byte{}, 0); status == 200 {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("the relay has not acted")
		}
	}
	select {
	case <-answered:
		t.Error("the create is answered before its gate is open")
	default:
	}
	r.liar.Open("answer")
	if status := <-answered; status != 201 {
		t.Errorf("status %d", status)
	}
}

func TestRecordedCallsAreMadeAgainAtAnotherRelay(t *testing.T) {
	r := newRig(t)
	r.made()
	fresh := relaytest.Start(t)
	var got []int
	for _, c := range r.liar.Calls() {
		status, err := r.liar.Again(t.Context(), fresh, c)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	if !slices.Equal(got, []int{201, 200}) {
		t.Errorf("a fresh relay answers %v, want 201 to the create and 200 to the claim", got)
	}
	r.liar.Aim(fresh)
	if got := r.claims(); got != "h0 d1 d2" {
		t.Errorf("aimed at the other relay the sender reads %q", got)
	}
	if !bytes.Contains(r.liar.Wire(), sealed(frame.Data, lane, 1)) {
		t.Error("the wire's record lacks a frame that went over it")
	}
}

func TestBreakCutsStreams(t *testing.T) {
	r := newRig(t)
	r.made()
	ended := make(chan []byte, 1)
	go func() {
		req, _ := http.NewRequest("GET", r.liar.URL()+wire.Path{Place: wire.Claims, ID: r.id}.String(), nil)
		req.Header.Set("Authorization", wire.Bearer(r.sender))
		res, err := r.client.Do(req)
		if err == nil {
			b, _ := io.ReadAll(res.Body)
			res.Body.Close()
			ended <- b
		}
		close(ended)
	}()
	if _, err := r.liar.Until(t.Context(), func(c liar.Call) bool { return c.Place() == wire.Claims }); err != nil {
		t.Fatal(err)
	}
	r.liar.Break()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the stream goes on")
	}
}

func TestQuietComesOnceCallsAndConnectionsHaveEnded(t *testing.T) {
	r := newRig(t, liar.Rule{Method: "PUT", Place: wire.Mailbox, Do: liar.Wait, Gate: "create"})
	answered := make(chan int, 1)
	go func() {
		status, _ := r.call("PUT", wire.Path{Place: wire.Mailbox, ID: r.id}, r.create, r.sender, [32]byte{}, 0)
		answered <- status
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.liar.Until(ctx, func(liar.Call) bool { return true }); err != nil {
		t.Fatal(err)
	}
	over, stop := context.WithCancel(ctx)
	stop()
	if err := r.liar.Quiet(over); err == nil {
		t.Error("it is quiet while a call goes on")
	}
	r.liar.Open("create")
	<-answered
	r.liar.Break()
	if err := r.liar.Quiet(ctx); err != nil {
		t.Error("it isn't quiet though nobody is there:", err)
	}
}
