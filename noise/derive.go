package noise

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// Labels of all that is derived here. Each stands in one place only; a new
// meaning is a new label, and a new protocol a new "v1".
const (
	labelX25519    = "sparekey v1 x25519"     // seed: 32 bytes, the X25519 private key
	labelMLKEM     = "sparekey v1 mlkem"      // seed: 64 bytes, d ‖ z of FIPS 203
	labelOver      = "sparekey v1 over"       // seed: 32 bytes, shown when the share has ended
	labelSender    = "sparekey v1 sender"     // seed: 32 bytes, the sender's capability
	labelEphemeral = "sparekey v1 ephemeral"  // seed, then epoch: 32 bytes, message 1's private key
	labelOfferSalt = "sparekey v1 offer salt" // seed, then epoch and SHA-256 of the plaintext: 16 bytes
	labelPSK2      = "sparekey v1 psk2"       // salt over the ML-KEM shared secret
	labelTaken     = "sparekey v1 taken"      // exporter secret: 48 bytes, key ‖ salt
	labelLastAck   = "sparekey v1 last ack"   // a direction's key: 16 bytes, the salt of its last ack
	labelExport    = "sparekey v1 export "    // exporter secret, then the use
	labelPrologue  = "sparekey v1"            // begins the prologue
)

// derive is HKDF-SHA256 of a secret, with an empty salt where it is nil.
func derive(secret, salt []byte, info string, n int) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, n)
	return must(key, err)
}

// expand is HKDF-Expand-SHA256 of a pseudorandom key.
func expand(prk []byte, info string, n int) []byte {
	key, err := hkdf.Expand(sha256.New, prk, info, n)
	return must(key, err)
}

// extract is HKDF-Extract-SHA256.
func extract(secret, salt []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	return must(prk, err)
}

// must is for errors that depend on lengths only, where the lengths are ours:
// no input of anyone reaches them.
func must[T any](v T, err error) T {
	if err != nil {
		panic("noise: " + err.Error())
	}
	return v
}

// withEpoch returns the label followed by the epoch, 8 bytes big endian.
func withEpoch(label string, epoch uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(label), epoch))
}
