package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vault"
)

// orders are the commands that change a share from any terminal.

func (a *app) cancelCommand() *cobra.Command {
	return a.orderCommand("cancel", "Take a share back, if nothing was received yet", discovery.Sender)
}

func (a *app) declineCommand() *cobra.Command {
	return a.orderCommand("decline", "Turn down a share that was accepted here", discovery.Receiver)
}

func (a *app) relinquishCommand() *cobra.Command {
	return a.orderCommand("relinquish", "Hand a claim back for another device; once the credential has left for here, that declines it", discovery.Receiver)
}

func (a *app) orderCommand(do, short string, role discovery.Role) *cobra.Command {
	var reason string
	c := &cobra.Command{Use: do + " ID", Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return a.order(c.Context(), args[0], order{do, reason}, role)
	}}
	if do != "relinquish" {
		c.Flags().StringVar(&reason, "reason", "", "a word to the other side")
	}
	return c
}

func (a *app) order(ctx context.Context, prefix string, o order, role discovery.Role) error {
	id, r, err := a.load(ctx, prefix)
	if err != nil {
		return err
	}
	if r.Role != role {
		return usage("%s is for the %s of a share, and this device is its %s", o.Do, role, r.Role)
	}
	state, reason, label, err := r.State()
	if err != nil {
		return err
	}
	if r.Silent() {
		return silent(o, reason)
	}
	if state.Ended() && !r.Waiting() { // one that has ended and could not tell it yet does so now
		return a.ordered(id, o, node.Update{State: state, Reason: reason, Label: label})
	}
	a.placed.never = role == discovery.Receiver
	d, w, err := a.reach(ctx, id, o)
	switch {
	case err != nil:
		return err
	case d == nil:
		return a.ordered(id, o, node.Update{State: w.State, Reason: w.Reason, Label: w.Label})
	}
	defer d.close()
	return d.order(ctx, o)
}

// silent is the failure of an order to a share that has come to a halt here: a copy says
// nothing to anybody, whatever it is asked.
func silent(o order, reason string) *failure {
	f := fail(exitUnresolved, "unresolved", fmt.Sprintf("this share can't go on here (%s), and nobody is told anything from here.", reason), "sparekey "+o.Do+" where the share goes on: on the other copy of this vault")
	f.Safe = false
	return f
}

// reach gives an order to the process that holds a share, and returns its answer;
// or it takes the share up with the order if nobody holds it, for the caller to drive. A holder
// that ends at this very moment has either done what was asked or let go of the
// share, so it is tried again until one of the two is seen.
func (a *app) reach(ctx context.Context, id string, o order) (*drive, word, error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	enough := time.After(orderTime)
	for {
		d, err := a.takeUp(ctx, id, o.event())
		if err == nil || !errors.Is(err, vault.ErrHeld) {
			return d, word{}, err
		}
		w, err := a.command(ctx, id, o)
		if err == nil || !errors.Is(err, errNoAnswer) {
			return nil, w, err
		}
		select {
		case <-again.C:
		case <-enough:
			return nil, word{}, fail(exitRefused, "held", "another sparekey process works on this share and doesn't answer. What was asked may have been done.", "sparekey show "+id+" tells; or end that process, and try again").because(err)
		case <-ctx.Done():
			return nil, word{}, a.interrupted(ctx, id, ctx.Err())
		}
	}
}

// answerTime is how long an order waits for the other side or a mailbox, once the
// credential's format has told whether it is too late.
const answerTime = 10 * time.Second

// order waits until a share that this process has taken up with an order has
// ended and a mailbox knows, or for so long. That a credential could not be
// put in its place may show only then, and it is not too late to decline: the
// order is given again. It waits for the format that has to tell, and ends with
// its trouble.
func (d *drive) order(ctx context.Context, o order) error {
	do := func() error {
		if err := d.live.Do(ctx, o.event()); err != nil && !errors.Is(err, node.ErrStopped) {
			return d.a.interrupted(ctx, d.id, err)
		}
		return nil
	}
	enough, unheard, told := time.NewTimer(answerTime), false, false
	defer enough.Stop()
	var err error
	for over := d.beyond(o); !over && err == nil; over = over || unheard {
		select {
		case u := <-d.updates:
			if u.Err != nil {
				err = do()
			}
		case <-d.live.Done():
			switch over = true; {
			case ctx.Err() != nil:
				unheard, err = d.cutOff(ctx)
			case !d.latest().State.Ended():
				err = d.live.Wait()
			}
		case <-enough.C:
			if unheard = told || d.latest().State != share.Provisioning; !unheard {
				d.a.say("Waiting until it is known whether the credential is in its place … (Ctrl-C is safe)")
				err, told = do(), true
				enough.Reset(answerTime)
			}
		case <-ctx.Done():
			over = true
			unheard, err = d.cutOff(ctx)
		}
	}
	if err != nil {
		return err
	}
	err = d.a.ordered(d.id, o, d.latest())
	if unheard && d.latest().State != share.Unresolved { // then nothing is left to tell
		d.a.say("The other side doesn't know yet: `sparekey resume %s` tells it.", d.id)
	}
	return err
}

// cutOff says what has become of an order whose wait was cut off: whether the share has
// ended and the other side may not know, or else how it stands.
func (d *drive) cutOff(ctx context.Context) (unheard bool, err error) {
	d.live.Wait() // what came first, the order or this?
	if u := d.latest(); u.State.Ended() {
		return !u.Known, nil
	}
	return false, d.a.interrupted(ctx, d.id, ctx.Err())
}

// beyond reports whether an order has no effect here, whatever comes: a claim can't be
// handed back once its grant is here. Only decline is left then.
func (d *drive) beyond(o order) bool {
	return o.Do == "relinquish" && d.latest().State == share.Provisioning
}

// ordered tells what became of an order.
func (a *app) ordered(id string, o order, u node.Update) error {
	want := map[string]share.State{"cancel": share.Cancelled, "decline": share.Declined, "relinquish": share.Relinquished}[o.Do]
	switch {
	case u.State == want, o.Do == "cancel" && u.State == share.Declined:
		text, _ := a.whereabouts(id)
		if u.State == share.Relinquished {
			text += " If the credential had left for here by then, the sender takes that for a decline."
		}
		a.say("%s. %s", map[share.State]string{share.Cancelled: "Cancelled", share.Declined: "Declined", share.Relinquished: "Handed back"}[u.State], text)
		a.emit(event{Type: "result", ID: id, State: string(u.State)})
		return nil
	case u.State == share.Done && o.Do == "cancel":
		return fail(exitTaken, "too_late", fmt.Sprintf("too late: it was received%s, and confirmed.", by(u.Label)), "to take it back, withdraw the credential where it was issued")
	case u.State == share.Granted:
		f := fail(exitTaken, "asked", "the credential has left for the receiver, which is asked not to use it. Its answer is not here yet.", "sparekey resume "+id)
		f.Safe = false
		return f
	case u.State == share.Done, u.State == share.Provisioned:
		return fail(exitTaken, "too_late", "too late: the credential is here already.", "remove it by hand, if you don't want it")
	case u.State == share.Provisioning && o.Do == "relinquish":
		return fail(exitTaken, "too_late", "too late to hand the claim back: the credential has arrived, and is not in its place yet.", "sparekey decline "+id+" turns it down")
	case u.State.Ended():
		return fail(exitOver, "over", fmt.Sprintf("the share has ended before: it was %s.", u.State), "")
	}
	return fail(exitTaken, "too_late", fmt.Sprintf("that can't be done now: the share stands at %s.", u.State), "sparekey show "+id)
}
