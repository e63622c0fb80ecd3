package interop

import (
	"errors"
	"io"
	"testing"
)

// A thief has a link, and puts frames in a lane that aren't its own.
func (w *world) thief(link string) mailbox {
	w.t.Helper()
	l, err := readLink(link)
	w.ok(err, "the link is read")
	return newMailbox(w.client, l.relay, l.id, keysOfLink(l.id, l.secret).view, random(32))
}

// ends reads a stream to its end and returns its last frame, nil for none.
func (s *stream) ends(w *world) (last frame) {
	w.t.Helper()
	defer s.close()
	for {
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			return last
		}
		w.ok(err, "the stream ends between frames")
		last = f
	}
}

// takesIt hands a share over to the second receiver, and returns all that it wrote.
func (w *world) takesIt(share *process, link string) (wrote []frame) {
	w.t.Helper()
	r := w.looks(link)
	w.ok(r.accept(w.ctx, "second"), "the claim is taken")
	if _, grants, err := r.message(w.ctx); err != nil || !grants {
		w.t.Fatal(grants, err)
	}
	w.ok(r.say(w.ctx, body{word: wordProvisioned}), "it has it")
	end, err := r.end(w.ctx)
	if err != nil || end.word != wordDone && end.word != 0 {
		w.t.Fatalf("the end is %+v, %v; want done", end, err)
	}
	share.ends(0, `Handed over to "second"`)
	return r.wrote
}

// TestRPL02AnotherSharesFramesAreRefusedAndTheShareGoesOn is RPL-02 with real
// processes: who has both links puts all that a receiver wrote in one share into
// the other's mailbox. The sender can't open it and frees the lane, and nobody is
// pinned until a claim of this share comes.
func TestRPL02AnotherSharesFramesAreRefusedAndTheShareGoesOn(t *testing.T) {
	w := newWorld(t)
	key := w.file("key", []byte("k"))
	first, link := w.share(key)
	foreign := w.takesIt(first, link)
	second, link := w.share(key)
	w.looks(link) // the mailbox is there
	s, err := w.thief(link).open(w.ctx, foreign...)
	w.ok(err, "the relay can't tell whose frames these are")
	if last := s.ends(w); last != nil {
		t.Errorf("a lane that the sender couldn't open ends with %x; it says nothing there", last)
	}
	w.takesIt(second, link)
}

// TestRPL04ARefusedClaimIsRefusedAgainAndTheNextOneServed is RPL-04 for a claim
// that was refused, because its own log takes it back: sent again, by its own device and by another, it gets the same sealed taken,
// and the next claim is served.
func TestRPL04ARefusedClaimIsRefusedAgainAndTheNextOneServed(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	fickle := w.looks(link)
	w.ok(fickle.accept(w.ctx, "fickle", body{word: wordRelinquish}), "the claim is taken in")
	if last := fickle.stream.ends(w); !fickle.isTaken(last) {
		t.Fatalf("the stream ends with %x; want the sealed taken", last)
	}
	for who, box := range map[string]mailbox{"its own device": fickle.box, "another": w.thief(link)} {
		s, err := box.open(w.ctx, fickle.wrote...)
		var p *problem
		if err == nil {
			s.close()
		}
		if !errors.As(err, &p) || !p.is("closed") || !fickle.isTaken(frame(unb64(p.Closing))) {
			t.Errorf("sent again by %s: %v; want closed, and the same taken", who, err)
		}
	}
	w.takesIt(share, link)
}

// TestRPL04AClaimOfAnEarlierEpochOpensNothing is RPL-04 for a claim that a real
// receiver has handed back: the relay has erased its lane and takes it once more,
// and it opens nothing.
func TestRPL04AClaimOfAnEarlierEpochOpensNothing(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got-ben")
	w.ok(s.pin(w.ctx), "the claim opens")
	w.order("ben", "relinquish")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordRelinquish {
		t.Fatalf("heard %+v, %v; want relinquish", b, err)
	}
	old := s.came
	w.ok(s.reoffer(w.ctx), "the next epoch is published")
	replay, err := w.thief(s.link.url()).open(w.ctx, old...)
	w.ok(err, "the relay has forgotten that lane, and takes it again")
	receive := w.start("eva", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "a claim opens")
	if s.candidate == old[0].candidate() {
		t.Fatal("the old claim was pinned")
	}
	if last := replay.ends(w); last != nil {
		t.Errorf("the old claim's lane ends with %x; it was freed without a word", last)
	}
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
}
