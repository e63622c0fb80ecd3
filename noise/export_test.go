package noise

import (
	"crypto/ecdh"

	flynn "github.com/flynn/noise"
)

// DH is the package's Diffie-Hellman function with these keys, and the static
// key as the library holds it.
func DH(static, ephemeral *ecdh.PrivateKey) (flynn.DHFunc, flynn.DHKey) {
	dh := x25519{static: static, ephemeral: ephemeral}
	key, _ := dh.keypair(staticHandle)
	return dh, key
}

// Pattern is the handshake's pattern, before the library adds psk2.
var Pattern = pattern

// Reduced is the check of an offer's ML-KEM key.
var Reduced = reduced
