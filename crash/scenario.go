package main

import (
	"errors"
	"os"
	"path/filepath"
)

// A scenario is a share as people may drive it, and how it may end.
type scenario struct {
	name string
	size int // of the credential; 0: a small one
	open func(*world) (sender *job, err error)
	play func(w *world, sender *job) error

	// ends are the states that may be left, in the order sender/receiver, and
	// the second receiver or the copy of the sender's vault where there is one.
	// none: no share is left on that device.
	ends []string
}

// Exit codes of sparekey that a scenario may meet.
const (
	done       = 0
	cantWrite  = 5
	ended      = 7
	noPath     = 8
	taken      = 9
	unresolved = 10
)

var scenarios = []*scenario{
	{"handover", 0, told, both, []string{"done/done"}},
	{"large", 400_000, told, both, []string{"done/done"}},
	{"turns", 0, away, turns, []string{"done/done"}},
	{"race", 0, told, race, []string{"done/done/taken", "done/taken/done", "done/done/none", "done/none/done"}},
	{"cancel", 0, away, cancel, []string{"cancelled/none"}},
	{"cancel-running", 0, shown, cancelRunning, []string{"cancelled/none"}},
	{"cancel-claimed", 0, away, cancelClaimed, []string{"cancelled/taken", "cancelled/cancelled"}},
	{"cancel-race", 0, shown, cancelRace, []string{"done/done", "cancelled/taken", "cancelled/cancelled", "cancelled/none"}},
	{"decline", 0, occupied, decline, []string{"declined/declined"}},
	{"elsewhere", 0, occupied, elsewhere, []string{"done/done"}},
	{"relinquish", 0, away, relinquish, []string{"done/relinquished/done", "declined/relinquished/taken", "declined/relinquished/none"}},
	{"expiry", 0, brief, expiry, []string{"expired/none"}},
	{"forget", 0, told, forget, []string{"none/none"}},
	{"copy", 0, away, copied, []string{"none/declined/unresolved"}},
}

// told: the sender's command runs, and has told the link.
func told(w *world) (*job, error) { return w.share() }

// brief: the same, for a second only.
func brief(w *world) (*job, error) { return w.share("--expires", "1s") }

// shown: and who has the link sees the offer.
func shown(w *world) (*job, error) {
	s, err := told(w)
	if err != nil {
		return nil, err
	}
	return s, w.look(done)
}

// away: and then the sender's command has been ended.
func away(w *world) (*job, error) {
	s, err := shown(w)
	if err != nil {
		return nil, err
	}
	return s, s.interrupt()
}

// occupied: the sender's command runs, and the receiver's has found another file in
// the credential's place.
func occupied(w *world) (*job, error) {
	s, err := told(w)
	if err = errors.Join(err, w.occupy("receiver")); err != nil {
		return nil, err
	}
	return s, w.receive("receiver").wait(cantWrite)
}

// both: both devices are there.
func both(w *world, s *job) error {
	r := w.receive("receiver")
	return errors.Join(s.wait(done), r.wait(done))
}

