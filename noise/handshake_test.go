package noise_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// agree wants two sessions that are each other's counterpart.
func agree(t testing.TB, sender, receiver noise.Session) {
	t.Helper()
	same(t, sender.Candidate, receiver.Candidate, "both sides name the candidate alike")
	same(t, sender.SealKey, receiver.OpenKey, "what the sender seals the receiver opens")
	same(t, sender.OpenKey, receiver.SealKey, "what the receiver seals the sender opens")
	same(t, sender.Exporter, receiver.Exporter, "both sides export alike")
	if sender.SealKey == sender.OpenKey {
		t.Fatal("each direction has its own key")
	}
}

func TestBothSidesAgree(t *testing.T) {
	w := newShare(1, "preview")
	sender, receiver, hello := w.pair(t, 0, 1)
	agree(t, sender, receiver)
	same(t, len(hello), 17+1088+48, "a handshake frame has one size")
	_, err := frame.Parse(hello)
	ok(t, err, "and is well formed")
}

func TestTheStandardEncapsulationIsTheDefault(t *testing.T) {
	w := newShare(2, "preview")
	receiver, hello, err := w.offer(t, 0).Claim(w.secrets, seeded(1), nil)
	ok(t, err, "a claim without an encapsulation of its own")
	sender, err := w.keys.Accept(w.secrets, 0, hello)
	ok(t, err, "is accepted")
	agree(t, sender, receiver)
	_, again, err := w.offer(t, 0).Claim(w.secrets, seeded(1), nil)
	ok(t, err, "claiming again")
	if bytes.Equal(hello, again) {
		t.Fatal("the standard library draws its own randomness")
	}
}

func TestASecondImplementationAsReceiverAgrees(t *testing.T) {
	w := newShare(3, "preview")
	for _, epoch := range []uint64{0, 1, 77} {
		o := w.offer(t, epoch)
		receiver, hello, err := rules{}.claim(w.secrets, o, bytes.Repeat([]byte{4}, 32), make([]byte, 32))
		ok(t, err, "the second implementation reads message 1")
		sender, err := w.keys.Accept(w.secrets, epoch, hello)
		ok(t, err, "the sender reads its message 2")
		agree(t, sender, receiver.Session)
	}
}

func TestASecondImplementationAsSenderAgrees(t *testing.T) {
	w := newShare(4, "preview")
	receiver, hello, err := w.offer(t, 5).Claim(w.secrets, seeded(1), nil)
	ok(t, err, "claim")
	sender, err := newPeerSender(w.seed, 5).accept(rules{}, w.secrets, 5, hello)
	ok(t, err, "the second implementation reads message 2")
	agree(t, sender.Session, receiver)
}

// The library's silent ways to a weaker handshake, and others' mistakes: each
// of these peers does all the rest right, and holds the link.
func TestAPeerOfAnotherProtocolIsRefused(t *testing.T) {
	w := newShare(5, "preview")
	o := w.offer(t, 0)
	ephemeral, kem := bytes.Repeat([]byte{4}, 32), make([]byte, 32)
	for _, c := range []struct {
		name string
		r    rules
	}{
		{"without the first psk", rules{noPSK0: true}},
		{"without either psk", rules{noPSK0: true, noPSK2: true}},
		{"without the second psk", rules{noPSK2: true}},
		{"that never set the second psk", rules{psk0AsPSK2: true}},
		{"whose second psk does not bind the ML-KEM key and ciphertext", rules{barePSK2: true}},
		{"of plain KN by name", rules{name: "Noise_KN_25519_ChaChaPoly_SHA256"}},
		{"of KNpsk0 by name", rules{name: "Noise_KNpsk0_25519_ChaChaPoly_SHA256"}},
		{"of KNpsk0+psk2 with AES by name", rules{name: "Noise_KNpsk0+psk2_25519_AESGCM_SHA256"}},
		{"without a prologue", rules{prologue: []byte{}}},
		{"of version 2", rules{prologue: append(append([]byte("sparekey v2"), w.secrets.ID[:]...), make([]byte, 8)...)}},
		{"with a low-order key", rules{ephemeral: make([]byte, 32)}},
		{"that changes the ML-KEM ciphertext afterwards", rules{flipCapsule: true}},
	} {
		o := o
		st := c.r.begin(w.secrets, 0, o.X25519[:]) // message 1 as such a peer would want it
		c.r.e(st, o.Message1[:32])
		copy(o.Message1[32:], st.encrypt(nil))
		_, hello, err := c.r.claim(w.secrets, o, ephemeral, kem)
		ok(t, err, "a peer "+c.name+" writes its message 2")
		_, err = w.keys.Accept(w.secrets, 0, hello)
		refused(t, err, "does not fit", "a peer "+c.name)
	}
	_, hello, err := rules{payload: []byte("x")}.claim(w.secrets, o, ephemeral, kem)
	ok(t, err, "a peer with a payload")
	_, err = w.keys.Accept(w.secrets, 0, hello)
	refused(t, err, "size", "a message 2 with a payload")
}

