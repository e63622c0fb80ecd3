package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
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
	updates chan node.Update
	stop    context.CancelFunc
	lock    *vault.Lock
	socket  net.Listener
	served  sync.WaitGroup

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

// drive starts a share under its lock.
func (a *app) drive(ctx context.Context, d *node.Device, id string, lock *vault.Lock, r node.Record) (*drive, error) {
	run := &drive{a: a, id: id, lock: lock, updates: make(chan node.Update, 256)}
	run.last.State, run.last.Reason, run.last.Label, _ = r.State()
	ctx, run.stop = context.WithCancel(ctx)
	live, err := d.Start(ctx, id, r, run.tell)
	if err != nil {
		lock.Release()
		run.stop()
		return nil, err
	}
	run.live = live
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

// close ends the drive and waits for all of it. The share goes on from what was saved.
func (d *drive) close() {
	d.stop()
	d.live.Wait()
	if d.socket != nil {
		d.socket.Close()
	}
	d.served.Wait()
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
	Error  string      `json:"error,omitempty"`
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

// serve takes orders from other terminals, one a connection.
func (d *drive) serve() {
	for {
		c, err := d.socket.Accept()
		if err != nil {
			return
		}
		d.served.Go(func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			line, err := bufio.NewReader(c).ReadBytes('\n')
			var o order
			if err != nil || json.Unmarshal(line, &o) != nil || o.event() == nil {
				json.NewEncoder(c).Encode(word{Error: "this is no order"})
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			w := word{}
			if err := d.live.Do(ctx, o.event()); err != nil && !errors.Is(err, node.ErrStopped) {
				w.Error = err.Error()
			}
			select { // so that the answer says how it ended, if that is known soon
			case <-d.live.Done():
			case <-ctx.Done():
			}
			d.mu.Lock()
			w.State, w.Reason, w.Label = d.last.State, d.last.Reason, d.last.Label
			d.mu.Unlock()
			json.NewEncoder(c).Encode(w)
		})
	}
}

// command gives an order to the process that holds a share.
func (a *app) command(ctx context.Context, id string, o order) (word, error) {
	c, err := a.vault.Dial(ctx, id)
	if err != nil {
		return word{}, fail(exitRefused, "held", "another sparekey process works on this share and doesn't answer. Nothing was changed.", "wait for it, or end it").because(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	var w word
	if err := errors.Join(json.NewEncoder(c).Encode(o), json.NewDecoder(c).Decode(&w)); err != nil {
		return word{}, err
	}
	if w.Error != "" {
		return word{}, errors.New(w.Error)
	}
	return w, nil
}

// vaultFailure tells errors of the vault, formats and records as people read them.
func vaultFailure(err error) *failure {
	var damaged *vault.DamagedError
	var unknown *credential.UnknownFormatError
	switch {
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
	}
	return nil
}

// haltCopies makes the live shares of a copied vault unresolved.
func (a *app) haltCopies(ctx context.Context) error {
	ids, err := a.vault.IDs()
	if err != nil {
		return err
	}
	dev := a.device()
	dev.Finders = nil // a copy says nothing to anybody
	halted := 0
	for _, id := range ids {
		r, err := dev.Load(id)
		if err != nil {
			continue // list and show tell what is the matter with it
		}
		state, _, _, err := r.State()
		if err != nil || state.Ended() {
			continue
		}
		if err := a.halt(ctx, dev, id); err != nil {
			return err
		}
		halted++
	}
	if halted > 0 {
		a.say("This vault is a copy or a restored backup: %s may have gone on elsewhere, and will not go on here.", plural(halted, "live share"))
	}
	return a.vault.Adopt()
}

func (a *app) halt(ctx context.Context, dev *node.Device, id string) error {
	lock, err := a.hold(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	r, err := dev.Load(id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live, err := dev.Start(ctx, id, r, nil)
	if err != nil {
		return err
	}
	err = live.Do(ctx, share.Copied{})
	cancel()
	live.Wait()
	if err != nil {
		return fmt.Errorf("a copied share can't be halted: %w", err)
	}
	return nil
}

// problem tells a path's report, once each kind, as one line.
func (a *app) problem(r *discovery.Report, seen map[string]bool) {
	text := ""
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
