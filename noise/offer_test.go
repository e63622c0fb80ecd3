package noise_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

func TestALinkHolderSeesThePreviewAndNothingIsChanged(t *testing.T) {
	w := newShare(1, "a car key")
	w.cpace = &[32]byte{9}
	f := w.frame(t, 2)
	o, err := noise.OpenOffer(w.secrets, f)
	ok(t, err, "the link opens the offer")
	same(t, string(o.Preview), "a car key", "the preview is what was offered")
	same(t, *o.CPace, *w.cpace, "so is the CPace share")
	same(t, o.Epoch, uint64(2), "the epoch is the frame's seq")
	if !bytes.Equal(f, w.frame(t, 2)) {
		t.Fatal("opening changes no byte of the frame")
	}
	w.cpace = nil
	if o := w.offer(t, 0); o.CPace != nil {
		t.Fatal("no PIN, no CPace share")
	}
}

func TestTheSecondImplementationMakesTheSameOffer(t *testing.T) {
	w := newShare(2, "preview")
	w.cpace = &[32]byte{3}
	for _, epoch := range []uint64{0, 1, 1 << 40} {
		o := w.offer(t, epoch)
		peer := newPeerSender(w.seed, epoch)
		_, message1 := peer.start(rules{}, w.secrets, epoch)
		if !bytes.Equal(o.Message1[:], message1) {
			t.Fatalf("epoch %d: message 1 is that of %s", epoch, fullName)
		}
		plain, err := openPadded(w.secrets.OfferKey, w.frame(t, epoch))
		ok(t, err, "the second implementation opens the offer")
		if !bytes.Equal(plain, pad(offerPlain(o))) {
			t.Fatal("the offer's plaintext has the documented layout")
		}
	}
}

func TestEveryOfferHasOneSize(t *testing.T) {
	for _, preview := range []string{"", "x", string(bytes.Repeat([]byte("x"), noise.MaxPreview))} {
		w := newShare(3, preview)
		for _, w.cpace = range []*[32]byte{nil, {1}} {
			same(t, len(w.frame(t, 0)), 17+16+2048+16, "an offer's size tells nothing")
		}
	}
}

func TestASavedOfferCanBeClaimed(t *testing.T) {
	w := newShare(4, "preview")
	w.cpace = &[32]byte{1}
	saved, err := cbor.Marshal(w.offer(t, 0))
	ok(t, err, "an offer is plain data")
	var o noise.Offer
	ok(t, cbor.Unmarshal(saved, &o), "and can be read back")
	_, hello, err := o.Claim(w.secrets, seeded(1), repeat(1))
	ok(t, err, "a saved offer can be claimed")
	_, err = w.keys.Accept(w.secrets, 0, hello)
	ok(t, err, "and its claim be accepted")
}

func TestAForgedOfferIsRefused(t *testing.T) {
	w, other := newShare(5, "preview"), newShare(6, "preview")
	good := w.offer(t, 0)
	for _, c := range []struct {
		name, reason string
		change       func(o *noise.Offer)
	}{
		{"another preview", "not those that the link names", func(o *noise.Offer) { o.Preview = []byte("previeW") }},
		{"a byte of the preview moved into the key's side", "not those", func(o *noise.Offer) { o.Preview = append([]byte{0}, o.Preview...) }},
		{"another X25519 key", "not those", func(o *noise.Offer) { o.X25519 = other.offer(t, 0).X25519 }},
		{"another ML-KEM key", "not those", func(o *noise.Offer) { o.MLKEM = other.offer(t, 0).MLKEM }},
		{"another over", "not those", func(o *noise.Offer) { o.OverHash[0] ^= 1 }},
		{"another share's message 1", "first message", func(o *noise.Offer) { o.Message1 = other.offer(t, 0).Message1 }},
		{"another epoch's message 1", "first message", func(o *noise.Offer) { o.Message1 = w.offer(t, 1).Message1 }},
		{"another epoch", "first message", func(o *noise.Offer) { o.Epoch = 1 }},
		{"a preview too long", "too long", func(o *noise.Offer) { o.Preview = make([]byte, noise.MaxPreview+1) }},
	} {
		o := good
		c.change(&o)
		_, err := noise.OpenOffer(w.secrets, sealOffer(w.secrets, o))
		refused(t, err, c.reason, "a link holder forges an offer with "+c.name)
	}
	_, err := noise.OpenOffer(w.secrets, sealOffer(w.secrets, good))
	ok(t, err, "the same offer, unchanged, opens")
}

