package noise_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// This file is a second implementation of the session, written from the Noise
// specification (revision 34) and PROTOCOL.md over crypto primitives only. It
// shares nothing with the package but its data types, and it can be told to
// break the rules.

// keyed is HMAC-SHA256.
func keyed(key []byte, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, d := range data {
		m.Write(d)
	}
	return m.Sum(nil)
}

// hkdf256 is HKDF-SHA256 (RFC 5869) of at most 64 bytes.
func hkdf256(secret, salt []byte, info string, n int) []byte {
	if salt == nil {
		salt = make([]byte, 32)
	}
	return expand256(keyed(salt, secret), info, n)
}

func expand256(prk []byte, info string, n int) []byte {
	t1 := keyed(prk, []byte(info), []byte{1})
	t2 := keyed(prk, t1, []byte(info), []byte{2})
	return append(t1, t2...)[:n]
}

// symmetric is the SymmetricState and CipherState of the Noise specification,
// sections 5.1 and 5.2.
type symmetric struct {
	ck, h, k []byte
	n        uint64
}

func newSymmetric(name string) *symmetric {
	h := make([]byte, 32)
	if copy(h, name); len(name) > 32 {
		sum := sha256.Sum256([]byte(name))
		h = sum[:]
	}
	return &symmetric{ck: h, h: h}
}

func (s *symmetric) mixHash(data []byte) {
	sum := sha256.Sum256(append(bytes.Clone(s.h), data...))
	s.h = sum[:]
}

// stretch is the HKDF of section 4.3.
func (s *symmetric) stretch(input []byte) (o1, o2, o3 []byte) {
	temp := keyed(s.ck, input)
	o1 = keyed(temp, []byte{1})
	o2 = keyed(temp, o1, []byte{2})
	return o1, o2, keyed(temp, o2, []byte{3})
}

func (s *symmetric) mixKey(input []byte) { s.ck, s.k, _ = s.stretch(input); s.n = 0 }

func (s *symmetric) mixKeyAndHash(psk []byte) {
	ck, h, k := s.stretch(psk)
	s.ck = ck
	s.mixHash(h)
	s.k, s.n = k, 0
}

func (s *symmetric) nonce() []byte {
	n := binary.LittleEndian.AppendUint64(make([]byte, 4), s.n)
	s.n++
	return n
}

func (s *symmetric) encrypt(plain []byte) []byte {
	out := plain
	if s.k != nil {
		out = cipherOf(s.k).Seal(nil, s.nonce(), plain, s.h)
	}
	s.mixHash(out)
	return out
}

func (s *symmetric) decrypt(sealed []byte) ([]byte, error) {
	plain := sealed
	if s.k != nil {
		var err error
		if plain, err = cipherOf(s.k).Open(nil, s.nonce(), sealed, s.h); err != nil {
			return nil, err
		}
	}
	s.mixHash(sealed)
	return plain, nil
}

func cipherOf(key []byte) interface {
	Seal(dst, nonce, plain, ad []byte) []byte
	Open(dst, nonce, sealed, ad []byte) ([]byte, error)
} {
	c, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err)
	}
	return c
}

func private(b []byte) *ecdh.PrivateKey {
	k, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		panic(err)
	}
	return k
}

// multiply is X25519; a product of zero stays zero, for some peers don't check.
func multiply(k *ecdh.PrivateKey, public []byte) []byte {
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	out, err := k.ECDH(p)
	if err != nil {
		return make([]byte, 32)
	}
	return out
}

// rules says which protocol a peer follows. The zero rules are the right ones.
type rules struct {
	name        string // the whole Noise name; empty: the right one
	prologue    []byte // nil: the right one
	noPSK0      bool   // no psk token in message 1: plain KN up to there
	noPSK2      bool   // no psk token in message 2
	psk0AsPSK2  bool   // the library's way when nobody sets the second psk
	barePSK2    bool   // the ML-KEM secret as psk2, without ek and ct
	ephemeral   []byte // in place of the public key, in message 2
	payload     []byte // in message 2
	flipCapsule bool   // change the ML-KEM ciphertext after psk2 was made
}

const fullName = "Noise_KNpsk0+psk2_25519_ChaChaPoly_SHA256"

func (r rules) begin(s noise.Secrets, epoch uint64, static []byte) *symmetric {
	name, prologue := fullName, r.prologue
	if r.name != "" {
		name = r.name
	}
	if prologue == nil {
		prologue = append([]byte("sparekey v1"), s.ID[:]...)
		prologue = binary.BigEndian.AppendUint64(prologue, epoch)
	}
	st := newSymmetric(name)
	st.mixHash(prologue)
	st.mixHash(static)
	if !r.noPSK0 {
		st.mixKeyAndHash(s.PSK[:])
	}
	return st
}

