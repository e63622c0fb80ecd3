package node_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/relay/relaytest"
)

// A dialogue is one of two formats that take turns, as long as a test has them go on.
type dialogue struct {
	turns int
	begin chan int // the sender's format says message n
	heard chan int // the receiver's has got it
}

func newDialogue(turns int, sends, receives *puppet) *dialogue {
	d := &dialogue{turns: turns, begin: make(chan int), heard: make(chan int, turns)}
	said := 0
	sends.send = func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
		select {
		case said = <-d.begin:
		case <-ctx.Done():
			return credential.Answer{}, ctx.Err()
		}
		last := said == d.turns
		return credential.Answer{Out: [][]byte{fmt.Append(nil, said)}, Grants: last, Done: last}, nil
	}
	receives.receive = func(_ context.Context, t credential.Turn) (credential.Answer, error) {
		n := 0
		fmt.Sscan(string(t.In), &n)
		d.heard <- n
		a := credential.Answer{State: append(append([]byte{}, t.State...), string(t.In)+","...), Done: n == d.turns}
		if !a.Done {
			a.Out = [][]byte{[]byte("go on")}
		}
		return a, nil
	}
	return d
}

// say has the next message said, and returns how long it was under way.
func (d *dialogue) say(t *testing.T, n int) time.Duration {
	t.Helper()
	timeout := time.After(time.Minute)
	select {
	case d.begin <- n:
	case <-timeout:
		t.Fatalf("the answer to message %d hasn't come", n-1)
	}
	began := time.Now()
	select {
	case got := <-d.heard:
		if got != n {
			t.Fatalf("message %d was heard in the place of %d", got, n)
		}
	case <-timeout:
		t.Fatalf("message %d hasn't come", n)
	}
	return time.Since(began)
}

func (d *dialogue) all() string {
	var b strings.Builder
	for n := range d.turns {
		fmt.Fprintf(&b, "%d,", n+1)
	}
	return b.String()
}

// walkAbout begins a share by a mailbox, goes on in one room, has the cable pulled
// there and ends it by the mailbox. after is called after each message.
func walkAbout(t *testing.T, relay string, room *pathtest.Room, alice, bob *party, after func(n int, took time.Duration)) {
	t.Helper()
	sends, receives := puppets(alice, bob)
	d := newDialogue(12, sends, receives)
	room.Shut(true)
	offer := alice.offer(relay, "")
	alice.start(offer)
	bob.claim(offer)
	var cable *pathtest.Cable
	for n := 1; n <= d.turns; n++ {
		switch n {
		case 4:
			room.Shut(false)
			select {
			case cable = <-room.Laid():
			case <-time.After(time.Minute):
				t.Fatal("no cable was laid")
			}
		case 9:
			room.Shut(true)
			cable.Pull()
		}
		after(n, d.say(t, n))
	}
	if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*party{alice, bob} {
		if state, reason, _, err := p.record().State(); state != share.Done || err != nil {
			t.Errorf("a side stands at %s (%s): %v", state, reason, err)
		}
	}
	if bob.note.text != d.all() || len(bob.note.placed) != 1 {
		t.Errorf("received %q, want %q; provisioned %v", bob.note.text, d.all(), bob.note.placed)
	}
}

// TestNSW02ShareBeginsByTheMailboxGoesOnInTheRoomAndEndsByTheMailbox: nothing is lost or
// doubled, no message is under way for two seconds, and while the cable carries the
// mailbox is left alone.
func TestNSW02ShareBeginsByTheMailboxGoesOnInTheRoomAndEndsByTheMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mailbox, room := pathtest.NewMailbox(50*time.Millisecond), pathtest.NewRoom(time.Millisecond)
		alice, bob := newParty(t), newParty(t)
		for _, p := range []*party{alice, bob} {
			p.Finders = []discovery.Finder{mailbox, room}
		}
		stored := int64(0)
		walkAbout(t, "https://relay.example", room, alice, bob, func(n int, took time.Duration) {
			switch {
			case took > 2*time.Second:
				t.Errorf("message %d was under way for %v", n, took)
			case n > 5 && n < 9 && took > 10*time.Millisecond:
				t.Errorf("in the room message %d took %v", n, took)
			case n == 5:
				stored = mailbox.Sent.Load()
			case n == 8 && mailbox.Sent.Load() != stored:
				t.Errorf("while the cable carried the mailbox was sent %d frames", mailbox.Sent.Load()-stored)
			}
		})
		alice.stop()
		bob.stop()
	})
}