// The offer's plaintext is checked by itself, for any link holder can seal one.
func TestAnOfferOfAnotherLayoutIsRefused(t *testing.T) {
	w := newShare(7, "")
	plain := offerPlain(w.offer(t, 0))
	seal := func(padded []byte) frame.Frame {
		return sealPadded(w.secrets.OfferKey, frame.Offer, frame.Candidate{}, 0, make([]byte, 16), padded)
	}
	changed := func(at int, b byte) []byte { p := bytes.Clone(plain); p[at] = b; return p }
	for _, c := range []struct {
		name, reason string
		padded       []byte
	}{
		{"cut within the keys", "too short", pad(plain[:1100])},
		{"cut before the CPace mark", "too short", pad(plain[:1296])},
		{"empty", "too short", pad(nil)},
		{"a CPace mark of 2", "CPace", pad(changed(1296, 2))},
		{"a CPace mark without a share", "CPace", pad(changed(1296, 1))},
		{"no padding", "padding", make([]byte, 2048)},
		{"padding without its mark", "padding", append(bytes.Clone(plain), make([]byte, 2048-len(plain))...)},
		{"padded beyond the size it needs", "padding", append(pad(plain), make([]byte, 2048)...)},
		{"a size that no frame has", "size", pad(plain)[:2047]},
	} {
		_, err := noise.OpenOffer(w.secrets, seal(c.padded))
		refused(t, err, c.reason, c.name)
	}
	_, err := noise.OpenOffer(w.secrets, seal(pad(plain)))
	ok(t, err, "the layout of the documents opens")
}

func TestOnlyTheRightLinkOpensAnOffer(t *testing.T) {
	w, other := newShare(8, "preview"), newShare(9, "preview")
	f := w.frame(t, 0)
	s := w.secrets
	s.OfferKey[31] ^= 1
	_, err := noise.OpenOffer(s, f)
	refused(t, err, "wrong key", "another offer key")
	s = w.secrets
	s.PSK[0] ^= 1
	_, err = noise.OpenOffer(s, f)
	refused(t, err, "first message", "another psk")
	s = w.secrets
	s.ID = other.secrets.ID
	_, err = noise.OpenOffer(s, f)
	refused(t, err, "not those that the link names", "another share id")
	_, err = noise.OpenOffer(w.secrets, other.frame(t, 0))
	refused(t, err, "wrong key", "another share's offer")
}

// TestAnOfferWithAnyByteChangedOrCutIsRefused is LIE-07 for offers.
func TestAnOfferWithAnyByteChangedOrCutIsRefused(t *testing.T) {
	w := newShare(10, "preview")
	f := w.frame(t, 1)
	for i := range f {
		b := bytes.Clone(f)
		b[i] ^= 0x40
		_, err := noise.OpenOffer(w.secrets, b)
		refused(t, err, "", "a changed byte")
		_, err = noise.OpenOffer(w.secrets, f[:i])
		refused(t, err, "", "a cut frame")
	}
	_, err := noise.OpenOffer(w.secrets, append(bytes.Clone(f), 0))
	refused(t, err, "size", "a longer frame")
	for _, k := range []frame.Kind{frame.Handshake, frame.Data, frame.Ack, frame.Taken} {
		_, err := noise.OpenOffer(w.secrets, frame.New(k, frame.Candidate{1}, 0, f.Sealed()))
		refused(t, err, "kind", "a frame of another kind")
	}
	_, err = noise.OpenOffer(w.secrets, f)
	ok(t, err, "after all these the genuine one opens")
}

