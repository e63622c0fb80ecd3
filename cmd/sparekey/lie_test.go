package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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
	bob.hearsTheEnd()
	if a, b := alice.state(), bob.state(); a != "done" || b != "done" {
		t.Errorf("the share ends as %q at the sender, %q at the receiver", a, b)
	}
}

// hearsTheEnd has a receiver that has received hear that the sender knows: it
// waits only so long by itself.
func (d *device) hearsTheEnd() {
	d.t.Helper()
	for tries := 0; tries < 10 && d.state() == "provisioned"; tries++ {
		d.start("resume").exits(exitDone)
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

// sealedOnce wants that no frame was ever sealed twice: what was sent for one
// place of a log was always the same bytes.
func sealedOnce(t *testing.T, liars ...*liar.Proxy) {
	t.Helper()
	sent := map[string][]byte{}
	for _, p := range liars {
		for _, c := range p.Calls() {
			for _, f := range c.Frames() {
				place := fmt.Sprintf("%v %v %d of the %s", f.Kind(), f.Candidate(), f.Seq(), map[bool]string{true: "sender", false: "receiver"}[strings.Contains(c.Path, "/sender/")])
				if was, ok := sent[place]; ok && !bytes.Equal(was, f) {
					t.Errorf("%s was sealed twice", place)
				}
				sent[place] = f
			}
		}
	}
}

// TestLIE01AForkedRelayCannotMakeASecondPin shows the sender one claim, and
// after a restart a relay that knows only another one.
func TestLIE01AForkedRelayCannotMakeASecondPin(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob, eve := newDevice(t), newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	r.kill()
	one, other := relayOf(t, copyFolder(t, r.dir)), relayOf(t, copyFolder(t, r.dir))
	atOne, atOther := newLiar(t, one.url), newLiar(t, other.url)
	bobs, eves := strings.Replace(link, p.URL(), atOne.URL(), 1), strings.Replace(link, p.URL(), atOther.URL(), 1)
	bob.claims(atOne, one.url, bobs)
	eve.claims(atOther, other.url, eves)

	p.Aim(one.url)
	sender := alice.start("resume")
	sender.comes("share.claimed")
	sender.kill()

	p.Aim(other.url)
	sender = alice.start("resume")
	sender.comes("share.refused") // so the fork is told
	eve.receive(eves).exits(exitTaken)
	sender.kill()

	p.Aim(one.url)
	sender = alice.start("resume")
	handedOver(t, alice, bob, sender, bob.receive(bobs))
	if got := eve.got(); got != "" {
		t.Errorf("the other fork's receiver has %q", got)
	}
	sealedOnce(t, p, atOne, atOther)
}

// TestLIE02ARelayRestoredFromBeforeTheClaimCostsDelayOnly restores it while the
// claim waits for a sender that is off, and while the grant is on its way.
func TestLIE02ARelayRestoredFromBeforeTheClaimCostsDelayOnly(t *testing.T) {
	t.Parallel()
	for _, granted := range []bool{false, true} {
		t.Run(map[bool]string{false: "claimed", true: "granted"}[granted], func(t *testing.T) {
			t.Parallel()
			r := newRelay(t)
			p := newLiar(t, r.url)
			alice, bob := newDevice(t), newDevice(t)
			link := alice.offered(p.URL())
			r.kill()
			before, r := copyFolder(t, r.dir), relayOf(t, r.dir)
			p.Aim(r.url)
			p.Tell(liar.Rule{Place: wire.Lane, Kind: frame.Data, Do: liar.Hold, Gate: "grant"})
			var sender *process
			if granted {
				sender = alice.start("resume")
			}
			receiver := bob.receive(link)
			claim := hears(t, p, "the claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
			if granted {
				sender.comes("share.granted")
			} else if status, err := p.Again(t.Context(), r.url, claim); status != http.StatusOK {
				t.Fatalf("the claim is not at the relay: %d, %v", status, err)
			}
			r.kill()
			p.Aim(relayOf(t, before).url)
			p.Tell()
			heard := len(p.Calls())
			p.Break()
			again := hears(t, p, "the claim once more", func(c liar.Call) bool { heard--; return heard < 0 && c.Place() == wire.Lane })
			if !bytes.Equal(again.Body, claim.Body) {
				t.Error("the claim is sent again with other bytes")
			}
			if !granted {
				sender = alice.start("resume")
			}
			handedOver(t, alice, bob, sender, receiver)
			sealedOnce(t, p)
		})
	}
}

// TestLIE03ARelayThatHandsNothingOnEndsNothing: both sides wait, and go on when
// it does its work again.
func TestLIE03ARelayThatHandsNothingOnEndsNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url, liar.Rule{Place: wire.Claims, Do: liar.Drop}, liar.Rule{Place: wire.Lane, Do: liar.Drop})
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(p.URL())
	receiver := bob.receive(link)
	claim := hears(t, p, "the claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
	if status, err := p.Again(t.Context(), r.url, claim); status != http.StatusOK {
		t.Fatalf("the claim is not at the relay: %d, %v", status, err)
	}
	if a, b := alice.state(), bob.state(); a != "offered" || b != "claimed" {
		t.Errorf("the sender stands at %q, the receiver at %q", a, b)
	}
	p.Tell()
	p.Break()
	handedOver(t, alice, bob, sender, receiver)
	sealedOnce(t, p)
}

// TestLIE04AClaimHeldBackUntilTheTimeIsUpGetsNothing waits for the sender's own
// end. Where the time was up before there was a claim, it gives more time.
func TestLIE04AClaimHeldBackUntilTheTimeIsUpGetsNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for _, life := range []string{"10s", "40s", "160s"} {
		p := newLiar(t, r.url, liar.Rule{Place: wire.Lane, Do: liar.Wait, Gate: "late"})
		alice, bob := newDevice(t), newDevice(t)
		sender, link := alice.share(p.URL(), "--expires", life)
		receiver := bob.receive(link)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-sender.ended
			cancel()
		}()
		if _, err := p.Until(ctx, func(c liar.Call) bool { return c.Place() == wire.Lane }); err != nil {
			continue
		}
		<-ctx.Done()
		sender.exits(exitOver)
		p.Open("late")
		receiver.exits(exitTaken)
		if a, got := alice.state(), bob.got(); a != "expired" || got != "" {
			t.Errorf("the share ends as %q, and %q was received", a, got)
		}
		return
	}
	t.Fatal("no claim came before the time was up")
}

