package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/relay/mailbox"
)

type receiveFlags struct {
	out, name          string
	force, dryRun, yes bool
}

func (a *app) receiveCommand() *cobra.Command {
	var f receiveFlags
	c := &cobra.Command{
		Use: "receive [LINK|-]", Short: "Receive what a link offers", Args: cobra.MaximumNArgs(1),
		Long: "Look at what a link offers, ask, and receive it. Run again with the same link it goes on where it was.",
		RunE: func(c *cobra.Command, args []string) error { return a.receive(c.Context(), args, f) },
	}
	p := c.Flags()
	p.StringVarP(&f.out, "output", "o", "", "`path` of the file, or a folder that is there")
	p.BoolVar(&f.force, "force", false, "write over a file that is there")
	p.BoolVar(&f.dryRun, "dry-run", false, "look, and stop before anything is used up")
	p.BoolVar(&f.yes, "yes", false, "don't ask")
	p.StringVar(&f.name, "name", "", "what to call this device to the sender; empty: nothing")
	a.waysFlag(c, receiverWays)
	return c
}

const receiverWays = "what was chosen for the share before, or SPAREKEY_PATHS, or all that the link has"

func (a *app) viewCommand() *cobra.Command {
	c := &cobra.Command{Use: "view [LINK|-]", Short: "Look at what a link offers; no effect, however often", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.receive(c.Context(), args, receiveFlags{dryRun: true})
		}}
	a.waysFlag(c, receiverWays)
	return c
}

func (a *app) receive(ctx context.Context, args []string, f receiveFlags) error {
	l, err := a.link(ctx, args)
	if err != nil {
		return err
	}
	if a.ways(nil).has(wayRelay) {
		mailbox.Prepare(l.Relay)
	}
	if err := a.open(ctx); err != nil {
		return err
	}
	return a.receiveLink(ctx, l, f)
}

// receiveLink looks at what a link offers or receives it, or goes on with what was
// accepted before.
func (a *app) receiveLink(ctx context.Context, l link.Link, f receiveFlags) error {
	dev := a.device()
	id, r, err := a.known(dev, l)
	if err != nil {
		return err
	}
	if f.dryRun && a.hadBefore(id, r) {
		return nil
	}
	w := a.ways(r.Ways)
	if err := a.admit(ctx, w, l, r, f); err != nil {
		return err
	}
	if id != "" && !f.dryRun {
		return a.resumeReceiver(ctx, dev, id, r, &f)
	}
	if !f.dryRun {
		o := a.options(f)
		if err := cmp.Or(placeable(o), hasFolder(o)); err != nil {
			return err
		}
	}
	d, err := a.takeIn(ctx, dev, l, w, f)
	if errors.Is(err, errKnown) {
		return a.receiveLink(ctx, l, f)
	}
	if err != nil {
		return err
	}
	defer d.close()
	p, err := d.preview(ctx, sought(w, l))
	if err != nil {
		return err
	}
	if f.dryRun {
		d.looked(p)
		return nil
	}
	if err := d.accept(ctx, p, f); err != nil {
		return err
	}
	return d.awaitReceiver(ctx)
}

// errKnown is why a share isn't taken in: another process here has been faster.
var errKnown = errors.New("the link is known by now")

// takeIn drives the share of a link that isn't known here. Who receives holds the same
// id as any other process here that does: else one of two would be told that another
// device has it. Who only looks keeps nobody out.
func (a *app) takeIn(ctx context.Context, dev *node.Device, l link.Link, w ways, f receiveFlags) (*drive, error) {
	id, err := a.vault.NewID()
	if !f.dryRun {
		id, err = a.vault.IDOf(slices.Concat(l.ID[:], l.Secret[:]))
	}
	if err != nil {
		return nil, err
	}
	lock, err := a.hold(id)
	if err != nil {
		return nil, err
	}
	r, err := dev.Open(l)
	if err == nil && !f.dryRun {
		var known string
		if known, _, err = a.known(dev, l); known != "" {
			err = errKnown
		}
	}
	if err != nil {
		lock.Release()
		return nil, err
	}
	r.Ways = w
	return a.drive(ctx, dev, id, lock, r)
}

// accept asks the person and claims. If the share ends meanwhile the question is
// withdrawn, and how it has ended is told instead.
func (d *drive) accept(ctx context.Context, p share.Preview, f receiveFlags) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-d.live.Done():
			stop()
		case <-asking.Done():
		}
	}()
	question := "Receive it on this device?"
	if d.late {
		question = "Ask the sender's device for it all the same?"
	}
	err := d.a.agree(asking, p, question, f)
	if err == nil {
		err = d.live.Accept(ctx, d.a.options(f).Encode(), first(f.name, d.a.config.Name))
	}
	over := errors.Is(err, node.ErrStopped) || asking.Err() != nil
	if err != nil && over && ctx.Err() == nil {
		if err := d.live.Wait(); err != nil {
			return err
		}
		return d.a.receiverEnd(d.id, d.latest())
	}
	if err == nil || ctx.Err() == nil {
		return err
	}
	d.live.Wait()
	switch state := d.latest().State; { // what came first, the claim or the interruption?
	case state != share.Opened && state != share.Viewed:
		return d.a.interrupted(ctx, d.id, err)
	case errors.Is(ctx.Err(), context.Canceled):
		return fail(exitInterrupted, "interrupted", "interrupted. Nothing was used up.", "open the link again").because(err)
	}
	return err
}

