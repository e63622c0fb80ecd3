// Package noise is the session of a share: what a sender offers, how a receiver
// claims it, and how the frames of that claim are sealed and opened.
//
// It is pure. It knows no clock, no socket and no file, and takes its randomness
// as an argument (but a nil Encapsulate is the standard library's, with its own).
// PROTOCOL.md in this folder tells every label, salt and byte.
//
//	sender                                           receiver
//	  │ offer: keys, preview, Noise message 1           │
//	  ├────────────────────────────────────────────────►│ OpenOffer, Claim
//	  │ handshake: ML-KEM ciphertext, Noise message 2   │
//	  │◄────────────────────────────────────────────────┤
//	  │ Accept                                          │
//	  │◄──────────── sealed frames, both ways ─────────►│ Session.Seal, Session.Open
//
// The handshake is Noise_KNpsk0+psk2_25519_ChaChaPoly_SHA256. The first psk
// comes from the link, the second from ML-KEM-768. A holder of the link can claim,
// but can't pose as the sender: the share id commits to the sender's keys.
//
// What the caller owes:
//
//   - Secrets and seed are fresh for each share.
//   - A sender saves an epoch before it publishes the offer of it, and accepts
//     no handshake of an epoch that is over.
//   - A receiver saves the Session and the handshake before it sends it.
//   - A frame is sealed once and saved; what is sent again is the saved bytes.
//   - Session counts nothing: seqs, acks and repeats are the caller's.
//
// Not promised: that an offer came from the sender. Any holder of the link can seal
// one around the sender's public keys; only a sealed frame of the sender's shows
// that it was there. Nor does a session tell who the receiver is: that is what the
// factors are for.
package noise

import (
	"errors"
	"fmt"
	"io"

	"github.com/sparekey/sparekey/noise/frame"
)

// Secrets is what a link gives to both sides, derived by its reader.
type Secrets struct {
	ID       frame.ShareID `cbor:"1,keyasint"`
	PSK      [32]byte      `cbor:"2,keyasint"` // the handshake's first preshared key
	OfferKey [32]byte      `cbor:"3,keyasint"` // seals offers
}

// Format keeps secrets out of whatever is printed.
func (Secrets) Format(f fmt.State, _ rune) { redact(f) }

// Format keeps secrets out of whatever is printed.
func (*Keys) Format(f fmt.State, _ rune) { redact(f) }

// Format keeps secrets out of whatever is printed.
func (Session) Format(f fmt.State, _ rune) { redact(f) }

func redact(w io.Writer) { _, _ = io.WriteString(w, "[redacted]") }

// ErrOpen is wrapped by every error about what came from outside: an offer, a
// handshake or a frame that is not what it should be. Such bytes are dropped
// and held against the path that brought them; they never end a share.
var ErrOpen = errors.New("does not open")

func refuse(why string) error { return fmt.Errorf("%w: %s", ErrOpen, why) }

// The caller's mistakes. They are never the other side's doing.
var (
	errNoPSK      = errors.New("noise: the preshared key is missing: derive the secrets from the link first")
	errNoOfferKey = errors.New("noise: the offer key is missing: derive the secrets from the link first")
	errNoRandom   = errors.New("noise: no source of randomness was given")
)

// random reads exactly len(b) bytes of randomness.
func random(rnd io.Reader, b []byte) error {
	if rnd == nil {
		return errNoRandom
	}
	if _, err := io.ReadFull(rnd, b); err != nil {
		return fmt.Errorf("noise: reading randomness: %w", err)
	}
	return nil
}
