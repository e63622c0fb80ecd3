package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

func (a *app) listCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{Use: "list", Short: "List the shares that live (all: the ended ones too)", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c.Context(), all) }}
	c.Flags().BoolVar(&all, "all", false, "ended ones too")
	return c
}

func (a *app) list(ctx context.Context, all bool) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	ids, err := a.vault.IDs()
	if err != nil {
		return err
	}
	dev, shown := a.device(), 0
	var unread []error
	for _, id := range ids {
		r, err := dev.Load(id)
		if err != nil {
			a.say("%s  can't be read: %v", id, err)
			a.emit(event{Type: "trouble", ID: id, Message: err.Error()})
			unread = append(unread, err)
			continue
		}
		e := a.describe(id, r)
		if !all && !r.Waiting() {
			continue
		}
		what := a.named(r.Preview)
		if do := toDo(r); do != "" {
			what += ": " + do
		}
		a.data("%s  %-8s  %-12s  %s", id, e.Role, e.State, what)
		a.emit(e)
		shown++
	}
	switch {
	case len(unread) > 0:
		return unreadable(unread)
	case shown > 0:
	case all:
		a.say("There is no share here.")
	default:
		a.say("No share waits here. (list --all shows those that have ended, too.)")
	}
	a.emit(event{Type: "result"})
	return nil
}

// unreadable is the failure of a list in which shares are missing; it has the code of the first one's.
func unreadable(errs []error) error {
	f := *asFailure(errs[0])
	f.Message = plural(len(errs), "share") + " here can't be read. What can't be read was left as it is."
	return (&f).because(errors.Join(errs...))
}

// describe says how a share stands.
func (a *app) describe(id string, r node.Record) event {
	state, reason, label, _ := r.State()
	e := event{Type: "share", ID: id, Role: r.Role.String(), Format: r.Preview.Format, Title: credential.Display(r.Preview.Title, 120), State: string(state), Reason: reason, Relay: r.Relay, Known: r.Settled}
	if r.Role == discovery.Sender {
		e.Peer = label
	} else {
		e.Label = label
	}
	if !state.Ended() {
		e.ExpiresAt, e.TimeUp = until(r.Left(now()))
	}
	e.Path, e.Steps = lastPath(r), stepsOf(r)
	return e
}

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show how a share stands", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		id, r, err := a.load(c.Context(), args[0])
		if err != nil {
			return err
		}
		e := a.describe(id, r)
		state := share.State(e.State)
		for _, line := range [][2]string{{"id", id}, {"role", e.Role}, {"what", a.named(r.Preview)}, {"state", e.State}, {"reason", credential.Display(e.Reason, 200)},
			{"other", credential.Display(e.Peer, 64)}, {"called", credential.Display(e.Label, 64)}, {"relay", e.Relay}, {"carried by", carried(r)}, {"until", untilThen(state, e.ExpiresAt)}} {
			if line[1] != "" {
				a.data("%-10s  %s", line[0], line[1])
			}
		}
		if what := toDo(r); what != "" {
			a.data("%-10s  %s: sparekey resume %s", "to do", what, id)
		}
		a.emit(e)
		a.emit(event{Type: "result", ID: id})
		return nil
	}}
}

// until writes when a share's time is up, if it isn't yet.
func until(left time.Duration) (at string, up bool) {
	if left <= 0 {
		return "", true
	}
	return time.Now().Add(left).UTC().Format(time.RFC3339), false
}

// untilWhat is what a share's time is of. Where the credential has arrived, or the share
// has come to a halt, nothing is waited for until then.
var untilWhat = map[share.State]string{
	share.Offered: "it can be claimed", share.Claimed: "the sender's answer is waited for",
	share.Pinned: "the receiver's answer is waited for", share.Granted: "the receiver's answer is waited for",
}

// untilThen adds to a time what it is of; empty: of nothing.
func untilThen(state share.State, at string) string {
	what := untilWhat[state]
	if at == "" || what == "" {
		return ""
	}
	return at + " (" + what + ")"
}

// timeUp reports whether a share's time is over by what this device knows, and no process
// has seen to that yet.
func timeUp(r node.Record) bool {
	state, _, _, _ := r.State()
	return untilWhat[state] != "" && r.Left(now()) <= 0
}

// toDo says why a share is to be taken up again, where that isn't plain from its state.
func toDo(r node.Record) string {
	switch state, _, _, _ := r.State(); {
	case state.Ended() && !r.Waiting():
	case state == share.Done && r.Role == discovery.Receiver:
		return "the sender may wait to hear that this device knows"
	case state.Ended():
		return "the other side doesn't know yet"
	case timeUp(r):
		return "its time is up, and nobody has been told yet"
	case state == share.Provisioning:
		return "the credential has arrived, and may not be in its place yet"
	}
	return ""
}

// load opens the vault and finds a share by a prefix of its id.
func (a *app) load(ctx context.Context, prefix string) (string, node.Record, error) {
	if err := a.open(ctx); err != nil {
		return "", node.Record{}, err
	}
	if prefix == "" { // which every id begins with
		return "", node.Record{}, fail(exitNotFound, "not_found", "no share has an empty id.", "sparekey list --all")
	}
	id, err := a.vault.Find(prefix)
	if err != nil {
		return "", node.Record{}, err
	}
	r, err := a.device().Load(id)
	return id, r, err
}

func (a *app) forgetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{Use: "forget ID", Short: "Remove an ended share from this device", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return a.forget(c.Context(), args[0], yes)
	}}
	c.Flags().BoolVar(&yes, "yes", false, "also one that still lives or is unresolved")
	return c
}

func (a *app) forget(ctx context.Context, prefix string, yes bool) error {
	id, r, err := a.load(ctx, prefix)
	if err != nil && id == "" {
		return err
	}
	if doubt := unheard(r, err); doubt != "" && !yes {
		ok, err := a.term.confirm(ctx, doubt+" Forget it all the same?", false, "--yes")
		if err != nil {
			return err
		}
		if !ok {
			return fail(exitRefused, "kept", "the share is kept.", "")
		}
	}
	lock, err := a.hold(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := a.vault.Remove(id); err != nil {
		return err
	}
	a.say("Forgotten.")
	a.emit(event{Type: "result", ID: id})
	return nil
}

// unheard says what speaks against forgetting a share; "" where nothing does.
func unheard(r node.Record, err error) string {
	if err != nil {
		return fmt.Sprintf("This share can't be read: %v.", err)
	}
	switch state, _, _, _ := r.State(); {
	case state == share.Provisioning:
		return "The credential has arrived here, and may not be in its place yet: what is not is thrown away, and the sender will hear nothing more."
	case !state.Ended():
		return fmt.Sprintf("This share stands at %s. The other side will hear nothing more.", state)
	case r.Waiting():
		return fmt.Sprintf("This share has ended (%s), but the other side may not have heard of it: `sparekey resume` tells it.", state)
	}
	return ""
}
