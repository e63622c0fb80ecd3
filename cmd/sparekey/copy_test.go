package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/relay/wire"
)

// copied copies a device's vault, as a backup does.
func (d *device) copied() *device {
	d.t.Helper()
	c := newDevice(d.t)
	if out, err := exec.Command("cp", "-a", d.home, c.home).CombinedOutput(); err != nil {
		d.t.Fatal(err, string(out))
	}
	return c
}

// TestVLT04ACopiedVaultsLiveSharesAreUnresolvedAndTheOriginalGoesOn copies the
// vaults of a sender and of a receiver while their share lives.
func TestVLT04ACopiedVaultsLiveSharesAreUnresolvedAndTheOriginalGoesOn(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	bob.claims(p, r.url, link)
	for who, c := range map[string]*device{"sender": alice.copied(), "receiver": bob.copied()} {
		calls := callsSoFar(t, p)
		if code, out := sparekey(c.home, "list", "--all"); code != exitDone || !strings.Contains(out, "unresolved") || !strings.Contains(out, "copy or a restored backup") {
			t.Errorf("the copied %s: exit %d, %s", who, code, out)
		}
		for range 2 { // opened once more it is the same
			c.start("resume", c.id()).exits(exitUnresolved)
		}
		if made := p.Calls()[calls:]; len(made) != 0 {
			t.Errorf("the copied %s has made calls: %v", who, made)
		}
	}
	sender := alice.start("resume")
	handedOver(t, alice, bob, sender, bob.receive(link))
	sealedOnce(t, p)
	for _, c := range p.Calls() {
		if c.Place() == wire.Offer {
			t.Error("another epoch was opened")
		}
	}
}

// TestACopiedVaultPromisesNothing: an order there tells nobody, and says so; doctor speaks
// of the copy, also once it has been opened, when its shares have come to a halt.
func TestACopiedVaultPromisesNothing(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	alice := newDevice(t)
	alice.offered(p.URL())
	c, calls := alice.copied(), callsSoFar(t, p)
	id := alice.id()
	for _, when := range []string{"at first", "once it is opened"} {
		if _, said := sparekey(c.home, "doctor", "--paths", "relay", "--relay", "http://127.0.0.1:9"); !strings.Contains(said, "a copy or a restored backup") {
			t.Errorf("doctor says %s: %s", when, said)
		}
		code, said := sparekey(c.home, "cancel", id)
		if code != exitUnresolved || !strings.Contains(said, "nobody is told anything from here") || strings.Contains(said, "tells it") {
			t.Errorf("cancel ends %s with %d: %s", when, code, said)
		}
	}
	if made := callsSoFar(t, p) - calls; made != 0 || alice.state() != "offered" {
		t.Errorf("the copy has made %d calls, and alice stands at %q", made, alice.state())
	}
}

// TestAnOrderToAShareThatIsUnresolvedPromisesNoLaterWord: there is nothing to tell.
func TestAnOrderToAShareThatIsUnresolvedPromisesNoLaterWord(t *testing.T) {
	t.Parallel()
	alice, bob := newDevice(t), newDevice(t)
	p := newLiar(t, newRelay(t).url)
	link := alice.offered(p.URL())
	bob.claims(p, p.URL(), link)
	sender := alice.start("resume")
	sender.comes("share.granted")
	sender.kill()
	alice.halted()
	if code, said := sparekey(alice.home, "cancel", alice.id()); code != exitTaken || !strings.Contains(said, "the share stands at unresolved") || strings.Contains(said, "tells it") {
		t.Errorf("cancel ends with %d: %s", code, said)
	}
}
