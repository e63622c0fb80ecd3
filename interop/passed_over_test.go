package interop

import (
	"os"
	"testing"
)

// oddBodies are counted and have no other effect.
func oddBodies(end uint64) [][]byte {
	return [][]byte{
		encode([]field{{1, uint64(11)}, {7, "a word of a later version"}}),
		encode([]field{{1, end}}), // an end without its proof
		encode([]field{{1, end}, {8, []field{{1, random(32)}, {2, random(32)}}}}), // with one of nothing
		encode([]field{{7, "no word"}}),
		{0xa1, 0x01, 0xf6},                     // a word of null
		append(body{word: end}.encode(), 0x00), // something behind it
		{0xa2, 0x01, 0x03, 0x61, 0x78, 0x00},   // a key in text
		{0xbf, 0x01, 0x03, 0xff},               // an indefinite length
		nil,                                    // nothing at all
		body{word: wordClaim, claim: random(31)}.encode(),
	}
}

func TestTheRealReceiverCountsWhatItPassesOver(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	receive := w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	for _, b := range oddBodies(wordCancelled) {
		w.ok(s.box.append(w.ctx, s.side, s.sealBytes(b)), "an odd body goes out")
	}
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
	if got, err := os.ReadFile(w.dir + "/got"); err != nil || string(got) != "k" {
		t.Errorf("received %q, %v", got, err)
	}
}

func TestTheRealSenderCountsWhatItPassesOver(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	r := w.looks(link)
	w.ok(r.accept(w.ctx, ""), "the claim is taken")
	if _, grants, err := r.message(w.ctx); err != nil || !grants {
		t.Fatal(grants, err)
	}
	for _, b := range oddBodies(wordDone) {
		w.ok(r.box.append(w.ctx, r.side, r.sealBytes(b)), "an odd body goes out")
	}
	w.ok(r.say(w.ctx, body{word: wordProvisioned}), "it has it")
	if end, err := r.end(w.ctx); err != nil || end.word != wordDone && end.word != 0 {
		t.Fatalf("the end is %+v, %v; want done", end, err)
	}
	share.ends(0, "Handed over")
}
