package node_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/relaytest"
)

// lost is a mailbox that isn't there: it says so to everything, until its proof
// is shown.
type lost struct {
	report func(discovery.Report)
	closed chan struct{}
}

var _ discovery.Mailbox = (*lost)(nil)

var errLost = errors.New("no such mailbox")

func (l *lost) Send(ctx context.Context, _ ...frame.Frame) error {
	l.report(discovery.Report{State: discovery.Missing})
	return l.answer(ctx)
}

// answer takes its time, or three days of trying would be many tries.
func (l *lost) answer(ctx context.Context) error {
	select {
	case <-time.After(time.Hour): // virtual
	case <-ctx.Done():
	}
	return errLost
}

func (l *lost) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case <-l.closed:
	case <-ctx.Done():
	}
	return nil, errLost
}

// Settle agrees to a deletion, as a mailbox does that is gone already.
func (l *lost) Settle(ctx context.Context, d discovery.Decision) error {
	if d.Over != nil {
		return nil
	}
	return l.answer(ctx)
}

func (*lost) Again()         {}
func (l *lost) Close() error { close(l.closed); return nil }
func (*lost) String() string { return "relay that lost it" }

// lostFinder gives one lost mailbox, which shows the proofs that are put into it.
type lostFinder chan frame.Proof

func (f lostFinder) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	found(&lost{m.Report, make(chan struct{})})
	for {
		select {
		case p := <-f:
			m.Report(discovery.Report{State: discovery.Ended, Over: &p})
		case <-ctx.Done():
			return nil
		}
	}
}

// ownWord are ends with something to say about them.
var ownWord = map[string]struct {
	sends bool
	event share.Event
	is    share.State
}{
	"a sender that cancels":         {true, share.Cancel{}, share.Cancelled},
	"a receiver that declines":      {false, share.Decline{Reason: "not mine"}, share.Declined},
	"a receiver that hands it back": {false, share.Relinquish{}, share.Relinquished},
}

// untilStopped is a format that has no answer: the share stays at pinned.
func untilStopped(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
	<-ctx.Done()
	return credential.Answer{}, ctx.Err()
}

// eachOwnWord ends a claimed share on one side, where its mailbox is lost.
func eachOwnWord(t *testing.T, f func(p *party, began time.Time, mailbox lostFinder, proof frame.Proof)) {
	for name, c := range ownWord {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, sends, _ *puppet) {
				sends.send = untilStopped
				began := time.Now()
				claim(alice, bob)
				alice.state(share.Pinned)
				alice.stop()
				bob.stop()
				machine, err := share.UnmarshalSender(alice.record().Machine)
				if err != nil {
					t.Fatal(err)
				}
				p := bob
				if c.sends {
					p = alice
				}
				mailbox := make(lostFinder)
				p.Finders = []discovery.Finder{mailbox}
				p.resume()
				p.do(c.event)
				p.state(c.is)
				f(p, began, mailbox, machine.Proof)
				if r := p.record(); !r.Settled || r.Waiting() {
					t.Errorf("the share is settled: %v, waits: %v", r.Settled, r.Waiting())
				}
			})
		})
	}
}

// TestEndedShareIsForgottenThoughItsMailboxIsLost: not at once, for a mailbox that
// says so may lie, and not never.
func TestEndedShareIsForgottenThoughItsMailboxIsLost(t *testing.T) {
	eachOwnWord(t, func(p *party, began time.Time, _ lostFinder, _ frame.Proof) {
		p.patience = 100 * time.Hour
		p.until("that it is settled", func(u node.Update) bool { return u.Known })
		p.live.Wait()
		all := node.DefaultLife + 2*share.Grace
		if took := time.Since(began); took < all-5*time.Hour || took > all+5*time.Hour {
			p.t.Errorf("it was forgotten after %v, want about %v", took, all)
		}
	})
}

// TestEndedShareIsSettledWhenTheMailboxShowsTheProof: whoever comes is shown it too.
func TestEndedShareIsSettledWhenTheMailboxShowsTheProof(t *testing.T) {
	eachOwnWord(t, func(p *party, _ time.Time, mailbox lostFinder, proof frame.Proof) {
		shown := time.Now()
		mailbox <- frame.Proof{H: [32]byte{1}} // proves nothing
		synctest.Wait()
		select {
		case <-p.live.Done():
			p.t.Error("a proof that proves nothing settled the share")
		default:
		}
		mailbox <- proof
		p.live.Wait()
		if took := time.Since(shown); took > 2*time.Hour { // what was being tried has to fail first
			p.t.Errorf("that took %v", took)
		}
	})
}

// TestSettledShareKeepsNothingToSpeakWith is VLT-03 as far as keys go: neither those
// of the session, nor the capabilities at a mailbox, nor frames.
func TestSettledShareKeepsNothingToSpeakWith(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	sends := &puppet{note: alice.note, send: untilStopped}
	alice.Formats = sends
	offer := alice.offer(relay, "the spare key")
	alice.start(offer)
	bob.claim(offer)
	alice.state(share.Pinned)
	saved := bob.record()
	live, err := share.UnmarshalReceiver(saved.Machine)
	if err != nil {
		t.Fatal(err)
	}
	bob.do(share.Decline{})
	if err := errors.Join(bob.live.Wait(), alice.live.Wait()); err != nil {
		t.Fatal(err)
	}
	log, link := live.Candidates[0].Log, offer.Link().Keys()
	for what, secret := range map[string][]byte{
		"the receiver's key": log.Session.SealKey[:], "the sender's key": log.Session.OpenKey[:], "the exporter": log.Session.Exporter[:],
		"the device claim": saved.Token[:], "a frame": log.Out[0], "the sender's capability": offer.Token[:],
		"the link's secret": offer.Secret[:], "the link capability": link.View[:],
		"what it was found under": link.Topic[:], "the key of direct paths": link.Path[:],
	} {
		for who, p := range map[string]*party{"sender": alice, "receiver": bob} {
			if b, err := p.vault.Load("id"); err != nil || bytes.Contains(b, secret) {
				t.Errorf("the %s's vault keeps %s", who, what)
			}
		}
	}
}
