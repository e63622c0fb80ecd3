package interop

import (
	"bytes"
	"errors"
	"testing"
)

// Shares from the real sender to the second receiver.

// secondReceiverTakes hands a file of so many bytes over and wants each of them.
func secondReceiverTakes(t *testing.T, size int) {
	w := newWorld(t)
	content := bytes.Repeat([]byte("a spare key, "), size/13+1)[:size]
	share, link := w.share(w.file("key.bin", content), "--title", "Käfig", "--note", "for the cat")
	r := w.looks(link)
	if r.shown.format != "file" || r.shown.title != "Käfig" || r.shown.note != "for the cat" || r.shown.life != 86400 || r.shown.grace != 86400 {
		t.Errorf("the preview is %+v", r.shown)
	}
	w.ok(r.accept(w.ctx, "second"), "the claim is taken")
	msg, grants, err := r.message(w.ctx)
	w.ok(err, "the grant comes")
	c, err := decodeInfo(msg, "file")
	w.ok(err, "it is provisioning information")
	if !grants || c.name != "key.bin" || c.mode != 0o600 || !bytes.Equal(c.data, content) {
		t.Fatalf("%d bytes of %q, mode %o, a grant: %v; want the %d bytes of key.bin", len(c.data), c.name, c.mode, grants, size)
	}
	w.ok(r.say(w.ctx, body{word: wordProvisioned}), "the sender is told")
	if end, err := r.end(w.ctx); err != nil || end.word != wordDone && end.word != 0 {
		t.Fatalf("the end is %+v, %v; want done", end, err)
	}
	share.ends(0, `Handed over to "second"`)
	w.overForEver(link)
}

// overForEver wants the proof, and nothing else, of a share that has ended.
func (w *world) overForEver(link string) {
	w.t.Helper()
	late, err := newReceiver(w.client, link)
	w.ok(err, "the link is read")
	var over *overError
	if err := late.view(w.ctx, ""); !errors.As(err, &over) {
		w.t.Errorf("who comes late is told %v, and not the proof that the share has ended", err)
	}
}

func TestASecondReceiverTakesAFileFromTheRealSender(t *testing.T) { secondReceiverTakes(t, 13) }

func TestASecondReceiverTakesAFileOfManyFramesFromTheRealSender(t *testing.T) {
	secondReceiverTakes(t, 300_001)
}

func TestASecondReceiverSeesTheRealSenderCancel(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	w.looks(link)
	w.order("sender", "cancel").ends(0, "Cancelled")
	share.ends(7, "cancelled")
	w.overForEver(link)
}

// After the grant a cancel is a question to the receiver.
func TestASecondReceiverIsAskedNotToProvisionAndDeclines(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	r := w.looks(link)
	w.ok(r.accept(w.ctx, ""), "the claim is taken")
	if _, grants, err := r.message(w.ctx); err != nil || !grants {
		t.Fatal(grants, err)
	}
	w.order("sender", "cancel", "--reason", "the wrong cat sitter")
	if b, err := r.hear(w.ctx); err != nil || b.word != wordRecall || b.reason != "the wrong cat sitter" {
		t.Fatalf("heard %+v, %v; want recall with its reason", b, err)
	}
	w.ok(r.say(w.ctx, body{word: wordDecline, reason: "as you ask"}), "it declines")
	if end, err := r.end(w.ctx); err != nil || end.word != wordDeclined && end.word != 0 {
		t.Fatalf("the end is %+v, %v; want declined", end, err)
	}
	share.ends(7, "cancelled")
	w.overForEver(link)
}

func TestTheRealSenderHearsTheSecondReceiverDecline(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	r := w.looks(link)
	w.ok(r.accept(w.ctx, ""), "the claim is taken")
	if _, grants, err := r.message(w.ctx); err != nil || !grants {
		t.Fatal(grants, err)
	}
	w.ok(r.say(w.ctx, body{word: wordDecline, reason: "no room for it"}), "it declines")
	if end, err := r.end(w.ctx); err != nil || end.word != wordDeclined && end.word != 0 {
		t.Fatalf("the end is %+v, %v; want declined", end, err)
	}
	share.ends(7, "no room for it")
}

func TestOfTwoSecondReceiversOneGetsTheGrantAndOneTheSealedTaken(t *testing.T) {
	w := newWorld(t)
	share, link := w.share(w.file("key", []byte("k")))
	first, second := w.looks(link), w.looks(link)
	w.ok(first.accept(w.ctx, "first"), "one claim")
	if _, grants, err := first.message(w.ctx); err != nil || !grants {
		t.Fatal(grants, err)
	}
	err := second.accept(w.ctx, "second")
	if err == nil {
		_, err = second.hear(w.ctx)
	}
	var taken *takenError
	var p *problem
	if busy := errors.As(err, &p) && p.is("busy"); !busy && !errors.As(err, &taken) { // bound to the first already: that is busy, and ends nothing
		t.Fatalf("the second hears %v; want the sealed taken", err)
	}
	w.ok(first.say(w.ctx, body{word: wordProvisioned}), "the first has it")
	if end, err := first.end(w.ctx); err != nil || end.word != wordDone && end.word != 0 {
		t.Fatalf("the end is %+v, %v; want done", end, err)
	}
	share.ends(0, "Handed over")
}
