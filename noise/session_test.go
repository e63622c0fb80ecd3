package noise_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

func sha256of(b []byte) [32]byte { return sha256.Sum256(b) }

func sealed(t testing.TB, s noise.Session, k frame.Kind, seq, ack uint64, body string) frame.Frame {
	t.Helper()
	f, err := s.Seal(seeded(byte(seq)+100), k, seq, ack, []byte(body))
	ok(t, err, "a session seals")
	return f
}

func TestWhatOneSideSealsTheOtherOpens(t *testing.T) {
	sender, receiver, _ := newShare(1, "p").pair(t, 0, 1)
	rapid.Check(t, func(r *rapid.T) {
		from, to := sender, receiver
		if rapid.Bool().Draw(r, "from the receiver") {
			from, to = receiver, sender
		}
		seq, ack := rapid.Uint64().Draw(r, "seq"), rapid.Uint64().Draw(r, "ack")
		body := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(r, "body")
		f, err := from.Seal(seeded(rapid.Byte().Draw(r, "rnd")), frame.Data, seq, ack, body)
		if err != nil {
			r.Fatal(err)
		}
		if parsed, err := frame.Parse(f); err != nil || parsed.Kind() != frame.Data || parsed.Seq() != seq || parsed.Candidate() != from.Candidate {
			r.Fatalf("the header is readable without a key: %v", err)
		}
		gotAck, gotBody, err := to.Open(f)
		if err != nil || gotAck != ack || !bytes.Equal(gotBody, body) {
			r.Fatalf("ack and body come through: %d, %d bytes, %v", gotAck, len(gotBody), err)
		}
		if _, _, err := from.Open(f); err == nil {
			r.Fatal("a frame reflected to whoever sealed it is refused")
		}
	})
}

func TestFramesOpenInAnyOrderAndAgainAndAfterARestart(t *testing.T) {
	sender, receiver, _ := newShare(2, "p").pair(t, 0, 1)
	var frames []frame.Frame
	for seq := range uint64(5) {
		frames = append(frames, sealed(t, sender, frame.Data, seq, 0, string(rune('a'+seq))))
	}
	for _, seq := range []int{4, 0, 3, 3, 1, 2, 0} {
		saved, err := cbor.Marshal(receiver)
		ok(t, err, "a session is plain data")
		var again noise.Session
		ok(t, cbor.Unmarshal(saved, &again), "and can be read back")
		same(t, again, receiver, "opening changes nothing that would have to be saved")
		_, body, err := again.Open(frames[seq])
		ok(t, err, "a frame opens whenever it comes: nothing counts")
		same(t, string(body), string(rune('a'+seq)), "with its body")
	}
}

func TestAFrameTellsOnlyASizeInSteps(t *testing.T) {
	sender, receiver, _ := newShare(3, "p").pair(t, 0, 1)
	for _, c := range []struct{ body, padded int }{
		{0, 256}, {247, 256}, {248, 1024}, {1015, 1024}, {1016, 2048}, {2039, 2048}, {2040, 4096},
		{4087, 4096}, {4088, 16384}, {16375, 16384}, {16376, 61440}, {noise.MaxBody, 61440},
	} {
		body := bytes.Repeat([]byte{0x80}, c.body)
		f, err := sender.Seal(seeded(1), frame.Data, 0, 0, body)
		ok(t, err, "a body of up to MaxBody")
		same(t, len(f), 17+16+c.padded+16, "its size is the next step")
		_, got, err := receiver.Open(f)
		ok(t, err, "and opens")
		if !bytes.Equal(got, body) {
			t.Fatalf("a body of %d bytes comes through", c.body)
		}
	}
	same(t, noise.MaxBody, 61431, "the longest body")
	_, err := sender.Seal(seeded(1), frame.Data, 0, 0, make([]byte, noise.MaxBody+1))
	mistaken(t, err, "a body too long")
}

