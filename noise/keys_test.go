package noise_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

func TestKeysComeFromTheSeedAlone(t *testing.T) {
	seed := [32]byte{7}
	w := newShare(1, "")
	same(t, noise.NewKeys(seed).Capability(), noise.NewKeys(seed).Capability(), "the same seed, the same capability")
	c, p := noise.NewKeys(seed).Commit([]byte("preview"))
	c2, p2 := noise.NewKeys(seed).Commit([]byte("preview"))
	same(t, c, c2, "the same seed, the same commitment")
	same(t, p, p2, "the same seed, the same proof")
	if w.keys.Capability() == noise.NewKeys(seed).Capability() {
		t.Fatal("another seed has another capability")
	}
	for _, secret := range [][32]byte{p.Over, noise.NewKeys(seed).Capability()} {
		if secret == seed || secret == [32]byte{} {
			t.Fatal("what derives from the seed is not the seed, and not nothing")
		}
	}
}

func TestTheSecondImplementationDerivesTheSameKeys(t *testing.T) {
	w := newShare(2, "a preview")
	peer := newPeerSender(w.seed, 0)
	over := [32]byte(hkdf256(w.seed[:], nil, "sparekey v1 over", 32))
	id, h, c := peer.commit(over, w.preview)
	gotC, gotProof := w.keys.Commit(w.preview)
	same(t, gotC, c, "c is SHA-256(h ‖ SHA-256(over))")
	same(t, gotProof, frame.Proof{H: h, Over: over}, "the proof is (h, over)")
	same(t, w.secrets.ID, id, "the id is made from c")
	same(t, w.keys.Capability(), [32]byte(hkdf256(w.seed[:], nil, "sparekey v1 sender", 32)), "the capability has its label")
}

func TestTheIDCommitsToThePreviewAndToOver(t *testing.T) {
	w := newShare(3, "one")
	c, p := w.keys.Commit([]byte("one"))
	other, _ := w.keys.Commit([]byte("onf"))
	if c == other {
		t.Fatal("another preview has another id")
	}
	if !p.Proves(w.secrets.ID) {
		t.Fatal("the proof proves the share's id")
	}
	same(t, frame.ID(frame.Preimage(p.H, sha256.Sum256(p.Over[:]))), w.secrets.ID, "h and SHA-256(over) give the id")
}

func TestAnOfferIsTheSameBytesEveryTime(t *testing.T) {
	w := newShare(4, "preview")
	w.cpace = &[32]byte{5}
	first := w.frame(t, 3)
	again, err := noise.NewKeys(w.seed).Offer(w.secrets, 3, w.preview, w.cpace)
	ok(t, err, "keys made again offer again")
	if !bytes.Equal(first, again) {
		t.Fatal("a restarted sender offers the same bytes")
	}
}

func TestNoTwoOffersShareASalt(t *testing.T) {
	w := newShare(5, "preview")
	seen := map[string]string{}
	add := func(name string, f frame.Frame, err error) {
		t.Helper()
		ok(t, err, "an offer can be made")
		salt := string(f.Sealed()[:16])
		if before := seen[salt]; before != "" {
			t.Errorf("%s and %s are sealed with one salt: one key and nonce for two plaintexts", before, name)
		}
		seen[salt] = name
	}
	for epoch := range uint64(5) {
		f, err := w.keys.Offer(w.secrets, epoch, w.preview, nil)
		add(fmt.Sprint("epoch ", epoch), f, err)
	}
	f, err := w.keys.Offer(w.secrets, 0, w.preview, &[32]byte{1})
	add("epoch 0 with one CPace share", f, err)
	f, err = w.keys.Offer(w.secrets, 0, w.preview, &[32]byte{2})
	add("epoch 0 with another", f, err)
}

func TestASenderCannotOfferWhatNobodyCouldOpen(t *testing.T) {
	w := newShare(6, "preview")
	other := newShare(7, "preview")
	_, err := w.keys.Offer(other.secrets, 0, w.preview, nil)
	mistaken(t, err, "an id of other keys")
	_, err = w.keys.Offer(w.secrets, 0, []byte("another"), nil)
	mistaken(t, err, "an id of another preview")

	long := newShare(8, strings.Repeat("x", noise.MaxPreview+1))
	_, err = long.keys.Offer(long.secrets, 0, long.preview, nil)
	mistaken(t, err, "a preview too long for an offer")
	full := newShare(9, strings.Repeat("x", noise.MaxPreview))
	full.cpace = &[32]byte{1}
	if o := full.offer(t, 0); !bytes.Equal(o.Preview, full.preview) || *o.CPace != *full.cpace {
		t.Fatal("the longest preview fits beside a CPace share")
	}
}

func TestAMissingKeyIsAnErrorAndNeverAWeakerHandshake(t *testing.T) {
	w := newShare(10, "preview")
	o := w.offer(t, 0)
	_, _, hello := w.pair(t, 0, 1)
	for _, c := range []struct {
		promise string
		try     func(noise.Secrets) error
	}{
		{"no offer is made", func(s noise.Secrets) error { _, err := w.keys.Offer(s, 0, w.preview, nil); return err }},
		{"no offer is opened", func(s noise.Secrets) error { _, err := noise.OpenOffer(s, w.frame(t, 0)); return err }},
		{"no claim is made", func(s noise.Secrets) error { _, _, err := o.Claim(s, seeded(1), nil); return err }},
		{"no handshake is accepted", func(s noise.Secrets) error { _, err := w.keys.Accept(s, 0, hello); return err }},
	} {
		mistaken(t, c.try(noise.Secrets{ID: w.secrets.ID, OfferKey: w.secrets.OfferKey}), "without a psk "+c.promise)
	}
	noOfferKey := noise.Secrets{ID: w.secrets.ID, PSK: w.secrets.PSK}
	_, err := w.keys.Offer(noOfferKey, 0, w.preview, nil)
	mistaken(t, err, "without an offer key no offer is made")
	_, err = noise.OpenOffer(noOfferKey, w.frame(t, 0))
	mistaken(t, err, "without an offer key no offer is opened")
}

func TestSecretsAreNotPrinted(t *testing.T) {
	w := newShare(0xab, "preview")
	sender, _, _ := w.pair(t, 0, 1)
	inside := struct {
		S noise.Secrets
		P *noise.Secrets
		K *noise.Keys
		N noise.Session
	}{w.secrets, &w.secrets, w.keys, sender}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s", "%q"} {
		for _, v := range []any{inside.S, inside.P, inside.K, inside.N, inside} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, "171") || strings.Contains(strings.ToLower(out), "ab") || !strings.Contains(out, "redacted") && v != any(inside) {
				t.Errorf("%s of %T shows what it must not: %.80s", verb, v, out)
			}
		}
	}
	//lint:ignore SA9005 that nothing comes out is what is tested
	if out, err := json.Marshal(w.keys); err == nil && string(out) != "{}" {
		t.Errorf("keys have no JSON: %.80s", out)
	}
}
