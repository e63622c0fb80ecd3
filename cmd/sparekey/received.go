package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// How long a receiver waits to hear that the sender knows.
const (
	lastWord = 5 * time.Second  // after it has provisioned
	lastNo   = 10 * time.Second // after it has ended by its own word
	silence  = time.Second      // before it says what it waits for
)

// awaitReceiver follows a receiver's share to its end.
func (d *drive) awaitReceiver(ctx context.Context) error {
	seen := map[string]bool{}
	var enough <-chan time.Time
	if patience := patienceWith(d.began); patience > 0 {
		enough = time.After(patience)
	}
	quiet := time.After(silence)
	if d.began == share.Provisioned {
		d.a.say("Received before: it was put in its place. Telling the sender … (Ctrl-C is safe: `sparekey resume %s` goes on)", d.id)
	}
	for {
		select {
		case <-quiet:
			if d.latest().State == share.Claimed {
				d.a.say("Waiting for the sender's device … (Ctrl-C is safe: `sparekey resume %s` goes on)", d.id)
			}
		case u := <-d.updates:
			if u.Held {
				return d.held(u.Err)
			}
			d.receiver(u, seen)
			switch {
			case u.State == share.Done && !u.Answers, u.State.Ended() && u.Known, u.State == share.Unresolved:
				return d.received(u, true)
			case u.State == share.Provisioned && enough == nil:
				enough = time.After(lastWord)
			case u.State.Ended() && enough == nil:
				enough = time.After(lastNo)
			}
		case <-enough:
			u := d.latest()
			return d.received(u, u.State == share.Done || u.Known)
		case <-d.live.Done():
			err, u := d.live.Wait(), d.latest()
			received := u.State == share.Provisioned && ctx.Err() != nil // what is left is to tell the sender
			if err != nil && !u.State.Ended() && !received {
				return d.a.interrupted(ctx, d.id, err)
			}
			return d.received(u, err == nil)
		}
	}
}

// receiver tells one update of a receiver's share.
func (d *drive) receiver(u node.Update, seen map[string]bool) {
	d.goesOn(u)
	if u.Report != nil {
		d.problem(u.Report, seen)
	}
	if u.Err != nil {
		d.a.say("  %v; trying again.", u.Err)
	}
	if n := u.Notice; n != nil && n.Kind == share.NoticeChanged {
		d.a.emit(event{Type: "share." + string(n.State), ID: d.id, Role: "receiver", State: string(n.State), Reason: u.Reason, Path: u.Path})
	}
}

// held tells that the credential is here and could not be put in its place.
func (d *drive) held(err error) error {
	var exists *credential.ExistsError
	hint := fmt.Sprintf("sparekey resume %s -o PATH puts it elsewhere", d.id)
	if errors.As(err, &exists) && !exists.Odd {
		hint += "; --force writes over the file"
	}
	return fail(exitCantWrite, "cant_write", err.Error()+". The share is kept.", hint).because(err)
}

// received tells how a receiver's share has ended; known, whether the sender or
// a mailbox knows that.
func (d *drive) received(u node.Update, known bool) error {
	got := u.State == share.Done || u.State == share.Provisioned
	where := d.a.placed.where()
	switch {
	case got && d.began == share.Provisioned: // it was told that it is received
		if known {
			d.a.say("The sender knows now.")
		}
	case got && where != "":
		d.a.say("Received. It is in %s", credential.Display(where, 400))
		if info, err := os.Stat(where); err == nil && info.Mode().Perm()&0o077 != 0 { // somebody had put it there
			d.a.say("Others on this machine can get at that file: chmod 600 makes it yours alone.")
		}
	case got:
		d.a.say("Received.")
	}
	if !known {
		d.a.say("The sender doesn't know yet: `sparekey resume %s` tells it when it can be reached.", d.id)
	}
	if !got {
		return d.a.receiverEnd(d.id, u)
	}
	d.a.emit(event{Type: "result", ID: d.id, Role: "receiver", State: string(u.State), Known: known, Where: where})
	return nil
}

// receiverEnd is the failure of a share that brought nothing.
func (a *app) receiverEnd(id string, u node.Update) error {
	because := ""
	if u.Reason != "" {
		because = " (" + credential.Display(u.Reason, 200) + ")"
	}
	switch u.State {
	case share.Taken:
		return fail(exitTaken, "taken", "it is over: another device has received it, or the sender has withdrawn it, or its time was up. Nothing was received.", "ask the sender to share it again, with you alone")
	case share.Cancelled:
		return fail(exitOver, "cancelled", "the sender cancelled the share"+because+". Nothing was received.", "ask the sender")
	case share.Declined:
		return a.unreceived(id, fail(exitOver, "declined", "the share was declined here"+because+".", ""))
	case share.Relinquished:
		return fail(exitOver, "relinquished", "the claim was handed back here. Nothing was received.", "to receive it after all: sparekey forget "+id+", and open the link again; where the credential had left by then, it is used up")
	case share.Expired:
		return fail(exitOver, "expired", "the time is up. Nothing was received.", "ask the sender to share it again")
	case share.Failed:
		return fail(exitCantWrite, "failed", "the credential can't be used here"+because+". The sender has been told.", "ask the sender")
	case share.Unresolved:
		return fail(exitUnresolved, "unresolved", "this share can't go on here"+because+".", "look on the other copy of this vault")
	}
	return fmt.Errorf("the share stands at %s", u.State)
}
