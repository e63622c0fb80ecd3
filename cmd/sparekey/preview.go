package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
)

// sought names where a look at a link looks.
func sought(w ways, l link.Link) string {
	var all []string
	if w.has(wayRelay) && l.Relay != "" {
		all = append(all, "at "+credential.Display(l.Host(), 80))
	}
	if w.has(wayLAN) {
		all = append(all, "on the local network")
	}
	return strings.Join(all, " and ")
}

// seeking is how long a link is looked at before it is said where.
const seeking = 2 * time.Second

// preview waits for the offer and shows it. If that takes a while it says where it looks:
// of a link that leads nowhere nothing else is ever heard.
func (d *drive) preview(ctx context.Context, where string) (share.Preview, error) {
	seen := map[string]bool{}
	var trouble *discovery.Report
	quiet := time.After(seeking)
	for {
		select {
		case <-quiet:
			d.a.say("Looking for it %s … (Ctrl-C is safe: nothing is used up)", where)
		case u := <-d.updates:
			d.via = first(u.Path, d.via)
			if u.Report != nil {
				d.problem(u.Report, seen)
				switch r := u.Report; {
				case r.State == discovery.Failing && d.concerns(r):
					trouble = r
				case r.State == discovery.Living && trouble != nil && trouble.Path == r.Path:
					trouble = nil
				}
			}
			if u.State == share.Taken {
				return share.Preview{}, d.a.receiverEnd(d.id, u)
			}
			if u.Preview != nil {
				d.showPreview(*u.Preview, u.Left)
				return *u.Preview, nil
			}
		case <-d.live.Done():
			if err := d.live.Wait(); err != nil {
				return share.Preview{}, unseen(ctx, trouble, err)
			}
			return share.Preview{}, d.a.receiverEnd(d.id, d.latest())
		}
	}
}

// unseen is the failure of a look that was cut off before there was anything to
// see; trouble is what a path said last.
func unseen(ctx context.Context, trouble *discovery.Report, err error) error {
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fail(exitInterrupted, "interrupted", "interrupted. Nothing was used up.", "open the link again").because(err)
	case trouble != nil && trouble.Path == lan.Room:
		return fail(exitNoPath, "no_path", trouble.Err.Error()+". Nothing was used up; the share still waits.", "sparekey doctor, and open the link again").because(trouble.Err)
	case trouble != nil:
		return fail(exitNoPath, "relay_unreachable", trouble.Err.Error()+". Nothing was used up; the share still waits.", "sparekey doctor, and open the link again; in one room, with --paths lan").because(trouble.Err)
	}
	return fail(exitNoPath, "timeout", "the share has not shown up in the time given by --timeout. Nothing was used up.", "open the link again; its sender may not be online yet").because(err)
}

// showPreview shows what is offered, and how long it can be claimed. That its time is up
// is only a relay's word: a look begins with all the time that the offer names.
func (d *drive) showPreview(p share.Preview, left time.Duration) {
	at, up := until(left)
	d.late = up
	if up {
		d.a.say("%s. %s Nothing is used up by looking.", d.a.named(p), itsTimeIsUp)
	} else {
		d.a.say("%s until %s. Nothing is used up by looking.", d.a.named(p), time.Now().Add(left).Format("Mon 2 Jan 15:04 MST"))
	}
	if p.Note != "" {
		d.a.say("Note: %s", credential.Display(p.Note, 240))
	}
	d.a.emit(event{Type: "share.viewed", Role: "receiver", Format: p.Format, Title: p.Title, Note: p.Note, Factor: p.Factor, State: string(share.Viewed), ExpiresAt: at, TimeUp: up})
}

const itsTimeIsUp = "By the relay's word its time is up; the sender's device decides."

// looked ends a look that was all that was wanted. It has done what it should,
// also where the credential can't be received here; then it says why not.
func (d *drive) looked(p share.Preview) {
	e := event{Type: "result", Role: "receiver", State: string(share.Viewed)}
	if err := d.a.able(p); err != nil {
		f := asFailure(err)
		d.a.say("It can't be received here: %s\n  try: %s", f.Message, f.Hint)
		e.Code, e.Message, e.Hint = f.Code, f.Message, f.Hint
	}
	d.a.emit(e)
}
