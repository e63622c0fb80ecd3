package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/relay/mailbox"
)

type shareFlags struct {
	format, title, note, relay, link, qr string
	expires                              time.Duration
	noWait, yes                          bool
}

func (a *app) shareCommand() *cobra.Command {
	var f shareFlags
	c := &cobra.Command{
		Use: "share FILE", Short: "Share a credential with one other device", Args: cobra.ExactArgs(1),
		Long: "Share a file, or - for standard input, with exactly one other device. The link that is printed is all the other one needs.",
		RunE: func(c *cobra.Command, args []string) error { return a.share(c.Context(), args[0], f) },
	}
	p := c.Flags()
	p.StringVar(&f.format, "format", "", "the credential's type; guessed if not given (see sparekey formats)")
	p.StringVar(&f.title, "title", "", "what to call it; whoever has the link can read this")
	p.StringVar(&f.note, "note", "", "a word to the receiver; whoever has the link can read this")
	p.StringVar(&f.relay, "relay", "", "`URL` of the relay that keeps it until it is received")
	p.DurationVar(&f.expires, "expires", node.DefaultLife, "how long it can be received, at most 144h")
	p.StringVar(&f.link, "link", "https", "kind of link: https, or app, which only sparekey opens; without a relay it is always app")
	p.StringVar(&f.qr, "qr", "auto", "show the link as a QR code: auto, always or never")
	p.BoolVar(&f.noWait, "no-wait", false, "return once the relay has the offer; sparekey resume goes on")
	p.BoolVar(&f.yes, "yes", false, "don't ask whether to share")
	a.waysFlag(c, "SPAREKEY_PATHS, or all; lan alone needs no relay")
	return c
}

func (a *app) share(ctx context.Context, source string, f shareFlags) error {
	offer, err := a.offer(source, f)
	if err != nil {
		return err
	}
	mailbox.Prepare(offer.Relay)
	if err := a.open(ctx); err != nil {
		return err
	}
	dev := a.device()
	dev.Authorize = func(ctx context.Context, p share.Preview) error { return a.authorize(ctx, p, f.yes) }
	id, err := a.vault.NewID()
	if err != nil {
		return err
	}
	lock, err := a.hold(id)
	if err != nil {
		return err
	}
	r, err := dev.Offer(ctx, id, offer)
	if err != nil {
		a.vault.Remove(id)
		lock.Release()
		var why *failure
		switch {
		case errors.As(err, &why):
			return why
		case errors.Is(err, share.ErrPreview):
			return fail(exitUsage, "preview", err.Error()+".", "shorten the title or the note; --expires is at most 144h").because(err)
		}
		return err
	}
	a.showOffer(id, r, f)
	d, err := a.drive(ctx, dev, id, lock, r)
	if err != nil {
		return err
	}
	defer d.close()
	return d.awaitSender(ctx, r, f.noWait)
}

// offer reads the credential and says what is to be shared.
func (a *app) offer(source string, f shareFlags) (node.Offer, error) {
	w := a.ways(nil)
	relay, err := a.relayOf(f, w)
	if err != nil {
		return node.Offer{}, err
	}
	if err := passable(w, relay); err != nil {
		return node.Offer{}, err
	}
	if f.link != "https" && f.link != "app" {
		return node.Offer{}, usage("--link is https or app, not %q", f.link)
	}
	if f.qr != "auto" && f.qr != "always" && f.qr != "never" {
		return node.Offer{}, usage("--qr is auto, always or never, not %q", f.qr)
	}
	life, err := lifeOf(f.expires)
	if err != nil {
		return node.Offer{}, err
	}
	data, name, mode, err := a.readSource(source)
	if err != nil {
		return node.Offer{}, err
	}
	format := f.format
	if format == "" {
		format = credential.File{}.Name()
		if credential.IsAge(data) {
			format = credential.AgeIdentity{}.Name()
		}
	}
	var opening []byte
	switch format {
	case credential.File{}.Name():
		opening, err = credential.OfferFile(name, mode, data)
	case credential.AgeIdentity{}.Name():
		opening, err = credential.OfferAge(name, data)
	default:
		err = &credential.UnknownFormatError{Name: format}
	}
	if errors.Is(err, credential.ErrFinal) && vaultFailure(err) == nil {
		return node.Offer{}, fail(exitUsage, "credential", err.Error()+". Nothing was sent.", "give another file, or another --format").because(err)
	}
	if err != nil {
		return node.Offer{}, err
	}
	return node.Offer{
		Preview: share.Preview{Format: format, Title: first(f.title, titleOf(name)), Note: f.note, Life: life},
		Opening: opening, Relay: relay, App: f.link == "app", Ways: w,
	}, nil
}