// link reads the link from the argument, standard input or the person.
func (a *app) link(ctx context.Context, args []string) (link.Link, error) {
	var text string
	switch {
	case len(args) == 1 && args[0] != "-":
		text = args[0]
	case len(args) == 1 || !a.term.present() && a.stdin != nil && !a.flags.noPrompt:
		b, err := io.ReadAll(io.LimitReader(a.stdin, link.MaxText+1))
		if err != nil {
			return link.Link{}, err
		}
		text = string(b)
	default:
		var err error
		if text, err = a.term.secret(ctx, "Paste the link: ", "the link as an argument, or - to read it from standard input"); err != nil {
			return link.Link{}, err
		}
	}
	l, err := link.Parse(text)
	if err != nil {
		return link.Link{}, fail(exitUsage, "bad_link", err.Error()+". Nothing was sent.", "copy the whole link again; it ends with # and 22 characters").because(err)
	}
	return l, nil
}

// admit sees that a receiver's share can go by the paths it may go by, and that the
// person agrees to its relay, if it has not been used for the share before. r is the
// share's record, the zero one if it has none yet; one that names no paths is of a
// version that had none but the relay.
func (a *app) admit(ctx context.Context, w ways, l link.Link, r node.Record, f receiveFlags) error {
	known := r.Version != 0
	if known && !r.Waiting() {
		return nil // nothing is sent any more
	}
	if err := passable(w, l.Relay); err != nil {
		return err
	}
	if !w.has(wayRelay) || known && (len(r.Ways) == 0 || ways(r.Ways).has(wayRelay)) {
		return nil
	}
	return a.allow(ctx, l, f)
}

// allow asks before a relay is contacted that this device doesn't know.
func (a *app) allow(ctx context.Context, l link.Link, f receiveFlags) error {
	switch host := l.Host(); {
	case l.Relay == "", l.Loopback(), l.Relay == a.config.Relay, slices.Contains(a.config.Relays, host):
		return nil
	case l.Private() && !a.config.AllowPrivate:
		return fail(exitRefused, "private_relay", fmt.Sprintf("the link leads to %s, an address that isn't public. Nothing was sent.", credential.Display(host, 80)), "if that is right, set allow_private in the config file")
	case f.yes:
		return nil
	default:
		ok, err := a.term.confirm(ctx, fmt.Sprintf("The link leads to the relay %s. Contact it?", credential.Display(host, 80)), true, "--yes, or name the host in relays of the config file")
		if err == nil && !ok {
			err = fail(exitRefused, "relay_refused", "the relay was not contacted. Nothing was used up.", "")
		}
		return err
	}
}

// known finds the share of a link that this device has accepted before.
func (a *app) known(dev *node.Device, l link.Link) (id string, r node.Record, err error) {
	ids, err := a.vault.IDs()
	if err != nil {
		return "", node.Record{}, err
	}
	for _, id := range ids {
		r, err := dev.Load(id)
		if err == nil && r.ID == l.ID && r.Role == discovery.Receiver {
			return id, r, nil
		}
	}
	return "", node.Record{}, nil
}

// hadBefore tells of a share that is only to be looked at if this device has received it:
// whoever is asked for it could say no more than that it is gone.
func (a *app) hadBefore(id string, r node.Record) bool {
	state, _, _, err := r.State()
	if id == "" || err != nil || state != share.Done && state != share.Provisioned {
		return false
	}
	a.say("This device has received %s by this link before. Nothing is left to receive.", a.named(r.Preview))
	a.emit(event{Type: "result", ID: id, Role: "receiver", State: string(state), Known: state == share.Done})
	return true
}

// able says why this device can't receive what is offered, if it can't.
func (a *app) able(p share.Preview) error {
	if _, err := a.formats().Lookup(p.Format); err != nil {
		return err
	}
	if p.Factor != "" {
		return fail(exitRefused, "unknown_factor", fmt.Sprintf("the sender asks for a proof that this sparekey doesn't know: %q. Nothing was sent or used up.", credential.Display(p.Factor, 16)), "a newer sparekey may know it; or ask the sender for a share without it")
	}
	return nil
}

// agree checks that this device can take the credential, and asks the person the question.
func (a *app) agree(ctx context.Context, p share.Preview, question string, f receiveFlags) error {
	if err := a.able(p); err != nil {
		return err
	}
	if f.yes {
		return nil
	}
	ok, err := a.term.confirm(ctx, question, true, "--yes")
	if err == nil && !ok {
		err = fail(exitRefused, "not_accepted", "not received. Nothing was used up.", "")
	}
	return err
}

// placeable refuses to put a credential where it could not be found again: what is
// saved of the place is text.
func placeable(o credential.Options) error {
	if path := first(o.Path, o.Dir); !utf8.ValidString(path) {
		return usage("the credential can't be put into %q, a path that isn't UTF-8; nothing was used up", path)
	}
	return nil
}

// hasFolder refuses a place in a folder that isn't there. Once the credential has left
// its sender, that is late to hear of.
func hasFolder(o credential.Options) error {
	folder := o.Dir
	if o.Path != "" {
		folder = filepath.Dir(o.Path)
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "stat", Path: folder, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return fail(exitCantWrite, "no_folder", fmt.Sprintf("the credential can't be put into %s: %v. Nothing was used up.", credential.Display(folder, 400), errors.Unwrap(err)), "make the folder, or name another place with -o").because(err)
	}
	return nil
}

// options says where the credential goes.
func (a *app) options(f receiveFlags) credential.Options {
	o := credential.Options{Dir: ".", Force: f.force}
	if wd, err := os.Getwd(); err == nil {
		o.Dir = wd
	}
	if f.out != "" {
		path, err := filepath.Abs(f.out)
		if err != nil {
			path = f.out
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() || strings.HasSuffix(f.out, "/") {
			o.Dir = path
		} else {
			o.Path = path
		}
	}
	return o
}