// e is the token: with a psk in the pattern it mixes the key too (section 9.2).
func (r rules) e(st *symmetric, public []byte) {
	st.mixHash(public)
	if !r.noPSK0 || !r.noPSK2 {
		st.mixKey(public)
	}
}

func (r rules) psk2(st *symmetric, s noise.Secrets, shared, ek, ct []byte) []byte {
	a, b := sha256.Sum256(ek), sha256.Sum256(ct)
	psk := hkdf256(shared, []byte("sparekey v1 psk2"), string(a[:])+string(b[:]), 32)
	switch {
	case r.noPSK2:
		return nil
	case r.psk0AsPSK2:
		psk = s.PSK[:]
	case r.barePSK2:
		psk = shared
	}
	st.mixKeyAndHash(psk)
	return psk
}

// peerSession is what a peer knows at the end, with what lies between for the vectors.
type peerSession struct {
	noise.Session
	psk2, hash []byte
}

func finish(st *symmetric, message2 []byte, sender bool) peerSession {
	sum := sha256.Sum256(message2)
	down, up, _ := st.stretch(nil)
	p := peerSession{hash: bytes.Clone(st.h)}
	p.Candidate = frame.Candidate(sum[:8])
	p.Exporter = [32]byte(keyed(st.h, down, up))
	p.SealKey, p.OpenKey = [32]byte(up), [32]byte(down)
	if sender {
		p.SealKey, p.OpenKey = [32]byte(down), [32]byte(up)
	}
	return p
}

var errPeer = errors.New("the peer could not read it")

// claim is the receiver's side: it reads message 1 and writes message 2.
func (r rules) claim(s noise.Secrets, o noise.Offer, ephemeral, kem []byte) (peerSession, frame.Frame, error) {
	st := r.begin(s, o.Epoch, o.X25519[:])
	re := o.Message1[:32]
	r.e(st, re)
	if _, err := st.decrypt(o.Message1[32:]); err != nil {
		if !r.noPSK0 {
			return peerSession{}, nil, errPeer
		}
		st.mixHash(o.Message1[32:]) // a careless peer goes on
	}
	ek, err := mlkem.NewEncapsulationKey768(o.MLKEM[:])
	if err != nil {
		return peerSession{}, nil, err
	}
	shared, ct, err := mlkemtest.Encapsulate768(ek, kem)
	if err != nil {
		return peerSession{}, nil, err
	}
	e := private(ephemeral)
	public := e.PublicKey().Bytes()
	if r.ephemeral != nil {
		public = r.ephemeral
	}
	r.e(st, public)
	if r.ephemeral != nil { // a low-order key of ours: every product is zero
		st.mixKey(make([]byte, 32))
		st.mixKey(make([]byte, 32))
	} else {
		st.mixKey(multiply(e, re))
		st.mixKey(multiply(e, o.X25519[:]))
	}
	psk2 := r.psk2(st, s, shared, o.MLKEM[:], ct)
	if r.flipCapsule {
		ct[0] ^= 1
	}
	message2 := append(append(bytes.Clone(ct), public...), st.encrypt(r.payload)...)
	p := finish(st, message2, false)
	p.psk2 = psk2
	return p, frame.New(frame.Handshake, p.Candidate, 0, message2), nil
}

// peerSender is the sender's side: it makes message 1 from its seed and reads message 2.
type peerSender struct {
	static, ephemeral *ecdh.PrivateKey
	kem               *mlkem.DecapsulationKey768
	pose              *noise.Offer // whose public keys it shows in place of its own; nil: its own
}

func newPeerSender(seed [32]byte, epoch uint64) peerSender {
	info := string(binary.BigEndian.AppendUint64([]byte("sparekey v1 ephemeral"), epoch))
	kem, err := mlkem.NewDecapsulationKey768(hkdf256(seed[:], nil, "sparekey v1 mlkem", 64))
	if err != nil {
		panic(err)
	}
	return peerSender{
		static:    private(hkdf256(seed[:], nil, "sparekey v1 x25519", 32)),
		ephemeral: private(hkdf256(seed[:], nil, info, 32)),
		kem:       kem,
	}
}

func (p peerSender) ek() []byte {
	if p.pose != nil {
		return p.pose.MLKEM[:]
	}
	return p.kem.EncapsulationKey().Bytes()
}

func (p peerSender) public() []byte {
	if p.pose != nil {
		return p.pose.X25519[:]
	}
	return p.static.PublicKey().Bytes()
}

func (p peerSender) start(r rules, s noise.Secrets, epoch uint64) (*symmetric, []byte) {
	st := r.begin(s, epoch, p.public())
	r.e(st, p.ephemeral.PublicKey().Bytes())
	return st, append(p.ephemeral.PublicKey().Bytes(), st.encrypt(nil)...)
}

