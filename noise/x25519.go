package noise

import (
	"crypto/ecdh"
	"errors"
	"io"

	flynn "github.com/flynn/noise"
)

// x25519 is the Diffie-Hellman function of one side of one handshake, with its
// keys. The library holds handles in place of private keys: its own function
// makes the key anew for each product, which takes as long as the product. As
// RFC 7748 section 6.1 allows, a product of zero (a low-order point) is an error.
type x25519 struct {
	static    *ecdh.PrivateKey // nil: this side has none
	ephemeral *ecdh.PrivateKey // nil: this state only reads
}

// What the library is given for private keys.
const (
	staticHandle    = "s"
	ephemeralHandle = "e"
)

var errNoKey = errors.New("noise: the handshake asked for a key that this side does not have")

func (d x25519) keypair(handle string) (flynn.DHKey, error) {
	key := d.key(handle)
	if key == nil {
		return flynn.DHKey{}, errNoKey
	}
	return flynn.DHKey{Private: []byte(handle), Public: key.PublicKey().Bytes()}, nil
}

func (d x25519) key(handle string) *ecdh.PrivateKey {
	switch handle {
	case staticHandle:
		return d.static
	case ephemeralHandle:
		return d.ephemeral
	}
	return nil
}

// GenerateKeypair gives the library the ephemeral key, which was made before.
func (d x25519) GenerateKeypair(io.Reader) (flynn.DHKey, error) { return d.keypair(ephemeralHandle) }

func (d x25519) DH(handle, public []byte) ([]byte, error) {
	key := d.key(string(handle))
	if key == nil {
		return nil, errNoKey
	}
	peer, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return key.ECDH(peer)
}

func (x25519) DHLen() int     { return 32 }
func (x25519) DHName() string { return "25519" }
