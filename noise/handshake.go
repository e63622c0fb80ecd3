package noise

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	flynn "github.com/flynn/noise"

	"github.com/sparekey/sparekey/noise/frame"
)

// Message 2 as it stands in a frame of kind handshake, unpadded. The candidate
// is the first 8 bytes of its SHA-256.
//
//	0                    1088            1120       1136
//	+--------------------+---------------+----------+
//	| ML-KEM ciphertext  | ephemeral key | tag      |
//	+--------------------+---------------+----------+
const (
	noise2Size   = 32 + 16
	message2Size = mlkem.CiphertextSize768 + noise2Size
)

// pattern is KN with a psk at the start of message 1. The library writes its one
// psk modifier, psk2, behind the name: Noise_KNpsk0+psk2_25519_ChaChaPoly_SHA256.
var pattern = flynn.HandshakePattern{
	Name:                 "KNpsk0+",
	InitiatorPreMessages: []flynn.MessagePattern{flynn.MessagePatternS},
	Messages: [][]flynn.MessagePattern{
		{flynn.MessagePatternPSK, flynn.MessagePatternE},
		{flynn.MessagePatternE, flynn.MessagePatternDHEE, flynn.MessagePatternDHSE},
	},
}

// prologue is what both sides must agree on before anything else:
// "sparekey v1" (11) ‖ share id (16) ‖ epoch (8, big endian).
func prologue(id frame.ShareID, epoch uint64) []byte {
	b := append([]byte(labelPrologue), id[:]...)
	return binary.BigEndian.AppendUint64(b, epoch)
}

// newState returns the state before message 1. The library takes an absent psk
// for a pattern without one, so its presence is checked here.
func newState(s Secrets, epoch uint64, dh x25519, c flynn.Config) (*flynn.HandshakeState, error) {
	if s.PSK == [32]byte{} {
		return nil, errNoPSK
	}
	c.CipherSuite = flynn.NewCipherSuite(dh, flynn.CipherChaChaPoly, flynn.HashSHA256)
	c.Pattern = pattern
	c.Prologue = prologue(s.ID, epoch)
	c.PresharedKey = s.PSK[:]
	c.PresharedKeyPlacement = 2
	return flynn.NewHandshakeState(c)
}

// start returns the sender's state after message 1, and message 1. It is made
// anew for every candidate: what one of them sends must not touch another's.
func (k *Keys) start(s Secrets, epoch uint64) (*flynn.HandshakeState, []byte, error) {
	ephemeral := must(ecdh.X25519().NewPrivateKey(k.derive(withEpoch(labelEphemeral, epoch), 32)))
	dh := x25519{static: k.static, ephemeral: ephemeral}
	static, err := dh.keypair(staticHandle)
	if err != nil {
		return nil, nil, err
	}
	state, err := newState(s, epoch, dh, flynn.Config{Initiator: true, StaticKeypair: static})
	if err != nil {
		return nil, nil, err
	}
	message1, _, _, err := state.WriteMessage(nil, nil)
	return state, message1, err
}

// psk2 is the handshake's second preshared key. It binds the ML-KEM key and
// ciphertext, which ML-KEM by itself does not.
func psk2(shared, encapsulationKey, ciphertext []byte) []byte {
	ek, ct := sha256.Sum256(encapsulationKey), sha256.Sum256(ciphertext)
	return derive(shared, []byte(labelPSK2), string(ek[:])+string(ct[:]), 32)
}

func candidate(message2 []byte) frame.Candidate {
	sum := sha256.Sum256(message2)
	return frame.Candidate(sum[:8])
}

