package mailbox

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/relaytest"
	"github.com/sparekey/sparekey/relay/wire"
)

// patience is how long anything may take before a test calls it stuck.
const patience = time.Minute

func lying(t *testing.T, rules ...liar.Rule) *liar.Proxy {
	t.Helper()
	p, err := liar.Start(relaytest.Start(t), 1, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// comes receives until a piece with that very frame has come, and calls wrong
// for each piece without it.
func comes(t *testing.T, p discovery.Mailbox, want frame.Frame, wrong func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		piece, err := p.Receive(ctx)
		if err != nil {
			t.Fatalf("a genuine %v has not come: %v", want.Kind(), err)
		}
		for _, f := range piece {
			if bytes.Equal(f, want) {
				return
			}
		}
		wrong()
	}
}

// TestWhatCameDamagedIsGivenOnceMore is a part of LIE-07: Again asks for
// everything once more, on the same path, whichever stream it came by.
func TestWhatCameDamagedIsGivenOnceMore(t *testing.T) {
	c := frame.Candidate{7}
	hello, claim, grant := random(frame.Handshake, c, 0), random(frame.Data, c, 1), random(frame.Data, c, 0)
	p := lying(t,
		liar.Rule{Kind: frame.Offer, Do: liar.Swap, Times: 2},
		liar.Rule{Kind: frame.Handshake, Do: liar.Swap, Times: 2},
		liar.Rule{Place: wire.Lane, Kind: frame.Data, Do: liar.Swap, Times: 2})
	r := newRig(t)
	sender, _ := r.find(t, p.URL(), discovery.Sender)
	receiver, _ := r.find(t, p.URL(), discovery.Receiver)
	if err := sender.Send(t.Context(), r.offer); err != nil {
		t.Fatal(err)
	}
	damaged := map[string]int{}
	again := func(what string, m discovery.Mailbox) func() { return func() { damaged[what]++; m.Again() } }
	comes(t, receiver, r.offer, again("offer", receiver))
	if err := receiver.Send(t.Context(), hello, claim); err != nil {
		t.Fatal(err)
	}
	comes(t, sender, hello, again("handshake", sender))
	if err := sender.Send(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	comes(t, receiver, grant, again("grant", receiver))
	for _, what := range []string{"offer", "handshake", "grant"} {
		if damaged[what] < 2 {
			t.Errorf("the %s was damaged twice and came damaged %d times", what, damaged[what])
		}
	}
}

// TestAClaimWithoutItsHandshakeIsAskedForAgainUnasked: a relay gives a lane's
// handshake first; where the path brings none, it has been lost on the way.
func TestAClaimWithoutItsHandshakeIsAskedForAgainUnasked(t *testing.T) {
	c := frame.Candidate{7}
	hello := random(frame.Handshake, c, 0)
	p := lying(t, liar.Rule{Kind: frame.Handshake, Do: liar.Drop, Times: 1})
	r := newRig(t)
	sender, _ := r.find(t, p.URL(), discovery.Sender)
	receiver, _ := r.find(t, p.URL(), discovery.Receiver)
	if err := sender.Send(t.Context(), r.offer); err != nil {
		t.Fatal(err)
	}
	if err := receiver.Send(t.Context(), hello, random(frame.Data, c, 1)); err != nil {
		t.Fatal(err)
	}
	comes(t, sender, hello, func() {})
}

// TestALaneThatIsFilledAgainIsClosedAgain: who fills a lane anew after it was freed
// doesn't keep it. Nor does who was refused and comes back once its own closing frame
// is forgotten: a relay keeps only so many.
func TestALaneThatIsFilledAgainIsClosedAgain(t *testing.T) {
	c := frame.Candidate{7}
	shut, taken := frame.Shut(c), random(frame.Taken, c, 0)
	for name, closings := range map[string]func(turn int) []frame.Frame{
		"freed": func(int) []frame.Frame { return []frame.Frame{shut} },
		"refused": func(turn int) []frame.Frame {
			closed := []frame.Frame{taken}
			for i := range relay.MaxClosings { // these push it out
				closed = append(closed, random(frame.Taken, frame.Candidate{byte(turn + 1), byte(i)}, 0))
			}
			return closed
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := lying(t)
			r := newRig(t)
			sender, _ := r.find(t, p.URL(), discovery.Sender)
			if err := sender.Send(t.Context(), r.offer); err != nil {
				t.Fatal(err)
			}
			for turn := range 3 {
				again, _ := r.find(t, p.URL(), discovery.Receiver)
				hello := random(frame.Handshake, c, 0)
				if err := again.Send(t.Context(), hello); err != nil {
					t.Fatal("turn", turn, err)
				}
				comes(t, sender, hello, func() {})
				if err := sender.Settle(t.Context(), discovery.Decision{Closed: closings(turn)}); err != nil {
					t.Fatal("turn", turn, err)
				}
				again.Close() // its next try would fill the lane again
			}
		})
	}
}

// TestADeleteIsNotCutOffByTheStreamsItEnds: the relay ends the claims stream
// when it deletes, sooner than it answers.
func TestADeleteIsNotCutOffByTheStreamsItEnds(t *testing.T) {
	p := lying(t, liar.Rule{Method: "DELETE", Do: liar.Late, Gate: "deleted"})
	r := newRig(t)
	sender, _ := r.find(t, p.URL(), discovery.Sender)
	if err := sender.Send(t.Context(), r.offer); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	claims, err := p.Until(ctx, func(c liar.Call) bool { return c.Place() == wire.Claims })
	if err != nil {
		t.Fatal(err)
	}
	settled := make(chan error, 1)
	go func() { settled <- sender.Settle(ctx, discovery.Decision{Over: &r.proof}) }()
	select {
	case <-claims.Over:
	case <-ctx.Done():
		t.Fatal("the claims stream goes on after the delete")
	}
	select {
	case err = <-settled: // cut off, if it is here before its answer
	case <-time.After(200 * time.Millisecond): // only how long a fault has to show itself
		p.Open("deleted")
		err = <-settled
	}
	if err != nil {
		t.Errorf("the delete: %v", err)
	}
}

// TestARelayThatOnlyBeatsIsLeft: heartbeats without end and without a pause are
// no stream (LIE-08).
func TestARelayThatOnlyBeatsIsLeft(t *testing.T) {
	p := lying(t, liar.Rule{Place: wire.Claims, Do: liar.Flood, Status: 200, Fill: frame.Heartbeat()})
	r := newRig(t)
	sender, reports := r.find(t, p.URL(), discovery.Sender)
	if err := sender.Send(t.Context(), r.offer); err != nil {
		t.Fatal(err)
	}
	for {
		rep := await(t, reports, discovery.Failing)
		var e *RelayError
		if errors.As(rep.Err, &e) && e.Fault == Garbage {
			return
		}
	}
}
