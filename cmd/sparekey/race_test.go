package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// TestRAC01OfTwoReceiversAtOnceOneHoldsAndTheSenderSawBoth runs 200 races of
// real processes. In 150 of them the relay keeps the sender waiting until both
// claims are there, so that it hears of both at once; the others run free.
func TestRAC01OfTwoReceiversAtOnceOneHoldsAndTheSenderSawBoth(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for i := range 200 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			both := i%4 != 0
			rule := liar.Rule{Place: wire.Claims, Do: liar.Gather, Count: 2}
			if !both {
				rule = liar.Rule{Place: wire.Health, Do: liar.Silence}
			}
			alice, bob, eve := newDevice(t), newDevice(t), newDevice(t)
			sender, link := alice.share(newLiar(t, r.url, rule).URL())
			one, other := bob.receive(link), eve.receive(link)
			codes := [2]int{one.exit(), other.exit()}
			sender.exits(exitDone)
			if codes != [2]int{exitDone, exitTaken} && codes != [2]int{exitTaken, exitDone} {
				t.Fatalf("the receivers end with %v, want one 0 and one 9\n%s\n%s", codes, one.said(), other.said())
			}
			if got := bob.got() + eve.got(); got != spare {
				t.Errorf("the credential is at the two devices as %q", got)
			}
			refused := strings.Contains(sender.said(), `"share.refused"`)
			if both && !refused {
				t.Errorf("the sender heard two and tells of one\n%s", sender.said())
			}
		})
	}
}

// TestRAC02ThePinNeverChanges has the relay show one of two claims to a sender,
// then, after a restart, only the other one.
func TestRAC02ThePinNeverChanges(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for first := range 2 {
		t.Run(fmt.Sprint("claim ", first, " is shown first"), func(t *testing.T) {
			t.Parallel()
			p := newLiar(t, r.url)
			alice := newDevice(t)
			link := alice.offered(p.URL())
			var devices [2]*device
			var lanes [2]frame.Candidate
			for i := range devices {
				devices[i] = newDevice(t)
				lanes[i] = devices[i].claims(p, r.url, link)
			}
			hide := func(lane frame.Candidate) {
				p.Tell(liar.Rule{Place: wire.Claims, Lane: lane, Do: liar.Drop})
			}
			hide(lanes[1-first])
			sender := alice.start("resume")
			sender.comes("share.claimed")
			sender.kill()
			hide(lanes[first])
			sender = alice.start("resume")
			sender.comes("share.refused") // the other claim has come
			sender.kill()
			p.Tell()
			sender = alice.start("resume")
			devices[first].receive(link).exits(exitDone)
			devices[1-first].receive(link).exits(exitTaken)
			sender.exits(exitDone)
			if devices[first].got() != spare || devices[1-first].got() != "" {
				t.Errorf("received %q and %q", devices[first].got(), devices[1-first].got())
			}
		})
	}
}

// claims has a device claim, and kills it once the relay has the claim: it
// returns the candidate.
func (d *device) claims(p *liar.Proxy, relay, link string) frame.Candidate {
	d.t.Helper()
	had := len(p.Calls())
	receiver := d.receive(link)
	call := hears(d.t, p, "a claim", func(c liar.Call) bool {
		if had > 0 {
			had--
			return false
		}
		return c.Place() == wire.Lane
	})
	if status, err := p.Again(d.t.Context(), relay, call); err != nil || status != http.StatusOK {
		d.t.Fatalf("the relay has not taken the claim: %d, %v", status, err)
	}
	receiver.kill()
	return call.Frames()[0].Candidate()
}

// TestRAC03JunkInEveryLaneIsFreedAndTheTrueReceiverServed: a link holder fills
// all lanes, and again once they are freed.
func TestRAC03JunkInEveryLaneIsFreedAndTheTrueReceiverServed(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	text := alice.offered(p.URL())
	l, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	thief := newThief(t, r.url, l)
	if n := thief.fill(); n != 4 {
		t.Fatalf("%d lanes could be filled, want 4", n)
	}
	receiver := bob.receive(text)
	receiver.until("busy", func(e event) bool { return e.Type == "path.trouble" && strings.Contains(e.Message, "busy") })
	sender := alice.start("resume")
	for freed := map[string]bool{}; len(freed) < 4; {
		c := hears(t, p, "a lane being freed", func(c liar.Call) bool { return c.Place() == wire.Lane && c.Method == "DELETE" && !freed[c.Path] })
		<-c.Over
		freed[c.Path] = true
	}
	thief.fill() // but for the lane that the true receiver may have by now
	receiver.exits(exitDone)
	sender.exits(exitDone)
	if got := bob.got(); got != spare {
		t.Errorf("received %q", got)
	}
}

