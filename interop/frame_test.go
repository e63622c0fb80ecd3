package interop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// noise/PROTOCOL.md, sections 5 to 9: frames, offers, claims, data, taken.

// The kinds of frames.
const (
	kindOffer = iota + 1
	kindHandshake
	kindData
	kindAck
	kindTaken
)

// A frame is its bytes: kind 1, candidate 8, seq 8, and what is sealed.
type frame []byte

func (f frame) kind() byte         { return f[0] }
func (f frame) candidate() [8]byte { return [8]byte(f[1:9]) }
func (f frame) seq() uint64        { return binary.BigEndian.Uint64(f[9:17]) }
func (f frame) header() []byte     { return f[:17] }

func newFrame(kind byte, candidate [8]byte, seq uint64, rest []byte) frame {
	return bytes.Join([][]byte{{kind}, candidate[:], u64(seq), rest}, nil)
}

const maxFrame = 61489

// parseFrame refuses what can be refused without a key.
func parseFrame(b []byte) (frame, error) {
	if len(b) < 17 || len(b) > maxFrame {
		return nil, fmt.Errorf("a frame of %d bytes", len(b))
	}
	f := frame(b)
	nobody, shut := f.candidate() == [8]byte{}, f.kind() == kindTaken && len(f) == 17
	switch {
	case f.kind() < kindOffer || f.kind() > kindTaken:
		return nil, fmt.Errorf("kind %d", f.kind())
	case nobody != (f.kind() == kindOffer) && !shut:
		return nil, errors.New("a candidate that doesn't fit the kind")
	case f.seq() != 0 && (f.kind() == kindHandshake || f.kind() == kindTaken):
		return nil, errors.New("a seq that doesn't fit the kind")
	case len(f) < 17+32 && !shut:
		return nil, errors.New("no room for salt and tag")
	}
	return f, nil
}

var sizes = []int{256, 1024, 2048, 4096, 16384, 61440}

func pad(plain []byte) []byte {
	b := append(bytes.Clone(plain), 0x80)
	for _, n := range sizes {
		if len(b) <= n {
			return append(b, make([]byte, n-len(b))...)
		}
	}
	panic("too much for a frame")
}

func unpad(b []byte) ([]byte, error) {
	plain := bytes.TrimRight(b, "\x00")
	if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
		return nil, errors.New("the padding is none")
	}
	plain = plain[:len(plain)-1]
	if !bytes.Equal(pad(plain), b) {
		return nil, errors.New("a longer padding than it had to be")
	}
	return plain, nil
}

func sealFrame(key []byte, kind byte, candidate [8]byte, seq uint64, salt, plain []byte) frame {
	head := newFrame(kind, candidate, seq, nil)
	sealed := aeadSeal(derive(key, salt, string(head), 32), head, pad(plain))
	return bytes.Join([][]byte{head, salt, sealed}, nil)
}

func openFrame(key []byte, f frame) ([]byte, error) {
	if _, err := parseFrame(f); err != nil {
		return nil, err
	}
	if n := len(f) - 17 - 32; !isSize(n) {
		return nil, fmt.Errorf("%d sealed bytes are no size", n)
	}
	padded, err := aeadOpen(derive(key, f[17:33], string(f.header()), 32), f.header(), f[33:])
	if err != nil {
		return nil, err
	}
	return unpad(padded)
}

func isSize(n int) bool {
	for _, s := range sizes {
		if n == s {
			return true
		}
	}
	return false
}

// An offer is what a sender shows to whoever has the link.
type offer struct {
	epoch                                    uint64
	x25519, kem, overHash, message1, preview []byte
	cpace                                    []byte // nil without a PIN
}

func (o offer) plain() []byte {
	b := bytes.Join([][]byte{o.x25519, o.kem, o.overHash, o.message1, {0}}, nil)
	if o.cpace != nil {
		b[1296] = 1
		b = append(b, o.cpace...)
	}
	return append(b, o.preview...)
}

// makeOffer makes an epoch's offer, the same bytes each time.
func (k seedKeys) makeOffer(l linkKeys, epoch uint64, preview, cpace []byte) (offer, frame) {
	st := begin(l, epoch, k.static.PublicKey().Bytes())
	e := k.ephemeral(epoch).PublicKey().Bytes()
	st.e(e)
	o := offer{
		epoch: epoch, x25519: k.static.PublicKey().Bytes(), kem: k.kem.EncapsulationKey().Bytes(), overHash: hash(k.over),
		message1: append(e, st.sealNothing()...), preview: preview, cpace: cpace,
	}
	salt := derive(k.seed, nil, "sparekey v1 offer salt"+string(u64(epoch))+string(hash(o.plain())), 16)
	return o, sealFrame(l.offerKey, kindOffer, [8]byte{}, epoch, salt, o.plain())
}

// openOffer makes the five checks of section 6.
func openOffer(l linkKeys, f frame) (offer, error) {
	if _, err := parseFrame(f); err != nil {
		return offer{}, err
	}
	if f.kind() != kindOffer {
		return offer{}, errors.New("not an offer")
	}
	b, err := openFrame(l.offerKey, f)
	if err != nil {
		return offer{}, err
	}
	if len(b) < 1297 || b[1296] > 1 || b[1296] == 1 && len(b) < 1329 {
		return offer{}, errors.New("an offer of another layout")
	}
	o := offer{epoch: f.seq(), x25519: b[:32], kem: b[32:1216], overHash: b[1216:1248], message1: b[1248:1296], preview: b[1297:]}
	if b[1296] == 1 {
		o.cpace, o.preview = b[1297:1329], b[1329:]
	}
	if len(o.preview) > 700 {
		return offer{}, errors.New("a preview of more than 700 bytes")
	}
	if subtle.ConstantTimeCompare(commit(o.x25519, o.kem, o.preview, o.overHash).id, l.id[:]) != 1 {
		return offer{}, errors.New("the id commits to something else")
	}
	if isLowOrder(o.x25519) || isLowOrder(o.message1[:32]) {
		return offer{}, errors.New("a low-order point")
	}
	if _, err := mlkem.NewEncapsulationKey768(o.kem); err != nil {
		return offer{}, err
	}
	_, err = o.read(l)
	return o, err
}

