package fallback

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// box is a mailbox of a test: it notes what it is asked, and fails when told to.
type box struct {
	mu      sync.Mutex
	fails   int // so many calls fail before one succeeds
	retired bool
	calls   []string
	sent    []frame.Frame
	settles chan error // nil, or where Settle gets its answer; closed: nil
	in      chan []frame.Frame
	closed  bool
}

func (b *box) Send(_ context.Context, frames ...frame.Frame) error {
	var kinds []string
	for _, f := range frames {
		kinds = append(kinds, f.Kind().String())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, "send "+strings.Join(kinds, "+"))
	if b.retired {
		return discovery.ErrRetired
	}
	if b.fails > 0 {
		b.fails--
		return errors.New("no answer")
	}
	b.sent = append(b.sent, frames...)
	return nil
}

func (b *box) Settle(_ context.Context, d discovery.Decision) error {
	what := "settle"
	if d.Over != nil {
		what = "delete"
	}
	b.mu.Lock()
	b.calls = append(b.calls, what)
	b.mu.Unlock()
	if b.settles != nil {
		return <-b.settles
	}
	return nil
}

func (b *box) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case f := <-b.in:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *box) Again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, "again")
}

func (b *box) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

func (*box) String() string { return "box" }

var (
	ann, ben  = frame.Candidate{1}, frame.Candidate{2}
	offer     = frame.New(frame.Offer, frame.Candidate{}, 0, make([]byte, 40))
	handshake = frame.New(frame.Handshake, ann, 0, make([]byte, 40))
	claim     = frame.New(frame.Data, ann, 1, make([]byte, 40))
	other     = frame.New(frame.Data, ben, 1, make([]byte, 40))
)

// carry runs a carrier with one box in a bubble; then may ask for its calls.
func carry(t *testing.T, b *box, f func(c *Carrier)) {
	synctest.Test(t, func(t *testing.T) {
		b.in = make(chan []frame.Frame)
		c := New(Config{Jitter: func() float64 { return 0.5 }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Run(ctx)
		}()
		c.Add(b)
		f(c)
		cancel()
		<-done
		if !b.closed {
			t.Error("the path was not closed at the end")
		}
	})
}

func (b *box) did(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := strings.Join(b.calls, ", "); got != strings.Join(want, ", ") {
		t.Errorf("%s: the path was asked %q, want %q", what, got, want)
	}
	b.calls = nil
}

func TestHandshakeAndClaimGoInOneRequestAndOnce(t *testing.T) {
	b := &box{}
	carry(t, b, func(c *Carrier) {
		v := c.Carry(Load{Frames: []frame.Frame{handshake, claim, other}})
		b.did(t, "a new load", "send handshake+data", "send data")
		if got := <-c.Settled(); got != v {
			t.Errorf("load %d is settled, want %d", got, v)
		}
		c.Carry(Load{Frames: []frame.Frame{handshake, claim, other}})
		b.did(t, "the same load again")
		c.Carry(Load{Frames: []frame.Frame{other}})
		synctest.Wait()
		c.Carry(Load{Frames: []frame.Frame{handshake, other}})
		b.did(t, "what had left the load comes back", "send handshake")
	})
}

func TestFailedSendIsTriedAgainEverMoreSlowly(t *testing.T) {
	b := &box{fails: 3}
	carry(t, b, func(c *Carrier) {
		c.Carry(Load{Frames: []frame.Frame{offer}})
		b.did(t, "at once", "send offer")
		time.Sleep(time.Second) // virtual: 75 + 150 + 300 ms with this jitter
		b.did(t, "within a second", "send offer", "send offer", "send offer")
		time.Sleep(time.Hour)
		b.did(t, "once it has worked")
	})
}

func TestFramesGoBeforeTheDeleteAndADeleteDoesNotWaitForThem(t *testing.T) {
	over := discovery.Decision{Over: &frame.Proof{}}
	b := &box{}
	carry(t, b, func(c *Carrier) {
		c.Carry(Load{Frames: []frame.Frame{claim}, Decision: over})
		b.did(t, "a sealed end precedes the delete", "send data", "delete")
	})
	b = &box{fails: 1 << 30}
	carry(t, b, func(c *Carrier) {
		v := c.Carry(Load{Frames: []frame.Frame{claim}, Decision: over})
		time.Sleep(time.Second)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.calls) < 2 || b.calls[1] != "delete" {
			t.Errorf("where frames can't be sent any more the mailbox is deleted all the same: %q", b.calls)
		}
		if got := <-c.Settled(); got != v {
			t.Error("a deleted mailbox settles the load")
		}
	})
}