func TestASenderOfAnotherProtocolIsRefused(t *testing.T) {
	w := newShare(6, "preview")
	receiver, hello, err := w.offer(t, 0).Claim(w.secrets, seeded(1), nil)
	ok(t, err, "claim")
	for name, r := range map[string]rules{
		"leaves out the first psk":  {noPSK0: true},
		"leaves out the second psk": {noPSK2: true},
		"never set the second psk":  {psk0AsPSK2: true},
	} {
		if s, err := newPeerSender(w.seed, 0).accept(r, w.secrets, 0, hello); err == nil {
			t.Errorf("a sender that %s reads our message 2: %v", name, s.Candidate == receiver.Candidate)
		}
	}
}

// A thief has the link, so it seals offers around the sender's public keys with a
// message 1 of its own. Even with one of the two private keys broken it can't go on.
func TestALinkThiefCannotPoseAsTheSender(t *testing.T) {
	w, thief := newShare(7, "preview"), newShare(8, "preview")
	o := w.offer(t, 0)
	forger := newPeerSender(thief.seed, 0)
	forger.pose = &o
	_, message1 := forger.start(rules{}, w.secrets, 0)
	forged := o
	copy(forged.Message1[:], message1)
	opened, err := noise.OpenOffer(w.secrets, sealOffer(w.secrets, forged))
	ok(t, err, "message 1 authenticates nobody: the thief's offer opens")
	receiver, hello, err := opened.Claim(w.secrets, seeded(1), nil)
	ok(t, err, "and is claimed")
	_, err = w.keys.Accept(w.secrets, 0, hello)
	refused(t, err, "does not fit", "the sender does not know a claim on the thief's offer")

	sender := newPeerSender(w.seed, 0)
	for _, c := range []struct {
		name   string
		static *ecdh.PrivateKey
		kem    *mlkem.DecapsulationKey768
		reads  bool
	}{
		{"neither private key", forger.static, forger.kem, false},
		{"the ML-KEM key but not the X25519 key", forger.static, sender.kem, false},
		{"the X25519 key but not the ML-KEM key", sender.static, forger.kem, false},
		{"both, which makes it the sender", sender.static, sender.kem, true},
	} {
		forger.static, forger.kem = c.static, c.kem
		s, err := forger.accept(rules{}, w.secrets, 0, hello)
		if (err == nil) != c.reads {
			t.Fatalf("a thief with %s reads the claim: %v", c.name, err)
		}
		if c.reads {
			agree(t, s.Session, receiver)
		}
	}
}

func TestAClaimOpensInItsOwnEpochOnly(t *testing.T) {
	w := newShare(9, "preview")
	first, again := w.offer(t, 0), w.offer(t, 1)
	if bytes.Equal(first.Message1[:32], again.Message1[:32]) {
		t.Fatal("each epoch has its own ephemeral key")
	}
	_, hello, err := first.Claim(w.secrets, seeded(1), repeat(1))
	ok(t, err, "a claim of epoch 0")
	_, err = w.keys.Accept(w.secrets, 1, hello)
	refused(t, err, "does not fit", "replayed in epoch 1")
	_, err = w.keys.Accept(w.secrets, 0, hello)
	ok(t, err, "it opens in its own")
}

func TestAClaimOpensForItsOwnShareAndLinkOnly(t *testing.T) {
	w, other := newShare(10, "preview"), newShare(11, "preview")
	_, _, hello := w.pair(t, 0, 1)
	_, err := other.keys.Accept(other.secrets, 0, hello)
	refused(t, err, "does not fit", "another share")
	s := w.secrets
	s.PSK[5] ^= 1
	_, err = w.keys.Accept(s, 0, hello)
	refused(t, err, "does not fit", "another psk")
	s = w.secrets
	s.ID[5] ^= 1
	_, err = w.keys.Accept(s, 0, hello)
	refused(t, err, "does not fit", "another id in the prologue")
	_, _, err = w.offer(t, 0).Claim(other.secrets, seeded(1), nil)
	mistaken(t, err, "a saved offer under another link's secrets")
	s = w.secrets
	s.PSK[5] ^= 1
	_, _, err = w.offer(t, 0).Claim(s, seeded(1), nil)
	refused(t, err, "first message", "a saved offer under another psk")
}

