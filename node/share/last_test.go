package share

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A parting is a share that its receiver has declined, on both sides: each has a last
// word that nobody has answered.
type parting struct {
	w        *walk
	s        Sender
	r        Receiver
	session  noise.Session // the receiver's, as it was
	declined []frame.Frame // the sender's last word
}

func newParting(t *testing.T) parting {
	t.Helper()
	w := started(false)
	p := parting{w: w, s: w.sender.is, r: NewReceiver(w.link)}
	p.r, _ = p.r.Step(w.now, w.rnd, Arrived{p.s.Outbox()})
	p.r, _ = p.r.Step(w.now, w.rnd, Accept{Claim: w.bytes32()})
	p.s, _ = p.s.Step(w.now, w.rnd, Arrived{p.r.Outbox()})
	p.session = p.r.Candidates[0].Log.Session
	p.r, _ = p.r.Step(w.now, w.rnd, Decline{})
	p.s, _ = p.s.Step(w.now, w.rnd, Arrived{p.r.Outbox()})
	if p.declined = p.s.Outbox(); p.s.State != Declined || p.r.State != Declined || len(p.declined) == 0 {
		t.Fatalf("the sender is %s, the receiver %s", p.s.State, p.r.State)
	}
	return p
}

// saved returns both sides as they come out of their vaults.
func (p parting) saved(t *testing.T) (Sender, Receiver) {
	t.Helper()
	s, err := UnmarshalSender(p.s.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	r, err := UnmarshalReceiver(p.r.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

// TestAnEndedShareIsToldByTheOtherSideAlone: whatever else comes, of whomever who has the
// link, or of this side itself, changes nothing.
func TestAnEndedShareIsToldByTheOtherSideAlone(t *testing.T) {
	p := newParting(t)
	own := rand.NewChaCha8([32]byte{7})
	forged := func(s noise.Session, f frame.Frame) frame.Frame {
		return frame.New(f.Kind(), s.Candidate, f.Seq(), f.Sealed())
	}
	stranger := newParting(t).session
	s, r := p.saved(t)
	_, eff := r.Step(p.w.now, own, Arrived{p.declined})
	fromReceiver := eff.Reply
	_, eff = s.Step(p.w.now, own, Arrived{p.r.Outbox()})
	fromSender := eff.Reply
	if len(fromReceiver) != 1 || len(fromSender) != 1 || !bytes.Equal(fromReceiver[0], p.session.LastAck()) || !bytes.Equal(fromSender[0], p.session.AwaitedAck()) {
		t.Fatalf("each side answers with its last ack, and nothing else: %x, %x", fromReceiver, fromSender)
	}
	ack, err := p.session.Seal(own, frame.Ack, 1, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]frame.Frame{
		"its own": fromSender[0], "another session's": stranger.LastAck(), "another session's, renamed": forged(p.session, stranger.LastAck()),
		"an ack of the same session that counts": ack, "changed": flipped(fromReceiver[0]), "a shut": frame.Shut(p.session.Candidate),
	} {
		if after, eff := s.Step(p.w.now, own, Arrived{[]frame.Frame{f}}); after.Told() || eff.Save || len(after.Outbox()) != len(p.declined) || len(eff.Reply) > 0 {
			t.Errorf("%s tells a sender that it isn't needed any more", what)
		}
	}
	for what, f := range map[string]frame.Frame{"its own": fromReceiver[0], "another session's": stranger.AwaitedAck(), "another session's taken": stranger.Taken(), "a shut": frame.Shut(p.session.Candidate)} {
		if after, eff := r.Step(p.w.now, own, Arrived{[]frame.Frame{f}}); after.Told() || eff.Save || len(after.Outbox()) != len(p.r.Outbox()) || len(eff.Reply) > 0 {
			t.Errorf("%s tells a receiver that it isn't needed any more", what)
		}
	}
	if after, eff := s.Step(p.w.now, own, Arrived{fromReceiver}); !after.Told() || !eff.Save || len(after.Outbox()) > 0 || after.Decision().Over == nil {
		t.Errorf("the receiver's last ack leaves a sender with %v", after.Outbox())
	}
	for what, f := range map[string]frame.Frame{"last ack": fromSender[0], "taken": p.session.Taken()} {
		if after, eff := r.Step(p.w.now, own, Arrived{[]frame.Frame{f}}); !after.Told() || !eff.Save || len(after.Outbox()) > 0 {
			t.Errorf("the sender's %s leaves a receiver with %v", what, after.Outbox())
		}
	}
}

func flipped(f frame.Frame) frame.Frame {
	f = slices.Clone(f)
	f[len(f)-1] ^= 1
	return f
}

// TestVLT03AnEndedShareThatStillAnswersHasNoKeys, neither of the session nor of the link,
// and nothing that they can be made of: what it holds of the other side's last ack is a hash.
func TestVLT03AnEndedShareThatStillAnswersHasNoKeys(t *testing.T) {
	p := newParting(t)
	for what, secret := range map[string][]byte{
		"the receiver's key": p.session.SealKey[:], "the sender's key": p.session.OpenKey[:], "the exporter": p.session.Exporter[:],
		"the link's psk": p.w.link.PSK[:], "the offer key": p.w.link.OfferKey[:],
	} {
		if bytes.Contains(p.s.Marshal(), secret) || bytes.Contains(p.r.Marshal(), secret) {
			t.Errorf("an ended share that still answers keeps %s", what)
		}
	}
	if bytes.Contains(p.s.Marshal(), p.session.LastAck()) || bytes.Contains(p.r.Marshal(), p.session.AwaitedAck()) {
		t.Error("one side keeps what only the other one should be able to say")
	}
	for _, kept := range [][]byte{p.s.Forget().Marshal(), p.r.Forget().Marshal()} {
		if bytes.Contains(kept, p.session.LastAck()) || bytes.Contains(kept, p.session.AwaitedAck()) {
			t.Error("a settled share still has an answer")
		}
	}
}

// TestALastAckChangesNothingWhileAShareLives: why the other side has ended comes as data.
func TestALastAckChangesNothingWhileAShareLives(t *testing.T) {
	senders, receivers := everyState(t)
	for state, w := range senders {
		if s := w.sender.is; s.Pin != nil && !state.Ended() && !s.Copied {
			after, eff := s.Step(w.now, w.rnd, Arrived{[]frame.Frame{s.Pin.Log.Session.AwaitedAck()}})
			if after.State != state || eff.Bad || eff.Save {
				t.Errorf("a sender that is %s becomes %s", state, after.State)
			}
		}
	}
	for state, w := range receivers {
		if r := w.receivers[0].is; len(r.Candidates) > 0 && !state.Ended() && !r.Copied {
			after, eff := r.Step(w.now, w.rnd, Arrived{[]frame.Frame{r.Candidates[0].Log.Session.AwaitedAck()}})
			if after.State != state || eff.Bad || eff.Save {
				t.Errorf("a receiver that is %s becomes %s", state, after.State)
			}
		}
	}
}