func (p peerSender) accept(r rules, s noise.Secrets, epoch uint64, handshake frame.Frame) (peerSession, error) {
	message2 := handshake.Sealed()
	ct, re, tag := message2[:1088], message2[1088:1120], message2[1120:]
	shared, err := p.kem.Decapsulate(ct)
	if err != nil {
		return peerSession{}, err
	}
	st, _ := p.start(r, s, epoch)
	r.e(st, re)
	st.mixKey(multiply(p.ephemeral, re))
	st.mixKey(multiply(p.static, re))
	psk2 := r.psk2(st, s, shared, p.ek(), ct)
	if _, err := st.decrypt(tag); err != nil {
		return peerSession{}, errPeer
	}
	session := finish(st, message2, true)
	session.psk2 = psk2
	return session, nil
}

// commit is the share id and what it is made from.
func (p peerSender) commit(over [32]byte, preview []byte) (id frame.ShareID, h, c [32]byte) {
	inner := sha256.Sum256(append(p.ek(), preview...))
	h = sha256.Sum256(append(p.public(), inner[:]...))
	overHash := sha256.Sum256(over[:])
	c = sha256.Sum256(append(h[:], overHash[:]...))
	sum := sha256.Sum256(append([]byte("sparekey share"), c[:]...))
	return frame.ShareID(sum[:16]), h, c
}

// pad appends 0x80 and zeros up to the next length that a plaintext may have.
func pad(plain []byte) []byte {
	b := append(bytes.Clone(plain), 0x80)
	for _, n := range []int{256, 1024, 2048, 4096, 16384, 61440} {
		if len(b) <= n {
			return append(b, make([]byte, n-len(b))...)
		}
	}
	return b
}

// sealPadded seals a plaintext whose padding is already there, or is wrong.
func sealPadded(key [32]byte, k frame.Kind, c frame.Candidate, seq uint64, salt, padded []byte) frame.Frame {
	header := frame.New(k, c, seq, nil)
	frameKey := hkdf256(key[:], salt, string(header), 32)
	sealed := cipherOf(frameKey).Seal(bytes.Clone(salt), make([]byte, 12), padded, header)
	return frame.New(k, c, seq, sealed)
}

// openPadded returns a frame's plaintext with its padding.
func openPadded(key [32]byte, f frame.Frame) ([]byte, error) {
	salt, sealed := f.Sealed()[:16], f.Sealed()[16:]
	frameKey := hkdf256(key[:], salt, string(f.Header()), 32)
	return cipherOf(frameKey).Open(nil, make([]byte, 12), sealed, f.Header())
}

func withAck(ack uint64, body []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, ack), body...)
}

// taken is the peer's own taken frame for a session.
func taken(s noise.Session) frame.Frame {
	b := expand256(s.Exporter[:], "sparekey v1 taken", 48)
	return sealPadded([32]byte(b[:32]), frame.Taken, s.Candidate, 0, b[32:], pad(withAck(0, nil)))
}

// lastAck is the peer's own last ack under a direction's key.
func lastAck(key [32]byte, c frame.Candidate) frame.Frame {
	salt := hkdf256(key[:], nil, "sparekey v1 last ack", 16)
	return sealPadded(key, frame.Ack, c, 1<<64-1, salt, pad(withAck(1<<64-1, nil)))
}

// offerPlain lays out an offer's plaintext.
func offerPlain(o noise.Offer) []byte {
	b := append(append(append(bytes.Clone(o.X25519[:]), o.MLKEM[:]...), o.OverHash[:]...), o.Message1[:]...)
	if o.CPace == nil {
		return append(append(b, 0), o.Preview...)
	}
	return append(append(append(b, 1), o.CPace[:]...), o.Preview...)
}

// sealOffer seals an offer as its sender would, with a salt of the test's.
func sealOffer(s noise.Secrets, o noise.Offer) frame.Frame {
	return sealPadded(s.OfferKey, frame.Offer, frame.Candidate{}, o.Epoch, make([]byte, 16), pad(offerPlain(o)))
}

// identify is the share id of any keys and preview, as whoever makes them up reckons it.
func identify(o noise.Offer) frame.ShareID {
	inner := sha256.Sum256(append(bytes.Clone(o.MLKEM[:]), o.Preview...))
	h := sha256.Sum256(append(bytes.Clone(o.X25519[:]), inner[:]...))
	c := sha256.Sum256(append(h[:], o.OverHash[:]...))
	sum := sha256.Sum256(append([]byte("sparekey share"), c[:]...))
	return frame.ShareID(sum[:16])
}
