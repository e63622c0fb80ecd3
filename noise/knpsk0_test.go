package noise_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	flynn "github.com/flynn/noise"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/vectortest"
)

type publishedHandshake struct {
	Prologue, PSK, Static vectortest.Hex
	Initiator             vectortest.Hex `json:"initiator ephemeral"`
	Responder             vectortest.Hex `json:"responder ephemeral"`
	Messages              []struct{ Payload, Ciphertext vectortest.Hex }
}

func published(t *testing.T) []publishedHandshake {
	t.Helper()
	b, err := os.ReadFile("testdata/knpsk0.json")
	ok(t, err, "the library's published vectors are here")
	var doc struct{ Handshakes []publishedHandshake }
	ok(t, json.Unmarshal(b, &doc), "and can be read")
	if len(doc.Handshakes) == 0 {
		t.Fatal("no vectors")
	}
	return doc.Handshakes
}

// The second implementation is held against vectors that neither it nor the
// package made: those of KNpsk0, which is our handshake but for its last token.
func TestTheSecondImplementationMeetsThePublishedVectors(t *testing.T) {
	for _, v := range published(t) {
		static, i, r := private(v.Static), private(v.Initiator), private(v.Responder)
		rules := rules{name: "Noise_KNpsk0_25519_ChaChaPoly_SHA256", prologue: v.Prologue}
		if v.Prologue == nil {
			rules.prologue = []byte{}
		}
		st := rules.begin(noise.Secrets{PSK: [32]byte(v.PSK)}, 0, static.PublicKey().Bytes())
		want := func(n int, got []byte) {
			t.Helper()
			if !bytes.Equal(got, v.Messages[n].Ciphertext) {
				t.Errorf("message %d:\n got %x\nwant %x", n, got, v.Messages[n].Ciphertext)
			}
		}
		rules.e(st, i.PublicKey().Bytes())
		want(0, append(i.PublicKey().Bytes(), st.encrypt(v.Messages[0].Payload)...))
		rules.e(st, r.PublicKey().Bytes())
		st.mixKey(multiply(i, r.PublicKey().Bytes()))
		st.mixKey(multiply(static, r.PublicKey().Bytes()))
		want(1, append(r.PublicKey().Bytes(), st.encrypt(v.Messages[1].Payload)...))
		down, up, _ := st.stretch(nil)
		nonce := make([]byte, 12)
		want(2, cipherOf(down).Seal(nil, nonce, v.Messages[2].Payload, nil))
		want(3, cipherOf(up).Seal(nil, nonce, v.Messages[3].Payload, nil))
	}
}

// The package's own pattern and Diffie-Hellman function, run by the library
// without the second psk, which the vectors don't have.
func TestOurPatternMeetsThePublishedVectors(t *testing.T) {
	for _, v := range published(t) {
		dhI, key := noise.DH(private(v.Static), private(v.Initiator))
		dhR, _ := noise.DH(nil, private(v.Responder))
		// The library mixes a psk only where it has a modifier, so that stands in
		// for our written token: KN and psk0 are what our pattern says without psk2.
		config := flynn.Config{Pattern: noise.Pattern, Prologue: v.Prologue, PresharedKey: v.PSK, PresharedKeyPlacement: 0}
		config.Pattern.Name = "KN"
		config.Pattern.Messages = slices.Clone(config.Pattern.Messages)
		config.Pattern.Messages[0] = config.Pattern.Messages[0][1:]
		state := func(dh flynn.DHFunc, c flynn.Config) *flynn.HandshakeState {
			t.Helper()
			c.CipherSuite = flynn.NewCipherSuite(dh, flynn.CipherChaChaPoly, flynn.HashSHA256)
			s, err := flynn.NewHandshakeState(c)
			ok(t, err, "a state")
			return s
		}
		initiator, responder := config, config
		initiator.Initiator, initiator.StaticKeypair = true, key
		responder.PeerStatic = key.Public
		i, r := state(dhI, initiator), state(dhR, responder)

		message, _, _, err := i.WriteMessage(nil, v.Messages[0].Payload)
		ok(t, err, "message 1")
		if !bytes.Equal(message, v.Messages[0].Ciphertext) {
			t.Errorf("message 1:\n got %x\nwant %x", message, v.Messages[0].Ciphertext)
		}
		_, _, _, err = r.ReadMessage(nil, message)
		ok(t, err, "the responder reads it")
		message, _, _, err = r.WriteMessage(nil, v.Messages[1].Payload)
		ok(t, err, "message 2")
		if !bytes.Equal(message, v.Messages[1].Ciphertext) {
			t.Errorf("message 2:\n got %x\nwant %x", message, v.Messages[1].Ciphertext)
		}
		_, down, up, err := i.ReadMessage(nil, message)
		ok(t, err, "the initiator reads it")
		for n, cs := range map[int]*flynn.CipherState{2: down, 3: up} {
			got, err := cs.Encrypt(nil, nil, v.Messages[n].Payload)
			ok(t, err, "a transport message")
			if !bytes.Equal(got, v.Messages[n].Ciphertext) {
				t.Errorf("message %d: the split is from initiator to responder first", n+1)
			}
		}
	}
}
