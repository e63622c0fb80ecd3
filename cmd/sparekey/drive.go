package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vault"
)

// A drive is a share that this process holds: its lock, its socket for other
// terminals, and what happens to it.
type drive struct {
	a       *app
	id      string
	live    *node.Live
	began   share.State // where the share stood when it was taken up
	byRelay bool        // it may go by a relay
	updates chan node.Update
	ctx     context.Context // of the drive: it ends before the share is let go
	stop    context.CancelFunc
	lock    *vault.Lock
	socket  net.Listener
	served  sync.WaitGroup

	late  bool        // a receiver's: by the relay's word the offer's time is up
	via   string      // the path that the share goes by, as it was told last
	moved share.State // in which it was told that it goes on by another

	mu   sync.Mutex
	last node.Update
}

// hold takes a share's lock, so that this process alone drives it.
func (a *app) hold(id string) (*vault.Lock, error) {
	lock, err := a.vault.Lock(id)
	if errors.Is(err, vault.ErrHeld) {
		return nil, fail(exitRefused, "held", "another sparekey process works on this share. Nothing was changed.", "wait for it, or use cancel, decline and show: they reach it").because(err)
	}
	return lock, err
}

// drive starts a share under its lock, by the paths that it may go by; the first events come before anything that
// a path brings.
func (a *app) drive(ctx context.Context, d *node.Device, id string, lock *vault.Lock, r node.Record, first ...share.Event) (*drive, error) {
	run := &drive{a: a, id: id, lock: lock, updates: make(chan node.Update, 256)}
	run.last.State, run.last.Reason, run.last.Label, _ = r.State()
	run.began = run.last.State
	run.ctx, run.stop = context.WithCancel(ctx)
	w := a.ways(r.Ways)
	run.byRelay = w.has(wayRelay) && r.Relay != ""
	d.Finders = a.finders(w)
	live, err := d.Start(run.ctx, id, r, run.tell, first...)
	if err != nil {
		lock.Release()
		run.stop()
		return nil, err
	}
	run.live, a.driven = live, id
	if run.socket, err = a.vault.Listen(id); err != nil {
		run.close()
		return nil, err
	}
	run.served.Go(run.serve)
	return run, nil
}

// tell takes what happens to the share. It must not block: who doesn't read
// loses reports, never the last word.
func (d *drive) tell(u node.Update) {
	d.mu.Lock()
	d.last = u
	d.mu.Unlock()
	if u.Report != nil && len(d.updates) > cap(d.updates)/2 {
		return
	}
	select {
	case d.updates <- u:
	default:
	}
}

// latest is what was told last.
func (d *drive) latest() node.Update {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// close ends the drive and waits for all of it. The share goes on from what was saved.
func (d *drive) close() {
	d.stop()
	d.live.Wait()
	if d.socket != nil {
		d.socket.Close()
	}
	d.served.Wait()
	if _, err := d.a.vault.Load(d.id); errors.Is(err, vault.ErrNotFound) {
		d.a.vault.Remove(d.id) // it was only looked at: that leaves no trace
	}
	d.lock.Release()
}

// An order is what another terminal asks of the process that holds a share.
type order struct {
	Do     string `json:"do"` // cancel, decline, relinquish
	Reason string `json:"reason,omitempty"`
}

// A word is the answer to an order.
type word struct {
	State  share.State `json:"state"`
	Reason string      `json:"reason,omitempty"`
	Label  string      `json:"label,omitempty"`
	Failed *failure    `json:"failed,omitempty"`
}

func (o order) event() share.Event {
	switch o.Do {
	case "cancel":
		return share.Cancel{Reason: o.Reason}
	case "decline":
		return share.Decline{Reason: o.Reason}
	case "relinquish":
		return share.Relinquish{}
	}
	return nil
}

// parseOrder reads an order: an object of texts under exactly these names.
// (encoding/json would take any spelling of them, and what it doesn't know.)
func parseOrder(line []byte) (order, bool) {
	var named map[string]string
	if json.Unmarshal(line, &named) != nil {
		return order{}, false
	}
	o := order{named["do"], named["reason"]}
	delete(named, "do")
	delete(named, "reason")
	return o, len(named) == 0 && o.event() != nil
}

// Times of an order that comes from another terminal.
const (
	orderTime = 10 * time.Second // for the whole exchange
	endTime   = 5 * time.Second  // that an answer waits for the share to end
)

// serve takes orders from other terminals, one a connection.
func (d *drive) serve() {
	for {
		c, err := d.socket.Accept()
		if err != nil {
			return
		}
		d.served.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(orderTime))
			// Who connects and says nothing doesn't hold up the end of the drive.
			stop := context.AfterFunc(d.ctx, func() { c.SetReadDeadline(time.Now()) })
			defer stop()
			line, err := bufio.NewReader(io.LimitReader(c, maxOrder)).ReadBytes('\n')
			w := word{Failed: usage("this is no order")}
			if o, ok := parseOrder(line); ok && err == nil {
				w = d.obey(o)
			}
			json.NewEncoder(c).Encode(w)
		})
	}
}

