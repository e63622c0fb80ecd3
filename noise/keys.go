package noise

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/noise/frame"
)

// Keys are all that a sender makes from the 32-byte seed of one share. They are
// not saved but made again. They are read only, and may be used from several
// goroutines at once.
type Keys struct {
	seed   [32]byte
	static *ecdh.PrivateKey
	kem    *mlkem.DecapsulationKey768
	public publicKeys
}

// publicKeys are the sender's two public keys, to which the share id commits.
type publicKeys struct {
	x25519 [32]byte
	mlkem  [mlkem.EncapsulationKeySize768]byte
}

// NewKeys makes a sender's keys from its seed, which must be uniformly random
// and serve one share only.
func NewKeys(seed [32]byte) *Keys {
	k := &Keys{seed: seed}
	k.static = must(ecdh.X25519().NewPrivateKey(k.derive(labelX25519, 32)))
	k.kem = must(mlkem.NewDecapsulationKey768(k.derive(labelMLKEM, mlkem.SeedSize)))
	k.public.x25519 = [32]byte(k.static.PublicKey().Bytes())
	k.public.mlkem = [mlkem.EncapsulationKeySize768]byte(k.kem.EncapsulationKey().Bytes())
	return k
}

func (k *Keys) derive(info string, n int) []byte { return derive(k.seed[:], nil, info, n) }

// Capability returns the bearer token that lets the sender, and nobody else,
// write to the share's mailbox.
func (k *Keys) Capability() [32]byte { return [32]byte(k.derive(labelSender, 32)) }

func (k *Keys) over() [32]byte { return [32]byte(k.derive(labelOver, 32)) }

// Commit returns c, whose frame.ID is the share id, and the pair (h, over) that
// proves the share's end. The pair is secret until the share has ended. A
// preview of more than MaxPreview bytes can be committed to, but not offered.
func (k *Keys) Commit(preview []byte) (c [32]byte, p frame.Proof) {
	p = frame.Proof{H: k.public.commit(preview), Over: k.over()}
	return frame.Preimage(p.H, sha256.Sum256(p.Over[:])), p
}

// commit returns h = SHA-256(X25519 public ‖ SHA-256(ML-KEM public ‖ preview)).
func (p *publicKeys) commit(preview []byte) [32]byte {
	inner := sha256.New()
	inner.Write(p.mlkem[:])
	inner.Write(preview)
	return sha256.Sum256(inner.Sum(p.x25519[:]))
}

var errOtherID = errors.New("noise: the share id does not commit to these keys and this preview")

// Offer returns the sealed offer of an epoch. It is pure: the same arguments
// give the same bytes. An epoch's preview and cpace never change, for receivers
// would see two offers that contradict each other. The cpace is the sender's
// CPace share where the share asks for a PIN, else nil.
func (k *Keys) Offer(s Secrets, epoch uint64, preview []byte, cpace *[32]byte) (frame.Frame, error) {
	if len(preview) > MaxPreview {
		return nil, fmt.Errorf("noise: a preview of %d bytes; at most %d fit an offer", len(preview), MaxPreview)
	}
	if s.OfferKey == [32]byte{} {
		return nil, errNoOfferKey
	}
	c, p := k.Commit(preview)
	if frame.ID(c) != s.ID {
		return nil, errOtherID
	}
	_, message1, err := k.start(s, epoch)
	if err != nil {
		return nil, err
	}
	o := Offer{
		Epoch: epoch, Preview: preview, CPace: cpace,
		X25519: k.public.x25519, MLKEM: k.public.mlkem,
		OverHash: sha256.Sum256(p.Over[:]), Message1: [message1Size]byte(message1),
	}
	plain := o.marshal()
	// The salt depends on the plaintext too, so that no caller's mistake can
	// seal two offers under one key and nonce.
	sum := sha256.Sum256(plain)
	salt := k.derive(withEpoch(labelOfferSalt, epoch)+string(sum[:]), saltSize)
	return seal(s.OfferKey, frame.Offer, frame.Candidate{}, epoch, [saltSize]byte(salt), plain), nil
}
