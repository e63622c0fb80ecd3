package node_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// wire is one end of a path within the process, with an hour between its ends.
type wire struct {
	out, in chan []frame.Frame
}

func (w *wire) Send(ctx context.Context, frames ...frame.Frame) error {
	time.Sleep(time.Hour) // virtual
	select {
	case w.out <- frames:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *wire) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case f := <-w.in:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*wire) Close() error   { return nil }
func (*wire) String() string { return "wire" }

// finder gives one path at once.
type finder struct{ path discovery.Path }

func (f finder) Find(ctx context.Context, _ discovery.Meeting, found func(discovery.Path)) error {
	found(f.path)
	<-ctx.Done()
	return nil
}

// TestShareRunsInABubble: the same devices, in virtual time, over a path with an
// hour's delay each way, in no time at all.
func TestShareRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(chan []frame.Frame), make(chan []frame.Frame)
		alice, bob := newParty(t), newParty(t)
		alice.Finders = []discovery.Finder{finder{&wire{out: a, in: b}}}
		bob.Finders = []discovery.Finder{finder{&wire{out: b, in: a}}}
		began := time.Now()
		offer := alice.offer("", "by slow mail")
		alice.patience, bob.patience = 20*time.Hour, 20*time.Hour
		alice.start(offer)
		bob.start(bob.open(offer))
		bob.previewed()
		bob.accept()
		bob.state(share.Done)
		alice.state(share.Done)
		if took := time.Since(began); bob.note.text != "by slow mail" || took < 5*time.Hour {
			t.Errorf("received %q after %v of virtual time", bob.note.text, took)
		}
		alice.stop()
		bob.stop()
	})
}
