package interop

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"encoding/base64"
	"errors"
	"io"
	"testing"
)

type noiseShare struct {
	Name       string
	Secret     hexBytes `json:"link secret"`
	Seed       hexBytes
	Preview    hexBytes
	Private    hexBytes `json:"x25519 private"`
	X25519     hexBytes `json:"x25519 public"`
	KEMSeed    hexBytes `json:"ml-kem seed"`
	KEM        hexBytes `json:"ml-kem public"`
	Over       hexBytes
	Capability hexBytes `json:"sender capability"`
	H, C, ID   hexBytes
	IDText     string `json:"id in a link"`
	PSK        hexBytes
	OfferKey   hexBytes `json:"offer key"`
	View       hexBytes
	Topic      hexBytes
	Path       hexBytes
	Unattended hexBytes
}

func (s noiseShare) link() linkKeys { return keysOfLink([16]byte(s.ID), [16]byte(s.Secret)) }

type noiseVectors struct {
	About  string
	Shares []noiseShare
	Offers []struct {
		Share     string
		Epoch     uint64
		CPace     hexBytes
		Ephemeral hexBytes `json:"ephemeral private"`
		Prologue  hexBytes
		Message1  hexBytes `json:"message 1"`
		Plaintext hexBytes
		Salt      hexBytes
		Frame     hexBytes
	}
	Sessions []struct {
		Name, Share string
		Epoch       uint64
		Ephemeral   hexBytes `json:"ephemeral private"`
		Random      hexBytes `json:"ml-kem randomness"`
		PSK2        hexBytes
		Hash        hexBytes `json:"handshake hash"`
		Candidate   hexBytes
		Handshake   hexBytes `json:"handshake frame"`
		Down        hexBytes `json:"sender to receiver"`
		Up          hexBytes `json:"receiver to sender"`
		Exporter    hexBytes `json:"exporter secret"`
		Exports     map[string]hexBytes
		Taken       hexBytes `json:"taken frame"`
		DownLast    hexBytes `json:"last ack of the sender"`
		UpLast      hexBytes `json:"last ack of the receiver"`
	}
	Sizes []struct{ Body, Padded, Frame int }
	Cases []noiseCase
}

type noiseCase struct {
	Do, Name, Refuse, Share, Session, By string
	Epoch                                uint64
	ID, PSK                              hexBytes
	OfferKey                             hexBytes `json:"offer key"`
	Frame, H, Over, Body, Stream         hexBytes
	Frames                               []hexBytes
	Ack                                  *uint64
}

func (v *noiseVectors) share(name string) noiseShare {
	for _, s := range v.Shares {
		if s.Name == name {
			return s
		}
	}
	return noiseShare{}
}

func (v *noiseVectors) session(name, by string) session {
	for _, s := range v.Sessions {
		if s.Name == name {
			return session{candidate: [8]byte(s.Candidate), down: s.Down, up: s.Up, exporter: s.Exporter, sender: by == "sender"}
		}
	}
	return session{}
}

// TestSharesOffersAndSessionsComeOutAsTheVectorsSay makes every value of
// noise/testdata/vectors.json from its inputs.
func TestSharesOffersAndSessionsComeOutAsTheVectorsSay(t *testing.T) {
	var v noiseVectors
	vectorFile(t, "noise/testdata/vectors.json", &v)
	for _, s := range v.Shares {
		k := keysOfSeed(s.Seed)
		c := commit(k.static.PublicKey().Bytes(), k.kem.EncapsulationKey().Bytes(), s.Preview, hash(k.over))
		l := s.link()
		for what, pair := range map[string][2][]byte{
			"x25519 private": {k.static.Bytes(), s.Private}, "x25519 public": {k.static.PublicKey().Bytes(), s.X25519},
			"ml-kem seed": {k.kem.Bytes(), s.KEMSeed}, "ml-kem public": {k.kem.EncapsulationKey().Bytes(), s.KEM},
			"over": {k.over, s.Over}, "capability": {k.capability, s.Capability}, "h": {c.h, s.H}, "c": {c.c, s.C}, "id": {c.id, s.ID},
			"id in a link": {[]byte(base64.RawURLEncoding.EncodeToString(c.id)), []byte(s.IDText)},
			"psk":          {l.psk, s.PSK}, "offer key": {l.offerKey, s.OfferKey}, "view": {l.view, s.View}, "topic": {l.topic, s.Topic}, "path": {l.path, s.Path}, "unattended": {l.unatten, s.Unattended},
		} {
			equal(t, s.Name+": "+what, pair[0], pair[1])
		}
	}
	for _, o := range v.Offers {
		s := v.share(o.Share)
		k := keysOfSeed(s.Seed)
		made, f := k.makeOffer(s.link(), o.Epoch, s.Preview, o.CPace)
		equal(t, "ephemeral", k.ephemeral(o.Epoch).Bytes(), o.Ephemeral)
		equal(t, "prologue", prologue(s.link().id, o.Epoch), o.Prologue)
		equal(t, "message 1", made.message1, o.Message1)
		equal(t, "plaintext", made.plain(), o.Plaintext)
		equal(t, "salt", f[17:33], o.Salt)
		equal(t, "offer", f, o.Frame)
	}
	v.sessions(t)
	for _, s := range v.Sizes {
		if n := len(pad(make([]byte, 8+s.Body))); n != s.Padded || s.Frame != 17+16+n+16 {
			t.Errorf("a body of %d bytes is padded to %d, and not %d", s.Body, n, s.Padded)
		}
		if s.Frame < maxFrame && len(pad(make([]byte, 8+s.Body+1))) == s.Padded {
			t.Errorf("a body of %d bytes isn't the longest of its size", s.Body)
		}
	}
}