// lowOrder are all encodings of the points whose order divides 8, on the curve or
// its twist: 0, 1 and −1, and two that double to 1; each with what reads as the same.
func lowOrder(t *testing.T) (points [][32]byte) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	one := big.NewInt(1)
	us := []*big.Int{new(big.Int), one, new(big.Int).Sub(p, one)}
	for _, k := range []string{
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	} {
		b, err := hex.DecodeString(k)
		ok(t, err, "hex")
		u := new(big.Int).SetBytes(reversed(b))
		if double(u, p).Cmp(one) != 0 {
			t.Fatal("a point of order 8 doubles to one of order 4")
		}
		us = append(us, u)
	}
	limit := new(big.Int).Lsh(big.NewInt(1), 255)
	for _, u := range us {
		for v := new(big.Int).Set(u); v.Cmp(limit) < 0; v.Add(v, p) {
			b := [32]byte(reversed(v.FillBytes(make([]byte, 32))))
			high := b
			high[31] |= 0x80
			points = append(points, b, high)
		}
	}
	return points
}

// double is the curve's doubling on u alone: (u²−1)² / 4u(u²+486662u+1).
func double(u, p *big.Int) *big.Int {
	u2 := new(big.Int).Mul(u, u)
	top := new(big.Int).Sub(u2, big.NewInt(1))
	top.Mul(top, top)
	bottom := new(big.Int).Mul(u, big.NewInt(486662))
	bottom.Add(bottom, u2).Add(bottom, big.NewInt(1)).Mul(bottom, u).Mul(bottom, big.NewInt(4))
	return top.Mul(top, bottom.ModInverse(bottom, p)).Mod(top, p)
}

func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}

// aimed builds an offer around any public key, with an id that commits to it: what
// a malicious sender can do.
func (w *aShare) aimed(t *testing.T, static, ephemeral *[32]byte) (noise.Secrets, noise.Offer) {
	t.Helper()
	o := w.offer(t, 0)
	if static != nil {
		o.X25519 = *static
	}
	s := w.secrets
	s.ID = identify(o)
	st := rules{}.begin(s, 0, o.X25519[:])
	e := [32]byte(o.Message1[:32])
	if ephemeral != nil {
		e = *ephemeral
	}
	rules{}.e(st, e[:])
	copy(o.Message1[:], append(e[:], st.encrypt(nil)...))
	return s, o
}

func TestLowOrderPointsAreRefusedBeforeAnybodySeesThem(t *testing.T) {
	w := newShare(11, "preview")
	points := lowOrder(t)
	same(t, len(points), 14, "seven encodings, with bit 255 clear and set")
	for i, point := range points {
		pub, err := ecdh.X25519().NewPublicKey(point[:])
		ok(t, err, "any 32 bytes are a public key")
		if _, err := private(make([]byte, 32)).ECDH(pub); err == nil {
			t.Fatalf("%x is not of low order after all", point)
		}
		s, o := w.aimed(t, &points[i], nil)
		_, err = noise.OpenOffer(s, sealOffer(s, o))
		refused(t, err, "low-order", "an offer whose static key has low order")
		_, _, err = o.Claim(s, seeded(1), nil)
		refused(t, err, "low-order", "nor can it be claimed by hand")

		s, o = w.aimed(t, nil, &points[i])
		_, err = noise.OpenOffer(s, sealOffer(s, o))
		refused(t, err, "low-order", "an offer whose ephemeral key has low order")
		_, _, err = o.Claim(s, seeded(1), nil)
		refused(t, err, "low-order", "nor can it be claimed by hand")
	}
	s, o := w.aimed(t, nil, nil)
	_, err := noise.OpenOffer(s, sealOffer(s, o))
	ok(t, err, "the same offer with honest points opens")
}

