package main

import (
	"fmt"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// handedOver wants a share to end as if nothing had been the matter: received
// once, and known on both sides.
func handedOver(t *testing.T, alice, bob *device, sender, receiver *process) {
	t.Helper()
	receiver.exits(exitDone)
	sender.exits(exitDone)
	if got := bob.got(); got != spare {
		t.Errorf("received %q", got)
	}
	if a, b := alice.state(), bob.state(); a != "done" || b != "done" {
		t.Errorf("the share ends as %q at the sender, %q at the receiver", a, b)
	}
}

// TestLIE07ADamagedFrameIsRefusedAloneAndTheGenuineOneAcceptedAfterIt damages
// each frame of a share once: on its way from the relay, so that the genuine one
// is there still; and before it is stored.
func TestLIE07ADamagedFrameIsRefusedAloneAndTheGenuineOneAcceptedAfterIt(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	damages := []liar.Rule{{Do: liar.Swap}, {Do: liar.SwapHead}, {Do: liar.Truncate, Size: 1}, {Do: liar.Truncate, Size: 250}, {Do: liar.Pad, Size: 1}}
	for what, where := range map[string]liar.Rule{
		"the offer":                          {Place: wire.Mailbox, Kind: frame.Offer},
		"the handshake":                      {Place: wire.Claims, Kind: frame.Handshake},
		"the claim":                          {Place: wire.Claims, Kind: frame.Data},
		"the grant":                          {Place: wire.Lane, Kind: frame.Data},
		"the provisioned":                    {Place: wire.Claims, Kind: frame.Data, Skip: 1},
		"the claim, before it is stored":     {Place: wire.Lane, Way: liar.Up, Kind: frame.Data},
		"the handshake, before it is stored": {Place: wire.Lane, Way: liar.Up, Kind: frame.Handshake},
	} {
		for _, damage := range damages {
			t.Run(fmt.Sprintf("%s %d", what, damage.Do), func(t *testing.T) {
				t.Parallel()
				rule := where
				rule.Do, rule.Size, rule.Times = damage.Do, damage.Size, 1
				p := newLiar(t, r.url, rule)
				alice, bob := newDevice(t), newDevice(t)
				sender, link := alice.share(p.URL())
				handedOver(t, alice, bob, sender, bob.receive(link))
			})
		}
	}
}