// TestShareThatGoesOnInTheRoomEndsByARelay: the same with a real one, which takes no
// log with a gap.
func TestShareThatGoesOnInTheRoomEndsByARelay(t *testing.T) {
	room := pathtest.NewRoom(time.Millisecond)
	alice, bob := newParty(t), newParty(t)
	for _, p := range []*party{alice, bob} {
		p.Finders = append(p.Finders, room)
	}
	walkAbout(t, relaytest.Start(t), room, alice, bob, func(int, time.Duration) {})
}

// TestNSW03PathThatComesAndGoesDoesNotFillTheLog: for hours its reports differ from one
// to the next. The share goes on, by the mailbox.
func TestNSW03PathThatComesAndGoesDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mailbox := pathtest.NewMailbox(50 * time.Millisecond)
		alice, bob := newParty(t), newParty(t)
		loose := &looseRoom{Room: pathtest.NewRoom(time.Millisecond)}
		for _, p := range []*party{alice, bob} {
			p.Finders = []discovery.Finder{mailbox, loose}
		}
		sends, receives := puppets(alice, bob)
		d := newDialogue(30, sends, receives)
		offer := alice.offer("https://relay.example", "")
		alice.start(offer)
		bob.claim(offer)
		reports, began := 0, time.Now()
		for n := range d.turns {
			if took := d.say(t, n+1); took > 2*time.Second {
				t.Errorf("message %d was under way for %v", n+1, took)
			}
			time.Sleep(time.Minute - time.Second/3)
			for len(alice.updates)+len(bob.updates) > 0 {
				select {
				case u := <-alice.updates:
					if u.Report != nil {
						reports++
					}
				case <-bob.updates:
				}
			}
		}
		if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil || bob.note.text != d.all() {
			t.Errorf("received %q: %v", bob.note.text, err)
		}
		changes := 2 * len(loose.Cables())
		if minutes := int(time.Since(began).Minutes()); reports > minutes+maxLines || reports < maxLines || changes < 20*minutes {
			t.Errorf("in %d minutes with %d changes of the path there were %d lines", minutes, changes, reports)
		}
		alice.stop()
		bob.stop()
	})
}

const maxLines = 8 // beyond one a minute: the first changes, and what the mailbox has to say

// looseRoom breaks each cable two seconds after it was laid, and says so.
type looseRoom struct{ *pathtest.Room }

func (r *looseRoom) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	say := func(s discovery.ReportState) { m.Report(discovery.Report{Path: "loose", State: s}) }
	return r.Room.Find(ctx, m, func(p discovery.Path) {
		say(discovery.Living)
		time.AfterFunc(2*time.Second, func() {
			p.Close()
			say(discovery.Failing)
		})
		found(p)
	})
}

// TestLIE03ShareEndsInTheRoomThoughTheMailboxHandsNothingOn: it takes whatever it is
// given, which is all that it ever does.
func TestLIE03ShareEndsInTheRoomThoughTheMailboxHandsNothingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := pathtest.NewRoom(time.Millisecond)
		alice, bob := newParty(t), newParty(t)
		alice.Finders = []discovery.Finder{pathtest.NewMailbox(20 * time.Millisecond), room}
		bob.Finders = []discovery.Finder{pathtest.NewMailbox(20 * time.Millisecond), room} // another one: nothing comes through
		sends, receives := puppets(alice, bob)
		d := newDialogue(5, sends, receives)
		offer := alice.offer("https://relay.example", "")
		alice.start(offer)
		bob.claim(offer)
		for n := range d.turns {
			d.say(t, n+1)
		}
		bothEnd(alice, bob, share.Done, share.Done)
		if bob.note.text != d.all() {
			t.Errorf("received %q", bob.note.text)
		}
	})
}