func TestTheSecondImplementationSealsAlike(t *testing.T) {
	sender, receiver, _ := newShare(4, "p").pair(t, 0, 1)
	f := sealed(t, sender, frame.Data, 7, 3, "body")
	plain, err := openPadded(sender.SealKey, f)
	ok(t, err, "the second implementation opens the frame")
	if !bytes.Equal(plain, pad(withAck(3, []byte("body")))) {
		t.Fatal("ack, body, 0x80 and zeros")
	}
	again := sealPadded(sender.SealKey, frame.Data, sender.Candidate, 7, f.Sealed()[:16], plain)
	if !bytes.Equal(again, f) {
		t.Fatal("with the same salt it seals the same bytes")
	}
	if !bytes.Equal(taken(sender), sender.Taken()) {
		t.Fatal("and makes the same taken")
	}
	if !bytes.Equal(lastAck(sender.SealKey, sender.Candidate), sender.LastAck()) {
		t.Fatal("and the same last ack")
	}
	for _, label := range []string{"code", "pin", "contact", "path", ""} {
		want := [32]byte(expand256(receiver.Exporter[:], "sparekey v1 export "+label, 32))
		same(t, receiver.Export(label), want, "and exports alike")
	}
}

func TestTwoSealsOfOneSeqShareNoKeyAndNonce(t *testing.T) {
	sender, _, _ := newShare(5, "p").pair(t, 0, 1)
	rnd := seeded(1)
	a, err := sender.Seal(rnd, frame.Data, 1, 0, []byte("one"))
	ok(t, err, "seal")
	b, err := sender.Seal(rnd, frame.Data, 1, 0, []byte("two")) // what a restored backup does
	ok(t, err, "seal")
	if bytes.Equal(a.Sealed()[:16], b.Sealed()[:16]) {
		t.Fatal("each seal draws its own salt")
	}
	// One key and nonce would show as equal key streams: the padding's zeros are alike.
	if bytes.Equal(a.Sealed()[16+100:16+200], b.Sealed()[16+100:16+200]) {
		t.Fatal("the salt is in the key")
	}
}

// TestAFrameWithAnyByteChangedOrCutIsRefused is LIE-07 for data.
func TestAFrameWithAnyByteChangedOrCutIsRefused(t *testing.T) {
	sender, receiver, _ := newShare(6, "p").pair(t, 0, 1)
	f := sealed(t, sender, frame.Data, 1, 2, "body")
	for i := range f {
		for _, bit := range []byte{1, 2, 4, 0x80} {
			b := bytes.Clone(f)
			b[i] ^= bit
			_, _, err := receiver.Open(b)
			refused(t, err, "", "a changed bit")
		}
		_, _, err := receiver.Open(f[:i])
		refused(t, err, "", "a cut frame")
	}
	_, _, err := receiver.Open(append(bytes.Clone(f), 0))
	refused(t, err, "size", "a longer frame")
	_, _, err = receiver.Open(nil)
	refused(t, err, "malformed", "no frame")
	_, body, err := receiver.Open(f)
	ok(t, err, "after all these the genuine one opens")
	same(t, string(body), "body", "with its body")
}

func TestAFrameIsOpenedByItsOwnSessionOnly(t *testing.T) {
	w := newShare(7, "p")
	sender, receiver, hello := w.pair(t, 0, 1)
	_, other, _ := w.pair(t, 0, 2)
	f := sealed(t, sender, frame.Data, 0, 0, "body")
	_, _, err := other.Open(f)
	refused(t, err, "another candidate", "another candidate's frame")
	other.Candidate = receiver.Candidate
	_, _, err = other.Open(f)
	refused(t, err, "wrong key", "another candidate's key")
	for _, b := range []frame.Frame{hello, w.frame(t, 0), sender.Taken(), frame.Shut(sender.Candidate)} {
		_, _, err := receiver.Open(b)
		refused(t, err, "kind", "a frame that is not sealed by a session")
	}
}

