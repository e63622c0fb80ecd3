package noise_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// asRefusal gives the refusals of parse and check proof the class of the others.
func asRefusal(err error) error { return errors.Join(noise.ErrOpen, err) }

// prologueOf is the prologue, from PROTOCOL.md.
func prologueOf(s noise.Secrets, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("sparekey v1"), s.ID[:]...), epoch)
}

// flipped returns b with one bit of the byte at i changed; i counts from the end if negative.
func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	if i < 0 {
		i += len(b)
	}
	b[i] ^= 1
	return b
}

// a recipe makes the vectors' cases.
type recipe struct {
	t            *testing.T
	v            vectors
	a, b         vectorShare
	sender       noise.Session // of session A
	receiver     noise.Session
	otherSender  noise.Session // of session B, on the same offer
	offerOpened  noise.Offer   // share A, epoch 0
	offerOfEpoch noise.Offer   // share A, epoch 1
}

func makeVectors(t *testing.T) *vectors {
	t.Helper()
	r := &recipe{t: t, v: vectors{About: vectorsAbout}}
	r.a = makeShare(t, "A", 0x00, "the preview of share A")
	r.b = makeShare(t, "B", 0x40, "")
	r.v.Shares = []vectorShare{r.a, r.b}
	cpace := [32]byte(vectortest.Counted(0x80, 32))
	r.v.Offers = []vectorOffer{
		makeOffer(t, r.a, 0, nil), makeOffer(t, r.a, 1, nil),
		makeOffer(t, r.b, 0, nil), makeOffer(t, r.b, 1<<40, &cpace),
	}
	r.offerOpened = must(noise.OpenOffer(r.a.secrets(), frame.Frame(r.v.Offers[0].Frame)))
	r.offerOfEpoch = must(noise.OpenOffer(r.a.secrets(), frame.Frame(r.v.Offers[1].Frame)))
	var session vectorSession
	session, r.sender, r.receiver = makeSession(t, "A0", r.a, 0, 0x60)
	other, otherSender, _ := makeSession(t, "A0 other", r.a, 0, 0x61)
	next, _, _ := makeSession(t, "A1", r.a, 1, 0x60)
	r.otherSender = otherSender
	r.v.Sessions = []vectorSession{session, other, next}
	r.sizes()
	r.parse()
	r.readStream()
	r.openOffer()
	r.openForgedOffer()
	r.accept()
	r.acceptOtherProtocol()
	r.open()
	r.openOtherLayout()
	r.checkTaken()
	r.checkProof()
	return &r.v
}

func (r *recipe) add(c vectorCase) { r.v.Cases = append(r.v.Cases, c) }

func (r *recipe) parse() {
	c, none := frame.Candidate{1, 2, 3, 4, 5, 6, 7, 8}, frame.Candidate{}
	seal := make([]byte, frame.SealSize)
	good := func(name string, f frame.Frame) { r.add(vectorCase{Do: "parse", Name: name, Frame: vectortest.Hex(f)}) }
	bad := func(name, why string, f frame.Frame) {
		r.add(vectorCase{Do: "parse", Name: name, Refuse: why, Frame: vectortest.Hex(f), reason: "malformed frame"})
	}
	good("data", frame.New(frame.Data, c, 1<<63, seal))
	good("a shut", frame.Shut(c))
	good("an erased frame's place", frame.Shut(none))
	bad("no header", "shorter than a header", frame.New(frame.Data, c, 0, nil)[:16])
	bad("kind 0", "unknown kind", frame.New(0, c, 0, seal))
	bad("kind 6", "unknown kind", frame.New(6, c, 0, seal))
	bad("an offer with a candidate", "an offer's candidate is zero", frame.New(frame.Offer, c, 0, seal))
	bad("a handshake with a seq", "a handshake's seq is 0", frame.New(frame.Handshake, c, 1, seal))
	bad("a taken with a seq", "a taken's seq is 0", frame.New(frame.Taken, c, 1, seal))
	bad("a shut with a seq", "a shut's seq is 0", frame.New(frame.Taken, c, 1, nil))
	for _, k := range []frame.Kind{frame.Handshake, frame.Data, frame.Ack, frame.Taken} {
		bad(k.String()+" of nobody", "only an offer and a shut have the zero candidate", frame.New(k, none, 0, seal))
	}
	for _, k := range []frame.Kind{frame.Offer, frame.Handshake, frame.Data, frame.Ack, frame.Taken} {
		who := c
		if k == frame.Offer {
			who = none
		}
		bad(k.String()+" too short", "no room for salt and tag", frame.New(k, who, 0, seal[1:]))
	}
}

