package main

import (
	"context"
	"errors"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// left reports whether a sender's credential has gone to the receiver, whatever became of
// it there. The formats of this program answer a receiver that is chosen at once, so one
// that declines has been sent it.
func left(r node.Record) bool {
	s, err := share.UnmarshalSender(r.Machine)
	if r.Role != discovery.Sender || err != nil {
		return false
	}
	switch s.State {
	case share.Granted, share.Unresolved, share.Done, share.Declined:
		return true
	}
	return s.State == share.Cancelled && s.Pin != nil && s.Pin.Recalled
}

// recalled reports whether a sender has asked the receiver not to use its credential, and waits for the answer.
func recalled(r node.Record) bool {
	s, err := share.UnmarshalSender(r.Machine)
	return r.Role == discovery.Sender && err == nil && s.State == share.Granted && s.Pin != nil && s.Pin.Recalled
}

// arrived reports whether a receiver's credential has come to this device, whatever became of it.
func arrived(r node.Record) bool {
	v, err := share.UnmarshalReceiver(r.Machine)
	return r.Role == discovery.Receiver && err == nil && v.Grant != frame.Candidate{}
}

// whereabouts tells where the credential of a share is that ended without having been
// received, as far as this device knows; safe, whether it was on no other device.
func whereabouts(r node.Record) (text string, safe bool) {
	switch {
	case left(r):
		return "The credential had left for the receiver's device, which says that it was not put in its place there.", false
	case arrived(r):
		return "The credential had arrived on this device, and was not put in its place.", false
	case r.Role == discovery.Receiver:
		return "Nothing was received.", true
	}
	return "The credential was handed to nobody.", true
}

// whereabouts tells it of a share in the vault.
func (a *app) whereabouts(id string) (text string, safe bool) {
	r, err := a.device().Load(id)
	if err != nil {
		return "Where the credential is can't be told: " + err.Error() + ".", false
	}
	return whereabouts(r)
}

// unreceived adds to a failure where the credential is.
func (a *app) unreceived(id string, f *failure) *failure {
	text, safe := a.whereabouts(id)
	f.Message, f.Safe = f.Message+" "+text, safe
	return f
}

// standing tells how a share stands that is left off; safe, whether its credential is where it was.
func standing(r node.Record) (text string, safe bool) {
	state, _, _, err := r.State()
	switch {
	case err != nil:
		return "The share is kept.", true
	case state.Ended():
		return "The share has ended (" + string(state) + "), and the other side may not know yet.", true
	case state == share.Unresolved:
		return "The share is kept. Whether the credential arrived is not known.", false
	case recalled(r):
		return "The share is kept. The credential has left for the receiver, which is asked not to use it. Its answer is not here yet.", false
	case left(r):
		return "The share is kept. The credential has left for the receiver, and its answer is not here yet.", false
	case state == share.Provisioned:
		return "The credential is in its place here, and the sender doesn't know yet.", true
	case arrived(r):
		return "The share is kept. The credential has arrived, and may not be in its place yet.", true
	case r.Role == discovery.Receiver:
		return "The share is kept, and nothing was received yet.", true
	}
	return "The share is kept, and nothing was handed over.", true
}

// interrupted is the failure of a wait that was cut off; the share is kept.
func (a *app) interrupted(ctx context.Context, id string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	text, safe := "The share is kept.", true
	if r, err := a.device().Load(id); err == nil {
		text, safe = standing(r)
	}
	f := fail(exitInterrupted, "interrupted", "interrupted. "+text, "sparekey resume "+id)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		f = fail(exitNoPath, "timeout", "the time given by --timeout is up. "+text, "sparekey resume "+id)
	}
	f.Safe = safe
	return f.because(err)
}