// turns: the two are never there at the same time, until the end.
func turns(w *world, s *job) error {
	r := (*job)(nil)
	for _, step := range []func() error{
		func() error { r = w.receive("receiver"); return w.stored("claim.stored", 1) },
		func() error { return r.interrupt() },
		func() error { s = w.resume("sender"); return w.stored("append.stored-of-sender", 1) },
		func() error { return s.interrupt() },
		func() error { r = w.receive("receiver"); return w.stored("append.stored-of-receiver", 1) },
		func() error { return r.interrupt() },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// race: two devices have the link.
func race(w *world, s *job) error {
	one, two := w.receive("receiver"), w.receive("second")
	return errors.Join(s.wait(done), one.wait(done, taken), two.wait(done, taken))
}

// cancel: the sender takes it back before anybody came, with nothing running.
func cancel(w *world, _ *job) error {
	if err := w.order("sender", "cancel", done); err != nil {
		return err
	}
	return w.receive("receiver").wait(taken)
}

// cancelRunning: from another terminal, while the share waits.
func cancelRunning(w *world, s *job) error {
	return errors.Join(w.order("sender", "cancel", done), s.wait(ended), w.look(taken))
}

// cancelClaimed: a claim lies at the relay which the sender has not seen.
func cancelClaimed(w *world, _ *job) error {
	r := w.receive("receiver")
	return errors.Join(w.stored("claim.stored", 1), w.order("sender", "cancel", done), r.wait(taken, ended))
}

// cancelRace: cancel and claim cross on the way.
func cancelRace(w *world, s *job) error {
	r := w.receive("receiver")
	return errors.Join(w.order("sender", "cancel", done, taken, ended), s.wait(done, ended), r.wait(done, taken, ended))
}

// decline: the credential can't be put in its place, and the person gives up.
func decline(w *world, s *job) error {
	return errors.Join(w.order("receiver", "decline", done, ended), s.wait(ended))
}

// elsewhere: it is put in another place. After a crash the person doesn't
// remember that, unless told that it is still to be done.
func elsewhere(w *world, s *job) error {
	id, err := w.id("receiver")
	if err != nil {
		return err
	}
	resume := []string{"resume", id}
	there := append(resume, "-o", filepath.Join(w.out("receiver"), "elsewhere.txt"))
	for j := w.command("receiver", there, resume); ; j = w.command("receiver", there, resume) {
		if err := j.wait(done, cantWrite); err != nil {
			return err
		}
		if j.code == done {
			return s.wait(done)
		}
	}
}

// relinquish: a claim is handed back before the sender has seen it, and another
// device receives.
func relinquish(w *world, _ *job) error {
	r := w.receive("receiver")
	if err := errors.Join(w.stored("claim.stored", 1), r.interrupt(), w.order("receiver", "relinquish", done, ended)); err != nil {
		return err
	}
	s := w.resume("sender")
	return errors.Join(w.receive("second").wait(done, taken), s.wait(done, ended))
}

// expiry: nobody comes in time. Where a crash has kept the offer from the relay
// until then, who opens the link hears nothing, and gives up.
func expiry(w *world, s *job) error {
	return errors.Join(s.wait(ended), w.receive("receiver", "--timeout", "10s").wait(taken, ended, noPath))
}

// forget: both forget a share that is over.
func forget(w *world, s *job) error {
	if err := both(w, s); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	return errors.Join(w.forget("sender"), w.forget("receiver"))
}

// copied: the sender's vault is restored from a backup, and the original is lost.
func copied(w *world, _ *job) error {
	r := w.receive("receiver")
	if err := errors.Join(w.stored("claim.stored", 1), r.interrupt()); err != nil {
		return err
	}
	id, err := w.id("sender")
	if err != nil {
		return err
	}
	// Sockets, which a killed process leaves there, can't be copied.
	if err := errors.Join(os.RemoveAll(filepath.Join(w.home("sender"), "run")), os.CopyFS(w.home("copy"), os.DirFS(w.home("sender"))), os.RemoveAll(w.home("sender"))); err != nil {
		return err
	}
	return errors.Join(w.do([]int{unresolved}, "copy", "resume", id), w.order("receiver", "decline", done))
}

// resume goes on with an actor's one share.
func (w *world) resume(actor string) *job {
	return w.keep(actor, "sparekey", func(int) ([]string, error) {
		id, err := w.id(actor)
		return []string{"resume", id, "--json", "--home", w.home(actor)}, err
	}, nil)
}

// order gives an order about an actor's one share.
func (w *world) order(actor, do string, codes ...int) error {
	id, err := w.id(actor)
	if err != nil {
		return err
	}
	return w.do(codes, actor, do, id)
}

// forget may find, after a crash, that it is done.
func (w *world) forget(actor string) error { return w.order(actor, "forget", done, notFound) }

const notFound = 4

// occupy puts a file where a receiver's credential would go.
func (w *world) occupy(actor string) error {
	path := filepath.Join(w.out(actor), "key.txt")
	w.kept[path] = "another key"
	return os.WriteFile(path, []byte(w.kept[path]), 0o600)
}
