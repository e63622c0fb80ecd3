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

// closing opens a lane with frames and waits until it is closed: by the last
// frame of its stream, or where that was faster, in the answer. Nil is a shut.
func (m mailbox) closing(w *world, frames ...frame) (last frame) {
	w.t.Helper()
	s, err := m.open(w.ctx, frames...)
	var p *problem
	if errors.As(err, &p) && p.is("closed") {
		return unb64(p.Closing)
	}
	w.ok(err, "the relay can't tell whose frames these are")
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

// refused claims, and wants the sealed taken: as the stream's last frame or,
// where the sender was faster, in the answer.
func (w *world) refused(r *receiver, more ...body) {
	w.t.Helper()
	err := r.accept(w.ctx, "refused", more...)
	if err == nil {
		_, err = r.hear(w.ctx)
	}
	var taken *takenError
	if !errors.As(err, &taken) {
		w.t.Fatalf("heard %v; want the sealed taken", err)
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
	if last := w.thief(link).closing(w, foreign...); len(last) > 0 {
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
	w.refused(fickle, body{word: wordRelinquish})
	for who, box := range map[string]mailbox{"its own device": fickle.box, "another": w.thief(link)} {
		if last := box.closing(w, fickle.wrote...); !fickle.isTaken(last) {
			t.Errorf("sent again by %s: the lane is closed by %x; want the same taken", who, last)
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
	w.handsBack("ben", s)
	old := s.came
	w.ok(s.reoffer(w.ctx), "the next epoch is published")
	opened, err := w.thief(s.link.url()).open(w.ctx, old...)
	w.ok(err, "the relay has forgotten that lane, and takes it again")
	defer opened.close()
	receive := w.start("eva", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "a claim opens")
	if s.candidate == old[0].candidate() {
		t.Fatal("the old claim was pinned")
	}
	if f, err := opened.next(); !errors.Is(err, io.EOF) {
		t.Errorf("the old claim's lane shows %x, %v; it was freed without a word", f, err)
	}
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
}

// TestRPL04AConfirmOfAnEarlierEpochBindsNobody is RPL-04 for the sender's own word: the
// confirm of a claim that was handed back comes late, when the next offer stands, and
// the next claim is served.
func TestRPL04AConfirmOfAnEarlierEpochBindsNobody(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	w.handsBack("ben", s)
	candidate, claim := s.candidate, s.claim
	w.ok(s.reoffer(w.ctx), "the next epoch is published")
	var p *problem
	if err := s.box.confirm(w.ctx, 0, candidate, claim); !errors.As(err, &p) || !p.is("conflict") {
		t.Errorf("the late confirm is answered %v; want a conflict", err)
	}
	receive := w.start("eva", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "a claim opens, and is confirmed under its own epoch")
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
}