func TestAnInvalidMLKEMKeyIsRefused(t *testing.T) {
	w := newShare(12, "preview")
	_, o := w.aimed(t, nil, nil)
	o.MLKEM[0], o.MLKEM[1] = 0xff, 0xff // a coefficient of 4095; FIPS 203, section 7.2, wants less than 3329
	if _, err := mlkem.NewEncapsulationKey768(o.MLKEM[:]); err == nil {
		t.Fatal("the key is meant to be invalid")
	}
	s := w.secrets
	s.ID = identify(o)
	st := rules{}.begin(s, 0, o.X25519[:])
	rules{}.e(st, o.Message1[:32])
	copy(o.Message1[32:], st.encrypt(nil))
	_, err := noise.OpenOffer(s, sealOffer(s, o))
	refused(t, err, "ML-KEM key", "a sender whose ML-KEM key is out of range")
	_, _, err = o.Claim(s, seeded(1), nil)
	refused(t, err, "ML-KEM key", "nor can it be claimed by hand")
}

func TestTheMLKEMKeyIsCheckedAsTheLibraryChecksIt(t *testing.T) {
	good := newShare(14, "").offer(t, 0).MLKEM
	rapid.Check(t, func(r *rapid.T) {
		key := good
		for range rapid.IntRange(0, 3).Draw(r, "changes") {
			// Near the limit: 3328 is 0xd00, 3329 is 0xd01.
			key[rapid.IntRange(0, len(key)-1).Draw(r, "at")] = rapid.SampledFrom([]byte{0, 1, 0x0c, 0x0d, 0x10, 0x1d, 0xd0, 0xd1, 0xff}).Draw(r, "byte")
		}
		_, err := mlkem.NewEncapsulationKey768(key[:])
		if noise.Reduced(key[:]) != (err == nil) {
			r.Fatalf("the library says: %v", err)
		}
	})
	for i, c := range []struct {
		at   int
		b    [3]byte
		want bool
	}{
		{0, [3]byte{0x00, 0x0d, 0xd0}, true}, {0, [3]byte{0x01, 0x0d, 0xd0}, false}, {0, [3]byte{0x00, 0x1d, 0xd0}, false},
		{1149, [3]byte{0x00, 0x0d, 0xd0}, true}, {1149, [3]byte{0x01, 0x0d, 0}, false}, {1149, [3]byte{0, 0x10, 0xd0}, false},
	} {
		key := good
		copy(key[c.at:], c.b[:])
		_, err := mlkem.NewEncapsulationKey768(key[:])
		if noise.Reduced(key[:]) != c.want || (err == nil) != c.want {
			t.Errorf("%d: a coefficient may be 3328 and not 3329: %v", i, err)
		}
	}
}

// Whatever a link holder seals, what opens can be claimed: the receiver's machine counts on it.
func TestAnOfferThatOpensCanBeClaimed(t *testing.T) {
	w := newShare(13, "preview")
	good := w.offer(t, 0)
	rapid.Check(t, func(r *rapid.T) {
		o := good
		part := rapid.SampledFrom([][]byte{o.X25519[:], o.MLKEM[:], o.OverHash[:], o.Message1[:]}).Draw(r, "part")
		at := rapid.IntRange(0, len(part)-1).Draw(r, "at")
		part[at] ^= rapid.Byte().Draw(r, "change")
		s := w.secrets
		if rapid.Bool().Draw(r, "committed") {
			s.ID = identify(o)
		}
		opened, err := noise.OpenOffer(s, sealOffer(s, o))
		if err != nil {
			return
		}
		if _, _, err := opened.Claim(s, seeded(1), nil); err != nil {
			r.Fatalf("an offer that opened can't be claimed: %v", err)
		}
	})
}
