package noise_test

import (
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// seeded returns randomness that repeats.
func seeded(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// repeat is an encapsulation that repeats.
func repeat(seed byte) noise.Encapsulate {
	return func(ek *mlkem.EncapsulationKey768) (shared, ciphertext []byte) {
		random := make([]byte, 32)
		random[0] = seed
		shared, ciphertext, err := mlkemtest.Encapsulate768(ek, random)
		if err != nil {
			panic(err)
		}
		return shared, ciphertext
	}
}

// aShare is one share's sender, and what its link gives.
type aShare struct {
	seed    [32]byte
	keys    *noise.Keys
	secrets noise.Secrets
	preview []byte
	cpace   *[32]byte
}

func newShare(n byte, preview string) *aShare {
	w := &aShare{seed: [32]byte{n, 's'}, preview: []byte(preview)}
	w.keys = noise.NewKeys(w.seed)
	c, _ := w.keys.Commit(w.preview)
	w.secrets = noise.Secrets{ID: frame.ID(c), PSK: [32]byte{n, 'p'}, OfferKey: [32]byte{n, 'o'}}
	return w
}

func (w *aShare) frame(t testing.TB, epoch uint64) frame.Frame {
	t.Helper()
	f, err := w.keys.Offer(w.secrets, epoch, w.preview, w.cpace)
	ok(t, err, "a sender can make the offer of any epoch")
	return f
}

func (w *aShare) offer(t testing.TB, epoch uint64) noise.Offer {
	t.Helper()
	o, err := noise.OpenOffer(w.secrets, w.frame(t, epoch))
	ok(t, err, "a link's holder opens the offer")
	return o
}

// pair runs a handshake and returns both sides' sessions.
func (w *aShare) pair(t testing.TB, epoch uint64, n byte) (sender, receiver noise.Session, hello frame.Frame) {
	t.Helper()
	receiver, hello, err := w.offer(t, epoch).Claim(w.secrets, seeded(n), repeat(n))
	ok(t, err, "an offer that opened can be claimed")
	sender, err = w.keys.Accept(w.secrets, epoch, hello)
	ok(t, err, "the sender accepts a handshake on its offer")
	return sender, receiver, hello
}

func ok(t testing.TB, err error, promise string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", promise, err)
	}
}

// refused wants an ErrOpen whose text tells the reason.
func refused(t testing.TB, err error, reason, promise string) {
	t.Helper()
	if !errors.Is(err, noise.ErrOpen) {
		t.Fatalf("%s: got %v, not an ErrOpen", promise, err)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Fatalf("%s: refused for another reason: %v", promise, err)
	}
}

// mistaken wants an error that is not the other side's doing.
func mistaken(t testing.TB, err error, promise string) {
	t.Helper()
	if err == nil || errors.Is(err, noise.ErrOpen) {
		t.Fatalf("%s: got %v", promise, err)
	}
}

func same[T comparable](t testing.TB, got, want T, promise string) {
	t.Helper()
	if got != want {
		t.Fatalf("%s:\n got %v\nwant %v", promise, got, want)
	}
}
