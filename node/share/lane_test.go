package share

import (
	"bytes"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// claimant is what a new receiver of the walk's link sends first: its handshake and its claim.
func (w *walk) claimant() (hello, claim frame.Frame) {
	r := NewReceiver(w.link)
	r, _ = r.Step(w.now, w.rnd, Arrived{w.sender.is.Outbox()})
	r, _ = r.Step(w.now, w.rnd, Accept{Claim: w.bytes32()})
	out := r.Outbox()
	return out[0], out[1]
}

// closes wants exactly these lanes to be closed, by these frames.
func closes(t *testing.T, s Sender, when string, want ...frame.Frame) {
	t.Helper()
	got := s.Decision().Closed
	if len(got) != len(want) {
		t.Fatalf("%s: %d lanes are to be closed, want %d", when, len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: closing %d is %x, want %x", when, i, got[i], want[i])
		}
	}
}

// TestRAC03AHandshakeWithoutAClaimHoldsItsLaneForTenSeconds, and for as long again
// if the lane is opened again. Nothing of that is saved, and a claim that does come is pinned.
func TestRAC03AHandshakeWithoutAClaimHoldsItsLaneForTenSeconds(t *testing.T) {
	w := started(false)
	hello, claim := w.claimant()
	s, now := w.sender.is, w.now
	step := func(after, wake time.Duration, e Event) {
		t.Helper()
		now = later(now, after, 0)
		var eff Effects
		if s, eff = s.Step(now, w.rnd, e); eff.Wake != wake {
			t.Errorf("it wants to be woken after %v, want %v", eff.Wake, wake)
		}
		if eff.Save || s.State != Offered {
			t.Errorf("it is %s, to be saved: %v", s.State, eff.Save)
		}
	}
	free := frame.Shut(hello.Candidate())
	for _, turn := range []string{"first", "opened again"} {
		began := s.Life.at(now).offer()
		step(0, 10*time.Second, Arrived{[]frame.Frame{hello}})
		closes(t, s, turn+": as it comes")
		step(6*time.Second, 4*time.Second, Arrived{[]frame.Frame{hello}}) // the streams were asked for once more
		closes(t, s, turn+": in between")
		step(4*time.Second, began-10*time.Second, Woken{})
		closes(t, s, turn+": after 10 s", free)
	}
	if s, _ = s.Step(now, w.rnd, Arrived{[]frame.Frame{hello, claim}}); s.State != Pinned || s.Candidate() != hello.Candidate() {
		t.Fatalf("the late claim leaves the sender %s", s.State)
	}
	closes(t, s, "pinned")
}

// TestTheOldestHandshakeGivesWayWithItsLane: what isn't kept in mind holds no lane.
func TestTheOldestHandshakeGivesWayWithItsLane(t *testing.T) {
	w := started(false)
	s := w.sender.is
	var first frame.Frame
	for i := range maxOpen + 1 {
		hello, _ := w.claimant()
		if i == 0 {
			first = frame.Shut(hello.Candidate())
		}
		s, _ = s.Step(w.now, w.rnd, Arrived{[]frame.Frame{hello}})
	}
	closes(t, s, "with one too many", first)
}

// TestARefusalStandsInThePlaceOfAShut: a candidate whose lane was to be freed is
// refused later, and can hear of it at the mailbox.
func TestARefusalStandsInThePlaceOfAShut(t *testing.T) {
	w := started(false)
	hello, claim := w.claimant()
	first, firstClaim := w.claimant()
	s, _ := w.sender.is.Step(w.now, w.rnd, Arrived{[]frame.Frame{hello}})
	s, _ = s.Step(later(w.now, claimTime, 0), w.rnd, Woken{})
	closes(t, s, "after 10 s", frame.Shut(hello.Candidate()))
	s, _ = s.Step(later(w.now, claimTime, 0), w.rnd, Arrived{[]frame.Frame{first, firstClaim}})
	s, eff := s.Step(later(w.now, claimTime, 0), w.rnd, Arrived{[]frame.Frame{claim}})
	if s.Candidate() != first.Candidate() || len(eff.Reply) != 1 {
		t.Fatalf("it is %s and answers %d frames", s.State, len(eff.Reply))
	}
	closes(t, s, "refused", eff.Reply[0])
}

// TestADecisionNamesTheEpochOfThePinnedClaim, also of a share that has ended and was
// saved: its offers are erased by then, and a mailbox is still to be confirmed.
func TestADecisionNamesTheEpochOfThePinnedClaim(t *testing.T) {
	w := started(true)
	s := w.sender.is
	if d := s.Decision(); d.Epoch != 0 || d.Pinned == (frame.Candidate{}) {
		t.Fatalf("the first claim: %+v", d)
	}
	back, _ := w.receivers[0].is.Step(w.now, w.rnd, Relinquish{})
	s, _ = s.Step(w.now, w.rnd, Arrived{back.Outbox()})
	if d := s.Decision(); d.Epoch != 0 || d.Pinned != (frame.Candidate{}) {
		t.Fatalf("while nobody is pinned: %+v", d)
	}
	w.sender.is = s
	hello, claim := w.claimant()
	s, _ = s.Step(w.now, w.rnd, Arrived{[]frame.Frame{hello, claim}})
	for _, when := range []string{"pinned", "cancelled", "cancelled and saved"} {
		if d := s.Decision(); d.Pinned != hello.Candidate() || d.Epoch != 1 {
			t.Errorf("%s: %v is to be confirmed under epoch %d, want %v under 1", when, d.Pinned, d.Epoch, hello.Candidate())
		}
		var err error
		if s, _ = s.Step(w.now, w.rnd, Cancel{}); s.State == Cancelled {
			s, err = UnmarshalSender(s.Marshal())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