func TestASealedFrameOfAnotherLayoutIsRefused(t *testing.T) {
	sender, receiver, _ := newShare(8, "p").pair(t, 0, 1)
	body := withAck(0, []byte("body"))
	zeros := func(b []byte, n int) []byte { return append(bytes.Clone(b), make([]byte, n-len(b))...) }
	for _, c := range []struct {
		name, reason string
		kind         frame.Kind
		seq          uint64
		padded       []byte
	}{
		{"zeros only", "padding", frame.Data, 0, make([]byte, 256)},
		{"no mark of padding", "padding", frame.Data, 0, zeros(body, 256)},
		{"another mark of padding", "padding", frame.Data, 0, zeros(append(bytes.Clone(body), 0x81), 256)},
		{"something behind the zeros", "padding", frame.Data, 0, append(pad(body)[:255], 1)},
		{"padded beyond the next step", "padding", frame.Data, 0, zeros(append(bytes.Clone(body), 0x80), 1024)},
		{"full without a mark", "padding", frame.Data, 0, bytes.Repeat([]byte{1}, 256)},
		{"no room for the ack", "no ack", frame.Data, 0, pad(make([]byte, 7))},
		{"a size between the steps", "size", frame.Data, 0, pad(body)[:255]},
		{"no plaintext", "size", frame.Data, 0, nil},
		{"an ack whose seq is another", "contradicts", frame.Ack, 3, pad(withAck(4, nil))},
		{"an ack with a body", "contradicts", frame.Ack, 4, pad(withAck(4, []byte("body")))},
		{"a taken under the direction's key", "kind", frame.Taken, 0, pad(withAck(0, nil))},
	} {
		f := sealPadded(sender.SealKey, c.kind, sender.Candidate, c.seq, make([]byte, 16), c.padded)
		_, _, err := receiver.Open(f)
		refused(t, err, c.reason, c.name)
	}
	for _, c := range []struct {
		kind   frame.Kind
		padded []byte
	}{{frame.Data, pad(body)}, {frame.Data, pad(withAck(0, nil))}, {frame.Ack, pad(withAck(0, nil))}} {
		f := sealPadded(sender.SealKey, c.kind, sender.Candidate, 0, make([]byte, 16), c.padded)
		_, _, err := receiver.Open(f)
		ok(t, err, "the layout of the documents opens")
	}
}

// TestALastAckIsKnownToBothSidesBeforehand, and to nobody else: each keeps what it needs of
// it when its keys are gone.
func TestALastAckIsKnownToBothSidesBeforehand(t *testing.T) {
	sender, receiver, _ := newShare(9, "p").pair(t, 0, 1)
	for side, s := range map[string]struct{ says, hears noise.Session }{"sender": {sender, receiver}, "receiver": {receiver, sender}} {
		f := s.says.LastAck()
		if !bytes.Equal(f, s.hears.AwaitedAck()) || bytes.Equal(f, s.hears.LastAck()) {
			t.Errorf("the %s's is what the other side awaits, and not its own", side)
		}
		ack, body, err := s.hears.Open(f)
		ok(t, err, "it opens as an ack")
		if ack != frame.LastAck || len(body) > 0 {
			t.Errorf("it counts %d, with %q", ack, body)
		}
		if _, _, err := s.says.Open(f); err == nil {
			t.Error("it opens for the side that made it")
		}
		for i := range f {
			_, _, err := s.hears.Open(flipped(f, i))
			if err == nil {
				t.Errorf("with byte %d changed it opens", i)
			}
		}
		if _, err := s.says.Seal(seeded(1), frame.Ack, frame.LastAck, frame.LastAck, nil); err == nil {
			t.Error("another frame can be sealed in its place")
		}
	}
	if f := (noise.Session{Candidate: sender.Candidate}).LastAck(); f != nil {
		t.Error("an erased session has a last ack")
	}
}

func TestAnAckFrameCarriesACountAndNothingElse(t *testing.T) {
	sender, receiver, _ := newShare(9, "p").pair(t, 0, 1)
	f := sealed(t, receiver, frame.Ack, 5, 5, "")
	ack, body, err := sender.Open(f)
	ok(t, err, "an ack opens")
	if ack != 5 || len(body) != 0 {
		t.Fatalf("an ack frame is its count: %d, %q", ack, body)
	}
	_, err = sender.Seal(seeded(1), frame.Ack, 5, 6, nil)
	mistaken(t, err, "a seq that is not the count")
	_, err = sender.Seal(seeded(1), frame.Ack, 5, 5, []byte("x"))
	mistaken(t, err, "an ack with a body")
	for _, k := range []frame.Kind{0, frame.Offer, frame.Handshake, frame.Taken, 6} {
		_, err = sender.Seal(seeded(1), k, 0, 0, nil)
		mistaken(t, err, "a kind that is not sealed under a direction's key")
	}
}

