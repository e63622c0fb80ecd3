package noise_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// vectors is testdata/vectors.json; PROTOCOL.md tells how to read it.
type vectors struct {
	About    string          `json:"about"`
	Shares   []vectorShare   `json:"shares"`
	Offers   []vectorOffer   `json:"offers"`
	Sessions []vectorSession `json:"sessions"`
	Sizes    []vectorSize    `json:"sizes"`
	Cases    []vectorCase    `json:"cases"`
}

// A vectorShare is a share's fixed input and all that derives from it.
type vectorShare struct {
	Name       string         `json:"name"`
	LinkSecret vectortest.Hex `json:"link secret"`
	Seed       vectortest.Hex `json:"seed"`
	Preview    vectortest.Hex `json:"preview"`

	X25519Private vectortest.Hex `json:"x25519 private"`
	X25519        vectortest.Hex `json:"x25519 public"`
	MLKEMSeed     vectortest.Hex `json:"ml-kem seed"`
	MLKEM         vectortest.Hex `json:"ml-kem public"`
	Over          vectortest.Hex `json:"over"`
	Sender        vectortest.Hex `json:"sender capability"`
	H             vectortest.Hex `json:"h"`
	C             vectortest.Hex `json:"c"`
	ID            vectortest.Hex `json:"id"`
	IDText        string         `json:"id in a link"`

	PSK        vectortest.Hex `json:"psk"`
	OfferKey   vectortest.Hex `json:"offer key"`
	View       vectortest.Hex `json:"view"`
	Topic      vectortest.Hex `json:"topic"`
	Path       vectortest.Hex `json:"path"`
	Unattended vectortest.Hex `json:"unattended"`
}

// A vectorOffer is one epoch's offer, made from a share.
type vectorOffer struct {
	Share     string         `json:"share"`
	Epoch     uint64         `json:"epoch"`
	CPace     vectortest.Hex `json:"cpace,omitempty"`
	Ephemeral vectortest.Hex `json:"ephemeral private"`
	Prologue  vectortest.Hex `json:"prologue"`
	Message1  vectortest.Hex `json:"message 1"`
	Plaintext vectortest.Hex `json:"plaintext"` // before padding
	Salt      vectortest.Hex `json:"salt"`
	Frame     vectortest.Hex `json:"frame"`
}

// A vectorSession is one candidate on an offer.
type vectorSession struct {
	Name      string         `json:"name"`
	Share     string         `json:"share"`
	Epoch     uint64         `json:"epoch"`
	Ephemeral vectortest.Hex `json:"ephemeral private"`
	Random    vectortest.Hex `json:"ml-kem randomness"`

	PSK2       vectortest.Hex            `json:"psk2"`
	Hash       vectortest.Hex            `json:"handshake hash"`
	Candidate  vectortest.Hex            `json:"candidate"`
	Handshake  vectortest.Hex            `json:"handshake frame"`
	SenderKey  vectortest.Hex            `json:"sender to receiver"`
	RecvKey    vectortest.Hex            `json:"receiver to sender"`
	Exporter   vectortest.Hex            `json:"exporter secret"`
	Exports    map[string]vectortest.Hex `json:"exports"`
	TakenFrame vectortest.Hex            `json:"taken frame"`
	SenderLast vectortest.Hex            `json:"last ack of the sender"`
	RecvLast   vectortest.Hex            `json:"last ack of the receiver"`
}

// A vectorSize is how long a body may be for its frame to have a size: one byte
// more, and the frame has the next one.
type vectorSize struct {
	Body   int `json:"body"`   // the longest
	Padded int `json:"padded"` // the plaintext: ack, body and padding
	Frame  int `json:"frame"`
}

// A vectorCase is one thing to do and whether it must succeed.
type vectorCase struct {
	Do     string `json:"do"`               // parse, read stream, open offer, accept, open, check taken, check proof
	Name   string `json:"name"`             // what is special about it
	Refuse string `json:"refuse,omitempty"` // why it must fail; absent: it must succeed

	Share    string         `json:"share,omitempty"`
	Epoch    uint64         `json:"epoch,omitempty"`     // the sender's, in accept
	ID       vectortest.Hex `json:"id,omitempty"`        // in place of the share's
	PSK      vectortest.Hex `json:"psk,omitempty"`       // in place of the share's
	OfferKey vectortest.Hex `json:"offer key,omitempty"` // in place of the share's
	Session  string         `json:"session,omitempty"`
	By       string         `json:"by,omitempty"` // whose session opens: sender or receiver
	Frame    vectortest.Hex `json:"frame,omitempty"`
	H        vectortest.Hex `json:"h,omitempty"`
	Over     vectortest.Hex `json:"over,omitempty"`
	Stream   vectortest.Hex `json:"stream,omitempty"`

	Frames []vectortest.Hex `json:"frames,omitempty"` // what read stream gives

	Ack  *uint64         `json:"ack,omitempty"`  // what open gives
	Body *vectortest.Hex `json:"body,omitempty"` // what open gives

	reason string // what this implementation's error says
}