func (v *noiseVectors) sessions(t *testing.T) {
	for _, x := range v.Sessions {
		s := v.share(x.Share)
		made, _ := keysOfSeed(s.Seed).makeOffer(s.link(), x.Epoch, s.Preview, nil)
		receiver, hello, err := made.claim(s.link(), must(ecdh.X25519().NewPrivateKey(x.Ephemeral)), func(ek *mlkem.EncapsulationKey768) (shared, ciphertext []byte) {
			shared, ciphertext, err := mlkemtest.Encapsulate768(ek, x.Random)
			if err != nil {
				t.Fatal(err)
			}
			return shared, ciphertext
		})
		if err != nil {
			t.Fatal(err)
		}
		sender, err := keysOfSeed(s.Seed).accept(s.link(), x.Epoch, hello)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "handshake", hello, x.Handshake)
		for by, side := range map[string]session{"sender": sender, "receiver": receiver} {
			for what, pair := range map[string][2][]byte{
				"psk2": {side.psk2, x.PSK2}, "handshake hash": {side.hash, x.Hash}, "candidate": {side.candidate[:], x.Candidate},
				"sender to receiver": {side.down, x.Down}, "receiver to sender": {side.up, x.Up}, "exporter secret": {side.exporter, x.Exporter}, "taken": {side.taken(), x.Taken},
				"sender's last ack": {lastAck(side.down, side.candidate), x.DownLast}, "receiver's last ack": {lastAck(side.up, side.candidate), x.UpLast},
			} {
				equal(t, x.Name+", "+by+": "+what, pair[0], pair[1])
			}
			for label, want := range x.Exports {
				equal(t, x.Name+", "+by+": "+label, side.export(label), want)
			}
		}
	}
}

// TestEachCaseOfTheSessionIsTakenOrRefusedAsTheVectorsSay does the cases of
// noise/testdata/vectors.json.
func TestEachCaseOfTheSessionIsTakenOrRefusedAsTheVectorsSay(t *testing.T) {
	var v noiseVectors
	vectorFile(t, "noise/testdata/vectors.json", &v)
	var n tally
	for _, c := range v.Cases {
		n.judge(t, c.Do+" "+c.Name, c.Refuse, c.do(t, &v))
	}
	n.report(t, 100)
}

func (c noiseCase) do(t *testing.T, v *noiseVectors) error {
	share, session := v.share(c.Share), v.session(c.Session, c.By)
	var l linkKeys
	if c.Share != "" {
		l = share.link()
		copy(l.id[:], c.ID)
		copy(l.psk, c.PSK)
		copy(l.offerKey, c.OfferKey)
	}
	switch c.Do {
	case "parse":
		_, err := parseFrame(c.Frame)
		return err
	case "read stream":
		return c.readStream(t)
	case "open offer":
		_, err := openOffer(l, frame(c.Frame))
		return err
	case "accept":
		_, err := keysOfSeed(share.Seed).accept(l, c.Epoch, frame(c.Frame))
		return err
	case "open":
		ack, body, err := session.open(frame(c.Frame))
		if err == nil && c.Ack != nil && ack != *c.Ack {
			t.Errorf("%s: ack %d, not %d", c.Name, ack, *c.Ack)
		}
		if err == nil && c.Body != nil {
			equal(t, c.Name, body, c.Body)
		}
		return err
	case "check taken":
		if !session.isTaken(frame(c.Frame)) {
			return errors.New("not this candidate's")
		}
		return nil
	case "check proof":
		if !proves(l.id[:], c.H, c.Over) {
			return errors.New("no proof")
		}
		return nil
	}
	t.Fatalf("a case to %q: this implementation can't", c.Do)
	return nil
}

func (c noiseCase) readStream(t *testing.T) error {
	r := bytes.NewReader(c.Stream)
	for n := 0; ; {
		f, err := readFrame(r)
		switch {
		case errors.Is(err, io.EOF):
			if n != len(c.Frames) { // heartbeats don't count
				t.Errorf("%s: %d frames, and not %d", c.Name, n, len(c.Frames))
			}
			return nil
		case err != nil:
			return err
		case f != nil:
			if n < len(c.Frames) {
				equal(t, c.Name, f, c.Frames[n])
			}
			n++
		}
	}
}