// TestAHandshakeWithAnyByteChangedOrCutIsRefused is LIE-07 for handshakes.
func TestAHandshakeWithAnyByteChangedOrCutIsRefused(t *testing.T) {
	w := newShare(12, "preview")
	_, _, hello := w.pair(t, 0, 1)
	for i := range hello {
		b := bytes.Clone(hello)
		b[i] ^= 1
		_, err := w.keys.Accept(w.secrets, 0, b)
		refused(t, err, "", "a changed byte")
		if i >= frame.HeaderSize { // renamed, so that its candidate is right again
			_, err := w.keys.Accept(w.secrets, 0, named(frame.Frame(b).Sealed()))
			refused(t, err, "does not fit", "a changed byte and the name that goes with it")
		}
		_, err = w.keys.Accept(w.secrets, 0, hello[:i])
		refused(t, err, "", "a cut frame")
	}
	_, err := w.keys.Accept(w.secrets, 0, named(append(bytes.Clone(hello.Sealed()), 0)))
	refused(t, err, "size", "a longer message 2")
	for _, k := range []frame.Kind{frame.Offer, frame.Data, frame.Ack, frame.Taken} {
		_, err := w.keys.Accept(w.secrets, 0, frame.New(k, hello.Candidate(), 0, hello.Sealed()))
		refused(t, err, "", "a frame of another kind")
	}
	_, err = w.keys.Accept(w.secrets, 0, nil)
	refused(t, err, "malformed", "no frame")
	_, err = w.keys.Accept(w.secrets, 0, hello)
	ok(t, err, "after all these the genuine one opens")
}

// named returns the handshake frame of a message 2, named as it should be.
func named(message2 []byte) frame.Frame {
	sum := sha256of(message2)
	return frame.New(frame.Handshake, frame.Candidate(sum[:8]), 0, message2)
}

func TestACandidateIsNamedByItsHandshake(t *testing.T) {
	w := newShare(13, "preview")
	_, receiver, hello := w.pair(t, 0, 1)
	sum := sha256of(hello.Sealed())
	same(t, hello.Candidate(), frame.Candidate(sum[:8]), "the name is the start of message 2's SHA-256")
	same(t, receiver.Candidate, hello.Candidate(), "the session has it")
	wrong := frame.New(frame.Handshake, frame.Candidate{1}, 0, hello.Sealed())
	_, err := w.keys.Accept(w.secrets, 0, wrong)
	refused(t, err, "not named", "a handshake in another candidate's name")
}

func TestABadHandshakeLeavesNothingBehind(t *testing.T) {
	w := newShare(14, "preview")
	_, _, good := w.pair(t, 0, 1)
	_, lowOrder, err := rules{ephemeral: make([]byte, 32)}.claim(w.secrets, w.offer(t, 0), bytes.Repeat([]byte{4}, 32), make([]byte, 32))
	ok(t, err, "a low-order handshake")
	flipped := bytes.Clone(good.Sealed())
	flipped[1135] ^= 1
	for range 3 {
		for _, bad := range []frame.Frame{lowOrder, named(flipped), good[:40]} {
			_, err := w.keys.Accept(w.secrets, 0, bad)
			refused(t, err, "", "a bad handshake")
			_, err = w.keys.Accept(w.secrets, 0, good)
			ok(t, err, "the good one opens after it")
		}
	}
}

func TestCandidatesOnOneOfferDoNotTouchEachOther(t *testing.T) {
	w := newShare(15, "preview")
	o := w.offer(t, 0)
	var wg sync.WaitGroup
	sessions := make([]noise.Session, 8)
	for i := range sessions {
		wg.Go(func() {
			receiver, hello, err := o.Claim(w.secrets, seeded(byte(i)), repeat(byte(i)))
			if err != nil {
				t.Error(err)
				return
			}
			sender, err := w.keys.Accept(w.secrets, 0, hello)
			if err != nil || sender.SealKey != receiver.OpenKey || sender.Exporter != receiver.Exporter {
				t.Errorf("candidate %d does not agree with the sender: %v", i, err)
			}
			sessions[i] = receiver
		})
	}
	wg.Wait()
	for i, a := range sessions {
		for _, b := range sessions[:i] {
			if a.Candidate == b.Candidate || a.SealKey == b.SealKey || a.OpenKey == b.OpenKey || a.Exporter == b.Exporter {
				t.Fatal("two candidates share a name or a key")
			}
		}
	}
}

func TestTheSameCandidateComesBackAsTheSame(t *testing.T) {
	w := newShare(16, "preview")
	sender, _, hello := w.pair(t, 0, 1)
	again, err := noise.NewKeys(w.seed).Accept(w.secrets, 0, hello)
	ok(t, err, "a restarted sender accepts the handshake again")
	same(t, again, sender, "and has the same session")
	_, _, helloAgain := w.pair(t, 0, 1)
	if !bytes.Equal(hello, helloAgain) {
		t.Fatal("a claim is made from its randomness alone")
	}
}