// TestLIE08ADeviceStopsReadingAtItsBounds floods each kind of answer once, and
// wants the share to go on and neither device to have held more than a little.
func TestLIE08ADeviceStopsReadingAtItsBounds(t *testing.T) {
	t.Parallel()
	const most = 160 << 10 // kB of memory that a device ever has: 20 idle, 16 a piece, and Go's slack
	r := newRelay(t)
	large := frame.Append(nil, frame.New(frame.Data, frame.Candidate{7}, 1, make([]byte, 60<<10)))
	for what, where := range map[string]liar.Rule{
		"create": {Method: "PUT", Place: wire.Mailbox}, "view": {Method: "GET", Place: wire.Mailbox}, "claim": {Method: "PUT", Place: wire.Lane},
		"claims": {Place: wire.Claims}, "append": {Place: wire.Entry, Status: 500}, "delete": {Method: "DELETE", Place: wire.Mailbox},
	} {
		for how, flood := range map[string]liar.Rule{
			"1 GB":                   {Do: liar.Flood, Status: 200, Fill: []byte("x"), Size: 1 << 30},
			"an endless problem":     {Do: liar.Flood, Status: 404, Fill: []byte(`{"type":"`)},
			"endless frames":         {Do: liar.Flood, Status: 200, Fill: large},
			"endless heartbeats":     {Do: liar.Flood, Status: 200, Fill: frame.Heartbeat()},
			"a header of a megabyte": {Do: liar.Header, Size: 1 << 20},
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				t.Parallel()
				flood.Method, flood.Place, flood.Times = where.Method, where.Place, 1
				if where.Status != 0 {
					flood.Status = where.Status // a 200 would say that the frame is stored
				}
				p := newLiar(t, r.url, flood)
				alice, bob := newDevice(t), newDevice(t)
				sender, link := alice.share(p.URL())
				receiver := bob.receive(link)
				held := map[string]func() int{"sender": sender.memory(), "receiver": receiver.memory()}
				handedOver(t, alice, bob, sender, receiver)
				for who, peak := range held {
					if kB := peak(); kB > most || kB == 0 {
						t.Errorf("the %s has held %d MB", who, kB>>10)
					}
				}
			})
		}
	}
}

// TestLIE09NoAnswerOfARelayEndsAShare answers everything with one status until
// both devices have asked again and again, and then lets them through.
func TestLIE09NoAnswerOfARelayEndsAShare(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	forged := &wire.Proof{H: [32]byte{1}, Over: [32]byte{2}}
	for what, lie := range map[string]liar.Rule{
		"404 absent": {Type: wire.Absent}, "404": {Status: 404}, "410": {Status: 410}, "410 with a forged proof": {Type: wire.Gone, Over: forged},
		"409 conflict": {Type: wire.Conflict}, "409 closed": {Type: wire.Closed}, "409 busy": {Type: wire.Busy}, "409": {Status: 409},
		"429": {Type: wire.Limited}, "500": {Type: wire.Broken}, "503": {Status: 503}, "204": {Status: 204}, "301": {Status: 301},
		"silence": {Do: liar.Silence},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if lie.Do == 0 {
				lie.Do = liar.Refuse
			}
			p := newLiar(t, r.url, liar.Rule{Place: wire.Lane, Kind: frame.Data, Do: liar.Hold, Gate: "grant"})
			alice, bob := newDevice(t), newDevice(t)
			sender, link := alice.share(p.URL())
			receiver := bob.receive(link)
			sender.comes("share.granted") // a living share, in the middle
			p.Tell(lie)
			p.Open("grant")
			heard := len(p.Calls())
			p.Break()
			for _, who := range []string{"claims or create", "lane or view"} {
				n := heard
				hears(t, p, who, func(c liar.Call) bool {
					n--
					asks := c.Place() == wire.Claims || c.Method == "PUT" && c.Place() == wire.Mailbox
					return n < 0 && asks == (who == "claims or create")
				})
			}
			p.Tell()
			if lie.Do == liar.Silence || lie.Status == 204 {
				// Devices wait for as long as an answer may take, or believe that all is stored, until
				// the connection ends by which they were told so. One that is just being made is missed.
				defer breaksEach(2*time.Second, p)()
			}
			handedOver(t, alice, bob, sender, receiver)
		})
	}
}

// breaksEach breaks what goes through a proxy off, now and each time so much later.
func breaksEach(d time.Duration, p *liar.Proxy) (stop func()) {
	p.Break()
	tick, over, ended := time.NewTicker(d), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.Break()
			case <-over:
				return
			}
		}
	}()
	return func() { close(over); <-ended }
}
