package node

import (
	"context"
	"errors"

	"github.com/sparekey/sparekey/node/share"
)

// ErrNotPlacing is returned by Retarget where there is nothing to put elsewhere: no
// grant has come, or the credential is in its place, or the share has ended.
var ErrNotPlacing = errors.New("there is nothing here that could be put elsewhere")

var errRedirect = errors.New("a redirect is made of the state that the format has by then: use Retarget")

// Retarget has a receiver's credential put elsewhere: change is given the format's
// state, and returns the one to go on from. It waits for whatever the format is
// doing: an answer would take the place of what was changed. Where the format can't
// tell whether the credential is in its place, its error is returned, and where
// there is nothing to put elsewhere, ErrNotPlacing. change is called from the
// share's own goroutine, and must not block or call the Live. If ctx ends first, it
// may still come to pass.
func (l *Live) Retarget(ctx context.Context, change func([]byte) ([]byte, error)) error {
	return l.bring(ctx, request{event: share.Redirect{}, change: change, done: make(chan error, 1)})
}

// redirect changes the format's state; what was held for the person goes on.
func (l *Live) redirect(change func([]byte) ([]byte, error)) (share.Event, error) {
	if change == nil {
		return nil, errRedirect
	}
	m, _ := l.machine.(receiverMachine)
	state, ok := m.Placing()
	if !ok {
		return nil, ErrNotPlacing
	}
	state, err := change(state)
	if err != nil {
		return nil, err
	}
	l.held = false
	return share.Redirect{State: state}, nil
}

// Retarget returns a receiver's record with another state of its format: where to
// put what has come, say. The vault is not touched. Where the format says that the
// credential is in its place already, as after a crash, the record stays as it was,
// so that it is put nowhere twice; where it can't tell, its error is returned.
func (d *Device) Retarget(ctx context.Context, r Record, change func([]byte) ([]byte, error)) (Record, error) {
	m, err := r.machine()
	if err != nil {
		return Record{}, err
	}
	v, receives := m.(receiverMachine)
	if !receives {
		return r, nil
	}
	state, ok := v.Placing()
	if !ok {
		return r, nil
	}
	if t, ok := m.task(); ok && t.Do == share.Look {
		format, err := d.Formats.Lookup(r.Preview.Format)
		if err != nil {
			return Record{}, err
		}
		if there, err := format.Provisioned(ctx, t.Key, t.State); err != nil || there {
			return r, err
		}
	}
	if state, err = change(state); err != nil {
		return Record{}, err
	}
	next, _ := v.Receiver.Step(d.Now(), d.Rand, share.Redirect{State: state})
	if next.State.Ended() {
		return r, nil // its time was up: Start sees to that
	}
	r.Machine = next.Marshal()
	return r, nil
}
