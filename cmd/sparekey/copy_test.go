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
