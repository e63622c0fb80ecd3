package noise_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// isOpenError wants nil or an ErrOpen: no input is blamed on the caller.
func isOpenError(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, noise.ErrOpen) {
		t.Fatalf("bad input is an ErrOpen, not: %v", err)
	}
}

// patched returns b cut or lengthened to size, with a patch laid over it: small
// inputs reach every place of long messages.
func patched(b []byte, size, at uint16, patch []byte) []byte {
	out := make([]byte, min(int(size), len(b)+64))
	copy(out, b)
	for i, x := range patch {
		if n := int(at) + i; n < len(out) {
			out[n] ^= x
		}
	}
	return out
}

// FuzzOpenOffer gives OpenOffer any bytes, a genuine offer patched anyhow, and any
// plaintext that a link holder seals.
func FuzzOpenOffer(f *testing.F) {
	w := newShare(1, "preview")
	w.cpace = &[32]byte{1}
	genuine, plain := w.frame(f, 0), pad(offerPlain(w.offer(f, 0)))
	f.Add([]byte("any"), uint16(2097), uint16(0), []byte{})
	f.Add([]byte(frame.Shut(frame.Candidate{1})), uint16(2048), uint16(1296), []byte{2})
	f.Add(make([]byte, 49), uint16(1024), uint16(0), []byte{1})
	f.Add([]byte(nil), uint16(2048), uint16(40), []byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte, size, at uint16, patch []byte) {
		_, err := noise.OpenOffer(w.secrets, b)
		isOpenError(t, err)
		changed := patched(genuine, size, at, patch)
		_, err = noise.OpenOffer(w.secrets, changed)
		isOpenError(t, err)
		if err == nil && !bytes.Equal(changed, genuine) {
			t.Fatal("a changed offer opens")
		}
		p := patched(plain, size, at, patch)
		s := w.secrets
		if len(p) > 1297 { // whoever made the id can commit to anything
			o := noise.Offer{X25519: [32]byte(p), MLKEM: [1184]byte(p[32:]), OverHash: [32]byte(p[1216:])}
			if o.Preview, _, _ = bytes.Cut(p[1297:], []byte{0x80}); p[1296] == 1 {
				o.Preview = o.Preview[min(32, len(o.Preview)):]
			}
			s.ID = identify(o)
		}
		for _, s := range []noise.Secrets{w.secrets, s} {
			openAndClaim(t, s, p)
		}
	})
}

func openAndClaim(t *testing.T, s noise.Secrets, plain []byte) {
	o, err := noise.OpenOffer(s, sealPadded(s.OfferKey, frame.Offer, frame.Candidate{}, 0, make([]byte, 16), plain))
	isOpenError(t, err)
	if err != nil {
		return
	}
	if !bytes.Equal(pad(offerPlain(o)), plain) {
		t.Fatal("one offer has one plaintext")
	}
	if _, _, err := o.Claim(s, seeded(1), nil); err != nil {
		t.Fatalf("an offer that opens can be claimed: %v", err)
	}
}

// FuzzAccept gives a sender any bytes, and a genuine message 2 patched anyhow, under
// its own name and under the right one.
func FuzzAccept(f *testing.F) {
	w := newShare(2, "preview")
	_, _, hello := w.pair(f, 0, 1)
	f.Add([]byte("any"), uint16(1136), uint16(0), []byte{})
	f.Add([]byte(frame.New(frame.Handshake, frame.Candidate{1}, 0, make([]byte, 32))), uint16(1135), uint16(1088), []byte{1})
	f.Add([]byte(nil), uint16(1137), uint16(1120), []byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte, size, at uint16, patch []byte) {
		_, err := w.keys.Accept(w.secrets, 0, b)
		isOpenError(t, err)
		message2 := patched(hello.Sealed(), size, at, patch)
		genuine := bytes.Equal(message2, hello.Sealed())
		for _, f := range []frame.Frame{named(message2), frame.New(frame.Handshake, hello.Candidate(), 0, message2)} {
			_, err := w.keys.Accept(w.secrets, 0, f)
			isOpenError(t, err)
			if (err == nil) != genuine {
				t.Fatalf("the genuine message 2 opens and no other: %v", err)
			}
		}
	})
}

// FuzzOpenFrame gives a session any frame, and any plaintext that the other side seals.
func FuzzOpenFrame(f *testing.F) {
	sender, receiver, hello := newShare(3, "preview").pair(f, 0, 1)
	f.Add([]byte(sealed(f, receiver, frame.Data, 1, 0, "claim")), byte(frame.Data), uint64(1), pad(withAck(0, nil)))
	f.Add([]byte(sealed(f, receiver, frame.Ack, 5, 5, "")), byte(frame.Ack), uint64(5), pad(withAck(5, nil)))
	f.Add([]byte(sender.Taken()), byte(frame.Taken), uint64(0), pad(nil))
	f.Add([]byte(hello), byte(0), uint64(0), make([]byte, 256))
	f.Fuzz(func(t *testing.T, b []byte, kind byte, seq uint64, plain []byte) {
		_, _, err := sender.Open(b)
		isOpenError(t, err)
		isOpenError(t, receiver.CheckTaken(b))
		f := sealPadded(receiver.SealKey, frame.Kind(kind), receiver.Candidate, seq, make([]byte, 16), plain)
		ack, body, err := sender.Open(f)
		isOpenError(t, err)
		if err == nil && !bytes.Equal(pad(withAck(ack, body)), plain) {
			t.Fatal("one frame has one plaintext")
		}
	})
}