func TestNothingIsSealedWithoutRandomness(t *testing.T) {
	sender, _, _ := newShare(10, "p").pair(t, 0, 1)
	_, err := sender.Seal(nil, frame.Data, 0, 0, nil)
	mistaken(t, err, "no source of randomness")
	_, err = sender.Seal(bytes.NewReader(make([]byte, 15)), frame.Data, 0, 0, nil)
	mistaken(t, err, "a source that runs dry")
}

func TestTakenIsTheSameEveryTimeAndForOneCandidateOnly(t *testing.T) {
	w := newShare(11, "p")
	sender, receiver, hello := w.pair(t, 0, 1)
	_, other, _ := w.pair(t, 0, 2)
	f := sender.Taken()
	again, err := noise.NewKeys(w.seed).Accept(w.secrets, 0, hello)
	ok(t, err, "a sender that forgot the candidate meets it again")
	if !bytes.Equal(f, again.Taken()) {
		t.Fatal("and answers with the same bytes")
	}
	_, err = frame.Parse(f)
	ok(t, err, "a taken is a well-formed frame")
	ok(t, receiver.CheckTaken(f), "its candidate believes it")
	refused(t, other.CheckTaken(f), "not this candidate's", "another candidate does not")
	refused(t, receiver.CheckTaken(other.Taken()), "", "nor does this one believe the other's")
	refused(t, receiver.CheckTaken(frame.Shut(receiver.Candidate)), "", "a shut is believed by nobody")
	refused(t, receiver.CheckTaken(nil), "", "nor is nothing")
	for i := range f {
		b := bytes.Clone(f)
		b[i] ^= 1
		refused(t, receiver.CheckTaken(b), "", "a changed byte")
		refused(t, receiver.CheckTaken(f[:i]), "", "a cut frame")
	}
}

func TestTakenHasAKeyOfItsOwn(t *testing.T) {
	sender, receiver, _ := newShare(12, "p").pair(t, 0, 1)
	for _, key := range [][32]byte{sender.SealKey, sender.OpenKey, sender.Exporter} {
		if _, err := openPadded(key, sender.Taken()); err == nil {
			t.Fatal("no other key opens a taken")
		}
	}
	f := sender.Taken()
	forged := frame.New(frame.Data, sender.Candidate, 0, f.Sealed())
	_, _, err := receiver.Open(forged)
	refused(t, err, "wrong key", "a taken under another kind")
}

func TestAnErasedSessionBelievesNobody(t *testing.T) {
	_, receiver, _ := newShare(13, "p").pair(t, 0, 1)
	erased := noise.Session{Candidate: receiver.Candidate}
	forged := sealPadded([32]byte{}, frame.Data, erased.Candidate, 0, make([]byte, 16), pad(withAck(1, nil)))
	_, _, err := erased.Open(forged)
	refused(t, err, "erased", "a frame sealed under a key of zeros")
	refused(t, erased.CheckTaken(taken(erased)), "", "a taken made from a key of zeros")
	_, err = erased.Seal(seeded(1), frame.Data, 0, 0, nil)
	mistaken(t, err, "sealing under a key of zeros")
	if !bytes.Equal(erased.Taken(), frame.Shut(erased.Candidate)) {
		t.Fatal("all that an erased session can say is a shut")
	}
	refused(t, erased.CheckTaken(erased.Taken()), "", "which it does not believe itself")
}

func TestEachLabelExportsItsOwnSecret(t *testing.T) {
	w := newShare(14, "p")
	sender, receiver, _ := w.pair(t, 0, 1)
	_, other, _ := w.pair(t, 0, 2)
	seen := map[[32]byte]string{sender.SealKey: "seal key", sender.OpenKey: "open key", sender.Exporter: "exporter secret"}
	for _, label := range []string{"code", "pin", "contact", "path"} {
		same(t, sender.Export(label), receiver.Export(label), "both sides export the same")
		for _, v := range [][32]byte{sender.Export(label), other.Export(label)} {
			if before, dup := seen[v]; dup {
				t.Fatalf("%s exports what is also the %s", label, before)
			}
			seen[v] = label
		}
	}
}