func TestBothHalvesOfAClaimNeedTheirRandomness(t *testing.T) {
	w := newShare(17, "preview")
	_, _, a := w.pair(t, 0, 1)
	o := w.offer(t, 0)
	_, b, err := o.Claim(w.secrets, seeded(1), repeat(2))
	ok(t, err, "another encapsulation")
	_, c, err := o.Claim(w.secrets, seeded(2), repeat(1))
	ok(t, err, "another ephemeral key")
	if bytes.Equal(a.Sealed()[:1088], b.Sealed()[:1088]) || !bytes.Equal(a.Sealed()[1088:1120], b.Sealed()[1088:1120]) {
		t.Fatal("the ML-KEM ciphertext comes from the encapsulation alone")
	}
	if !bytes.Equal(a.Sealed()[:1088], c.Sealed()[:1088]) || bytes.Equal(a.Sealed()[1088:1120], c.Sealed()[1088:1120]) {
		t.Fatal("the ephemeral key comes from rnd alone")
	}
}

var errDry = errors.New("dry")

func TestAClaimWithoutRandomnessIsNotMade(t *testing.T) {
	w := newShare(18, "preview")
	o := w.offer(t, 0)
	for name, rnd := range map[string]io.Reader{
		"no source":      nil,
		"a dry source":   bytes.NewReader(nil),
		"a short source": bytes.NewReader(make([]byte, 31)),
		"a broken one":   io.MultiReader(bytes.NewReader(make([]byte, 8)), broken{}),
	} {
		s, hello, err := o.Claim(w.secrets, rnd, nil)
		mistaken(t, err, name)
		if hello != nil || s != (noise.Session{}) {
			t.Fatalf("%s: something came of it", name)
		}
	}
	_, _, err := o.Claim(w.secrets, broken{}, nil)
	if !errors.Is(err, errDry) {
		t.Fatalf("the source's own error can be seen: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errDry }

func TestAnEncapsulationOfTheWrongSizeIsNotUsed(t *testing.T) {
	w := newShare(19, "preview")
	o := w.offer(t, 0)
	for _, sizes := range [][2]int{{0, 1088}, {31, 1088}, {33, 1088}, {32, 0}, {32, 1087}, {32, 1089}} {
		_, _, err := o.Claim(w.secrets, seeded(1), func(*mlkem.EncapsulationKey768) (a, b []byte) {
			return make([]byte, sizes[0]), make([]byte, sizes[1])
		})
		mistaken(t, err, "an encapsulation of the wrong size")
	}
}

func TestClaimingLeavesTheCiphertextToItsOwner(t *testing.T) {
	w := newShare(20, "preview")
	backing := make([]byte, 1088, 4096)
	_, hello, err := w.offer(t, 0).Claim(w.secrets, seeded(1), func(ek *mlkem.EncapsulationKey768) (a, b []byte) {
		shared, ct, err := mlkemtest.Encapsulate768(ek, make([]byte, 32))
		ok(t, err, "encapsulation")
		copy(backing, ct)
		return shared, backing
	})
	ok(t, err, "claim")
	if !bytes.Equal(backing[1088:4096][:48], make([]byte, 48)) {
		t.Fatal("message 2 is written beside, not behind, what enc returned")
	}
	_, err = w.keys.Accept(w.secrets, 0, hello)
	ok(t, err, "accept")
}

// The ML-KEM ciphertext of one claim does not serve in another.
func TestASwappedCiphertextIsRefused(t *testing.T) {
	w := newShare(21, "preview")
	_, _, a := w.pair(t, 0, 1)
	_, _, b := w.pair(t, 0, 2)
	_, err := w.keys.Accept(w.secrets, 0, named(append(bytes.Clone(a.Sealed()[:1088]), b.Sealed()[1088:]...)))
	refused(t, err, "does not fit", "one claim's ciphertext with another's message")
}

func TestAKeyThatIsNotThereIsAnError(t *testing.T) {
	dh, _ := noise.DH(nil, nil)
	if _, err := dh.GenerateKeypair(nil); err == nil {
		t.Error("no ephemeral key is made up")
	}
	point := private(vectortest.Counted(1, 32)).PublicKey().Bytes()
	for _, handle := range []string{"s", "e", "", "x"} {
		if _, err := dh.DH([]byte(handle), point); err == nil {
			t.Errorf("key %q gives no product", handle)
		}
	}
	dh, _ = noise.DH(nil, private(vectortest.Counted(1, 32)))
	if _, err := dh.DH([]byte("e"), point[:31]); err == nil {
		t.Error("31 bytes are no point")
	}
}
