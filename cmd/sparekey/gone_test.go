package main

import (
	"testing"

	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// TestAnEndByOnesOwnWordDoesNotWaitForAMailboxThatIsGone: whoever ends a share
// is told so, and its processes end, though no relay will ever hear of it.
func TestAnEndByOnesOwnWordDoesNotWaitForAMailboxThatIsGone(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for what, gone := range map[string]liar.Rule{"404": {Do: liar.Refuse, Type: wire.Absent}, "410": {Do: liar.Refuse, Status: 410}, "no answer": {Do: liar.Silence}} {
		t.Run("the sender cancels, "+what, func(t *testing.T) {
			t.Parallel()
			p := newLiar(t, r.url)
			alice := newDevice(t)
			sender, _ := alice.share(p.URL())
			hears(t, p, "the claims stream", func(c liar.Call) bool { return c.Place() == wire.Claims })
			p.Tell(gone)
			p.Break()
			cancel := alice.start("cancel", sender.comes("share.offered").ID)
			cancel.exits(exitDone)
			if what != "404" { // then the relay may still hold the offer, and the sender goes on telling it
				sender.kill()
			}
			sender.exit()
			if got := alice.state(); got != "cancelled" {
				t.Errorf("the share stands at %q", got)
			}
		})
		t.Run("the receiver declines, "+what, func(t *testing.T) {
			t.Parallel()
			p := newLiar(t, r.url, liar.Rule{Place: wire.Claims, Do: liar.Drop})
			alice, bob := newDevice(t), newDevice(t)
			receiver := bob.receive(alice.offered(p.URL()))
			hears(t, p, "the claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
			p.Tell(gone)
			p.Break()
			bob.start("decline", bob.id()).exits(exitDone)
			receiver.exits(exitOver)
			if got := bob.state(); got != "declined" {
				t.Errorf("the share stands at %q", got)
			}
		})
		t.Run("the receiver has received, "+what, func(t *testing.T) {
			t.Parallel()
			p := newLiar(t, r.url, liar.Rule{Place: wire.Claims, Skip: 2, Do: liar.Drop})
			alice, bob := newDevice(t), newDevice(t)
			_, link := alice.share(p.URL())
			receiver := bob.receive(link)
			receiver.comes("share.provisioned")
			p.Tell(gone)
			p.Break()
			receiver.exits(exitDone)
			if got := bob.got(); got != spare {
				t.Errorf("received %q", got)
			}
		})
	}
}
