package interop

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"io"
	"testing"
)

// begin begins a new candidate of a receiver that has looked, and returns its handshake.
func (r *receiver) begin() frame {
	s, hello, err := r.offer.claim(r.keys, must(ecdh.X25519().GenerateKey(rand.Reader)), (*mlkem.EncapsulationKey768).Encapsulate)
	if err != nil {
		panic(err)
	}
	r.log = log{session: s, side: "receiver", next: 1}
	return hello
}

// served wants a real receiver to get the file, and the real sender to hear of it.
func (w *world) served(receiver, share *process) {
	w.t.Helper()
	receiver.ends(0, "")
	share.ends(0, "Handed over")
}

// TestRAC03HandshakesWithoutAClaimAreFreedAndTheTrueReceiverServed: whoever has the
// link fills every lane with handshakes that open and says nothing more. The true
// receiver comes while they are full.
func TestRAC03HandshakesWithoutAClaimAreFreedAndTheTrueReceiverServed(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	var all []*receiver
	for range 4 {
		r := w.looks(link)
		var err error
		r.stream, err = r.box.open(w.ctx, r.begin())
		w.ok(err, "a lane is filled")
		all = append(all, r)
	}
	var p *problem
	if err := w.looks(link).accept(w.ctx, "fifth"); !errors.As(err, &p) || !p.is("busy") {
		t.Fatalf("a fifth claim is answered %v; want busy", err)
	}
	bob := w.start("receiver", "receive", link, "--yes", "-o", w.dir+"/got")
	for i, r := range all {
		if _, err := r.stream.next(); !errors.Is(err, io.EOF) {
			t.Errorf("handshake %d hears %v; want its stream to end", i, err)
		}
	}
	w.served(bob, share)
}

// TestRAC03ImpossibleCountsAreRefusedAndHaltNobody: whoever has the link claims with a
// count of frames that the sender never wrote, or has such a frame follow its claim; more
// often than a relay remembers, so that the first can fill lanes once more.
func TestRAC03ImpossibleCountsAreRefusedAndHaltNobody(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	refused := func(i int, r *receiver) {
		t.Helper()
		var err error
		if r.stream, err = r.box.open(w.ctx, r.wrote...); err == nil {
			_, err = r.hear(w.ctx)
		}
		var taken *takenError
		if err = r.judge(err); !errors.As(err, &taken) {
			t.Fatalf("impossible count %d hears %v; want the sealed taken", i, err)
		}
		if r.stream != nil {
			r.stream.close()
		}
	}
	var first []*receiver
	for i := range 20 {
		r := w.looks(link)
		hello := r.begin()
		claim := body{word: wordClaim, claim: hash(r.claim)}
		r.wrote = []frame{hello, r.session.seal(1, 7, claim.encode())}
		if i%2 == 1 {
			r.wrote = []frame{hello, r.session.seal(1, 0, claim.encode()), r.session.seal(2, 7, body{word: wordMessage}.encode())}
		}
		refused(i, r)
		first = append(first, r)
	}
	for i, r := range first[:4] {
		refused(i, r)
	}
	w.served(w.start("receiver", "receive", link, "--yes", "-o", w.dir+"/got"), share)
}