// maxLife is how long a share can be received at the most; a day of grace is left to end it.
const maxLife = 144 * time.Hour

// lifeOf returns a life in seconds. None is made of a time that is over already.
func lifeOf(d time.Duration) (uint32, error) {
	if d < time.Second || d > maxLife {
		return 0, fail(exitUsage, "preview", fmt.Sprintf("a share can be received for a second to 144 hours, not for %v. Nothing was made or sent.", d), "give another --expires")
	}
	return uint32(d / time.Second), nil
}

// maxTitle is how many bytes of a file's name make a title, as many as one may have.
const maxTitle = 120

// titleOf makes a title of a file's name, which may be longer than that, and of any bytes.
func titleOf(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	for len(name) > maxTitle {
		_, last := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-last]
	}
	return name
}

// relayOf returns the relay that a share's link names; none if it goes by no relay.
func (a *app) relayOf(f shareFlags, w ways) (string, error) {
	if !w.has(wayRelay) {
		switch {
		case f.relay != "":
			return "", usage("--relay names a relay, and the paths (%s) leave it out", w)
		case f.noWait:
			return "", usage("--no-wait needs a relay: without one nobody answers for this device, and the paths are %s", w)
		}
		return "", nil
	}
	relay := strings.TrimSuffix(first(f.relay, a.config.Relay), "/")
	if relay == "" {
		return "", usage("no relay is set: give --relay URL, or set SPAREKEY_RELAY or relay in the config file; in one room, --paths lan needs none")
	}
	if _, err := link.Parse((link.Link{Relay: relay}).URL()); err != nil {
		return "", fail(exitUsage, "usage", fmt.Sprintf("%s can't be a relay: %s.", relay, noRelay(err)), "name it as https://HOST or https://HOST:PORT, without a path").because(err)
	}
	return relay, nil
}

// noRelay says of a relay's address what is wrong with a link that would lead there.
func noRelay(err error) string {
	switch {
	case errors.Is(err, link.ErrNoLink):
		return "it isn't the address of one"
	case errors.Is(err, link.ErrInsecure):
		return "it is without encryption, and plain http is for a relay on this very machine"
	}
	return strings.TrimPrefix(err.Error(), link.ErrDamaged.Error()+": ")
}

// readSource reads a credential from a file, or from standard input for "-".
func (a *app) readSource(source string) (data []byte, name string, mode os.FileMode, err error) {
	file, name := a.stdin, "credential"
	if source != "-" {
		if file, err = os.Open(source); err != nil {
			return nil, "", 0, fail(exitNotFound, "no_file", fmt.Sprintf("%v. Nothing was shared.", err), "give a file that is there, or - for standard input").because(err)
		}
		defer file.Close()
		name = filepath.Base(source)
	}
	data, err = io.ReadAll(io.LimitReader(file, credential.MaxMessage+1))
	if err != nil {
		return nil, "", 0, fail(exitNotFound, "no_file", fmt.Sprintf("%s can't be read: %v. Nothing was shared.", name, err), "give a file that can be read").because(err)
	}
	mode = 0o600
	if info, err := file.Stat(); err == nil && source != "-" {
		mode = info.Mode()
	}
	return data, name, mode, nil
}

