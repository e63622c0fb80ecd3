package share

import (
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// Marshal returns all of a sender that has to be saved: CBOR, to be sealed by
// the vault. It holds secrets.
func (s Sender) Marshal() []byte { return encode(s) }

// UnmarshalSender reads what Marshal wrote. What no sender can have come to is
// refused: going on from it could break a promise.
func UnmarshalSender(b []byte) (Sender, error) {
	var s Sender
	if err := decode(b, &s); err != nil {
		return Sender{}, fmt.Errorf("the saved sender can't be read: %w", err)
	}
	if err := s.check(); err != nil {
		return Sender{}, fmt.Errorf("the saved sender makes no sense: %w", err)
	}
	return s, nil
}

// Marshal returns all of a receiver that has to be saved: CBOR, to be sealed by
// the vault. It holds secrets.
func (r Receiver) Marshal() []byte { return encode(r) }

// UnmarshalReceiver reads what Marshal wrote, and refuses what no receiver can
// have come to.
func UnmarshalReceiver(b []byte) (Receiver, error) {
	var r Receiver
	if err := decode(b, &r); err != nil {
		return Receiver{}, fmt.Errorf("the saved receiver can't be read: %w", err)
	}
	if err := r.check(); err != nil {
		return Receiver{}, fmt.Errorf("the saved receiver makes no sense: %w", err)
	}
	return r, nil
}

var (
	errState   = errors.New("it stands in no state of its side")
	errPinned  = errors.New("its state and its pinned candidate don't go together")
	errSecrets = errors.New("the link's secrets are missing")
	errOffer   = errors.New("its offers are not of this share")
	errProof   = errors.New("its proof is of another share")
	errLog     = errors.New("a log has a gap, or frames of another candidate")
	errTries   = errors.New("its state and its candidates don't go together")
)

func (s *Sender) check() error {
	if !s.Proof.Proves(s.Secrets.ID) {
		return errProof
	}
	for _, f := range s.Parted {
		if f, err := frame.Parse(f); err != nil || !is(f, frame.Ack, f.Candidate(), frame.LastAck) {
			return errLog
		}
	}
	pinned := s.Pin != nil
	switch s.State {
	case Offered:
		if pinned {
			return errPinned
		}
	case Pinned, Granted:
		if !pinned || s.State == Granted && s.Turn.Turns == 0 {
			return errPinned
		}
	case Unresolved:
		if !pinned && !s.Copied {
			return errPinned
		}
	case Done, Declined:
		if !pinned {
			return errPinned
		}
	case Cancelled, Expired:
	default:
		return errState
	}
	if pinned {
		if err := s.Pin.Log.check(0, !s.State.Ended()); err != nil {
			return err
		}
	}
	if s.State.Ended() {
		return nil
	}
	return s.checkOffers()
}

// checkOffers wants the seed's keys and the preview to be those that the id names.
func (s *Sender) checkOffers() error {
	if _, err := DecodePreview(s.Preview); err != nil {
		return err
	}
	if keyless(s.Secrets) {
		return errSecrets
	}
	if c, _ := noise.NewKeys(s.Seed).Commit(s.Preview); frame.ID(c) != s.Secrets.ID || len(s.Offers) == 0 {
		return errOffer
	}
	for i, f := range s.Offers {
		if !is(f, frame.Offer, frame.Candidate{}, uint64(i)) {
			return errOffer
		}
	}
	if s.Pin != nil && s.Pin.Epoch != s.Epoch() {
		return errPinned
	}
	return nil
}

func (r *Receiver) check() error {
	if r.Proof != nil && !r.Proof.Proves(r.Secrets.ID) {
		return errProof
	}
	if len(r.Candidates) > maxCandidates {
		return errTries
	}
	for i := range r.Candidates {
		k := &r.Candidates[i]
		if err := k.Log.check(1, !r.State.Ended()); err != nil {
			return err
		}
		if r.find(k.id()) != k {
			return errTries
		}
	}
	if r.State.Ended() {
		return nil
	}
	return r.checkLive()
}

func (r *Receiver) checkLive() error {
	if keyless(r.Secrets) {
		return errSecrets
	}
	tried, granted := len(r.Candidates) > 0, r.find(r.Grant) != nil
	switch r.State {
	case Opened:
		if r.Offer != nil || tried {
			return errTries
		}
		return nil
	case Viewed:
		if r.Offer == nil || tried {
			return errTries
		}
		if _, _, err := r.Offer.Claim(r.Secrets, zeros{}, nil); err != nil { // it would be found too late
			return errOffer
		}
	case Claimed:
		if !tried || r.Grant != (frame.Candidate{}) {
			return errTries
		}
	case Provisioning, Provisioned:
		if !granted {
			return errTries
		}
	case Unresolved:
		if !tried || !r.Copied {
			return errTries
		}
	default:
		return errState
	}
	_, err := r.Preview()
	return err
}

// keyless reports whether a live share's secrets are gone, as those of an ended one are.
func keyless(s noise.Secrets) bool { return s.PSK == [32]byte{} || s.OfferKey == [32]byte{} }

// zeros is the randomness of a claim that nobody will see.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// check looks at a log whose data frames are counted from first: what was written
// and isn't acknowledged is there without a gap, behind a receiver's handshake. A
// live one has its keys; one that has ended may have nothing left to send.
func (l *log) check(first uint64, live bool) error {
	id, none := l.Session.Candidate, [32]byte{}
	keyless := l.Session.SealKey == none || l.Session.OpenKey == none || l.Session.Exporter == none
	if id == (frame.Candidate{}) || live && keyless || l.Next < first || l.Acked > l.Next {
		return errLog
	}
	if l.Last != nil && !is(l.Last, frame.Ack, id, frame.LastAck) {
		return errLog
	}
	if !live && len(l.Out) == 0 {
		return nil
	}
	data := l.Out
	if first > 0 {
		if len(data) == 0 || !is(data[0], frame.Handshake, id, 0) {
			return errLog
		}
		data = data[1:]
	}
	from := max(l.Acked, first)
	if uint64(len(data)) != l.Next-from {
		return errLog
	}
	for i, f := range data {
		if !is(f, frame.Data, id, from+uint64(i)) {
			return errLog
		}
	}
	return nil
}

func is(f frame.Frame, k frame.Kind, id frame.Candidate, seq uint64) bool {
	f, err := frame.Parse(f)
	return err == nil && f.Kind() == k && f.Candidate() == id && f.Seq() == seq
}