// sizes has the longest body of each size.
func (r *recipe) sizes() {
	length := func(body int) int {
		f, err := r.receiver.Seal(bytes.NewReader(make([]byte, 16)), frame.Data, 1, 0, make([]byte, body))
		ok(r.t, err, "a frame")
		return len(f)
	}
	for _, padded := range []int{256, 1024, 2048, 4096, 16384, 61440} {
		body := padded - 1 - 8
		if len(pad(withAck(0, make([]byte, body)))) != padded || body < noise.MaxBody && length(body+1) == length(body) {
			r.t.Errorf("a body of %d bytes isn't the longest of a plaintext of %d", body, padded)
		}
		r.v.Sizes = append(r.v.Sizes, vectorSize{Body: body, Padded: padded, Frame: length(body)})
	}
}

func (r *recipe) readStream() {
	a := frame.New(frame.Data, frame.Candidate{1, 2, 3, 4, 5, 6, 7, 8}, 7, vectortest.Counted(0, frame.SealSize))
	b := frame.Shut(frame.Candidate{1, 2, 3, 4, 5, 6, 7, 8})
	good := func(name string, stream []byte, frames ...frame.Frame) {
		c := vectorCase{Do: "read stream", Name: name, Stream: stream}
		for _, f := range frames {
			c.Frames = append(c.Frames, vectortest.Hex(f))
		}
		r.add(c)
	}
	bad := func(name, why, reason string, stream []byte) {
		r.add(vectorCase{Do: "read stream", Name: name, Refuse: why, Stream: stream, reason: reason})
	}
	both := frame.Append(nil, a, b)
	good("nothing", nil)
	good("a heartbeat", make([]byte, 4))
	good("two frames", both, a, b)
	good("a heartbeat before, between and behind", slices.Concat(frame.Append(make([]byte, 4), a), make([]byte, 8), frame.Append(nil, b), make([]byte, 4)), a, b)
	bad("cut in a length", "it ends within a length", "EOF", both[:2])
	bad("cut behind a length", "it ends within a frame", "EOF", both[:4])
	bad("cut in a frame", "it ends within a frame", "EOF", both[:len(both)-1])
	bad("a length of more than any frame has", "61490 bytes are no frame; none of them is read", "malformed", []byte{0, 0, 0xf0, 0x32})
	bad("a length of 2³² − 1", "no frame is so long; none of it is read", "malformed", []byte{0xff, 0xff, 0xff, 0xff})
	bad("a length in little endian", "lengths are big endian", "malformed", slices.Concat([]byte{byte(len(b)), 0, 0, 0}, b))
	bad("a frame of 16 bytes", "shorter than a header", "malformed", slices.Concat([]byte{0, 0, 0, 16}, b[:16]))
	bad("what is no frame", "unknown kind", "malformed", frame.Append(nil, frame.New(9, b.Candidate(), 0, nil)))
	bad("a good frame, and then what is none", "the stream is useless from there on", "malformed", append(both, 0, 0, 0, 1, 0))
}

