// Package frame is the envelope of a share that anyone may read: the header of
// a sealed frame, the stream codec that carries frames, and the share id with
// the proof that its sender has ended it. There are no keys here, and nothing
// in this package opens anything.
//
// # A frame
//
//	0      1           9          17                                   n
//	+------+-----------+----------+------------------------------------+
//	| kind | candidate | seq      | sealed                             |
//	+------+-----------+----------+------------------------------------+
//	   1        8      8, big end.   kind 2: the handshake message itself
//	                                 else:   salt (16) ‖ AEAD
//
//	kind 1 offer      candidate zero, seq is the epoch
//	kind 2 handshake  seq 0: a receiver's first frame
//	kind 3 data       seq from 1 for a receiver, from 0 for a sender
//	kind 4 ack        seq is the count of frames received, or LastAck: who sends it
//	                  is done with the candidate; never at a mailbox
//	kind 5 taken      seq 0: this candidate was not chosen. Without a sealed
//	                  part (17 bytes) it is a shut, which no device judges: it
//	                  frees a mailbox's lane that the sender couldn't open, and
//	                  with the zero candidate stands for a frame that was erased
//
// # A stream of frames
//
// One codec on every carrier: QUIC and libp2p streams and HTTP bodies.
//
//	0              4                     4+length
//	+--------------+---------------------+
//	| length       | frame               |   length: 4, big endian
//	+--------------+---------------------+
//
// Length 0 is the heartbeat: it says that the stream lives, and that all that
// the writer had so far has been written.
package frame

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// A Kind tells what a frame is for.
type Kind byte

// The kinds of frames; see the package comment.
const (
	Offer     Kind = 1
	Handshake Kind = 2
	Data      Kind = 3
	Ack       Kind = 4
	Taken     Kind = 5
)

func (k Kind) String() string {
	switch k {
	case Offer:
		return "offer"
	case Handshake:
		return "handshake"
	case Data:
		return "data"
	case Ack:
		return "ack"
	case Taken:
		return "taken"
	}
	return fmt.Sprintf("kind(%d)", byte(k))
}

// Sizes in bytes.
const (
	HeaderSize = 1 + 8 + 8
	SealSize   = 16 + 16                        // what sealing adds to a padded plaintext: salt and tag
	MaxSize    = HeaderSize + SealSize + 60<<10 // the largest frame there is
)

// LastAck is the seq of the ack that counts all that may ever be written.
const LastAck = 1<<64 - 1

// A Candidate names one receiver's try: the first 8 bytes of the SHA-256 of its
// handshake message. The zero Candidate is no candidate.
type Candidate [8]byte

// String returns the candidate's lane: 16 hex digits.
func (c Candidate) String() string { return hex.EncodeToString(c[:]) }

// A Frame is one frame's bytes, as saved and as sent again. Every Frame made by
// New or Parse has a well-formed header; the zero Frame is none.
type Frame []byte

// ErrMalformed is wrapped by every error of Parse.
var ErrMalformed = errors.New("malformed frame")

// New returns the frame of a header and its sealed part.
func New(k Kind, c Candidate, seq uint64, sealed []byte) Frame {
	f := make(Frame, HeaderSize, HeaderSize+len(sealed))
	f[0] = byte(k)
	copy(f[1:9], c[:])
	binary.BigEndian.PutUint64(f[9:17], seq)
	return append(f, sealed...)
}

// Shut returns the frame that frees candidate c's lane without a sealed word.
func Shut(c Candidate) Frame { return New(Taken, c, 0, nil) }

// Parse checks what can be checked without a key: sizes, the kind, and that
// candidate and seq fit the kind. The Frame shares b's memory.
func Parse(b []byte) (Frame, error) {
	if len(b) < HeaderSize || len(b) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes; a frame has %d to %d", ErrMalformed, len(b), HeaderSize, MaxSize)
	}
	f := Frame(b)
	zero := f.Candidate() == Candidate{}
	sealed := len(f) - HeaderSize
	ok := !zero && sealed >= SealSize
	switch f.Kind() {
	case Offer:
		ok = zero && sealed >= SealSize
	case Handshake:
		ok = ok && f.Seq() == 0
	case Data, Ack:
	case Taken:
		ok = f.Seq() == 0 && (sealed == 0 || ok)
	default:
		return nil, fmt.Errorf("%w: unknown kind %d", ErrMalformed, b[0])
	}
	if !ok {
		return nil, fmt.Errorf("%w: candidate, seq or size does not fit a frame of kind %v", ErrMalformed, f.Kind())
	}
	return f, nil
}

// Kind returns what the frame is for.
func (f Frame) Kind() Kind { return Kind(f[0]) }

// Candidate returns whose frame it is, zero for an offer.
func (f Frame) Candidate() Candidate { return Candidate(f[1:9]) }

// Seq returns the frame's number in its log, or what its kind puts there.
func (f Frame) Seq() uint64 { return binary.BigEndian.Uint64(f[9:17]) }

// Header returns the first 17 bytes, which every seal authenticates.
func (f Frame) Header() []byte { return f[:HeaderSize:HeaderSize] }

// Sealed returns what follows the header.
func (f Frame) Sealed() []byte { return f[HeaderSize:] }
