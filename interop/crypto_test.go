package interop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// noise/PROTOCOL.md, sections 1 to 4 and 7: keys, the id, the handshake.

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// derive is HKDF of section 1. Noise's own HKDF (section 4.3 there) is the same
// with the chaining key as salt and no info.
func derive(secret, salt []byte, info string, n int) []byte {
	return must(hkdf.Key(sha256.New, secret, salt, info, n))
}

func expand(prk []byte, info string, n int) []byte {
	return must(hkdf.Expand(sha256.New, prk, info, n))
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func u64(x uint64) []byte { return binary.BigEndian.AppendUint64(nil, x) }

// aead seals or opens with the nonce 0: each key here is used once.
func aeadSeal(key, ad, plain []byte) []byte {
	return must(chacha20poly1305.New(key)).Seal(nil, make([]byte, 12), plain, ad)
}

func aeadOpen(key, ad, sealed []byte) ([]byte, error) {
	return must(chacha20poly1305.New(key)).Open(nil, make([]byte, 12), sealed, ad)
}

// linkKeys are what the link gives (section 2).
type linkKeys struct {
	id                   [16]byte
	psk, offerKey, view  []byte
	topic, path, unatten []byte
}

func keysOfLink(id, secret [16]byte) linkKeys {
	key := func(use string) []byte { return derive(secret[:], id[:], "sparekey v1 "+use, 32) }
	return linkKeys{id, key("psk"), key("offer key"), key("view"), key("topic"), key("path"), key("unattended")}
}

// seedKeys are what a sender derives from its seed (section 3).
type seedKeys struct {
	seed             []byte
	static           *ecdh.PrivateKey
	kem              *mlkem.DecapsulationKey768
	over, capability []byte
}

func keysOfSeed(seed []byte) seedKeys {
	key := func(use string, n int) []byte { return derive(seed, nil, "sparekey v1 "+use, n) }
	return seedKeys{
		seed:   seed,
		static: must(ecdh.X25519().NewPrivateKey(key("x25519", 32))),
		kem:    must(mlkem.NewDecapsulationKey768(key("mlkem", 64))),
		over:   key("over", 32), capability: key("sender", 32),
	}
}

func (k seedKeys) ephemeral(epoch uint64) *ecdh.PrivateKey {
	return must(ecdh.X25519().NewPrivateKey(derive(k.seed, nil, "sparekey v1 ephemeral"+string(u64(epoch)), 32)))
}

// A commitment is what a share id is made of (section 4).
type commitment struct{ h, c, id []byte }

func commit(x25519, kem, preview, overHash []byte) commitment {
	h := hash(x25519, hash(kem, preview))
	c := hash(h, overHash)
	return commitment{h, c, hash([]byte("sparekey share"), c)[:16]}
}

// proves reports whether (h, over) is the proof that a share has ended.
func proves(id, h, over []byte) bool {
	return bytes.Equal(hash([]byte("sparekey share"), hash(h, hash(over)))[:16], id)
}

func prologue(id [16]byte, epoch uint64) []byte {
	return bytes.Join([][]byte{[]byte("sparekey v1"), id[:], u64(epoch)}, nil)
}

// symmetric is Noise's state. Each of its keys seals one empty payload, so the
// nonce is always 0.
type symmetric struct{ h, ck, k []byte }

// begin is all before message 1's e: name, prologue, the known key, the psk.
func begin(k linkKeys, epoch uint64, x25519 []byte) *symmetric {
	name := hash([]byte("Noise_KNpsk0+psk2_25519_ChaChaPoly_SHA256"))
	s := &symmetric{h: name, ck: name}
	s.mixHash(prologue(k.id, epoch))
	s.mixHash(x25519)
	s.mixKeyAndHash(k.psk)
	return s
}

func (s *symmetric) mixHash(b []byte) { s.h = hash(s.h, b) }

func (s *symmetric) mixKey(b []byte) {
	out := derive(b, s.ck, "", 64)
	s.ck, s.k = out[:32], out[32:]
}

func (s *symmetric) mixKeyAndHash(b []byte) {
	out := derive(b, s.ck, "", 96)
	s.ck, s.k = out[:32], out[64:]
	s.mixHash(out[32:64])
}

func (s *symmetric) e(public []byte) { s.mixHash(public); s.mixKey(public) }

// product mixes an X25519 product. One of zero is an error, which crypto/ecdh tells.
func (s *symmetric) product(private *ecdh.PrivateKey, public []byte) error {
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return err
	}
	b, err := private.ECDH(p)
	if err != nil {
		return err
	}
	s.mixKey(b)
	return nil
}

func (s *symmetric) sealNothing() []byte {
	tag := aeadSeal(s.k, s.h, nil)
	s.mixHash(tag)
	return tag
}

func (s *symmetric) openNothing(tag []byte) error {
	plain, err := aeadOpen(s.k, s.h, tag)
	if err != nil || len(plain) > 0 {
		return errors.New("the handshake's tag fails")
	}
	s.mixHash(tag)
	return nil
}

func (s *symmetric) psk2(shared, kem, ciphertext []byte) []byte {
	psk2 := derive(shared, []byte("sparekey v1 psk2"), string(hash(kem))+string(hash(ciphertext)), 32)
	s.mixKeyAndHash(psk2)
	return psk2
}

// A session is what both sides have after message 2 (section 8).
type session struct {
	candidate      [8]byte
	down, up       []byte // the sender's key, the receiver's
	exporter, hash []byte
	psk2           []byte
	sender         bool
}

func (s *symmetric) split(message2, psk2 []byte, sender bool) session {
	keys := derive(nil, s.ck, "", 64)
	return session{
		candidate: [8]byte(hash(message2)), down: keys[:32], up: keys[32:], sender: sender,
		exporter: must(hkdf.Extract(sha256.New, keys, s.h)), hash: s.h, psk2: psk2,
	}
}

func (s session) mine() []byte {
	if s.sender {
		return s.down
	}
	return s.up
}

func (s session) theirs() []byte {
	if s.sender {
		return s.up
	}
	return s.down
}

func (s session) export(label string) []byte {
	return expand(s.exporter, "sparekey v1 export "+label, 32)
}

// lowOrder are the points of section 6, without their sign.
var lowOrder = func() (all [][]byte) {
	ends := func(first, last byte) []byte {
		b := bytes.Repeat([]byte{0xff}, 32)
		b[0], b[31] = first, last
		return b
	}
	zero, one := make([]byte, 32), make([]byte, 32)
	one[0] = 1
	all = append(all, zero, one, ends(0xec, 0x7f), ends(0xed, 0x7f), ends(0xee, 0x7f))
	for _, s := range []string{
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	} {
		all = append(all, must(hex.DecodeString(s)))
	}
	return all
}()

func isLowOrder(public []byte) bool {
	p := bytes.Clone(public)
	p[31] &= 0x7f
	for _, l := range lowOrder {
		if bytes.Equal(p, l) {
			return true
		}
	}
	return false
}