func (r *recipe) openOffer() {
	const do = "open offer"
	f := r.v.Offers[0].Frame
	for _, o := range r.v.Offers {
		r.add(vectorCase{Do: do, Name: "of share " + o.Share, Share: o.Share, Frame: o.Frame})
	}
	bad := func(name, why, reason string, c vectorCase) {
		c.Do, c.Name, c.Refuse, c.reason = do, name, why, reason
		c.Share = "A"
		if c.Frame == nil {
			c.Frame = f
		}
		r.add(c)
	}
	bad("wrong id", "the id does not commit to the keys and the preview", "not those", vectorCase{ID: flipped(r.a.ID, 0)})
	bad("wrong offer key", "the AEAD fails", "wrong key", vectorCase{OfferKey: flipped(r.a.OfferKey, 0)})
	bad("wrong psk", "message 1 does not decrypt", "first message", vectorCase{PSK: flipped(r.a.PSK, 0)})
	bad("another share's", "the AEAD fails", "wrong key", vectorCase{Frame: r.v.Offers[2].Frame})
	bad("wrong epoch", "the header is authenticated", "wrong key", vectorCase{Frame: flipped(f, 16)})
	bad("flipped salt", "the salt is in the key", "wrong key", vectorCase{Frame: flipped(f, 17)})
	bad("flipped byte", "the AEAD fails", "wrong key", vectorCase{Frame: flipped(f, 1000)})
	bad("flipped tag", "the AEAD fails", "wrong key", vectorCase{Frame: flipped(f, -1)})
	bad("truncated", "not a size that a frame has", "size", vectorCase{Frame: f[:len(f)-1]})
	bad("longer", "not a size that a frame has", "size", vectorCase{Frame: append(bytes.Clone(f), 0)})
	wrongKind := frame.New(frame.Data, frame.Candidate{1}, 0, frame.Frame(f).Sealed())
	bad("wrong kind", "not an offer", "kind", vectorCase{Frame: vectortest.Hex(wrongKind)})
}

// openForgedOffer has what any holder of the link can seal.
func (r *recipe) openForgedOffer() {
	s := r.a.secrets()
	bad := func(name, why, reason string, change func(o *noise.Offer)) {
		o := r.offerOpened
		o.Preview = bytes.Clone(o.Preview)
		change(&o)
		r.add(vectorCase{Do: "open offer", Name: name, Refuse: why, Share: "A", Frame: vectortest.Hex(sealOffer(s, o)), reason: reason})
	}
	bad("preview changed", "the id commits to the preview", "not those", func(o *noise.Offer) { o.Preview[0] ^= 1 })
	bad("X25519 key changed", "the id commits to the key", "not those", func(o *noise.Offer) { copy(o.X25519[:], r.b.X25519) })
	bad("ML-KEM key changed", "the id commits to the key", "not those", func(o *noise.Offer) { copy(o.MLKEM[:], r.b.MLKEM) })
	bad("over changed", "the id commits to SHA-256(over)", "not those", func(o *noise.Offer) { o.OverHash[0] ^= 1 })
	bad("message 1 of another epoch", "the prologue has the epoch", "first message", func(o *noise.Offer) { o.Message1 = r.offerOfEpoch.Message1 })
	bad("low-order ephemeral key", "message 1 has a low-order point", "low-order", func(o *noise.Offer) {
		st := rules{}.begin(s, 0, o.X25519[:])
		rules{}.e(st, make([]byte, 32))
		copy(o.Message1[:], append(make([]byte, 32), st.encrypt(nil)...))
	})
	plain := offerPlain(r.offerOpened)
	layout := func(name, why, reason string, padded []byte) {
		f := sealPadded(s.OfferKey, frame.Offer, frame.Candidate{}, 0, make([]byte, 16), padded)
		r.add(vectorCase{Do: "open offer", Name: name, Refuse: why, Share: "A", Frame: vectortest.Hex(f), reason: reason})
	}
	layout("wrong padding", "0x80 is missing", "padding", append(bytes.Clone(plain), make([]byte, 2048-len(plain))...))
	layout("padded too far", "2048 would do", "padding", append(pad(plain), make([]byte, 2048)...))
	marked := bytes.Clone(plain)
	marked[1296] = 2
	layout("CPace mark of 2", "the mark is 0 or 1", "CPace", pad(marked))
	layout("too short", "no room for keys, hash, message 1 and mark", "too short", pad(plain[:1296]))
	long := r.offerOpened
	long.Preview = make([]byte, noise.MaxPreview+1)
	layout("preview too long", "more than 700 bytes", "too long", pad(offerPlain(long)))
	r.openOwnOffer()
}