func (s vectorShare) secrets() noise.Secrets {
	return noise.Secrets{ID: frame.ShareID(s.ID), PSK: [32]byte(s.PSK), OfferKey: [32]byte(s.OfferKey)}
}

func (s vectorShare) keys() *noise.Keys { return noise.NewKeys([32]byte(s.Seed)) }

// makeShare fills a share in by the second implementation, and holds the package to it.
func makeShare(t *testing.T, name string, start byte, preview string) vectorShare {
	t.Helper()
	s := vectorShare{Name: name, LinkSecret: vectortest.Counted(start, 16), Seed: vectortest.Counted(start+16, 32), Preview: vectortest.Hex(preview)}
	peer := newPeerSender([32]byte(s.Seed), 0)
	s.X25519Private = hkdf256(s.Seed, nil, "sparekey v1 x25519", 32)
	s.X25519 = peer.public()
	s.MLKEMSeed = hkdf256(s.Seed, nil, "sparekey v1 mlkem", 64)
	s.MLKEM = peer.ek()
	s.Over = hkdf256(s.Seed, nil, "sparekey v1 over", 32)
	s.Sender = hkdf256(s.Seed, nil, "sparekey v1 sender", 32)
	id, h, c := peer.commit([32]byte(s.Over), s.Preview)
	s.ID, s.H, s.C, s.IDText = id[:], h[:], c[:], id.String()
	for label, to := range map[string]*vectortest.Hex{
		"psk": &s.PSK, "offer key": &s.OfferKey, "view": &s.View,
		"topic": &s.Topic, "path": &s.Path, "unattended": &s.Unattended,
	} {
		*to = hkdf256(s.LinkSecret, s.ID, "sparekey v1 "+label, 32)
	}
	gotC, gotProof := s.keys().Commit(s.Preview)
	same(t, gotC, c, "the package commits as the second implementation does")
	same(t, gotProof, frame.Proof{H: h, Over: [32]byte(s.Over)}, "with the same proof")
	same(t, s.keys().Capability(), [32]byte(s.Sender), "and has the same capability")
	return s
}

func makeOffer(t *testing.T, s vectorShare, epoch uint64, cpace *[32]byte) vectorOffer {
	t.Helper()
	f, err := s.keys().Offer(s.secrets(), epoch, s.Preview, cpace)
	ok(t, err, "an offer")
	o, err := noise.OpenOffer(s.secrets(), f)
	ok(t, err, "opens")
	peer := newPeerSender([32]byte(s.Seed), epoch)
	_, message1 := peer.start(rules{}, s.secrets(), epoch)
	v := vectorOffer{
		Share: s.Name, Epoch: epoch, Ephemeral: peer.ephemeral.Bytes(), Prologue: prologueOf(s.secrets(), epoch),
		Message1: message1, Plaintext: offerPlain(o),
	}
	if cpace != nil {
		v.CPace = cpace[:]
	}
	sum := sha256.Sum256(v.Plaintext)
	info := append(append([]byte("sparekey v1 offer salt"), v.Prologue[27:]...), sum[:]...)
	v.Salt = hkdf256(s.Seed, nil, string(info), 16)
	v.Frame = vectortest.Hex(sealPadded([32]byte(s.OfferKey), frame.Offer, frame.Candidate{}, epoch, v.Salt, pad(v.Plaintext)))
	if !bytes.Equal(v.Frame, f) {
		t.Fatal("the package offers what the second implementation does")
	}
	return v
}

