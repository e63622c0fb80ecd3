package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// TestLateAnswerToAnUnresolvedShareStillCounts: the receiver's word lies at the
// relay when the sender, whose share has come to a halt meanwhile, is resumed.
func TestLateAnswerToAnUnresolvedShareStillCounts(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url, liar.Rule{Place: wire.Claims, Kind: frame.Data, Skip: 1, Do: liar.Hold, Gate: "answer"})
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(p.URL())
	receiver := bob.receive(link)
	answer := hears(t, p, "the answer", func(c liar.Call) bool { return c.Place() == wire.Entry && strings.Contains(c.Path, "/receiver/") })
	if status, err := p.Again(t.Context(), r.url, answer); status != http.StatusNoContent {
		t.Fatalf("the answer is not at the relay: %d, %v", status, err)
	}
	receiver.exits(exitDone)
	sender.kill()
	alice.halted()
	alice.start("resume").exits(exitUnresolved)
	p.Tell()
	p.Open("answer")
	alice.start("resume").exits(exitDone)
	if got := alice.state(); got != "done" {
		t.Errorf("the share stands at %q", got)
	}
}

// halted makes the device's only share one that nobody has answered until the
// grace was up.
func (d *device) halted() {
	d.t.Helper()
	id := d.id()
	a := newApp(d.t, d.home)
	lock, err := a.hold(id)
	if err != nil {
		d.t.Fatal(err)
	}
	r, err := a.device().Load(id)
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := share.UnmarshalSender(r.Machine)
	if err != nil || s.State != share.Granted {
		d.t.Fatalf("the share stands at %s, %v", s.State, err)
	}
	s.State = share.Unresolved
	r.Machine = s.Marshal()
	b, err := r.Encode()
	if err = errors.Join(err, a.vault.Save(id, b), lock.Release()); err != nil {
		d.t.Fatal(err)
	}
}

// TestWhoIsTakenUpOnlyToTellItsEndDoesNotWaitForEver: in a room nobody may come any
// more, and nothing tells that. What lives goes on as long as it lives.
func TestWhoIsTakenUpOnlyToTellItsEndDoesNotWaitForEver(t *testing.T) {
	for _, state := range []share.State{share.Done, share.Cancelled, share.Declined, share.Expired, share.Taken, share.Failed, share.Relinquished, share.Provisioned, share.Unresolved} {
		if patience := patienceWith(state); patience <= 0 || patience > lastTry {
			t.Errorf("a share that is taken up at %s waits for %v", state, patience)
		}
	}
	for _, state := range []share.State{share.Offered, share.Pinned, share.Granted, share.Claimed, share.Provisioning} {
		if patience := patienceWith(state); patience != 0 {
			t.Errorf("a share that lives, at %s, is left after %v", state, patience)
		}
	}
}
