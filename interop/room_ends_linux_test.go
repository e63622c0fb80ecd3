package interop

import "testing"

// Shares that end without a credential, in a room without a relay: both sides are done
// all the same (discovery/lan/PROTOCOL.md, section 8).

func TestTheRealSenderIsDoneWhenTheSecondReceiverDeclinesInTheRoom(t *testing.T) {
	r := newRoom(t, roomKinds[1])
	share, link := r.share(contentOf(13))
	in := r.receiver(link)
	in.seek(r.ctx)
	r.ok(in.view(r.ctx), "the offer comes")
	r.ok(in.accept(r.ctx, "second"), "the claim is taken")
	if _, grants, err := in.message(r.ctx); err != nil || !grants {
		t.Fatal(grants, err)
	}
	r.ok(in.say(r.ctx, body{word: wordDecline, reason: "not mine"}), "it declines")
	if b, err := in.end(r.ctx); err != nil || b.word != wordDeclined {
		t.Fatalf("the end is %+v, %v; want declined", b, err)
	}
	if last, err := share.End(r.ctx); err == nil || last.Code != "declined" {
		t.Errorf("the real sender ends with %+v, %v; want declined", last, err)
	}
}

func TestTheRealReceiverIsDoneWhenTheSecondSenderCancelsInTheRoom(t *testing.T) {
	r := newRoom(t, roomKinds[1])
	s := r.sender()
	receive := r.takes(s.s.link.url())
	r.ok(s.pin(r.ctx), "the claim opens")
	r.ok(s.end(r.ctx, wordCancelled, "sold the house"), "the end is known over there")
	if last, err := receive.End(r.ctx); err == nil || last.Code != "cancelled" {
		t.Errorf("the real receiver ends with %+v, %v; want cancelled", last, err)
	}
}
