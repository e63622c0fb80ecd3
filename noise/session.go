package noise

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	flynn "github.com/flynn/noise"

	"github.com/sparekey/sparekey/noise/frame"
)

// MaxBody is the length of the longest body that fits a frame.
const MaxBody = 61440 - ackSize - 1

const ackSize = 8

// A Session is what one candidate's handshake left on one side: the keys to seal
// and to open its frames. It is plain data, to be saved with the share; it counts
// nothing, and using it does not change it.
type Session struct {
	Candidate frame.Candidate `cbor:"1,keyasint"`
	SealKey   [32]byte        `cbor:"2,keyasint"` // this side's direction
	OpenKey   [32]byte        `cbor:"3,keyasint"` // the other side's direction
	Exporter  [32]byte        `cbor:"4,keyasint"` // from both directions and the handshake hash
}

// newSession takes the keys out of the library's cipher states, whose own
// counting of nonces would not survive a restart. Down is from sender to receiver.
func newSession(c frame.Candidate, state *flynn.HandshakeState, down, up *flynn.CipherState, sender bool) Session {
	d, u := down.UnsafeKey(), up.UnsafeKey()
	s := Session{Candidate: c, SealKey: u, OpenKey: d}
	if sender {
		s.SealKey, s.OpenKey = d, u
	}
	s.Exporter = [32]byte(extract(append(d[:], u[:]...), state.ChannelBinding()))
	return s
}

// Seal makes a frame of kind data or ack. The ack is the count of the other side's
// frames that have been taken in, without a gap from the first; an ack frame
// carries it as seq too, and no body. A frame is sealed once: whoever sends it
// again sends these bytes.
func (s Session) Seal(rnd io.Reader, k frame.Kind, seq, ack uint64, body []byte) (frame.Frame, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("noise: a body of %d bytes; a frame holds at most %d", len(body), MaxBody)
	}
	if !sealable(k, seq, ack, body) || k == frame.Ack && seq == frame.LastAck {
		return nil, fmt.Errorf("noise: seq, ack or body does not fit a sealed frame of kind %v", k)
	}
	if s.erased() {
		return nil, errors.New("noise: the session is empty or has been erased: nothing can be sealed any more")
	}
	var salt [saltSize]byte
	if err := random(rnd, salt[:]); err != nil {
		return nil, err
	}
	var head [ackSize]byte
	binary.BigEndian.PutUint64(head[:], ack)
	return seal(s.SealKey, k, s.Candidate, seq, salt, head[:], body), nil
}

// erased reports whether the keys are gone, as they are once a share has ended.
// Whoever seals under a key of zeros must not be believed.
func (s Session) erased() bool {
	none := [32]byte{}
	return s.SealKey == none || s.OpenKey == none || s.Exporter == none
}

// sealable reports whether a frame of kind k may be sealed under a direction key
// with these values.
func sealable(k frame.Kind, seq, ack uint64, body []byte) bool {
	switch k {
	case frame.Data:
		return true
	case frame.Ack:
		return seq == ack && len(body) == 0
	}
	return false
}

// LastAck returns the frame by which this side says that it is done with the candidate,
// and needs nothing more of what the other side has written or may write. It is always the same
// bytes, so both sides can keep what they need of it when they erase the keys: this one
// the frame, to say it again, and the other one its hash, to know it by. An erased
// session has none.
func (s Session) LastAck() frame.Frame { return s.lastAck(s.SealKey) }

// AwaitedAck returns the other side's LastAck.
func (s Session) AwaitedAck() frame.Frame { return s.lastAck(s.OpenKey) }

// lastAck seals under a direction's key. The salt is no other frame's, but for a chance
// of one in 2^128, and under this header stands nothing else.
func (s Session) lastAck(key [32]byte) frame.Frame {
	if s.erased() {
		return nil
	}
	salt := derive(key[:], nil, labelLastAck, saltSize)
	var head [ackSize]byte
	binary.BigEndian.PutUint64(head[:], frame.LastAck)
	return seal(key, frame.Ack, s.Candidate, frame.LastAck, [saltSize]byte(salt), head[:])
}

// Open opens a frame of kind data or ack that the other side sealed for this
// candidate. That its seq is new is for the caller to see.
func (s Session) Open(f frame.Frame) (ack uint64, body []byte, err error) {
	f, err = frame.Parse(f)
	if err != nil {
		return 0, nil, refuse(err.Error())
	}
	if k := f.Kind(); k != frame.Data && k != frame.Ack {
		return 0, nil, refuse("a frame of kind " + k.String() + " is not opened by a session")
	}
	if s.erased() {
		return 0, nil, refuse("the session has been erased")
	}
	if f.Candidate() != s.Candidate {
		return 0, nil, refuse("a frame of another candidate")
	}
	plain, err := open(s.OpenKey, f)
	if err != nil {
		return 0, nil, err
	}
	if len(plain) < ackSize {
		return 0, nil, refuse("the frame has no ack")
	}
	ack, body = binary.BigEndian.Uint64(plain), plain[ackSize:]
	if !sealable(f.Kind(), f.Seq(), ack, body) {
		return 0, nil, refuse("an ack frame that contradicts itself")
	}
	if f.Kind() == frame.Ack && f.Seq() == frame.LastAck && subtle.ConstantTimeCompare(f, s.AwaitedAck()) != 1 {
		return 0, nil, refuse("a last ack with another salt")
	}
	return ack, body, nil
}

// Taken returns the frame by which the sender tells this candidate that it was
// not chosen. It is always the same bytes: it has a key of its own that seals
// nothing else, so a sender may forget the candidate and make it again. Of an
// erased session it is a shut, which nobody believes.
func (s Session) Taken() frame.Frame {
	if s.erased() {
		return frame.Shut(s.Candidate)
	}
	b := expand(s.Exporter[:], labelTaken, 32+saltSize)
	var ack [ackSize]byte
	return seal([32]byte(b[:32]), frame.Taken, s.Candidate, 0, [saltSize]byte(b[32:]), ack[:])
}

// CheckTaken returns nil if f is this candidate's Taken frame.
func (s Session) CheckTaken(f frame.Frame) error {
	if s.erased() || subtle.ConstantTimeCompare(f, s.Taken()) != 1 {
		return refuse("not this candidate's sealed taken")
	}
	return nil
}

// Export returns a secret that both sides of this session, and nobody else,
// know; one for each label. In use are "code", "pin", "contact" and "path".
func (s Session) Export(label string) [32]byte {
	return [32]byte(expand(s.Exporter[:], labelExport+label, 32))
}
