package node_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
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

// TestRPL04AClaimOfAnEarlierEpochDoesNothingWhenItIsReplayed: bob's claim is
// pinned and handed back; the relay takes it again in the next epoch, and shows it.
func TestRPL04AClaimOfAnEarlierEpochDoesNothingWhenItIsReplayed(t *testing.T) {
	relay := startRelay(t)
	p, err := liar.Start(relay, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	alice, bob, amy := newParty(t), newParty(t), newParty(t)
	format := &slow{alice.note, make(chan struct{})}
	alice.Formats = format
	offer := alice.offer(p.URL(), "second hand")
	alice.start(offer)
	bob.start(bob.open(offer))
	bob.previewed()
	bob.accept()
	alice.state(share.Pinned)
	if err := bob.live.Do(t.Context(), share.Relinquish{}); err != nil {
		t.Fatal(err)
	}
	alice.state(share.Offered)
	alice.stored(share.Offered) // the next offer is at the relay

	lane := replay(t, p, relay)
	ctx, cancel := context.WithTimeout(t.Context(), alice.patience)
	defer cancel()
	if _, err := p.Until(ctx, func(c liar.Call) bool { return c.Method == "DELETE" && c.Place() == relaywire.Lane }); err != nil {
		t.Fatalf("the lane %v of the replayed claim is not freed: %v", lane, err)
	}
	close(format.let)
	amy.start(amy.open(offer))
	amy.previewed()
	amy.accept()
	pinned := alice.until("a pin", func(u node.Update) bool { return u.Notice != nil && u.Notice.Kind == share.NoticeClaimed })
	amy.state(share.Done)
	alice.state(share.Done)
	if amy.note.text != "second hand" || len(bob.note.placed) != 0 {
		t.Errorf("amy has %q, bob %v, after a pin of %q", amy.note.text, bob.note.placed, pinned.Label)
	}
}

// TestRPL04AConfirmOfAnEarlierEpochThatComesLateBindsNobody: a gateway gives up on
// the confirm of bob's claim, and passes it on after all when the claim has been
// handed back and the next offer stands.
func TestRPL04AConfirmOfAnEarlierEpochThatComesLateBindsNobody(t *testing.T) {
	relay := startRelay(t)
	p, err := liar.Start(relay, 1, liar.Rule{Place: relaywire.Confirm, Do: liar.Refuse, Status: http.StatusGatewayTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	alice, bob, amy := newParty(t), newParty(t), newParty(t)
	format := &slow{alice.note, make(chan struct{})}
	alice.Formats = format
	offer := alice.offer(p.URL(), "second hand")
	alice.start(offer)
	bob.start(bob.open(offer))
	bob.previewed()
	bob.accept()
	alice.state(share.Pinned)
	ctx, cancel := context.WithTimeout(t.Context(), alice.patience)
	defer cancel()
	confirm, err := p.Until(ctx, func(c liar.Call) bool { return c.Place() == relaywire.Confirm })
	if err != nil {
		t.Fatal("bob's claim is not confirmed: ", err)
	}
	if err := bob.live.Do(t.Context(), share.Relinquish{}); err != nil {
		t.Fatal(err)
	}
	alice.state(share.Offered)
	alice.stored(share.Offered) // the next offer is at the relay
	p.Tell()

	if status, err := p.Again(ctx, relay, confirm); err != nil || status != http.StatusConflict {
		t.Errorf("the late confirm is answered %d, %v; want a conflict", status, err)
	}
	close(format.let)
	amy.start(amy.open(offer))
	amy.previewed()
	amy.accept()
	amy.state(share.Done)
	alice.state(share.Done)
	if amy.note.text != "second hand" || len(bob.note.placed) != 0 {
		t.Errorf("amy has %q, bob %v", amy.note.text, bob.note.placed)
	}
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
