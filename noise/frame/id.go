package frame

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// A ShareID names one share. It commits to the sender's keys, to the preview
// and to the proof of the share's end:
//
//	h  = SHA-256(X25519 public ‖ SHA-256(ML-KEM public ‖ preview))
//	c  = SHA-256(h ‖ SHA-256(over))
//	id = SHA-256("sparekey share" ‖ c), first 16 bytes
//
// So whoever shows c made the share, and whoever shows (h, over) knows that its
// sender ended it.
type ShareID [16]byte

// String returns the id as it stands in a link: 22 characters of base64url.
func (id ShareID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ID returns the share id of the preimage c.
func ID(c [32]byte) ShareID {
	sum := sha256.Sum256(append([]byte("sparekey share"), c[:]...))
	return ShareID(sum[:16])
}

// Preimage returns c of h and SHA-256(over).
func Preimage(h, overHash [32]byte) [32]byte {
	return sha256.Sum256(append(h[:], overHash[:]...))
}

// A Proof shows that the sender of a share has ended it. Nobody can make one
// before the sender shows it, and it says nothing about how the share ended.
type Proof struct {
	H    [32]byte `cbor:"1,keyasint"`
	Over [32]byte `cbor:"2,keyasint"`
}

// Proves reports whether p is the proof for id.
func (p Proof) Proves(id ShareID) bool {
	got := ID(Preimage(p.H, sha256.Sum256(p.Over[:])))
	return subtle.ConstantTimeCompare(got[:], id[:]) == 1
}