// read reads message 1.
func (o offer) read(l linkKeys) (*symmetric, error) {
	st := begin(l, o.epoch, o.x25519)
	st.e(o.message1[:32])
	return st, st.openNothing(o.message1[32:])
}

// An encapsulation gives a shared secret and its ciphertext.
type encapsulation func(*mlkem.EncapsulationKey768) (shared, ciphertext []byte)

// claim makes a candidate: its session and its handshake frame.
func (o offer) claim(l linkKeys, e *ecdh.PrivateKey, encapsulate encapsulation) (session, frame, error) {
	st, err := o.read(l)
	if err != nil {
		return session{}, nil, err
	}
	shared, ciphertext := encapsulate(must(mlkem.NewEncapsulationKey768(o.kem)))
	st.e(e.PublicKey().Bytes())
	if err := errors.Join(st.product(e, o.message1[:32]), st.product(e, o.x25519)); err != nil {
		return session{}, nil, err
	}
	psk2 := st.psk2(shared, o.kem, ciphertext)
	message2 := bytes.Join([][]byte{ciphertext, e.PublicKey().Bytes(), st.sealNothing()}, nil)
	s := st.split(message2, psk2, false)
	return s, newFrame(kindHandshake, s.candidate, 0, message2), nil
}

// accept reads a handshake, building all state anew from the seed.
func (k seedKeys) accept(l linkKeys, epoch uint64, f frame) (session, error) {
	if _, err := parseFrame(f); err != nil {
		return session{}, err
	}
	message2 := f[17:]
	switch {
	case f.kind() != kindHandshake:
		return session{}, errors.New("not a handshake")
	case len(message2) != 1136:
		return session{}, errors.New("message 2 has 1136 bytes")
	case [8]byte(hash(message2)) != f.candidate():
		return session{}, errors.New("the candidate isn't named by message 2")
	}
	ciphertext, e, tag := message2[:1088], message2[1088:1120], message2[1120:]
	shared, err := k.kem.Decapsulate(ciphertext)
	if err != nil {
		return session{}, err
	}
	st := begin(l, epoch, k.static.PublicKey().Bytes())
	st.e(k.ephemeral(epoch).PublicKey().Bytes())
	st.sealNothing()
	st.e(e)
	if err := errors.Join(st.product(k.ephemeral(epoch), e), st.product(k.static, e)); err != nil {
		return session{}, err
	}
	psk2 := st.psk2(shared, k.kem.EncapsulationKey().Bytes(), ciphertext)
	if err := st.openNothing(tag); err != nil {
		return session{}, err
	}
	return st.split(message2, psk2, true), nil
}

// seal seals a data frame of this side, once.
func (s session) seal(seq, ack uint64, body []byte) frame {
	salt := make([]byte, 16)
	rand.Read(salt)
	return sealFrame(s.mine(), kindData, s.candidate, seq, salt, append(u64(ack), body...))
}

// open opens a data or ack frame of the other side.
func (s session) open(f frame) (ack uint64, body []byte, err error) {
	if _, err := parseFrame(f); err != nil {
		return 0, nil, err
	}
	if f.kind() != kindData && f.kind() != kindAck || f.candidate() != s.candidate {
		return 0, nil, errors.New("not a frame of this session")
	}
	plain, err := openFrame(s.theirs(), f)
	if err != nil {
		return 0, nil, err
	}
	if len(plain) < 8 {
		return 0, nil, errors.New("no ack in it")
	}
	ack, body = binary.BigEndian.Uint64(plain), plain[8:]
	if f.kind() == kindAck && (ack != f.seq() || len(body) > 0) {
		return 0, nil, errors.New("an ack that contradicts itself")
	}
	if f.kind() == kindAck && f.seq() == 1<<64-1 && subtle.ConstantTimeCompare(f, lastAck(s.theirs(), s.candidate)) != 1 {
		return 0, nil, errors.New("not the last ack")
	}
	return ack, body, nil
}

// lastAck is the frame by which the side of a direction's key says that it needs no more.
func lastAck(key []byte, candidate [8]byte) frame {
	return sealFrame(key, kindAck, candidate, 1<<64-1, derive(key, nil, "sparekey v1 last ack", 16), u64(1<<64-1))
}

// taken is the frame by which the sender refuses this candidate.
func (s session) taken() frame {
	b := expand(s.exporter, "sparekey v1 taken", 48)
	return sealFrame(b[:32], kindTaken, s.candidate, 0, b[32:], u64(0))
}

func (s session) isTaken(f frame) bool { return subtle.ConstantTimeCompare(f, s.taken()) == 1 }

// appendFrames is the stream codec, writing.
func appendFrames(b []byte, frames ...frame) []byte {
	for _, f := range frames {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// readFrame is the stream codec, reading; a heartbeat is a nil frame.
func readFrame(r io.Reader) (frame, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 {
		return nil, nil
	}
	if n > maxFrame {
		return nil, fmt.Errorf("a length of %d", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return parseFrame(b)
}
