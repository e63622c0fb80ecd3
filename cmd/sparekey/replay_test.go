package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// vault returns a hash over all that a device's vault holds.
func (d *device) vault() string {
	d.t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(filepath.Join(d.home, "shares"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", path, b)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestRPL01NothingOfAFinishedShareHasAnEffectAgain sends every request of a
// finished share again: to the same relay, to a fresh one, and to a fresh device.
func TestRPL01NothingOfAFinishedShareHasAnEffectAgain(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(p.URL())
	handedOver(t, alice, bob, sender, bob.receive(link))
	alices, bobs := alice.vault(), bob.vault()

	replay := func(relay string, but func(liar.Call) bool) {
		t.Helper()
		for _, c := range p.Calls() {
			if but(c) {
				continue
			}
			if status, err := p.Again(t.Context(), relay, c); err != nil || status >= 500 {
				t.Fatalf("%s %s is answered %d, %v", c.Method, c.Path, status, err)
			}
		}
	}
	all := func(liar.Call) bool { return false }
	replay(r.url, all)
	eve := newDevice(t)
	eve.receive(link).exits(exitTaken)

	fresh := newRelay(t)
	atFresh := newLiar(t, fresh.url)
	elsewhere := strings.Replace(link, p.URL(), atFresh.URL(), 1)
	deletes := func(c liar.Call) bool { return c.Method == "DELETE" }
	held := func(c liar.Call) bool { return c.Method == "GET" && strings.Contains(c.Path, "known") } // would only wait
	replay(fresh.url, func(c liar.Call) bool { return deletes(c) || held(c) })
	zoe := newDevice(t)
	receiver := zoe.receive(elsewhere)
	claim := hears(t, atFresh, "a claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
	replay(fresh.url, func(c liar.Call) bool { return deletes(c) || held(c) })
	if got := zoe.state(); got != "claimed" {
		t.Errorf("at a relay that has everything of a finished share again, a fresh device stands at %q", got)
	}
	replay(fresh.url, func(c liar.Call) bool { return c.Method != "DELETE" })
	receiver.exits(exitTaken)
	if len(claim.Frames()) == 0 || eve.got()+zoe.got() != "" {
		t.Errorf("received again: %q, %q", eve.got(), zoe.got())
	}
	for who, d := range map[string]*device{"sender": alice, "receiver": bob} {
		if code, out := sparekey(d.home, "resume"); code != exitNotFound {
			t.Errorf("the %s has something to go on with: %d %s", who, code, out)
		}
	}
	if alice.vault() != alices || bob.vault() != bobs {
		t.Error("a replay has changed a vault")
	}
}

// TestRPL02FramesOfAnotherShareAreRefusedAndTheShareFinishes puts what was
// sealed in share A into share B between the same two people.
func TestRPL02FramesOfAnotherShareAreRefusedAndTheShareFinishes(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(p.URL())
	receiver := bob.receive(link)
	receiver.exits(exitDone)
	sender.exits(exitDone)
	var offer, hello, claim, grant frame.Frame
	for _, c := range p.Calls() {
		for _, f := range c.Frames() {
			switch {
			case f.Kind() == frame.Handshake:
				hello = f
			case c.Place() == wire.Lane && f.Kind() == frame.Data:
				claim = f
			case strings.HasSuffix(c.Path, "/sender/0"):
				grant = f
			}
		}
		if c.Method == "PUT" && c.Place() == wire.Mailbox {
			create, err := wire.ParseCreate(c.Body)
			if err != nil {
				t.Fatal(err)
			}
			offer = create.Offer
		}
	}
	swap := func(place wire.Place, f frame.Frame) liar.Rule {
		return liar.Rule{Place: place, Kind: f.Kind(), Do: liar.Replace, Frames: []frame.Frame{f}, Times: 2}
	}
	p.Tell(swap(wire.Mailbox, offer), swap(wire.Claims, hello), swap(wire.Claims, claim), swap(wire.Lane, grant))
	if err := os.Remove(filepath.Join(bob.out, "got")); err != nil {
		t.Fatal(err)
	}
	sender, link = alice.share(p.URL())
	bob.receive(link).exits(exitDone)
	sender.exits(exitDone)
	if got := bob.got(); got != spare {
		t.Errorf("received %q", got)
	}
}

// TestRPL03AReceiverRestoredFromBeforeItsClaimIsNotServedTwice: its vault
// forgets the claim, once it is served and once before the sender is on.
func TestRPL03AReceiverRestoredFromBeforeItsClaimIsNotServedTwice(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	forget := func(d *device) {
		d.t.Helper()
		files, err := filepath.Glob(filepath.Join(d.home, "shares", "*"))
		if err != nil || len(files) == 0 {
			d.t.Fatalf("%d files, %v", len(files), err)
		}
		for _, f := range files {
			if err := os.RemoveAll(f); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	t.Run("after it was served", func(t *testing.T) {
		t.Parallel()
		alice, bob := newDevice(t), newDevice(t)
		sender, link := alice.share(r.url)
		handedOver(t, alice, bob, sender, bob.receive(link))
		forget(bob)
		bob.start("receive", link, "--yes", "-o", filepath.Join(bob.out, "again")).exits(exitTaken)
		if got := bob.got(); got != spare {
			t.Errorf("received %q", got)
		}
	})
	t.Run("before it was served", func(t *testing.T) {
		t.Parallel()
		p := newLiar(t, r.url)
		alice, bob := newDevice(t), newDevice(t)
		link := alice.offered(p.URL())
		bob.claims(p, r.url, link)
		forget(bob)
		sender := alice.start("resume")
		sender.comes("share.granted")
		again := bob.receive(link)
		again.until("busy", func(e event) bool { return e.Type == "path.trouble" && strings.Contains(e.Message, "busy") })
		if a, got := alice.state(), bob.got(); a != "granted" || got != "" {
			t.Errorf("the sender stands at %q, and %q was received", a, got)
		}
		sealedOnce(t, p)
	})
}

// TestRPL04AClaimThatWasHandedBackAndIsReplayedAloneDoesNothing: the relay
// shows the claim without the word that took it back, to a sender that has seen
// both and was started again. (What is replayed in a later epoch is in node's test.)
func TestRPL04AClaimThatWasHandedBackAndIsReplayedAloneDoesNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob, amy := newDevice(t), newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	lane := bob.claims(p, r.url, link)
	bob.start("relinquish", bob.id()).exit()
	if got := bob.state(); got != "relinquished" {
		t.Fatalf("bob stands at %q", got)
	}
	sender := alice.start("resume")
	sender.comes("share.refused")
	sender.kill()
	var claim liar.Call
	for _, c := range p.Calls() {
		if c.Place() == wire.Lane && c.Method == "PUT" && c.Frames()[0].Candidate() == lane {
			claim = c
		}
	}
	hello, said := claim.Frames()[0], claim.Frames()[1]
	sender = alice.start("resume")
	receiver := amy.receive(link)
	p.Tell(liar.Rule{Place: wire.Claims, Do: liar.Insert, Frames: []frame.Frame{hello, said}})
	p.Break()
	receiver.exits(exitDone)
	sender.exits(exitDone)
	claimed := 0
	for _, e := range sender.events() {
		if e.Type == "share.claimed" {
			claimed++
		}
	}
	if claimed != 1 {
		t.Errorf("%d claims were pinned, want amy's alone\n%s", claimed, sender.said())
	}
	if amy.got() != spare || bob.got() != "" || bob.state() != "relinquished" {
		t.Errorf("amy has %q, bob %q and stands at %q", amy.got(), bob.got(), bob.state())
	}
	sealedOnce(t, p)
}

// id returns the id of the device's only share.
func (d *device) id() string {
	d.t.Helper()
	p := d.start("list", "--all")
	p.exits(exitDone)
	for _, e := range p.events() {
		if e.Type == "share" {
			return e.ID
		}
	}
	d.t.Fatal("there is no share")
	return ""
}
