package noise_test

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// oneHandshake is all of both sides: keys, offer, opening it, claim, accept.
func oneHandshake(b *testing.B, w *aShare) {
	keys := noise.NewKeys(w.seed)
	offer, err := keys.Offer(w.secrets, 0, w.preview, nil)
	ok(b, err, "offer")
	o, err := noise.OpenOffer(w.secrets, offer)
	ok(b, err, "open")
	_, hello, err := o.Claim(w.secrets, rand.Reader, nil)
	ok(b, err, "claim")
	_, err = keys.Accept(w.secrets, 0, hello)
	ok(b, err, "accept")
}

// itsPrimitives does what a handshake can't do without, and nothing between:
//
//	X25519   4 keys (static, ephemeral, the ephemeral again to accept, the
//	         receiver's) and 4 products (ee and se on both sides)
//	ML-KEM   key, reading the key, encapsulation, decapsulation
//	AEAD     the offer's 2 kB sealed and opened; 6 empty messages of Noise: message 1
//	         written twice and read twice, message 2 written and read
//	HKDF     18 of Noise's and 12 of ours
//	SHA-256  the id's commitment over 2 kB: made, checked to open, checked to claim
func itsPrimitives(b *testing.B, p *primitives) {
	for range 4 {
		_ = must(ecdh.X25519().NewPrivateKey(p.scalar))
		_ = must(p.key.ECDH(p.peer))
	}
	dk := must(mlkem.NewDecapsulationKey768(p.kem))
	ek := must(mlkem.NewEncapsulationKey768(p.ek))
	_, ct := ek.Encapsulate()
	_ = must(dk.Decapsulate(ct))
	sealed := p.aead.Seal(nil, p.nonce, p.block, nil)
	_ = must(p.aead.Open(nil, p.nonce, sealed, nil))
	for range 3 {
		sealed := p.aead.Seal(nil, p.nonce, nil, nil)
		_ = must(p.aead.Open(nil, p.nonce, sealed, nil))
		sha256.Sum256(p.block)
	}
	for range p.hkdfs {
		_ = must(hkdf.Key(sha256.New, p.scalar, p.scalar, "label", 32))
	}
}

type primitives struct {
	scalar, kem, ek, nonce, block []byte
	key                           *ecdh.PrivateKey
	peer                          *ecdh.PublicKey
	aead                          interface {
		Seal(dst, nonce, plain, ad []byte) []byte
		Open(dst, nonce, sealed, ad []byte) ([]byte, error)
	}
	hkdfs int
}

// hkdfs counts the key derivations of a handshake. Message 1 has two (psk, e), and
// message 2 four (e, ee, se, psk) and the split: the sender does message 1 to offer
// and both to accept, the receiver message 1 to open and both to claim.
const hkdfs = (2+7)*2 +
	2 + 1 + 2 + // x25519 and ml-kem; over; the ephemeral to offer and to accept
	1 + 2 + // offer salt, the offer's frame key on both sides
	2 + 2 // psk2 and exporter on both sides

func newPrimitives() *primitives {
	p := &primitives{scalar: vectortest.Counted(1, 32), kem: vectortest.Counted(1, 64), nonce: make([]byte, 12), block: make([]byte, 2048), hkdfs: hkdfs}
	p.key = private(p.scalar)
	p.peer = private(vectortest.Counted(2, 32)).PublicKey()
	p.ek = must(mlkem.NewDecapsulationKey768(p.kem)).EncapsulationKey().Bytes()
	p.aead = must(chacha20poly1305.New(p.scalar))
	return p
}

// ratio runs two things by turns and reports how much longer the first takes.
func ratio(b *testing.B, ours, theirs func()) {
	var a, c time.Duration
	for b.Loop() {
		start := time.Now()
		ours()
		middle := time.Now()
		theirs()
		a += middle.Sub(start)
		c += time.Since(middle)
	}
	b.ReportMetric(float64(a.Nanoseconds())/float64(b.N), "ours-ns/op")
	b.ReportMetric(float64(c.Nanoseconds())/float64(b.N), "theirs-ns/op")
	b.ReportMetric(float64(a)/float64(c), "ours/theirs")
}

// BenchmarkHandshake: the goal is at most 1.1 times the primitives.
func BenchmarkHandshake(b *testing.B) {
	w, p := newShare(1, "preview"), newPrimitives()
	ratio(b, func() { oneHandshake(b, w) }, func() { itsPrimitives(b, p) })
}

// BenchmarkSeal60k: the goal is at most 1.25 times raw ChaCha20-Poly1305, which is
// 0.8 of its speed.
func BenchmarkSeal60k(b *testing.B) {
	sender, _, _ := newShare(1, "preview").pair(b, 0, 1)
	body, plain := make([]byte, noise.MaxBody), make([]byte, 61440)
	rnd, aead, nonce := seeded(1), must(chacha20poly1305.New(make([]byte, 32))), make([]byte, 12)
	b.SetBytes(int64(len(plain)))
	ratio(b, func() {
		if _, err := sender.Seal(rnd, frame.Data, 0, 0, body); err != nil {
			b.Fatal(err)
		}
	}, func() { aead.Seal(nil, nonce, plain, nil) })
}

// BenchmarkOpen60k is sealing's other half.
func BenchmarkOpen60k(b *testing.B) {
	sender, receiver, _ := newShare(1, "preview").pair(b, 0, 1)
	f, err := sender.Seal(seeded(1), frame.Data, 0, 0, make([]byte, noise.MaxBody))
	ok(b, err, "seal")
	aead, nonce := must(chacha20poly1305.New(make([]byte, 32))), make([]byte, 12)
	raw := aead.Seal(nil, nonce, make([]byte, 61440), nil)
	b.SetBytes(61440)
	ratio(b, func() {
		if _, _, err := receiver.Open(f); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if _, err := aead.Open(nil, nonce, raw, nil); err != nil {
			b.Fatal(err)
		}
	})
}
