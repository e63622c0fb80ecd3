package node_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/node/share"
)

// watched is a finder that lets a test see what a share says to its finders.
type watched struct {
	discovery.Finder
	mu      sync.Mutex
	meeting discovery.Meeting
}

func (w *watched) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	w.mu.Lock()
	w.meeting = m
	w.mu.Unlock()
	return w.Finder.Find(ctx, m, found)
}

func (w *watched) waits() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.meeting.Waits()
}

// LAN-01: from how long it has waited a device sees that nobody true is at the end of
// its paths. A sender that waits for a receiver waits for nothing else.
func TestLAN01AShareTellsHowLongItHasWaitedForWhatTheOtherDeviceAloneCanGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := pathtest.NewRoom(2 * time.Millisecond)
		sees, looks := &watched{Finder: room}, &watched{Finder: room}
		alice, bob := newParty(t), newParty(t)
		alice.Finders, bob.Finders = []discovery.Finder{sees}, []discovery.Finder{looks}
		alice.Formats, bob.Formats = &puppet{note: alice.note, send: untilStopped}, &puppet{note: bob.note}
		check := func(when string, of *watched, want time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := of.waits().Truncate(time.Second); got != want {
				t.Errorf("%s it has waited %v, want %v", when, got, want)
			}
		}
		room.Shut(true)
		offer := alice.offer("", "the key")
		bob.start(bob.open(offer))
		time.Sleep(5 * time.Second)
		check("without an offer", looks, 5*time.Second)
		alice.start(offer)
		time.Sleep(5 * time.Second)
		check("with an offer alone", sees, 0)
		room.Shut(false)
		bob.previewed()
		check("with the offer", looks, 0)
		room.Cables()[0].Pull()
		room.Shut(true)
		bob.accept()
		time.Sleep(7 * time.Second)
		check("with a claim that has not come", looks, 7*time.Second)
		room.Cables()[0].Break()
		room.Shut(false)
		alice.state(share.Pinned)
		time.Sleep(time.Second)
		check("with a claim that was acknowledged", looks, 0)
		check("while its format takes its time", sees, 0)
		alice.stop()
		bob.stop()
	})
}