func makeSession(t *testing.T, name string, s vectorShare, epoch uint64, start byte) (vectorSession, noise.Session, noise.Session) {
	t.Helper()
	v := vectorSession{Name: name, Share: s.Name, Epoch: epoch, Ephemeral: vectortest.Counted(start, 32), Random: make([]byte, 32)}
	v.Random[0] = start
	o := must(noise.OpenOffer(s.secrets(), frame.Frame(makeOffer(t, s, epoch, nil).Frame)))
	peer, hello, err := rules{}.claim(s.secrets(), o, v.Ephemeral, v.Random)
	ok(t, err, "the second implementation claims")
	receiver, packageHello, err := o.Claim(s.secrets(), bytes.NewReader(v.Ephemeral), repeat(start))
	ok(t, err, "the package claims")
	if !bytes.Equal(hello, packageHello) {
		t.Fatal("the package claims as the second implementation does")
	}
	same(t, receiver, peer.Session, "with the same session")
	sender, err := s.keys().Accept(s.secrets(), epoch, hello)
	ok(t, err, "the sender accepts")
	agree(t, sender, receiver)

	v.PSK2, v.Hash, v.Candidate, v.Handshake = peer.psk2, peer.hash, receiver.Candidate[:], vectortest.Hex(hello)
	v.SenderKey, v.RecvKey, v.Exporter = receiver.OpenKey[:], receiver.SealKey[:], receiver.Exporter[:]
	v.Exports = map[string]vectortest.Hex{}
	for _, label := range []string{"code", "pin", "contact", "path"} {
		v.Exports[label] = expand256(v.Exporter, "sparekey v1 export "+label, 32)
		same(t, sender.Export(label), [32]byte(v.Exports[label]), "the package exports alike")
	}
	v.TakenFrame = vectortest.Hex(taken(sender))
	if !bytes.Equal(v.TakenFrame, sender.Taken()) {
		t.Fatal("the package's taken is that of the second implementation")
	}
	v.SenderLast, v.RecvLast = vectortest.Hex(lastAck(sender.SealKey, sender.Candidate)), vectortest.Hex(lastAck(sender.OpenKey, sender.Candidate))
	if !bytes.Equal(v.SenderLast, sender.LastAck()) || !bytes.Equal(v.RecvLast, sender.AwaitedAck()) {
		t.Fatal("the package's last acks are those of the second implementation")
	}
	return v, sender, receiver
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const vectorsAbout = "Test vectors of the sparekey session, version 1. noise/PROTOCOL.md tells how to read them. " +
	"Made by: go test ./noise -run TestVectors -update"

// TestVectors makes the vectors anew, compares them with the file, and then does
// what the file says.
func TestVectors(t *testing.T) {
	made := makeVectors(t)
	read := vectortest.Published(t, made)
	for i, c := range read.Cases {
		t.Run(c.Do+"/"+c.Name, func(t *testing.T) { c.run(t, read, made.Cases[i].reason) })
	}
	vectortest.MostAreRefused(t, read.Cases, vectorCase.refused)
}

func (c vectorCase) refused() bool { return c.Refuse != "" }

// run does what a case says, from what stands in the file alone.
func (c vectorCase) run(t *testing.T, v *vectors, reason string) {
	ack, body, err := c.do(v)
	if c.Refuse != "" {
		if err == nil {
			t.Fatalf("this must be refused: %s", c.Refuse)
		}
		refused(t, err, reason, c.Refuse)
		return
	}
	ok(t, err, "this must succeed")
	if c.Ack != nil && *c.Ack != ack {
		t.Errorf("ack %d, not %d", ack, *c.Ack)
	}
	if c.Body != nil && !bytes.Equal(*c.Body, body) {
		t.Errorf("body %x, not %x", body, *c.Body)
	}
}

func (c vectorCase) do(v *vectors) (ack uint64, body []byte, err error) {
	share, session := v.share(c.Share), v.session(c.Session, c.By)
	s := noise.Secrets{}
	if share != nil {
		s = share.secrets()
		copy(s.ID[:], c.ID)
		copy(s.PSK[:], c.PSK)
		copy(s.OfferKey[:], c.OfferKey)
	}
	f := frame.Frame(c.Frame)
	switch c.Do {
	case "parse":
		if _, err = frame.Parse(f); err != nil {
			err = asRefusal(err)
		}
	case "read stream":
		return 0, nil, c.readStream()
	case "open offer":
		_, err = noise.OpenOffer(s, f)
	case "accept":
		_, err = share.keys().Accept(s, c.Epoch, f)
	case "open":
		return session.Open(f)
	case "check taken":
		err = session.CheckTaken(f)
	case "check proof":
		if p := (frame.Proof{H: [32]byte(c.H), Over: [32]byte(c.Over)}); !p.Proves(s.ID) {
			err = asRefusal(nil)
		}
	default:
		panic("unknown case: " + c.Do)
	}
	return 0, nil, err
}

func (c vectorCase) readStream() error {
	frames, err := frame.NewReader(bytes.NewReader(c.Stream)).ReadAll(len(c.Stream))
	if err != nil {
		return asRefusal(err)
	}
	if !slices.EqualFunc(frames, c.Frames, func(f frame.Frame, want vectortest.Hex) bool { return bytes.Equal(f, want) }) {
		return fmt.Errorf("read as %x", frames)
	}
	return nil
}

func (v *vectors) share(name string) *vectorShare {
	for i := range v.Shares {
		if v.Shares[i].Name == name {
			return &v.Shares[i]
		}
	}
	return nil
}

func (v *vectors) session(name, by string) (s noise.Session) {
	for _, x := range v.Sessions {
		if x.Name != name {
			continue
		}
		s.Candidate = frame.Candidate(x.Candidate)
		s.SealKey, s.OpenKey, s.Exporter = [32]byte(x.RecvKey), [32]byte(x.SenderKey), [32]byte(x.Exporter)
		if by == "sender" {
			s.SealKey, s.OpenKey = s.OpenKey, s.SealKey
		}
	}
	return s
}