// authorize asks for the sender's intent, every time.
func (a *app) authorize(ctx context.Context, p share.Preview, yes bool) error {
	if yes {
		return nil
	}
	ok, err := a.term.confirm(ctx, fmt.Sprintf("Hand over %s to one device?", a.named(p)), false, "--yes")
	if err != nil {
		return err
	}
	if !ok {
		return fail(exitRefused, "not_authorized", "not shared. Nothing was made or sent.", "")
	}
	return nil
}

// named shows a credential's title and type.
func (a *app) named(p share.Preview) string {
	return fmt.Sprintf("%q (%s)", credential.Display(p.Title, 60), credential.Display(p.Format, 40))
}

// showOffer prints the link, before any network is touched.
func (a *app) showOffer(id string, r node.Record, f shareFlags) {
	url := r.Link().URL()
	until := r.Created.Add(time.Duration(r.Preview.Life) * time.Second)
	a.emit(event{Type: "share.offered", ID: id, Role: "sender", Format: r.Preview.Format, Title: r.Preview.Title, State: string(share.Offered),
		Relay: r.Relay, Link: url, ExpiresAt: until.UTC().Format(time.RFC3339)})
	a.say("Whoever opens this link first receives it: send it to one person, by a channel that only they read.\n")
	a.data("%s", url)
	if !a.json && !a.quiet && (f.qr == "always" || f.qr == "auto" && a.term.present()) {
		if code, err := qrText(url); err == nil {
			a.say("\n%s", strings.TrimSuffix(code, "\n"))
		}
	}
	if r.Relay == "" {
		a.say("\nIt goes straight from this device to the other one: both have to be on one network, such as the same Wi-Fi.")
	}
	a.say("\nOne device may receive it until %s. Looking at the link does not use it up.", until.Format("Mon 2 Jan 15:04 MST"))
	if f.noWait {
		a.say("Leaving it at the relay … (Ctrl-C is safe: `sparekey resume %s` goes on)", id)
		return
	}
	a.waiting(id, share.Offered)
}

// waiting says what a sender's share waits for.
func (a *app) waiting(id string, state share.State) {
	what := "Waiting for the receiver's answer"
	switch {
	case state == share.Offered:
		what = "Waiting for it to be claimed"
	case state == share.Unresolved:
		what = "Looking for a late answer"
	case state.Ended():
		what = "Telling that the share has ended (" + string(state) + ")"
	}
	a.say("%s … (Ctrl-C is safe: `sparekey resume %s` goes on)", what, id)
}

// How long a sender goes on where it would stop otherwise.
const (
	lastTry    = time.Minute      // after its share has ended: until the other device or the relay knows
	lateAnswer = 15 * time.Second // where it came to a halt before: an answer may be there by now
)

// patienceWith returns how long a share that stood at a state is taken up for, if no
// news come: it may be that none ever do. 0: as long as it lives.
func patienceWith(taken share.State) time.Duration {
	switch {
	case taken == share.Unresolved:
		return lateAnswer
	case taken.Ended(), taken == share.Provisioned: // to tell that
		return lastTry
	}
	return 0
}

// awaitSender follows a sender's share to its end.
func (d *drive) awaitSender(ctx context.Context, r node.Record, noWait bool) error {
	seen := map[string]bool{}
	others, over := 0, false
	var enough <-chan time.Time
	if patience := patienceWith(d.began); patience > 0 {
		over, enough = d.began.Ended(), time.After(patience)
	}
	for {
		select {
		case u := <-d.updates:
			if done, err := d.sender(u, r, noWait, seen, &others); done {
				return err
			}
			if u.State.Ended() && !over {
				over, enough = true, time.After(lastTry)
			}
		case <-enough:
			if !over {
				return d.a.ended(d.id, d.latest(), r)
			}
			d.a.say("%s doesn't know yet: `sparekey resume %s` tells it when it can be reached.", d.other(r), d.id)
			return d.a.ended(d.id, d.latest(), r)
		case <-d.live.Done():
			for len(d.updates) > 0 {
				if done, err := d.sender(<-d.updates, r, noWait, seen, &others); done {
					return err
				}
			}
			if err := d.live.Wait(); err != nil {
				return d.a.interrupted(ctx, d.id, err)
			}
			return nil
		}
	}
}