// openOwnOffer has what only the maker of the id can do: commit to bad keys.
func (r *recipe) openOwnOffer() {
	bad := func(name, why, reason string, change func(o *noise.Offer)) {
		o := r.offerOpened
		change(&o)
		s := r.a.secrets()
		s.ID = identify(o)
		st := rules{}.begin(s, 0, o.X25519[:])
		rules{}.e(st, o.Message1[:32])
		copy(o.Message1[32:], st.encrypt(nil))
		r.add(vectorCase{
			Do: "open offer", Name: name, Refuse: why, Share: "A", ID: s.ID[:],
			Frame: vectortest.Hex(sealOffer(s, o)), reason: reason,
		})
	}
	for i, p := range lowOrder(r.t) {
		name := "low-order static key " + string(rune('a'+i))
		bad(name, "the X25519 key is a low-order point", "low-order", func(o *noise.Offer) { o.X25519 = p })
	}
	bad("invalid ML-KEM key", "a coefficient is not below 3329 (FIPS 203, section 7.2)", "ML-KEM", func(o *noise.Offer) {
		o.MLKEM[0], o.MLKEM[1] = 0xff, 0xff
	})
}

func (r *recipe) accept() {
	const do = "accept"
	f := frame.Frame(r.v.Sessions[0].Handshake)
	for _, s := range r.v.Sessions {
		r.add(vectorCase{Do: do, Name: "session " + s.Name, Share: s.Share, Epoch: s.Epoch, Frame: s.Handshake})
	}
	bad := func(name, why, reason string, c vectorCase) {
		c.Do, c.Name, c.Refuse, c.reason = do, name, why, reason
		if c.Share == "" {
			c.Share = "A"
		}
		if c.Frame == nil {
			c.Frame = vectortest.Hex(f)
		}
		r.add(c)
	}
	renamed := func(message2 []byte) vectorCase { return vectorCase{Frame: vectortest.Hex(named(message2))} }
	const unfit = "does not fit"
	bad("wrong epoch", "the prologue has the epoch", unfit, vectorCase{Epoch: 1})
	bad("wrong psk", "the keys differ", unfit, vectorCase{PSK: flipped(r.a.PSK, 0)})
	bad("wrong id", "the prologue has the id", unfit, vectorCase{ID: flipped(r.a.ID, 0)})
	bad("another share", "the keys differ", unfit, vectorCase{Share: "B"})
	bad("wrong name", "the candidate is not the start of message 2's SHA-256", "not named", vectorCase{Frame: flipped(f, 1)})
	bad("flipped byte", "the candidate is not the start of message 2's SHA-256", "not named", vectorCase{Frame: flipped(f, 500)})
	bad("flipped ML-KEM ciphertext, renamed", "psk2 differs", unfit, renamed(flipped(f.Sealed(), 500)))
	bad("flipped ephemeral key, renamed", "the keys differ", unfit, renamed(flipped(f.Sealed(), 1100)))
	bad("flipped tag, renamed", "the AEAD fails", unfit, renamed(flipped(f.Sealed(), -1)))
	other := frame.Frame(r.v.Sessions[1].Handshake).Sealed()
	bad("swapped ML-KEM ciphertext, renamed", "psk2 differs", unfit, renamed(slices.Concat(other[:1088], f.Sealed()[1088:])))
	bad("truncated, renamed", "message 2 has 1136 bytes", "size", renamed(f.Sealed()[:1135]))
	bad("longer, renamed", "message 2 has 1136 bytes", "size", renamed(append(bytes.Clone(f.Sealed()), 0)))
	bad("wrong kind", "not a handshake", "kind", vectorCase{Frame: vectortest.Hex(frame.New(frame.Data, f.Candidate(), 0, f.Sealed()))})
}