// maxOrder is how long an order's line may be, in bytes.
const maxOrder = 4096

// obey carries an order out, and answers how the share stands: how it has ended,
// if that is known soon.
func (d *drive) obey(o order) (w word) {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	switch err := d.live.Do(ctx, o.event()); {
	case err == nil, errors.Is(err, node.ErrStopped):
	case ctx.Err() != nil:
		w.Failed = busy(d.id)
	default:
		w.Failed = asFailure(err)
	}
	select {
	case <-d.live.Done():
	case <-ctx.Done():
	}
	u := d.latest()
	w.State, w.Reason, w.Label = u.State, u.Reason, u.Label
	return w
}

// busy tells that an order has been taken, and waits for the credential's format.
func busy(id string) *failure {
	return fail(exitTaken, "busy", "the credential is being put in its place at this moment. What was asked is done after that, if it still can be.", "sparekey show "+id+" tells what became of it")
}

// errNoAnswer is wrapped by errors about a holder that was not there to answer.
var errNoAnswer = errors.New("the process that holds the share has not answered")

// command gives an order to the process that holds a share.
func (a *app) command(ctx context.Context, id string, o order) (word, error) {
	c, err := a.vault.Dial(ctx, id)
	if err != nil {
		return word{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(orderTime))
	var w word
	if err := errors.Join(json.NewEncoder(c).Encode(o), json.NewDecoder(c).Decode(&w)); err != nil {
		return word{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	if w.Failed != nil {
		return word{}, w.Failed
	}
	return w, nil
}

// vaultFailure tells errors of the vault, formats and records as people read them.
func vaultFailure(err error) *failure {
	var damaged *vault.DamagedError
	var keyFile *vault.KeyFileError
	var unknown *credential.UnknownFormatError
	switch {
	case errors.As(err, &keyFile) && keyFile.New:
		return fail(exitVault, "no_key", keyFile.Error()+", and there is no vault yet. Nothing was made.", keyFileHint(keyFile)).because(err)
	case errors.Is(err, vault.ErrLocked):
		return fail(exitVault, "vault_locked", err.Error()+".", "give the right key file by SPAREKEY_VAULT_KEY_FILE").because(err)
	case errors.As(err, &damaged):
		return fail(exitVault, "vault_damaged", damaged.Error()+". It was left as it is.", "restore it, or take the file away").because(err)
	case errors.Is(err, vault.ErrNotFound):
		return fail(exitNotFound, "not_found", err.Error()+".", "sparekey list --all").because(err)
	case errors.Is(err, vault.ErrAmbiguous):
		return fail(exitNotFound, "ambiguous", err.Error()+".", "give more letters").because(err)
	case errors.As(err, &unknown):
		return fail(exitRefused, "unknown_format", unknown.Error()+". Nothing was used up.", "sparekey formats lists those it knows; a newer sparekey may know more").because(err)
	case errors.Is(err, node.ErrRecord):
		return fail(exitVault, "vault_damaged", err.Error()+". It was left as it is.", "use the sparekey that wrote it").because(err)
	case errors.Is(err, node.ErrUntold):
		return fail(exitCantWrite, "cant_tell", err.Error()+". The share is kept as it is.", "see to it, and try again").because(err)
	case ofFiles(err):
		return fail(exitCantWrite, "storage", err.Error()+". Nothing was sent that isn't saved; what was saved is kept.", "see that there is room, and that the folder may be written to; sparekey list shows what there is").because(err)
	}
	return nil
}

// keyFileHint says how a vault gets a key file. Nobody is told to write over one that is there.
func keyFileHint(e *vault.KeyFileError) string {
	if errors.Is(e, fs.ErrNotExist) {
		return "make it: (umask 077; head -c 32 /dev/urandom | base64 >FILE); or set no key file, and a key is made in the vault's folder"
	}
	return "set another key file, or none: then a key is made in the vault's folder"
}

// ofFiles reports whether an error is the file system's: a full disk, a folder
// that may not be written to.
func ofFiles(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &link)
}

// haltCopies makes the live shares of a copied vault unresolved. One that was
// unresolved before would still take a late answer: it falls silent too.
func (a *app) haltCopies(ctx context.Context) error {
	ids, err := a.vault.IDs()
	if err != nil {
		return err
	}
	dev := a.device() // without paths: a copy says nothing to anybody
	halted := 0
	for _, id := range ids {
		lived, err := a.halt(ctx, dev, id)
		if err != nil {
			return fmt.Errorf("a copied share can't be halted: %w", err)
		}
		if lived {
			halted++
		}
	}
	if halted > 0 {
		a.say("This vault is a copy or a restored backup: %s may have gone on elsewhere, and will not go on here.", plural(halted, "live share"))
	}
	return a.vault.Adopt()
}

// halt halts a copied share, and reports whether it lived. What can't be read is
// left: list and show tell what is the matter with it.
func (a *app) halt(ctx context.Context, dev *node.Device, id string) (lived bool, err error) {
	lock, err := a.holdSoon(ctx, id)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	r, err := dev.Load(id)
	if err != nil && ofFiles(err) {
		return false, err // it may be readable next time, and would live
	}
	if err != nil {
		return false, nil
	}
	state, _, _, err := r.State()
	if err != nil || state.Ended() {
		return false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live, err := dev.Start(ctx, id, r, nil)
	if err != nil {
		return false, err
	}
	err = live.Do(ctx, share.Copied{})
	cancel()
	live.Wait()
	return state != share.Unresolved, err
}

// holdSoon takes a share's lock, and waits a while for a process that has it.
func (a *app) holdSoon(ctx context.Context, id string) (*vault.Lock, error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	enough := time.After(orderTime)
	for {
		lock, err := a.hold(id)
		if !errors.Is(err, vault.ErrHeld) {
			return lock, err
		}
		select {
		case <-again.C:
		case <-enough:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// concerns reports whether people should hear of a path's report. A room in which nobody
// can be found is no trouble to a share that goes by a relay.
func (d *drive) concerns(r *discovery.Report) bool {
	return r.Path != lan.Room || !d.byRelay || d.a.flags.verbose
}

// aboutRoom tells what keeps anybody from being found in the room, and when that is over.
func (d *drive) aboutRoom(r *discovery.Report) {
	if r.State == discovery.Living {
		d.a.say("  The local network works now.")
		d.a.emit(event{Type: "path.works", Path: r.Path})
		return
	}
	text := fmt.Sprintf("%v; trying again. `sparekey doctor` says what to do.", r.Err)
	d.a.say("  %s", text)
	d.a.emit(event{Type: "path.trouble", Path: r.Path, Message: text})
}

// problem tells a path's report, once each kind, as one line.
func (d *drive) problem(r *discovery.Report, seen map[string]bool) {
	switch {
	case !d.concerns(r):
		return
	case r.Path == lan.Room:
		d.aboutRoom(r)
		return
	}
	a, text := d.a, ""
	switch r.State {
	case discovery.Failing:
		text = fmt.Sprintf("%v; trying again.", r.Err)
	case discovery.Busy:
		text = fmt.Sprintf("%s is busy with other receivers; trying again.", r.Path)
	case discovery.Missing:
		text = fmt.Sprintf("%s doesn't have the share (yet); trying again.", r.Path)
	}
	if text == "" || seen[text] {
		return
	}
	seen[text] = true
	a.say("  %s", text)
	a.emit(event{Type: "path.trouble", Path: r.Path, Message: text})
}