// Accept reads a receiver's handshake on the offer of an epoch. Everything is
// made anew each time, so a bad handshake leaves nothing behind. It needs no
// preview: what the receiver saw is in the share id.
func (k *Keys) Accept(s Secrets, epoch uint64, handshake frame.Frame) (Session, error) {
	f, err := parse(handshake, frame.Handshake)
	if err != nil {
		return Session{}, err
	}
	message2 := f.Sealed()
	if len(message2) != message2Size {
		return Session{}, refuse("the handshake has the wrong size")
	}
	if candidate(message2) != f.Candidate() {
		return Session{}, refuse("the candidate is not named by its handshake")
	}
	state, _, err := k.start(s, epoch)
	if err != nil {
		return Session{}, err
	}
	// Decapsulating, setting psk2 and reading stand together: without psk2 the
	// library would go on with the first psk in its place.
	ciphertext := message2[:mlkem.CiphertextSize768]
	shared, err := k.kem.Decapsulate(ciphertext)
	if err != nil {
		return Session{}, refuse("the ML-KEM ciphertext is malformed")
	}
	if err := state.SetPresharedKey(psk2(shared, k.public.mlkem[:], ciphertext)); err != nil {
		return Session{}, err
	}
	_, down, up, err := state.ReadMessage(nil, message2[mlkem.CiphertextSize768:])
	if err != nil {
		return Session{}, refuse("the handshake does not fit this share, epoch and link")
	}
	return newSession(f.Candidate(), state, down, up, true), nil
}

// Encapsulate is ML-KEM-768 encapsulation: a fresh shared secret and its
// ciphertext for a key. Devices leave it nil, which is the standard library's
// with its own randomness; vectors and simulations give one that repeats.
type Encapsulate func(ek *mlkem.EncapsulationKey768) (shared, ciphertext []byte)

// Claim makes a new candidate on an offer: its session, and the handshake frame
// that the caller saves with it before sending. For an Offer that OpenOffer made
// with the same Secrets it fails only where rnd or enc does.
func (o Offer) Claim(s Secrets, rnd io.Reader, enc Encapsulate) (Session, frame.Frame, error) {
	if !o.commitsTo(s.ID) {
		return Session{}, nil, errors.New("noise: this offer is not of the link's share: open the offer again")
	}
	shared, ciphertext, err := o.encapsulate(enc)
	if err != nil {
		return Session{}, nil, err
	}
	var private [32]byte
	if err := random(rnd, private[:]); err != nil {
		return Session{}, nil, err
	}
	state, err := o.read(s, must(ecdh.X25519().NewPrivateKey(private[:])))
	if err != nil {
		return Session{}, nil, err
	}
	if err := state.SetPresharedKey(psk2(shared, o.MLKEM[:], ciphertext)); err != nil {
		return Session{}, nil, err
	}
	message2, down, up, err := state.WriteMessage(ciphertext, nil)
	if err != nil {
		return Session{}, nil, refuse("the offer has a low-order point")
	}
	c := candidate(message2)
	return newSession(c, state, down, up, false), frame.New(frame.Handshake, c, 0, message2), nil
}

// read returns the receiver's state after message 1; without an ephemeral key it
// can't write message 2.
func (o *Offer) read(s Secrets, ephemeral *ecdh.PrivateKey) (*flynn.HandshakeState, error) {
	state, err := newState(s, o.Epoch, x25519{ephemeral: ephemeral}, flynn.Config{PeerStatic: o.X25519[:]})
	if err != nil {
		return nil, err
	}
	if _, _, _, err := state.ReadMessage(nil, o.Message1[:]); err != nil {
		return nil, refuse("the offer's first message does not fit this share, epoch and link")
	}
	return state, nil
}

// encapsulate runs enc on the offer's key and checks what it gave.
func (o *Offer) encapsulate(enc Encapsulate) (shared, ciphertext []byte, err error) {
	ek, err := mlkem.NewEncapsulationKey768(o.MLKEM[:])
	if err != nil {
		return nil, nil, refuse("the offer's ML-KEM key is not valid")
	}
	if enc == nil {
		enc = (*mlkem.EncapsulationKey768).Encapsulate
	}
	shared, ciphertext = enc(ek)
	if len(shared) != mlkem.SharedKeySize || len(ciphertext) != mlkem.CiphertextSize768 {
		return nil, nil, fmt.Errorf("noise: encapsulation gave %d and %d bytes; it has to give %d and %d",
			len(shared), len(ciphertext), mlkem.SharedKeySize, mlkem.CiphertextSize768)
	}
	return shared, ciphertext[:len(ciphertext):len(ciphertext)], nil
}
