package interop

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// Shares from the second sender to the real receiver.

var filePreview = preview{format: "file", title: "A spare key", life: 3600, grace: 3600}

func grant(name string, content []byte) []body {
	return pieces(encodeFile(name, 0o600, content), true)
}

// secondSenderGives hands a file of so many bytes to the real receiver.
func secondSenderGives(t *testing.T, size int) {
	w := newWorld(t)
	content := bytes.Repeat([]byte{0, 0xff, 7}, size/3+1)[:size]
	s := w.offers(filePreview)
	receive := w.start("ben", "receive", s.link.url(), "--yes", "--name", "ben-laptop", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	if s.label != "ben-laptop" {
		t.Errorf("the receiver calls itself %q", s.label)
	}
	for _, b := range grant("key.bin", content) {
		w.ok(s.say(w.ctx, b), "the grant goes out")
	}
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
	if got, err := os.ReadFile(w.dir + "/got"); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes, %v; want the %d that were shared", len(got), err, size)
	}
	w.overForEver(s.link.url())
}

func TestTheRealReceiverTakesAFileFromASecondSender(t *testing.T) { secondSenderGives(t, 12) }

func TestTheRealReceiverTakesAFileOfManyFramesFromASecondSender(t *testing.T) {
	secondSenderGives(t, 300_001)
}

func TestTheRealReceiverTakesAnAgeIdentityFromASecondSender(t *testing.T) {
	w := newWorld(t)
	const identity = "# made for this test\nAGE-SECRET-KEY-184JMZMVQH3E6U0PSL869004Y3U2NYV7R30EU99CSEDNPH02YUVFSZW44VU\n"
	s := w.offers(preview{format: "age-identity", title: "age", life: 3600})
	receive := w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	w.ok(s.say(w.ctx, pieces(encodeAge("key.txt", identity), true)...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
	if got, err := os.ReadFile(w.dir + "/got"); err != nil || string(got) != identity {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestTheRealReceiverSeesASecondSenderCancel(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	receive := w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	w.ok(s.end(w.ctx, wordCancelled, "sold the house", false), "cancelled")
	receive.ends(7, "sold the house")
}

// What a receiver doesn't know it names, to who only looks and before it claims.
func TestTheRealReceiverDoesNotClaimWhatItDoesNotKnow(t *testing.T) {
	factor, format := filePreview, filePreview
	factor.factor, format.format = "pin", "wifi"
	for code, c := range map[string]struct {
		offer preview
		named string
	}{"unknown_factor": {factor, `"pin"`}, "unknown_format": {format, `"wifi"`}} {
		t.Run(code, func(t *testing.T) {
			w := newWorld(t)
			s := w.offers(c.offer)
			w.start("ben", "view", s.link.url()).ends(0, "It can't be received here: ")
			w.start("ben", "receive", s.link.url(), "--dry-run").ends(0, c.named+". Nothing")
			look := w.start("ben", "receive", s.link.url(), "--dry-run", "--json")
			look.ends(0, "")
			if got := look.out.String(); !strings.Contains(got, `"type":"result"`) || !strings.Contains(got, `"code":"`+code+`"`) {
				t.Errorf("a look by a script ends with %s", got)
			}
			w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got").ends(3, code)
			list := w.start("ben", "list", "--all")
			if line := <-list.line; line != "" {
				t.Errorf("what a receiver has said it won't claim is kept: %s", line)
			}
			list.ends(0, "")
		})
	}
}

// Before the grant a recall is answered with decline.
func TestTheRealReceiverDeclinesToASecondSender(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	receive := w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	decline := w.order("ben", "decline", "--reason", "not mine")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordDecline || b.reason != "not mine" {
		t.Fatalf("heard %+v, %v; want decline with its reason", b, err)
	}
	w.ok(s.end(w.ctx, wordDeclined, "", true), "declined")
	decline.ends(0, "Declined")
	receive.ends(7, "declined")
}

// handsBack has a real receiver claim, and hand its claim back once it is pinned and confirmed.
func (w *world) handsBack(who string, s *sender) {
	w.t.Helper()
	w.start(who, "receive", s.link.url(), "--yes", "-o", w.dir+"/got-"+who)
	w.ok(s.pin(w.ctx), "the claim opens")
	w.order(who, "relinquish")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordRelinquish {
		w.t.Fatalf("heard %+v, %v; want relinquish", b, err)
	}
}

// After a relinquish the second sender opens an epoch, and another real receiver is served.
func TestTheRealReceiverHandsItsClaimBackAndAnotherIsServedInTheNextEpoch(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	w.handsBack("ben", s)
	w.ok(s.reoffer(w.ctx), "the next epoch is published")
	receive := w.start("eva", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "a claim of the next epoch opens")
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
	if _, err := os.Stat(w.dir + "/got-ben"); err == nil {
		t.Error("who handed its claim back has received something")
	}
}

// A receiver that waits takes a newer offer by itself.
func TestTheRealReceiverClaimsAgainAtANewerOffer(t *testing.T) {
	w := newWorld(t)
	s := w.offers(filePreview)
	receive := w.start("ben", "receive", s.link.url(), "--yes", "-o", w.dir+"/got")
	w.ok(s.pin(w.ctx), "the claim opens")
	before := s.candidate
	w.ok(s.reoffer(w.ctx), "the next epoch is published, whatever for")
	w.ok(s.pin(w.ctx), "the receiver claims again")
	if s.candidate == before {
		t.Error("a newer offer is answered by a new candidate")
	}
	w.ok(s.say(w.ctx, grant("key", []byte("k"))...), "the grant goes out")
	if b, err := s.hear(w.ctx); err != nil || b.word != wordProvisioned {
		t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	w.ok(s.end(w.ctx, wordDone, "", true), "done")
	receive.ends(0, "Received.")
}
