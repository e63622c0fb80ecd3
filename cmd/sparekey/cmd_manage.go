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
	"github.com/sparekey/sparekey/node/vault"
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
			{"other", credential.Display(e.Peer, 64)}, {"called", credential.Display(e.Label, 64)}, {"relay", e.Relay}, {"carried by", carried(r)}, {"until", untilWhat(state, e.ExpiresAt)}} {
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

// untilWhat adds what a share's time is of. Where the credential has arrived, or the
// share has come to a halt, nothing is waited for until then.
func untilWhat(state share.State, at string) string {
	what := map[share.State]string{share.Offered: "it can be claimed", share.Pinned: "the receiver's answer is waited for",
		share.Granted: "the receiver's answer is waited for", share.Claimed: "the sender's answer is waited for"}[state]
	if at == "" || what == "" {
		return ""
	}
	return at + " (" + what + ")"
}

// timeUp reports whether a share's time is over by what this device knows, and no process
// has seen to that yet.
func timeUp(r node.Record) bool {
	state, _, _, _ := r.State()
	return untilWhat(state, "then") != "" && r.Left(now()) <= 0
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
		if err := a.placeable(*f); err != nil && f.out != "" {
			lock.Release()
			return err
		}
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