func TestFramesDoNotWaitForTheAnswerToADecision(t *testing.T) {
	b := &box{}
	carry(t, b, func(c *Carrier) {
		b.settles = make(chan error)
		pinned := discovery.Decision{Pinned: ann}
		c.Carry(Load{Decision: pinned})
		b.did(t, "a pin", "settle")
		v := c.Carry(Load{Frames: []frame.Frame{claim}, Decision: pinned})
		b.did(t, "a grant while the pin is unanswered", "send data")
		close(b.settles)
		if got := <-c.Settled(); got != v {
			t.Errorf("settled is version %d, want %d", got, v)
		}
		b.did(t, "once it is answered")
	})
}

// TestOfferDoesNotWaitForTheAnswerToTheDecisionBeforeIt: the next receiver would wait a
// round trip for nothing. What becomes of that decision holds nobody up either.
func TestOfferDoesNotWaitForTheAnswerToTheDecisionBeforeIt(t *testing.T) {
	next := frame.New(frame.Offer, frame.Candidate{}, 1, make([]byte, 64))
	for what, late := range map[string]error{"it is taken late": nil, "it fails": errors.New("no answer")} {
		b := &box{}
		carry(t, b, func(c *Carrier) {
			b.settles = make(chan error)
			c.Carry(Load{Frames: []frame.Frame{offer}, Decision: discovery.Decision{Pinned: ann}})
			b.did(t, "a pin", "send offer", "settle")
			c.Carry(Load{Frames: []frame.Frame{offer, next}})
			b.did(t, "the next offer while the pin is unanswered", "send offer")
			c.Carry(Load{Frames: []frame.Frame{offer, next}, Decision: discovery.Decision{Pinned: ben, Epoch: 1}})
			b.did(t, "a pin under that one")
			b.settles <- late
			b.did(t, what+", and the newer one is asked for at once", "settle")
			b.settles <- nil
			time.Sleep(time.Hour)
			b.did(t, "once that is answered")
		})
	}
}

func TestRetiredPathIsNotUsedAgain(t *testing.T) {
	b := &box{retired: true}
	carry(t, b, func(c *Carrier) {
		c.Carry(Load{Frames: []frame.Frame{offer}})
		b.did(t, "at first", "send offer")
		time.Sleep(time.Hour)
		b.did(t, "later")
	})
}

func TestHandshakesComeNoFasterThanTheyMay(t *testing.T) {
	b := &box{}
	carry(t, b, func(c *Carrier) {
		began := time.Now()
		go func() {
			for range 31 {
				b.in <- []frame.Frame{handshake}
			}
		}()
		for range 31 {
			<-c.Arrivals()
		}
		if took := time.Since(began); took < 2*time.Second {
			t.Errorf("31 handshakes came through in %v; 10 a second may, and 10 at once", took)
		}
	})
}

func TestPathThatBringsForgeriesIsGivenUpUnlessItStores(t *testing.T) {
	b := &box{}
	carry(t, b, func(c *Carrier) {
		c.Carry(Load{Frames: []frame.Frame{offer}, Decision: discovery.Decision{Closed: []frame.Frame{frame.Shut(ben)}}})
		b.did(t, "at first", "send offer", "settle")
		for range maxBlame {
			c.Judge(b, Verdict{})
			b.did(t, "a mailbox is not to blame for strangers, but asked and told once more", "again", "settle")
		}
	})
	direct := &box{}
	carry(t, direct, func(c *Carrier) {
		p := struct{ discovery.Path }{direct}
		c.Add(p)
		for range maxBlame {
			c.Judge(p, Verdict{})
		}
		synctest.Wait()
		direct.mu.Lock()
		defer direct.mu.Unlock()
		if !direct.closed {
			t.Error("a direct path that brings nothing genuine is closed")
		}
	})
}

// LAN-01: whoever found a path hears when it brought what the other device alone can have
// said, so that it knows which to keep; and not when it brought what anybody can repeat.
func TestLAN01PathHearsWhenItBroughtSomethingNewOfTheOtherDevices(t *testing.T) {
	b := &box{}
	carry(t, b, func(c *Carrier) {
		p := &weighed{Path: struct{ discovery.Path }{&box{}}}
		c.Add(p)
		for _, v := range []struct {
			Verdict
			bore int64
		}{{Verdict{}, 0}, {Verdict{OK: true}, 0}, {Verdict{OK: true, New: true}, 1}, {Verdict{OK: true}, 1}, {Verdict{New: true}, 2}} {
			c.Judge(p, v.Verdict)
			synctest.Wait()
			if got := p.bore.Load(); got != v.bore {
				t.Errorf("after %+v it has heard of %d, want %d", v.Verdict, got, v.bore)
			}
		}
	})
}

// A weighed path counts what it bore.
type weighed struct {
	discovery.Path
	bore atomic.Int64
}

func (w *weighed) Bore() { w.bore.Add(1) }
