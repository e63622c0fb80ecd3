package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

func (a *app) resumeCommand() *cobra.Command {
	var f receiveFlags
	c := &cobra.Command{Use: "resume [ID]", Short: "Go on with a share (without ID: with the only one that lives)", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.resume(c.Context(), args, f) }}
	c.Flags().StringVarP(&f.out, "output", "o", "", "`path` to put what was received, if it could not be put where it was to be")
	c.Flags().BoolVar(&f.force, "force", false, "write over a file that is there")
	c.Flags().BoolVar(&f.yes, "yes", false, "don't ask")
	a.waysFlag(c, "those that were chosen for the share; this time only")
	return c
}

func (a *app) resume(ctx context.Context, args []string, f receiveFlags) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	prefix := ""
	if len(args) == 1 {
		prefix = args[0]
	} else {
		id, err := a.onlyLive()
		if err != nil {
			return err
		}
		prefix = id
	}
	id, r, err := a.load(ctx, prefix)
	if err != nil {
		return err
	}
	if r.Role == discovery.Receiver {
		if err := a.admit(ctx, a.ways(r.Ways), r.Link(), r, f); err != nil {
			return err
		}
		return a.resumeReceiver(ctx, a.device(), id, r, &f)
	}
	if r.Settled || r.Silent() {
		state, reason, label, _ := r.State()
		return a.ended(id, node.Update{State: state, Reason: reason, Label: label}, r)
	}
	if err := passable(a.ways(r.Ways), r.Relay); err != nil {
		return err
	}
	d, err := a.takeUp(ctx, id)
	if err != nil {
		return err
	}
	defer d.close()
	a.waiting(id, d.began)
	return d.awaitSender(ctx, r, false)
}

// onlyLive returns the one share that is not settled.
func (a *app) onlyLive() (string, error) {
	ids, err := a.vault.IDs()
	if err != nil {
		return "", err
	}
	var live []string
	for _, id := range ids {
		if r, err := a.device().Load(id); err == nil && r.Waiting() {
			live = append(live, id)
		}
	}
	switch len(live) {
	case 0:
		return "", fail(exitNotFound, "not_found", "no share is waiting here.", "sparekey list --all")
	case 1:
		return live[0], nil
	}
	return "", fail(exitNotFound, "ambiguous", fmt.Sprintf("%d shares are waiting here.", len(live)), "sparekey list, and give the id")
}

// takeUp holds and drives a share as it is saved by then.
func (a *app) takeUp(ctx context.Context, id string, first ...share.Event) (*drive, error) {
	lock, err := a.hold(id)
	if err != nil {
		return nil, err
	}
	dev := a.device()
	r, err := dev.Load(id)
	if err != nil {
		lock.Release()
		return nil, err
	}
	return a.drive(ctx, dev, id, lock, r, first...)
}

// resumeReceiver goes on with a share that was accepted here; with -o it puts elsewhere
// what could not be put in its place, with --force alone over what is there.
func (a *app) resumeReceiver(ctx context.Context, dev *node.Device, id string, r node.Record, f *receiveFlags) error {
	state, reason, _, err := r.State()
	if err != nil {
		return err
	}
	if !r.Waiting() || state == share.Unresolved { // a receiver's halt is a copy's: it says nothing to anybody
		u := node.Update{State: state, Reason: reason}
		if state == share.Done {
			a.say("Received before, and confirmed. Nothing is left to do.")
			a.emit(event{Type: "result", ID: id, Role: "receiver", State: string(state), Known: true})
			return nil
		}
		return a.receiverEnd(id, u)
	}
	lock, err := a.hold(id)
	if err != nil {
		return err
	}
	if r, err = dev.Load(id); err != nil {
		lock.Release()
		return err
	}
	if state == share.Provisioning && (f.out != "" || f.force) {
		if r, err = a.retarget(ctx, dev, id, r, f); err != nil {
			lock.Release()
			return err
		}
	}
	d, err := a.drive(ctx, dev, id, lock, r)
	if err != nil {
		return err
	}
	defer d.close()
	return d.awaitReceiver(ctx)
}

// retarget says anew where the credential goes. That is saved before anything is
// put there: after a crash in between, the format is asked about this place, and
// not about the one before.
func (a *app) retarget(ctx context.Context, dev *node.Device, id string, r node.Record, f *receiveFlags) (node.Record, error) {
	o := a.options(*f)
	if f.out == "" { // this folder isn't what was named before
		o.Dir = ""
	}
	if err := placeable(o); err != nil {
		return node.Record{}, err
	}
	r, err := dev.Retarget(ctx, r, func(state []byte) ([]byte, error) { return credential.Retarget(state, o) })
	if err != nil {
		return node.Record{}, err
	}
	b, err := r.Encode()
	if err != nil {
		return node.Record{}, err
	}
	return r, a.vault.Save(id, b)
}
