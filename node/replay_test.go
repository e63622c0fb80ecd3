package node_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/relaytest"
	relaywire "github.com/sparekey/sparekey/relay/wire"
)

// slow is a format whose first answer waits until it is let: a sender that
// calls an issuer.
type slow struct {
	*note
	let chan struct{}
}

func (s *slow) Send(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	select {
	case <-s.let:
	case <-ctx.Done():
		return credential.Answer{}, ctx.Err()
	}
	return s.note.Send(ctx, t)
}

func (s *slow) Lookup(name string) (credential.Format, error) {
	_, err := s.note.Lookup(name)
	return s, err
}

// A handback is a share at a relay behind a liar: bob's claim is pinned, he hands it
// back, and amy gets it.
type handback struct {
	t               *testing.T
	relay           string
	liar            *liar.Proxy
	alice, bob, amy *party
	offer           node.Record
	let             chan struct{} // closed: alice's format may answer
}

// pinned brings a share to where bob's claim is pinned, and alice's format at work.
func pinned(t *testing.T, rules ...liar.Rule) *handback {
	t.Helper()
	relay := relaytest.Start(t)
	p, err := liar.Start(relay, 1, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	h := &handback{t: t, relay: relay, liar: p, alice: newParty(t), bob: newParty(t), amy: newParty(t), let: make(chan struct{})}
	h.alice.Formats = &slow{h.alice.note, h.let}
	h.offer = h.alice.offer(p.URL(), "second hand")
	h.alice.start(h.offer)
	h.bob.claim(h.offer)
	h.alice.state(share.Pinned)
	return h
}

// back has bob hand it back, and waits until the next offer is at the relay.
func (h *handback) back() {
	h.t.Helper()
	h.bob.do(share.Relinquish{})
	h.alice.state(share.Offered)
	h.alice.stored(share.Offered)
}

// goesToAmy wants amy to get it, and bob nothing.
func (h *handback) goesToAmy() {
	h.t.Helper()
	close(h.let)
	h.amy.claim(h.offer)
	pinned := h.alice.until("a pin", func(u node.Update) bool { return u.Notice != nil && u.Notice.Kind == share.NoticeClaimed })
	h.amy.state(share.Done)
	h.alice.state(share.Done)
	if h.amy.note.text != "second hand" || len(h.bob.note.placed) != 0 {
		h.t.Errorf("amy has %q, bob %v, after a pin of %q", h.amy.note.text, h.bob.note.placed, pinned.Label)
	}
}

// until waits for a call that the relay is given.
func (h *handback) until(ctx context.Context, what string, ok func(liar.Call) bool) liar.Call {
	h.t.Helper()
	c, err := h.liar.Until(ctx, ok)
	if err != nil {
		h.t.Fatalf("waited in vain for: %s: %v", what, err)
	}
	return c
}

// TestRPL04AClaimOfAnEarlierEpochDoesNothingWhenItIsReplayed: bob's claim is
// pinned and handed back; the relay takes it again in the next epoch, and shows it.
func TestRPL04AClaimOfAnEarlierEpochDoesNothingWhenItIsReplayed(t *testing.T) {
	h := pinned(t)
	h.back()
	lane := replay(t, h.liar, h.relay)
	ctx, cancel := context.WithTimeout(t.Context(), h.alice.patience)
	defer cancel()
	h.until(ctx, fmt.Sprintf("the lane %v of the replayed claim is freed", lane), func(c liar.Call) bool {
		return c.Method == "DELETE" && c.Place() == relaywire.Lane
	})
	h.goesToAmy()
}

// TestRPL04AConfirmOfAnEarlierEpochThatComesLateBindsNobody: a gateway gives up on
// the confirm of bob's claim, and passes it on after all when the claim has been
// handed back and the next offer stands.
func TestRPL04AConfirmOfAnEarlierEpochThatComesLateBindsNobody(t *testing.T) {
	h := pinned(t, liar.Rule{Place: relaywire.Confirm, Do: liar.Refuse, Status: http.StatusGatewayTimeout})
	ctx, cancel := context.WithTimeout(t.Context(), h.alice.patience)
	defer cancel()
	confirm := h.until(ctx, "bob's claim is confirmed", func(c liar.Call) bool { return c.Place() == relaywire.Confirm })
	h.back()
	h.liar.Tell()
	if status, err := h.liar.Again(ctx, h.relay, confirm); err != nil || status != http.StatusConflict {
		t.Errorf("the late confirm is answered %d, %v; want a conflict", status, err)
	}
	h.goesToAmy()
}

// replay makes the first claim again, of the relay itself, and returns its lane.
func replay(t *testing.T, p *liar.Proxy, relay string) (lane frame.Candidate) {
	t.Helper()
	for _, c := range p.Calls() {
		if c.Place() != relaywire.Lane || c.Method != "PUT" {
			continue
		}
		if status, err := p.Again(t.Context(), relay, c); err != nil || status != http.StatusOK {
			t.Fatalf("the relay doesn't take the claim again: %d, %v", status, err)
		}
		return c.Frames()[0].Candidate()
	}
	t.Fatal("there is no claim to replay")
	return lane
}