// acceptOtherProtocol has peers that know the link and do one thing otherwise.
func (r *recipe) acceptOtherProtocol() {
	s := r.a.secrets()
	bad := func(name, why, reason string, x rules) {
		o := r.offerOpened
		st := x.begin(s, 0, o.X25519[:])
		x.e(st, o.Message1[:32])
		copy(o.Message1[32:], st.encrypt(nil))
		_, f, err := x.claim(s, o, vectortest.Counted(0x60, 32), make([]byte, 32))
		ok(r.t, err, "such a peer writes its message 2")
		r.add(vectorCase{Do: "accept", Name: name, Refuse: why, Share: "A", Frame: vectortest.Hex(f), reason: reason})
	}
	const unfit = "does not fit"
	bad("no first psk", "the psk token of message 1 is missing", unfit, rules{noPSK0: true})
	bad("no second psk", "the psk token of message 2 is missing", unfit, rules{noPSK2: true})
	bad("no psk at all", "plain KN", unfit, rules{noPSK0: true, noPSK2: true, name: "Noise_KN_25519_ChaChaPoly_SHA256"})
	bad("first psk twice", "the second psk was never set", unfit, rules{psk0AsPSK2: true})
	bad("second psk unbound", "psk2 is the bare ML-KEM secret", unfit, rules{barePSK2: true})
	bad("other name", "the hashed name is "+fullName, unfit, rules{name: "Noise_KNpsk0_25519_ChaChaPoly_SHA256"})
	bad("no prologue", "the prologue is missing", unfit, rules{prologue: []byte{}})
	bad("other version", "the prologue begins with another version", unfit, rules{prologue: append([]byte("sparekey v2"), prologueOf(s, 0)[11:]...)})
	bad("low-order point", "the ephemeral key is a low-order point", unfit, rules{ephemeral: make([]byte, 32)})
	bad("payload", "message 2 has no payload", "size", rules{payload: []byte("x")})
}

func (r *recipe) open() {
	const do = "open"
	good := func(name, by string, f frame.Frame, ack uint64, body vectortest.Hex) {
		r.add(vectorCase{Do: do, Name: name, Session: "A0", By: by, Frame: vectortest.Hex(f), Ack: &ack, Body: &body})
	}
	seal := func(s noise.Session, k frame.Kind, seq, ack uint64, body []byte) frame.Frame {
		f, err := s.Seal(bytes.NewReader(vectortest.Counted(0xa0+byte(seq), 16)), k, seq, ack, body)
		ok(r.t, err, "a frame")
		return f
	}
	f := seal(r.receiver, frame.Data, 1, 0, []byte("the claim"))
	good("the receiver's first frame", "sender", f, 0, []byte("the claim"))
	good("the sender's first frame", "receiver", seal(r.sender, frame.Data, 0, 2, []byte("the grant")), 2, []byte("the grant"))
	good("an empty body", "receiver", seal(r.sender, frame.Data, 1<<63, 1<<62, nil), 1<<62, vectortest.Hex{})
	good("the longest body of the first size", "receiver", seal(r.sender, frame.Data, 3, 2, make([]byte, 247)), 2, make([]byte, 247))
	good("the shortest body of the second", "receiver", seal(r.sender, frame.Data, 4, 2, make([]byte, 248)), 2, make([]byte, 248))
	good("an ack", "sender", seal(r.receiver, frame.Ack, 5, 5, nil), 5, vectortest.Hex{})
	good("the receiver's last ack", "sender", frame.Frame(r.v.Sessions[0].RecvLast), 1<<64-1, vectortest.Hex{})

	bad := func(name, why, reason string, f []byte) {
		r.add(vectorCase{Do: do, Name: name, Refuse: why, Session: "A0", By: "sender", Frame: f, reason: reason})
	}
	bad("wrong seq", "the header is authenticated", "wrong key", flipped(f, 16))
	bad("data as ack", "the header is authenticated", "wrong key", slices.Concat([]byte{byte(frame.Ack)}, f[1:]))
	bad("flipped salt", "the salt is in the key", "wrong key", flipped(f, 20))
	bad("flipped byte", "the AEAD fails", "wrong key", flipped(f, 100))
	bad("flipped tag", "the AEAD fails", "wrong key", flipped(f, -1))
	bad("truncated", "not a size that a frame has", "size", f[:len(f)-1])
	bad("cut to its header", "no room for salt and tag", "malformed", f[:17])
	bad("other candidate", "not this session's candidate", "another candidate", seal(r.otherSender, frame.Data, 0, 0, nil))
	bad("own frame", "sealed for the other direction", "wrong key", seal(r.sender, frame.Data, 1, 0, []byte("the claim")))
	renamed := frame.New(frame.Data, f.Candidate(), 0, seal(r.otherSender, frame.Data, 0, 0, nil).Sealed())
	bad("other candidate, renamed", "another session's key", "wrong key", renamed)
	bad("a handshake", "not a kind that a session opens", "kind", r.v.Sessions[0].Handshake)
	bad("a taken", "not a kind that a session opens", "kind", r.v.Sessions[0].TakenFrame)
	bad("a shut", "not a kind that a session opens", "kind", frame.Shut(f.Candidate()))
}