// A thief has the link, and fills lanes with what doesn't open.
type thief struct {
	t     *testing.T
	relay string
	link  link.Link
	junk  [4]frame.Frame
}

func newThief(t *testing.T, relay string, l link.Link) *thief {
	h := &thief{t: t, relay: relay, link: l}
	for i := range h.junk {
		sealed := make([]byte, 1200)
		rand.Read(sealed)
		h.junk[i] = frame.New(frame.Handshake, frame.Candidate{byte(i + 1)}, 0, sealed)
	}
	return h
}

// claim asks for a lane and returns the status.
func (h *thief) claim(f frame.Frame) int {
	h.t.Helper()
	path := wire.Path{Place: wire.Lane, ID: h.link.ID, Lane: f.Candidate()}
	req, err := http.NewRequestWithContext(h.t.Context(), "PUT", h.relay+path.String(), bytes.NewReader(frame.Append(nil, f)))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", wire.Bearer(h.link.Keys().View))
	req.Header.Set(wire.HeaderClaim, wire.Text(make([]byte, 32)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// fill fills as many lanes as it is let.
func (h *thief) fill() (filled int) {
	h.t.Helper()
	for _, f := range h.junk {
		if h.claim(f) == http.StatusOK {
			filled++
		}
	}
	return filled
}

// TestRAC04ACancelAndAClaimThatCrossEndAlikeOnBothSides: for every order of
// arrival both devices name the same end. The relay holds something back until
// the cancel is on its way.
func TestRAC04ACancelAndAClaimThatCrossEndAlikeOnBothSides(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	early := func(_, _ *process) {}
	for _, c := range []struct {
		order string
		held  liar.Rule
		until func(sender, receiver *process) // before the cancel
		ends  []string                        // sender's and receiver's
	}{
		{"the cancel reaches the relay before the claim", liar.Rule{Place: wire.Lane, Do: liar.Wait, Gate: "go"}, early, []string{"cancelled taken"}},
		{"the claim is stored, and the sender hasn't heard of it", liar.Rule{Place: wire.Claims, Kind: frame.Handshake, Do: liar.Hold, Gate: "go"}, early, []string{"cancelled taken"}},
		{"the credential has left, and the receiver doesn't have it", liar.Rule{Place: wire.Lane, Kind: frame.Data, Do: liar.Hold, Gate: "go"},
			func(sender, _ *process) { sender.comes("share.granted") }, []string{"cancelled cancelled", "done done"}},
		{"the credential is received, and the sender doesn't know", liar.Rule{Place: wire.Claims, Kind: frame.Data, Skip: 1, Do: liar.Hold, Gate: "go"},
			func(_, receiver *process) { receiver.comes("share.provisioned") }, []string{"done done"}},
	} {
		t.Run(c.order, func(t *testing.T) {
			t.Parallel()
			p := newLiar(t, r.url, c.held)
			alice, bob := newDevice(t), newDevice(t)
			sender, link := alice.share(p.URL())
			receiver := bob.receive(link)
			hears(t, p, "the claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
			c.until(sender, receiver)
			order := alice.start("cancel", sender.comes("share.offered").ID)
			hears(t, p, "the delete or the recall", func(c liar.Call) bool {
				return c.Method == "DELETE" && c.Place() == wire.Mailbox || c.Place() == wire.Entry && strings.HasSuffix(c.Path, "/sender/1")
			})
			p.Open("go")
			order.exit()
			sender.exit()
			receiver.exit()
			bob.hearsTheEnd()
			if ends := alice.state() + " " + bob.state(); !slices.Contains(c.ends, ends) {
				t.Errorf("sender and receiver end as %q, want one of %q\n%s\n%s", ends, c.ends, sender.said(), receiver.said())
			}
		})
	}
}