// other names who has to hear of the end of a sender's share.
func (d *drive) other(r node.Record) string {
	if r.Relay == "" {
		return "The other device"
	}
	return "The relay"
}

// sender tells one update of a sender's share; done ends the command.
func (d *drive) sender(u node.Update, r node.Record, noWait bool, seen map[string]bool, others *int) (done bool, err error) {
	a := d.a
	d.goesOn(u)
	switch {
	case u.Report != nil:
		d.problem(u.Report, seen)
	case u.Err != nil:
		a.say("  %v", u.Err)
	case u.Notice != nil:
		d.senderNotice(u, r)
	case u.Stored && noWait && u.State == share.Offered:
		a.say("The relay has it. `sparekey resume %s` hands it over once it is claimed.", d.id)
		a.emit(event{Type: "result", ID: d.id, State: string(u.State)})
		return true, nil
	}
	if u.Others > *others {
		*others = u.Others
		a.say("%s tried to receive it and was refused.", plural(u.Others, "other device"))
		a.emit(event{Type: "share.refused", ID: d.id, Others: u.Others})
	}
	halted := u.Notice != nil && u.Notice.Kind == share.NoticeChanged && u.Notice.State == share.Unresolved
	if u.Known || halted && u.State == share.Unresolved {
		return true, d.a.ended(d.id, u, r)
	}
	return false, nil
}

func (d *drive) senderNotice(u node.Update, r node.Record) {
	switch u.Notice.Kind {
	case share.NoticeClaimed:
		d.a.say("Claimed%s.", by(u.Notice.Label))
		d.a.emit(event{Type: "share.claimed", ID: d.id, State: string(u.State), Peer: u.Notice.Label, Path: u.Path})
	case share.NoticeReleased:
		d.a.say("The claim was handed back. Waiting for another …")
		d.a.emit(event{Type: "share.released", ID: d.id, State: string(u.State)})
	case share.NoticeChanged:
		d.a.emit(event{Type: "share." + string(u.Notice.State), ID: d.id, State: string(u.Notice.State), Reason: u.Reason, Peer: u.Label, Path: u.Path, Title: r.Preview.Title, Format: r.Preview.Format})
	}
}

func by(label string) string {
	if label == "" {
		return ""
	}
	return fmt.Sprintf(" by %q", credential.Display(label, 64))
}

// ended tells how a sender's share stands at the end, and returns its failure.
func (a *app) ended(id string, u node.Update, r node.Record) error {
	because := ""
	if u.Reason != "" {
		because = " (" + credential.Display(u.Reason, 200) + ")"
	}
	switch u.State {
	case share.Done:
		to := ""
		if u.Label != "" {
			to = fmt.Sprintf(" to %q", credential.Display(u.Label, 64))
		}
		a.say("Handed over%s. Confirmed.", to)
		a.emit(event{Type: "result", ID: id, State: string(u.State), Peer: u.Label})
		return nil
	case share.Cancelled:
		return a.unreceived(id, fail(exitOver, "cancelled", "the share was cancelled"+because+".", ""))
	case share.Declined:
		return a.unreceived(id, fail(exitOver, "declined", "the receiver declined"+because+".", "share it again, if it was meant for another device"))
	case share.Expired:
		return fail(exitOver, "expired", "the time is up, and nobody received it.", "share it again")
	case share.Unresolved:
		f := fail(exitUnresolved, "unresolved", "whether the credential arrived is not known"+because+".", "ask the receiver, or withdraw the credential where it was issued; a late answer still counts: sparekey resume "+id)
		f.Safe = false
		return f
	}
	return fmt.Errorf("the share stands at %s", u.State)
}