// openOtherLayout has frames of an authentic but careless receiver.
func (r *recipe) openOtherLayout() {
	bad := func(name, why, reason string, k frame.Kind, seq uint64, padded []byte) {
		f := sealPadded(r.receiver.SealKey, k, r.receiver.Candidate, seq, make([]byte, 16), padded)
		r.add(vectorCase{Do: "open", Name: name, Refuse: why, Session: "A0", By: "sender", Frame: vectortest.Hex(f), reason: reason})
	}
	plain := withAck(0, []byte("body"))
	bad("wrong padding: zeros only", "0x80 is missing", "padding", frame.Data, 1, make([]byte, 256))
	bad("wrong padding: no mark", "0x80 is missing", "padding", frame.Data, 1, append(bytes.Clone(plain), make([]byte, 256-len(plain))...))
	bad("wrong padding: something behind", "zeros only behind 0x80", "padding", frame.Data, 1, append(pad(plain)[:255], 1))
	bad("wrong padding: too far", "256 would do", "padding", frame.Data, 1, append(pad(plain), make([]byte, 768)...))
	bad("wrong size", "not a size that a frame has", "size", frame.Data, 1, pad(plain)[:255])
	bad("no ack", "the plaintext begins with 8 bytes of ack", "no ack", frame.Data, 1, pad(make([]byte, 7)))
	bad("ack of another count", "an ack's seq is its count", "contradicts", frame.Ack, 3, pad(withAck(4, nil)))
	bad("last ack with another salt", "a last ack's salt is derived", "another salt", frame.Ack, 1<<64-1, pad(withAck(1<<64-1, nil)))
	bad("ack with a body", "an ack has no body", "contradicts", frame.Ack, 4, pad(withAck(4, []byte("x"))))
}

func (r *recipe) checkTaken() {
	f := r.v.Sessions[0].TakenFrame
	r.add(vectorCase{Do: "check taken", Name: "the sender's", Session: "A0", By: "receiver", Frame: f})
	bad := func(name, why string, f []byte) {
		r.add(vectorCase{Do: "check taken", Name: name, Refuse: why, Session: "A0", By: "receiver", Frame: f, reason: "not this candidate's"})
	}
	bad("other candidate's", "for another candidate", r.v.Sessions[1].TakenFrame)
	renamed := frame.New(frame.Taken, r.sender.Candidate, 0, frame.Frame(r.v.Sessions[1].TakenFrame).Sealed())
	bad("other candidate's, renamed", "another session's key", renamed)
	bad("a shut", "not sealed", frame.Shut(r.sender.Candidate))
	bad("flipped tag", "the AEAD fails", flipped(f, -1))
	bad("truncated", "not the whole frame", f[:len(f)-1])
	direction := sealPadded(r.sender.SealKey, frame.Taken, r.sender.Candidate, 0, make([]byte, 16), pad(withAck(0, nil)))
	bad("under the direction's key", "a taken has its own key", direction)
	key := [32]byte(expand256(r.sender.Exporter[:], "sparekey v1 taken", 48))
	salted := sealPadded(key, frame.Taken, r.sender.Candidate, 0, make([]byte, 16), pad(withAck(0, nil)))
	bad("with another salt", "a taken's salt is derived", salted)
}

func (r *recipe) checkProof() {
	add := func(name, why string, h, over []byte) {
		r.add(vectorCase{Do: "check proof", Name: name, Refuse: why, Share: "A", H: h, Over: over})
	}
	add("the sender's", "", r.a.H, r.a.Over)
	add("wrong h", "the id is not recomputed", flipped(r.a.H, 0), r.a.Over)
	add("wrong over", "the id is not recomputed", r.a.H, flipped(r.a.Over, 0))
	add("another share's", "the id is not recomputed", r.b.H, r.b.Over)
}
